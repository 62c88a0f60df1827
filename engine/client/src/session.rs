//! What is said on a connection that was upgraded: messages both ways, without a socket. Dropping an end closes
//! it. Counterpart: `k8s.io/apimachinery/pkg/util/remotecommand`.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Messages that may be under way in one direction: a slow reader slows its writer.
const UNDER_WAY_MAX: usize = 64;

/// One end of a connection that carries bytes both ways.
#[derive(Debug)]
pub struct Pipe {
    pub sender: mpsc::Sender<Bytes>,
    pub receiver: mpsc::Receiver<Bytes>,
}

/// What goes to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Stdin(Bytes),
    StdinEnd,
    /// The terminal's size in characters.
    Resize {
        width: u16,
        height: u16,
    },
}

/// What comes from a process. After its end nothing follows; without one it was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The exit code, or why it did not run.
    End(Result<i32, String>),
}

/// The client's end of a session with a process.
#[derive(Debug)]
pub struct Session {
    pub input: mpsc::Sender<Input>,
    pub output: mpsc::Receiver<Output>,
}

/// The process' end of a session.
#[derive(Debug)]
pub struct Served {
    pub input: mpsc::Receiver<Input>,
    pub output: mpsc::Sender<Output>,
}

/// Asks for a connection to a port; the answer is the connection, or why there is none.
#[derive(Debug)]
pub struct PortRequest {
    pub port: u16,
    pub answer: tokio::sync::oneshot::Sender<Result<Pipe, String>>,
}

impl Pipe {
    /// Both ends of a connection.
    pub fn pair() -> (Pipe, Pipe) {
        let (to_second, second) = mpsc::channel(UNDER_WAY_MAX);
        let (to_first, first) = mpsc::channel(UNDER_WAY_MAX);
        (Pipe { sender: to_second, receiver: first }, Pipe { sender: to_first, receiver: second })
    }
}

impl Session {
    /// Both ends of a session.
    pub fn pair() -> (Session, Served) {
        let (input, received) = mpsc::channel(UNDER_WAY_MAX);
        let (sent, output) = mpsc::channel(UNDER_WAY_MAX);
        (Session { input, output }, Served { input: received, output: sent })
    }
}
