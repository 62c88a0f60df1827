//! The course as a book: built, served, interrupted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::home::{Home, wait_for};

#[test]
fn the_book_is_built_and_says_where_it_is() {
    let home = Home::new();
    let built = home.run(&["book", "build", "--out", "site"]);
    assert!(matches!(built.code, Some(0 | 1)), "{built:?}");
    assert!(
        built.out.contains("site/index.html") && built.out.contains("Kill the leader mid-write"),
        "{}",
        built.out
    );
    let page = home.path().join("site/ko/labs/session-2/kill-the-leader/index.html");
    assert!(std::fs::read_to_string(&page).is_ok_and(|page| page.contains("리더")), "{}", page.display());

    home.write("mine/thesis.txt", "years of work");
    let refused = home.run(&["book", "build", "--out", "mine"]).ends_with(2);
    assert!(refused.err.contains("mine") && refused.err.contains("--out"), "{}", refused.err);
    assert!(home.path().join("mine/thesis.txt").exists());
}

#[test]
fn an_interrupt_leaves_no_half_book() {
    let home = Home::new();
    for after_grading in [false, true] {
        let mut child =
            home.command(&["book", "build", "--out", "site"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        while after_grading && said.next().is_some_and(|line| !line.unwrap().contains("writing")) {}
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        let left: Vec<_> =
            std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let is_whole = home.path().join("site/index.html").exists() && left == ["site"];
        assert!(left.is_empty() || is_whole, "{left:?}");
    }
}

#[test]
fn the_book_is_served() {
    let home = Home::new();
    let words = ["book", "serve", "--port", "0", "--out", "site"];
    let mut child = home.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("http://")).expect("it says where");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.0 200 OK") && page.contains("한국어"), "{page}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    wait_for("it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn mdbook_asks_what_is_supported() {
    let home = Home::new();
    home.run(&["book", "preprocess", "supports", "html"]).ends_with(0);
    home.run(&["book", "preprocess", "supports", "epub"]).ends_with(1);
    let wrong = home.run(&["book", "preprocess"]).ends_with(2);
    assert!(wrong.err.contains("mdbook build"), "{}", wrong.err);
}

/// The next server-sent event of a kind.
fn event(lines: &mut impl Iterator<Item = String>, kind: &str) -> serde_json::Value {
    let head = format!("event:{kind}");
    while lines.next().expect("the stream goes on") != head {}
    let data = lines.next().expect("an event has data");
    serde_json::from_str(data.strip_prefix("data:").expect("it is data")).expect("it is JSON")
}

#[test]
fn the_page_of_a_running_lab_is_told_what_happens() {
    let home = Home::new();
    let words = ["book", "serve", "--port", "0", "--out", "site"];
    let mut child = home.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("http://")).expect("it says where");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let ask = |path: &str, host: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        BufReader::new(stream).lines().map_while(Result::ok)
    };
    let mut lines = ask("/live/kill-the-leader?lang=ko", &address);
    assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
    event(&mut lines, "idle");
    assert!(ask("/live/kill-the-leader", "evil.example").next().unwrap().contains("404"));

    home.run(&["start", "kill-the-leader"]).ends_with(0);
    let first = event(&mut lines, "checks");
    assert_eq!(
        (&first["checked"]["lab"], &first["checked"]["currentTask"]),
        (&"kill-the-leader".into(), &0.into())
    );
    let diagram = event(&mut lines, "diagram");
    assert!(diagram["mermaid"].as_str().unwrap().starts_with("sequenceDiagram"), "{diagram}");
    let points = first["checked"]["points"].as_u64();
    home.run(&["clock", "+10s"]).ends_with(0);
    while event(&mut lines, "checks")["checked"]["points"].as_u64() <= points {}
    home.run(&["stop"]).ends_with(0);
    event(&mut lines, "idle");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    wait_for("it ends", || child.try_wait().unwrap().is_some());
}

/// The text of a page once `until` holds of it. A page that frames it tells; the browser takes that one for loading,
/// and so waits, until it has told.
fn shown_when(home: &Home, address: &str, page: &str, until: &str) -> String {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    held.set_nonblocking(true).unwrap();
    let port = held.local_addr().unwrap().port();
    let probe = format!(
        "<iframe id=f src='/{page}/index.html' width=1200 height=900></iframe><img src='http://127.0.0.1:{port}/held'><pre id=told></pre>\
         <script>let looked = 0; const timer = setInterval(() => {{ looked += 1; \
         const page = document.getElementById('f').contentDocument; \
         if (!(page && page.querySelector('main') && ({until}))) return; \
         clearInterval(timer); document.getElementById('told').textContent = page.querySelector('main').innerText; \
         fetch('http://127.0.0.1:{port}/told', {{mode: 'no-cors'}}); }}, 100);</script>"
    );
    let name = page.replace('/', "-");
    home.write(&format!("site/{name}.html"), probe);
    let hold = move || {
        let mut streams: Vec<TcpStream> = Vec::new();
        // The picture is held until the word comes that all is told, or all patience is used up.
        for _ in 0..600 {
            let accepted = held.accept().ok().map(|(stream, _)| stream);
            streams.extend(accepted.filter(|stream| stream.set_nonblocking(true).is_ok()));
            let said = |stream: &mut TcpStream| {
                let mut bytes = [0; 512];
                let read = stream.read(&mut bytes).unwrap_or(0);
                String::from_utf8_lossy(&bytes[..read]).contains("/told")
            };
            if streams.iter_mut().any(said) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.arg(format!("--user-data-dir={}", home.path().join(&name).display()));
    browser.args(["--dump-dom", &format!("http://{address}/{name}.html")]);
    let dom = std::thread::scope(|scope| {
        scope.spawn(hold);
        browser.output().unwrap()
    });
    let dom = String::from_utf8_lossy(&dom.stdout).into_owned();
    dom.split("<pre id=\"told\">")
        .nth(1)
        .unwrap_or_default()
        .split("</pre>")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn chromium_shows_a_running_lab_live_and_nothing_else() {
    if !crate::live::has("chromium") {
        return;
    }
    let home = Home::new();
    let words = ["book", "serve", "--port", "0", "--out", "site"];
    let mut child = home.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("http://")).expect("it says where");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    home.run(&["start", "kill-the-leader"]).ends_with(0);
    let shown = |page: &str, until: &str| shown_when(&home, &address, page, until);
    let is_live = "page.querySelector('.live-mark') && page.querySelector('.live svg')";
    let english = shown("en/labs/session-2/kill-the-leader", is_live);
    assert!(english.contains("This lab is running.") && english.contains("of 15 points"), "{english}");
    let korean = shown("ko/labs/session-2/kill-the-leader", is_live);
    assert!(korean.contains("이 실습이 실행 중입니다.") && korean.contains("15점 중"), "{korean}");
    let other =
        shown("en/labs/session-5/a-node-dies", "looked > 20 && !page.querySelector('.live, .live-mark')");
    assert!(other.contains("labkit start a-node-dies") && !other.contains("This lab is running"), "{other}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    wait_for("it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_port_that_is_taken_is_said_before_the_work() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = home.run(&["book", "serve", "--port", &port, "--out", "site"]).ends_with(2);
    assert!(
        refused.err.contains(&port) && refused.err.contains("labkit book serve --port 0"),
        "{}",
        refused.err
    );
    assert!(!home.path().join("site").exists());
}
