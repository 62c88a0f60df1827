//! What a terminal does between the keys and the process: echo, erase, end of line, Ctrl-C and Ctrl-D.
//! Counterpart: the line discipline of a tty.

use bytes::Bytes;
use labkit_client::Input;
use tokio::sync::{mpsc, watch};

use super::streams::Sink;

/// A line that is longer goes to the process before its end.
const LINE_MAX: usize = 4096;

/// Carries a client's input to a process until one of them goes. With `echo` it passes a terminal.
pub(crate) async fn listen(
    input: &mut mpsc::Receiver<Input>,
    stdin: mpsc::Sender<Bytes>,
    echo: Option<Sink>,
    interrupts: &watch::Sender<()>,
) {
    let mut line = Vec::new();
    while let Some(said) = input.recv().await {
        match (said, &echo) {
            (Input::StdinEnd, _) => return,
            (Input::Resize { .. }, _) => {}
            (Input::Stdin(bytes), None) => {
                if !bytes.is_empty() && stdin.send(bytes).await.is_err() {
                    return;
                }
            }
            (Input::Stdin(bytes), Some(echo)) => {
                for done in keys(&bytes, &mut line) {
                    let shown = match &done {
                        Done::Shown(shown) | Done::Line { shown, .. } => shown.as_slice(),
                        Done::Interrupt => b"^C\n",
                        Done::End => b"",
                    };
                    let _the_client_may_be_gone = echo.write(shown).await;
                    match done {
                        Done::Shown(_) => {}
                        Done::Line { line, .. } => drop(stdin.send(line.into()).await),
                        Done::End => drop(stdin.send(Bytes::new()).await),
                        Done::Interrupt => interrupts.send_replace(()),
                    }
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Done {
    Shown(Vec<u8>),
    Line {
        shown: Vec<u8>,
        line: Vec<u8>,
    },
    /// Ctrl-D at the beginning of a line.
    End,
    Interrupt,
}

/// What keys do to the line that is being typed.
fn keys(bytes: &[u8], line: &mut Vec<u8>) -> Vec<Done> {
    let mut done = Vec::new();
    for byte in bytes {
        match byte {
            b'\r' | b'\n' => {
                line.push(b'\n');
                done.push(Done::Line { shown: b"\n".to_vec(), line: std::mem::take(line) });
            }
            0x7f | 0x08 => {
                if line.is_empty() {
                    continue;
                }
                // A character of several bytes goes as one.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                done.push(Done::Shown(b"\x08 \x08".to_vec()));
            }
            0x03 => {
                line.clear();
                done.push(Done::Interrupt);
            }
            0x04 if line.is_empty() => done.push(Done::End),
            0x04 => done.push(Done::Line { shown: Vec::new(), line: std::mem::take(line) }),
            0x15 => {
                let erased = b"\x08 \x08".repeat(String::from_utf8_lossy(line).chars().count());
                line.clear();
                done.push(Done::Shown(erased));
            }
            // Cursor keys and the like: this shell edits only at the end.
            byte if *byte < 0x20 && *byte != b'\t' => {}
            byte => {
                line.push(*byte);
                match done.last_mut() {
                    Some(Done::Shown(shown)) => shown.push(*byte),
                    _ => done.push(Done::Shown(vec![*byte])),
                }
                if line.len() >= LINE_MAX {
                    done.push(Done::Line { shown: Vec::new(), line: std::mem::take(line) });
                }
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: &[Done]) {
        assert_eq!(keys(typed.as_bytes(), &mut Vec::new()), expected, "{typed:?}");
    }

    fn shown(text: &str) -> Done {
        Done::Shown(text.as_bytes().to_vec())
    }

    fn line(text: &str) -> Done {
        Done::Line { shown: b"\n".to_vec(), line: text.as_bytes().to_vec() }
    }

    #[test]
    fn keys_are_echoed_erased_and_sent_by_the_line() {
        check("ls\r", &[shown("ls"), line("ls\n")]);
        check("lx\x7fs\r", &[shown("lx"), shown("\x08 \x08s"), line("ls\n")]);
        check("한\x7f\r", &[shown("한"), shown("\x08 \x08"), line("\n")]);
        check("ab\x15\r", &[shown("ab"), shown("\x08 \x08\x08 \x08"), line("\n")]);
        check("\x7f\x1b", &[]);
    }

    #[test]
    fn control_keys_interrupt_and_end() {
        check("sle\x03", &[shown("sle"), Done::Interrupt]);
        check("\x04", &[Done::End]);
        check("a\x04", &[shown("a"), Done::Line { shown: vec![], line: b"a".to_vec() }]);
    }
}
