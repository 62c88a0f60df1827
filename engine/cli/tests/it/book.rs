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
