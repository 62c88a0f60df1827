//! An editor with yaml-language-server completes and validates lab files against schemas/, through the line that each
//! file begins with.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::live::has;

const SERVER: &str = "yaml-language-server";

/// The server, and what it is asked.
struct Editor {
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    last: u64,
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Editor {
    fn open(root: &Path) -> Editor {
        let mut command = Command::new(SERVER);
        command.arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the server starts");
        let requests = process.stdin.take().expect("it was asked for");
        let replies = BufReader::new(process.stdout.take().expect("it was asked for"));
        let mut editor = Editor { process, requests, replies, last: 0 };
        let root = uri(root);
        editor.ask(
            "initialize",
            json!({"processId": null, "rootUri": root, "capabilities": {"textDocument": {"completion": {}}}}),
        );
        editor.tell("initialized", json!({}));
        editor
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.requests, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server listens");
        self.requests.flush().expect("the server listens");
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.until(|message| message["id"] == id && message.get("method").is_none())["result"].clone()
    }

    /// Hears messages, and answers what the server asks, until one is as wanted.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                assert!(
                    self.replies.read_line(&mut line).expect("the server speaks") > 0,
                    "the server has ended"
                );
                match line.trim().split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.parse().unwrap()
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let mut bytes = vec![0; length];
            self.replies.read_exact(&mut bytes).expect("the message is whole");
            let message: Value = serde_json::from_slice(&bytes).expect("it is JSON");
            if let (Some(id), true) = (message.get("id"), message.get("method").is_some()) {
                let asked = message["params"]["items"].as_array().map_or(0, Vec::len);
                let answer = if asked > 0 { json!(vec![json!({}); asked]) } else { Value::Null };
                self.send(&json!({"jsonrpc": "2.0", "id": id, "result": answer}));
            }
            if wanted(&message) {
                return message;
            }
        }
    }

    /// What is wrong with a text that stands in a file: line and message.
    fn problems(&mut self, path: &Path, text: &str) -> Vec<(u64, String)> {
        let uri = uri(path);
        self.last += 1;
        let document = json!({"uri": uri, "languageId": "yaml", "version": self.last, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
        let told = self.until(|message| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri
        });
        let of = |problem: &Value| {
            (
                problem["range"]["start"]["line"].as_u64().unwrap() + 1,
                problem["message"].as_str().unwrap().to_owned(),
            )
        };
        told["params"]["diagnostics"].as_array().unwrap().iter().map(of).collect()
    }

    /// What could stand at the end of the last line.
    fn completions(&mut self, path: &Path, text: &str) -> Vec<String> {
        self.problems(path, text);
        let (line, column) = (text.lines().count() - 1, text.lines().last().unwrap_or_default().len());
        let place =
            json!({"textDocument": {"uri": uri(path)}, "position": {"line": line, "character": column}});
        let found = self.ask("textDocument/completion", place);
        let items = found.get("items").unwrap_or(&found).as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["label"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn an_editor_completes_and_validates_lab_files() {
    if !has(SERVER) {
        return;
    }
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap();
    let mut editor = Editor::open(&root);
    let lab = root.join("labs/session-2/kill-the-leader/lab.yaml");
    let text = std::fs::read_to_string(&lab).unwrap();
    for file in ["lab.yaml", "solution/submission.yaml", "start/submission.yaml"] {
        let path = lab.with_file_name("").join(file);
        let own = std::fs::read_to_string(&path).unwrap();
        assert_eq!(editor.problems(&path, &own), [], "{file}");
    }
    let broken = text.replace("minutes: 15", "minutes: soon").replace("outageAtMost: 3s", "outageAtMots: 3s");
    let problems = editor.problems(&lab, &broken);
    assert!(problems.iter().any(|(line, told)| *line == 6 && told.contains("integer")), "{problems:?}");
    assert!(problems.iter().any(|(_, told)| told.contains("outageAtMots")), "{problems:?}");

    let verbs = editor.completions(&lab, &format!("{}\n        ", text.trim_end()));
    for verb in ["resource", "cel", "trace", "eventually", "hint"] {
        assert!(verbs.iter().any(|known| known == verb), "{verb} is not among {verbs:?}");
    }
    let head: String =
        text.lines().take_while(|line| !line.starts_with("tasks:")).map(|line| format!("{line}\n")).collect();
    let fields = editor.completions(&lab, &format!("{head}t"));
    assert!(fields.iter().any(|known| known == "tasks"), "{fields:?}");
}
