//! Real kubectl against a live cluster: logs, exec, attach, cp and port-forward, over TLS.

use std::process::Stdio;

use labkit_cluster::{ClusterSpec, Fault};
use labkit_tests::live::{Live, Printed, has, live};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
    - {name: web, image: nginx, env: [{name: COLOR, value: blue}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ticker, labels: {app: ticker}}
spec:
  containers:
    - {name: tick, image: busybox, command: [sh, -c, 'while true; do echo tick; sleep 1; done']}
    - {name: tock, image: busybox, command: [sh, -c, 'echo tock; sleep infinity']}
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  restartPolicy: Never
  containers: [{name: c, image: busybox, command: [sh, -c, 'echo first; echo last']}]
";

fn with_pods<Fut: Future<Output = ()>>(test: impl FnOnce(Live) -> Fut) {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let file = live.file("pods.yaml", PODS);
        live.kubectl_ok(&format!("apply -f {file}")).await;
        live.kubectl_ok("wait --for=condition=Ready pod/web pod/ticker --timeout=60s").await;
        live.kubectl_ok("wait --for=jsonpath={.status.phase}=Succeeded pod/done --timeout=60s").await;
        test(live).await;
    });
}

/// `kubectl exec web -- sh -c SCRIPT`.
async fn shell(live: &Live, script: &str) -> Printed {
    live.kubectl_fed(&["exec", "web", "--", "sh", "-c", script], "").await
}

#[track_caller]
fn fails(printed: &Printed, code: i32, stderr: &str) {
    assert_eq!((printed.code, printed.stderr.as_str()), (code, stderr));
}

#[test]
fn kubectl_executes_commands_in_containers() {
    with_pods(|live| async move {
        assert_eq!(live.kubectl_ok("exec web -- echo hello").await, "hello\n");
        assert_eq!(live.kubectl_ok("exec web -- printenv COLOR HOSTNAME").await, "blue\nweb\n");
        let both = shell(&live, "echo out; echo err >&2; exit 3").await;
        assert_eq!(both.stdout, "out\n");
        fails(&both, 3, "err\ncommand terminated with exit code 3\n");
        fails(&live.kubectl("exec web -- false").await, 1, "command terminated with exit code 1\n");
        assert_eq!(shell(&live, "echo kept > /tmp/kept && cd /tmp").await.code, 0);
        assert_eq!(live.kubectl_ok("exec web -- cat /tmp/kept").await, "kept\n");
        let fed = live.kubectl_fed(&["exec", "-i", "web", "--", "cat"], "line one\nline two").await;
        assert_eq!((fed.code, fed.stdout.as_str()), (0, "line one\nline two"));
        let script = live.kubectl_fed(&["exec", "-i", "web", "--", "sh"], "echo a\nexit 7\necho b\n").await;
        assert_eq!((script.code, script.stdout.as_str()), (7, "a\n"));
        let much = shell(&live, "seq 20000 | tail -n 1; seq 20000").await;
        assert_eq!(much.stdout.lines().count(), 20001);
        let other = live.kubectl("exec ticker -c tock -- hostname").await;
        assert_eq!((other.code, other.stdout.as_str()), (0, "ticker\n"));
        let default = live.kubectl("exec ticker -- true").await;
        assert!(default.stderr.starts_with("Defaulted container \"tick\" out of: tick, tock"), "{default:?}");
    });
}

#[test]
fn kubectl_is_told_why_a_command_does_not_run() {
    with_pods(|live| async move {
        let missing = live.kubectl("exec web -- foo").await;
        assert_eq!(missing.code, 1);
        let text = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"foo\": executable file not found in $PATH: unknown\n";
        assert!(missing.stderr.starts_with("error: Internal error occurred: "), "{}", missing.stderr);
        assert!(missing.stderr.ends_with(text), "{}", missing.stderr);
        let container = live.kubectl("exec web -c nope -- true").await;
        fails(&container, 1, "Error from server (BadRequest): container nope is not valid for pod web\n");
        fails(
            &live.kubectl("exec nope -- true").await,
            1,
            "Error from server (NotFound): pods \"nope\" not found\n",
        );
        let completed =
            "error: cannot exec into a container in a completed pod; current phase is Succeeded\n";
        fails(&live.kubectl("exec done -- true").await, 1, completed);
        let no_command = live.kubectl("exec web").await;
        assert!(no_command.stderr.contains("you must specify at least one command for the container"));
        let spdy = [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")];
        let spdy = live.kubectl_with("exec web -- true", &spdy).await;
        assert_eq!(spdy.code, 1);
        assert!(spdy.stderr.contains("only WebSocket is spoken here"), "{}", spdy.stderr);

        // A client that goes in the middle leaves nothing behind that could go wrong.
        let mut gone = live.kubectl_lines("exec web -- yes");
        gone.line_with("y").await;
        drop(gone);
        assert_eq!(live.kubectl_ok("exec web -- echo on").await, "on\n");

        let fault = live.cluster.inject(&Fault::Kill("kubelet/worker1".to_owned())).await.unwrap();
        let refused = live.kubectl("exec web -- true").await;
        assert_eq!(refused.code, 1);
        let dial = "dial tcp 10.0.0.11:10250: connect: connection refused\n";
        assert!(refused.stderr.ends_with(dial), "{}", refused.stderr);
        let ports = live.kubectl("port-forward web :80").await;
        assert!(ports.stderr.contains("error dialing backend: dial tcp 10.0.0.11:10250"), "{}", ports.stderr);
        fault.heal().await.unwrap();
    });
}

#[test]
fn kubectl_has_a_shell_on_a_terminal() {
    if !has("script") {
        return;
    }
    with_pods(|live| async move {
        let typed = "cd /tmp\necho $((6 * 7)) > answer\ncat answer\nexit 5\n";
        let shown = live.kubectl_on_a_terminal("exec -it web -- sh", typed).await;
        assert_eq!(shown.code, 5, "{shown:?}");
        for part in ["/ # ", "/tmp # ", "42\r\n"] {
            assert!(shown.stdout.contains(part), "{part:?} is not in {:?}", shown.stdout);
        }
        assert_eq!(live.kubectl_ok("exec web -- cat /tmp/answer").await, "42\n");
        let run = "run tool -it --rm --restart=Never --image=busybox -- sh";
        let shown = live.kubectl_on_a_terminal(run, "echo in $HOSTNAME\nexit\n").await;
        assert!(shown.stdout.contains("pod \"tool\" deleted"), "{shown:?}");
        assert!(shown.stdout.contains("in tool\r\n"), "{shown:?}");
    });
}

#[test]
fn kubectl_attaches_to_what_runs() {
    with_pods(|live| async move {
        let mut lines = live.kubectl_lines("attach ticker -c tick");
        assert_eq!(lines.line_with("tick").await, "tick");
        assert_eq!(lines.line_with("tick").await, "tick");
        drop(lines);
        let words = ["run", "echoer", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "cat"];
        let echoed = live.kubectl_fed(&words, "said\n").await;
        assert!(echoed.stdout.contains("said\n"), "{echoed:?}");
        assert_eq!(echoed.code, 0, "{echoed:?}");
        let completed = live.kubectl("attach done").await;
        assert_eq!(completed.code, 1);
        assert!(completed.stderr.contains("cannot attach a container in a completed pod"), "{completed:?}");
    });
}

#[test]
fn kubectl_copies_files_both_ways() {
    with_pods(|live| async move {
        let file = live.file("local.txt", "from here\n");
        live.kubectl_ok(&format!("cp {file} web:/tmp/there.txt")).await;
        assert_eq!(live.kubectl_ok("exec web -- cat /tmp/there.txt").await, "from here\n");
        live.kubectl_ok(&format!("cp {file} web:/tmp")).await;
        assert_eq!(live.kubectl_ok("exec web -- ls /tmp").await, "local.txt\nthere.txt\n");
        shell(&live, "mkdir -p /srv/data/sub; echo one > /srv/data/a; seq 50000 > /srv/data/sub/b").await;
        let back = live.folder().join("back");
        live.kubectl_ok(&format!("cp web:/srv/data {}", back.display())).await;
        assert_eq!(std::fs::read_to_string(back.join("a")).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(back.join("sub/b")).unwrap().lines().count(), 50000);
        live.kubectl_ok(&format!("cp {} web:/tmp/again", back.display())).await;
        assert_eq!(live.kubectl_ok("exec web -- tail -n 1 /tmp/again/sub/b").await, "50000\n");
        let missing = live.kubectl(&format!("cp {file} web:/nope/deep/there.txt")).await;
        assert_eq!(missing.code, 1, "{missing:?}");
        let text = "tar: can't change directory to '/nope/deep': No such file or directory\n";
        assert!(missing.stderr.contains(text), "{missing:?}");
    });
}

#[test]
fn kubectl_forwards_ports() {
    if !has("curl") {
        return;
    }
    with_pods(|live| async move {
        live.kubectl_ok("expose pod web --port=8000 --target-port=80").await;
        for target in ["pod/web :80", "service/web :8000"] {
            let mut forward = live.kubectl_lines(&format!("port-forward {target}"));
            let line = forward.line_with("Forwarding from 127.0.0.1:").await;
            let port = line.split([':', ' ']).find(|word| word.parse::<u16>().is_ok()).unwrap();
            for (path, expected) in
                [("", "<h1>Welcome to nginx!</h1>\n200"), ("nope", "404 page not found\n404")]
            {
                assert_eq!(curl(&format!("http://127.0.0.1:{port}/{path}")).await, expected, "{target}");
            }
        }
        let mut forward = live.kubectl_lines("port-forward pod/web :81");
        let line = forward.line_with("Forwarding from 127.0.0.1:").await;
        let port = line.split([':', ' ']).find(|word| word.parse::<u16>().is_ok()).unwrap();
        assert_eq!(curl(&format!("http://127.0.0.1:{port}/")).await, "000");
    });
}

/// The body and the code.
async fn curl(url: &str) -> String {
    let mut command = tokio::process::Command::new("curl");
    command.args(["--silent", "--max-time", "20", "--write-out", "%{http_code}", "--noproxy", "*", url]);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn kubectl_follows_logs() {
    with_pods(|live| async move {
        assert_eq!(live.kubectl_ok("logs done").await, "first\nlast\n");
        assert_eq!(live.kubectl_ok("logs done -f").await, "first\nlast\n");
        assert_eq!(live.kubectl_ok("logs done --tail=1").await, "last\n");
        assert_eq!(live.kubectl_ok("logs done --limit-bytes=3").await, "fir");
        assert_eq!(live.kubectl_ok("logs done --since-time=2099-01-01T00:00:00Z").await, "");
        let stamped = live.kubectl_ok("logs done --timestamps").await;
        assert!(stamped.starts_with("20") && stamped.contains("Z first\n"), "{stamped}");
        let mut ticks = live.kubectl_lines("logs ticker -c tick -f --tail=0");
        assert_eq!(ticks.line_with("tick").await, "tick");
        let all = live.kubectl_ok("logs ticker --all-containers --since=1h").await;
        assert!(all.contains("tick\n") && all.contains("tock\n"), "{all}");
        let labelled = live.kubectl_ok("logs -l app=ticker --prefix --all-containers").await;
        assert!(labelled.contains("[pod/ticker/tock] tock\n"), "{labelled}");
        let previous = live.kubectl("logs ticker -c tock --previous").await;
        let text = "previous terminated container \"tock\" in pod \"ticker\" not found";
        assert!(previous.code == 1 && previous.stderr.contains(text), "{previous:?}");
        live.kubectl_ok("delete pod ticker --grace-period=1").await;
        // The stream ends with the container, and kubectl with the stream.
        while ticks.next().await.is_some() {}
    });
}
