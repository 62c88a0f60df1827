//! The three streams of a process, and pipes.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use labkit_client::Output;
use tokio::sync::mpsc;

use super::files::{FileError, Files};

/// Pieces that a pipe holds.
const PIPE_MAX: usize = 16;
/// What `$(...)` may give.
const KEPT_MAX: usize = 1 << 20;

/// What a process reads from and writes to. Clones share the streams, as a child does with its parent.
#[derive(Clone)]
pub(crate) struct Io {
    pub stdin: Stdin,
    pub stdout: Sink,
    pub stderr: Sink,
}

/// Where a process reads. An empty piece is the end of a terminal's input, for whoever reads just then.
#[derive(Clone)]
pub(crate) struct Stdin {
    reader: Arc<tokio::sync::Mutex<Reader>>,
    is_terminal: bool,
}

struct Reader {
    pieces: mpsc::Receiver<Bytes>,
    rest: BytesMut,
}

/// Takes what a process writes.
pub(crate) type Listener = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Where a process writes.
#[derive(Clone)]
pub(crate) enum Sink {
    /// The client of a session: its stdout or its stderr. A terminal wants a carriage return at a line's end.
    Session {
        to: mpsc::Sender<Output>,
        is_stderr: bool,
        is_terminal: bool,
    },
    Pipe(mpsc::Sender<Bytes>),
    File {
        files: Files,
        path: String,
        now: Timestamp,
    },
    /// For `$(...)`.
    Kept(Arc<Mutex<Vec<u8>>>),
    /// The log of a container.
    Log(Listener),
    Null,
}

/// Nobody reads what was written, or it has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Pipe,
    Full,
}

impl Stdin {
    pub fn new(pieces: mpsc::Receiver<Bytes>, is_terminal: bool) -> Stdin {
        let reader = Reader { pieces, rest: BytesMut::new() };
        Stdin { reader: Arc::new(tokio::sync::Mutex::new(reader)), is_terminal }
    }

    /// These bytes and no more.
    pub fn of(bytes: &[u8]) -> Stdin {
        let (_, pieces) = mpsc::channel(1);
        let reader = Reader { pieces, rest: BytesMut::from(bytes) };
        Stdin { reader: Arc::new(tokio::sync::Mutex::new(reader)), is_terminal: false }
    }

    /// A pipe: who writes, and who reads.
    pub fn pipe() -> (Sink, Stdin) {
        let (writer, reader) = mpsc::channel(PIPE_MAX);
        (Sink::Pipe(writer), Stdin::new(reader, false))
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next piece; `None` at the end.
    pub async fn piece(&self) -> Option<Bytes> {
        let mut reader = self.reader.lock().await;
        if !reader.rest.is_empty() {
            return Some(reader.rest.split().freeze());
        }
        reader.pieces.recv().await.filter(|piece| !piece.is_empty())
    }

    /// The next line without its end; at the end of the input what is left, then `None`.
    pub async fn line(&self) -> Option<String> {
        let mut reader = self.reader.lock().await;
        loop {
            if let Some(end) = reader.rest.iter().position(|byte| *byte == b'\n') {
                let line = reader.rest.split_to(end + 1);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match reader.pieces.recv().await.filter(|piece| !piece.is_empty()) {
                Some(piece) => reader.rest.extend_from_slice(&piece),
                None if reader.rest.is_empty() => return None,
                None => return Some(String::from_utf8_lossy(&reader.rest.split()).into_owned()),
            }
        }
    }

    /// Everything up to the end, or up to `max` bytes and an error.
    pub async fn whole(&self, max: usize) -> Result<Vec<u8>, Broken> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await {
            if whole.len() + piece.len() > max {
                return Err(Broken::Full);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

impl Sink {
    pub fn kept() -> (Sink, Arc<Mutex<Vec<u8>>>) {
        let kept = Arc::new(Mutex::new(Vec::new()));
        (Sink::Kept(kept.clone()), kept)
    }

    /// A file that is there, empty or with what it had.
    pub fn file(files: &Files, path: String, append: bool, now: Timestamp) -> Result<Sink, FileError> {
        files.write(&path, &[], append, now)?;
        Ok(Sink::File { files: files.clone(), path, now })
    }

    pub async fn write(&self, bytes: impl AsRef<[u8]>) -> Result<(), Broken> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Ok(());
        }
        match self {
            Sink::Session { to, is_stderr, is_terminal } => {
                let bytes = if *is_terminal { for_terminal(bytes) } else { Bytes::copy_from_slice(bytes) };
                let output = if *is_stderr { Output::Stderr(bytes) } else { Output::Stdout(bytes) };
                to.send(output).await.map_err(|_| Broken::Pipe)
            }
            Sink::Pipe(pipe) => pipe.send(Bytes::copy_from_slice(bytes)).await.map_err(|_| Broken::Pipe),
            Sink::File { files, path, now } => files.write(path, bytes, true, *now).map_err(|_| Broken::Full),
            Sink::Kept(kept) => {
                let mut kept = kept.lock().expect("no panic happens under this lock");
                if kept.len() + bytes.len() > KEPT_MAX {
                    return Err(Broken::Full);
                }
                kept.extend_from_slice(bytes);
                Ok(())
            }
            Sink::Log(log) => {
                log(bytes);
                Ok(())
            }
            Sink::Null => Ok(()),
        }
    }
}

/// `\n` moves a terminal's cursor down, not back.
pub(crate) fn for_terminal(bytes: &[u8]) -> Bytes {
    let mut shown = BytesMut::with_capacity(bytes.len() + 8);
    for byte in bytes {
        if *byte == b'\n' {
            shown.extend_from_slice(b"\r");
        }
        shown.extend_from_slice(&[*byte]);
    }
    shown.freeze()
}
