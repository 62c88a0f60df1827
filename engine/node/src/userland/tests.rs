//! The shell from outside: what a script prints, and its code.

use std::time::Duration;

use bytes::Bytes;
use labkit_client::{Input, Output, Session};
use labkit_sim::{Pace, World};
use tokio::sync::mpsc;

use super::*;

fn surroundings(world: &World) -> Surroundings {
    let variables = [("HOME", "/root"), ("HOSTNAME", "web"), ("PATH", PATH_DEFAULT), ("NAME", "a b")];
    Surroundings {
        world: world.clone(),
        files: Files::new(world.clock().now()),
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        working_directory: "/".to_owned(),
        ids: (0, 0),
        is_terminal: false,
        interrupts: watch::channel(()).1,
        terminate: Arc::new(|| ()),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs a command and returns its code, what it printed, and how long it took.
fn result_of(command: &[&str], stdin: &str) -> (Result<i32, String>, String, Duration) {
    let (command, stdin) = (words(command), stdin.to_owned());
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let (output, kept) = Sink::kept();
        let io = Io { stdin: Stdin::of(stdin.as_bytes()), stdout: output.clone(), stderr: output };
        let code = run(&command, surroundings(&world), io).await;
        let kept = kept.lock().unwrap();
        (code, String::from_utf8_lossy(&kept).into_owned(), world.clock().elapsed())
    })
}

#[track_caller]
fn check(script: &str, code: i32, printed: &str) {
    let (found, text, _) = result_of(&["sh", "-c", script], "from\nstdin\n");
    assert_eq!((found, text.as_str()), (Ok(code), printed), "{script}");
}

#[test]
fn words_are_quoted_split_and_filled_in() {
    check("echo a  'b  c' \"d $NAME\" $NAME e\\ f", 0, "a b  c d a b a b e f\n");
    check("printf '%s|' $NAME \"$NAME\" '$NAME'", 0, "a|b|a b|$NAME|");
    check("x=1; echo ${x}2 ${y:-none} $((x + 4)) $?", 0, "12 none 5 0\n");
    check("echo $(echo one; echo two) \"$(printf 'a\\nb')\" `hostname`", 0, "one two a\nb web\n");
    check("echo ~ ~/x 'it'\"'\"'s' # a comment", 0, "/root /root/x it's\n");
    check("sh -c 'echo $0 $1 $# \"$@\"' me 'x y' z", 0, "me x y 2 x y z\n");
}

#[test]
fn commands_follow_each_other_as_their_codes_say() {
    check("true && echo yes || echo no; false && echo yes || echo no", 0, "yes\nno\n");
    check("false; echo $?; exit 3; echo never", 3, "1\n");
    check("! true || echo not", 0, "not\n");
    check("(cd /tmp; pwd); pwd; { cd /tmp; }; pwd", 0, "/tmp\n/\n/tmp\n");
    check("set -e; false || true; if false; then :; fi; echo on; false; echo never", 1, "on\n");
    check("nope; echo $?", 0, "sh: nope: not found\n127\n");
    check("exit 300", 44, "");
}

#[test]
fn there_are_branches_and_loops() {
    check("if [ -d /tmp ]; then echo dir; else echo none; fi", 0, "dir\n");
    check("if test 1 -gt 2; then echo a; elif [ x = x ]; then echo b; fi", 0, "b\n");
    check("for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; echo $i; done", 0, "1\n3\n");
    check("i=0; while true; do i=$((i+1)); [ $i -ge 3 ] && break; done; echo $i", 0, "3\n");
    check("while read line; do echo \"<$line>\"; done", 0, "<from>\n<stdin>\n");
}

#[test]
fn streams_are_redirected_and_piped() {
    check("echo one > /tmp/a; echo two >> /tmp/a; cat < /tmp/a; wc -l /tmp/a", 0, "one\ntwo\n2 /tmp/a\n");
    check("cat | tr a-z A-Z | tail -n 1", 0, "STDIN\n");
    check("nope 2> /dev/null; ls /nope 2>&1 | grep -c nope", 0, "1\n");
    check("yes | head -n 2", 0, "y\ny\n");
    check("echo hi > /nope/a", 1, "sh: can't create /nope/a: nonexistent directory\n");
    check("seq 3 | sort -r | head -1; printf 'a,b\\n' | cut -d, -f2", 0, "3\nb\n");
}

#[test]
fn files_are_there_until_they_are_removed() {
    check(
        "mkdir -p /a/b && touch /a/b/c.txt /a/b/d.log && ls /a/b && ls /a/b/*.txt",
        0,
        "c.txt\nd.log\n/a/b/c.txt\n",
    );
    check(
        "echo x > /tmp/a; cp /tmp/a /tmp/b; mv /tmp/b /tmp/c; ls /tmp; rm /tmp/a /tmp/c; ls /tmp",
        0,
        "a\nc\n",
    );
    check("rm /nope", 1, "rm: can't remove '/nope': No such file or directory\n");
    check(
        "cat /nope; cd /nope",
        2,
        "cat: can't open '/nope': No such file or directory\nsh: cd: can't cd to /nope: No such file or directory\n",
    );
    check("echo 'echo $1' > /tmp/s; chmod +x /tmp/s; /tmp/s hi; sh /tmp/s ho", 0, "hi\nho\n");
    check("mkdir /tmp/d; touch /tmp/d/x; find /tmp -type f", 0, "/tmp/d/x\n");
}

#[test]
fn an_archive_goes_round() {
    check(
        "mkdir -p /src/sub; echo one > /src/a; echo two > /src/sub/b; tar cf - /src | (mkdir /dst; tar xmf - -C /dst); cat /dst/src/a /dst/src/sub/b",
        0,
        "tar: removing leading '/' from member names\none\ntwo\n",
    );
    check("cd /etc; echo x > y; tar cf /tmp/t y; tar tf /tmp/t", 0, "y\n");
    check(
        "tar cf - /nope > /dev/null",
        1,
        "tar: /nope: No such file or directory\ntar: error exit delayed from previous errors\n",
    );
    check("tar xf - -C /nope", 1, "tar: can't change directory to '/nope': No such file or directory\n");
    check("tar xf -", 1, "tar: invalid tar magic\n");
}

#[test]
fn facts_are_those_of_the_container() {
    check("hostname; whoami; id -u; pwd; date", 0, "web\nroot\n0\n/\nThu Jan  1 00:00:00 UTC 2026\n");
    check("id", 0, "uid=0(root) gid=0(root) groups=0(root)\n");
    check("export X=1; Y=2; env | grep -c '^[XY]='; env | grep X=; Z=3 env | grep Z=", 0, "0\nX=1\nZ=3\n");
}

#[test]
fn a_program_that_is_not_there_is_the_runtimes_error() {
    let start = "OCI runtime exec failed: exec failed: unable to start container process: ";
    let refused = |command: &[&str]| result_of(command, "").0.unwrap_err();
    assert_eq!(
        refused(&["foo"]),
        format!("{start}exec: \"foo\": executable file not found in $PATH: unknown")
    );
    assert_eq!(
        refused(&["/foo"]),
        format!("{start}exec: \"/foo\": stat /foo: no such file or directory: unknown")
    );
    assert_eq!(refused(&["/tmp"]), format!("{start}exec: \"/tmp\": permission denied: unknown"));
    assert_eq!(refused(&[]), format!("{start}args must not be empty: unknown"));
    assert_eq!(refused(&[""]), format!("{start}exec: \"\": executable file not found in $PATH: unknown"));
}

#[test]
fn what_is_no_script_is_refused() {
    for script in [
        "if true",
        "echo 'x",
        "for",
        ")",
        "echo &",
        "a | | b",
        "cat << E",
        "${",
        "while; do",
        "echo $(",
        "fi",
    ] {
        let (code, printed, _) = result_of(&["sh", "-c", script], "");
        assert_eq!(code, Ok(2), "{script}: {printed}");
        assert!(printed.starts_with("sh: syntax error: "), "{script}: {printed}");
    }
    let deep = "(".repeat(5000);
    assert_eq!(result_of(&["sh", "-c", &deep], "").0, Ok(2));
}

#[test]
fn no_script_stops_the_world() {
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        for script in
            ["while true; do :; done", "yes > /dev/null", "while true; do echo x; done | cat > /dev/null"]
        {
            let io = Io { stdin: Stdin::of(b""), stdout: Sink::Null, stderr: Sink::Null };
            let command = words(&["sh", "-c", script]);
            let running = run(&command, surroundings(&world), io);
            assert!(tokio::time::timeout(Duration::from_secs(1), running).await.is_err(), "{script}");
        }
    });
    check("echo 'sh /tmp/s' > /tmp/s; sh /tmp/s", 2, "sh: can't fork: Resource temporarily unavailable\n");
    let (code, ..) = result_of(&["sh", "-c", "x=aaaaaaaaaa; while true; do x=$x$x; done"], "");
    assert_eq!(code, Ok(2));
    let (code, _, took) = result_of(&["sleep", "90"], "");
    assert_eq!((code, took), (Ok(0), Duration::from_secs(90)));
}

/// A shell on a terminal, and what its screen shows.
struct Screen {
    input: mpsc::Sender<Input>,
    output: mpsc::Receiver<Output>,
    shown: String,
}

impl Screen {
    async fn open(world: &World) -> Screen {
        let (session, served) = Session::pair();
        let (interrupt, interrupts) = watch::channel(());
        let at = Surroundings { is_terminal: true, interrupts, ..surroundings(world) };
        let component = world.component("machine");
        component.spawn(async move {
            let (keys, stdin) = mpsc::channel(8);
            let labkit_client::Served { mut input, output } = served;
            let stdout = Sink::Session { to: output.clone(), is_stderr: false, is_terminal: true };
            let io = Io { stdin: Stdin::new(stdin, true), stdout: stdout.clone(), stderr: stdout.clone() };
            let command = words(&["sh"]);
            let listening = async {
                listen(&mut input, keys, Some(stdout), &interrupt).await;
                std::future::pending::<()>().await;
            };
            let end = tokio::select! {
                biased;
                end = run(&command, at, io) => end,
                () = listening => Ok(-1),
            };
            output.send(Output::End(end)).await.unwrap();
        });
        Screen { input: session.input, output: session.output, shown: String::new() }
    }

    async fn types(&self, keys: &'static str) {
        self.input.send(Input::Stdin(Bytes::from_static(keys.as_bytes()))).await.unwrap();
    }

    /// Waits until the screen ends like that.
    async fn until(&mut self, end: &str) {
        while !self.shown.ends_with(end) {
            match self.output.recv().await {
                Some(Output::Stdout(bytes)) => self.shown.push_str(std::str::from_utf8(&bytes).unwrap()),
                other => panic!("{other:?} after {:?}", self.shown),
            }
        }
    }
}

#[test]
fn a_shell_on_a_terminal_works_line_by_line() {
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let mut screen = Screen::open(&world).await;
        screen.until("/ # ").await;
        screen.types("cd /tmp\r").await;
        screen.until("\r\n/tmp # ").await;
        screen.types("echo hi\r").await;
        screen.until("echo hi\r\nhi\r\n/tmp # ").await;
        screen.types("if true\rthen echo a\rfi\r").await;
        screen.until("> > a\r\n/tmp # ").await;
        screen.types("fi\r").await;
        screen.until("sh: syntax error: unexpected \"fi\"\r\n/tmp # ").await;
        screen.types("sleep 1000\r").await;
        screen.until("sleep 1000\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        screen.types("\x03").await;
        screen.until("^C\r\n/tmp # ").await;
        screen.types("cat\r").await;
        screen.until("cat\r\n").await;
        screen.types("x\r\x04").await;
        screen.until("x\r\nx\r\n/tmp # ").await;
        screen.types("exit 4\r").await;
        screen.until("exit 4\r\n").await;
        assert_eq!(screen.output.recv().await, Some(Output::End(Ok(4))));
    });
}
