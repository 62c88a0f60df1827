//! A session over WebSocket messages whose first byte names a channel.
//! Counterpart: `k8s.io/apiserver/pkg/util/proxy/streamtranslator.go`, `websocket.go`.

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::select;
use labkit_api::{Status, StatusCause, StatusDetails};
use labkit_client::{Input, Output, Pipe, Session};
use serde::Deserialize;

use crate::kubelets::KubeletError;

/// The subprotocols, the better one first.
pub(crate) const PROTOCOLS: &[&str] = &[V5, "v4.channel.k8s.io"];
const V5: &str = "v5.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Of v5: the byte that follows names a channel that is written no more.
const CLOSE: u8 = 255;

/// Whether a refusal of the kubelet reaches the client on the error channel of an open connection.
pub(crate) fn is_translated(protocol: &str) -> bool {
    protocol == V5
}

/// A connection that only says why there is no session.
/// `path` is the one that the kubelet was to be asked.
pub(crate) async fn refuse(pipe: Pipe, error: KubeletError, path: String) {
    let message = match &error {
        KubeletError::Dial { address, .. } => {
            format!("error sending request: Post \"https://{address}/{path}\": {error}")
        }
        KubeletError::Refused { .. } => format!("unable to upgrade connection: {error}"),
    };
    let _the_client_may_be_gone = pipe.sender.send(status_message(&Status::internal(message))).await;
}

/// Carries a session's messages until the process ends or the client leaves.
pub(crate) async fn carry(protocol: &str, stdout: bool, stderr: bool, pipe: Pipe, session: Session) {
    let Pipe { sender, mut receiver } = pipe;
    let Session { input, mut output } = session;
    let first = if stdout {
        STDOUT
    } else if stderr {
        STDERR
    } else {
        ERROR
    };
    let outward = async {
        // An empty message says that the connection stands.
        sender.send(message(first, &[])).await.ok()?;
        while let Some(said) = output.recv().await {
            let (last, message) = match said {
                Output::Stdout(bytes) => (false, message(STDOUT, &bytes)),
                Output::Stderr(bytes) => (false, message(STDERR, &bytes)),
                Output::End(end) => (true, status_message(&status(protocol, end))),
            };
            sender.send(message).await.ok()?;
            if last {
                return Some(());
            }
        }
        let lost = "error reading from error stream: read: connection reset by peer";
        sender.send(status_message(&Status::internal(lost))).await.ok()
    };
    let inward = async {
        while let Some(message) = receiver.recv().await {
            if let Some(said) = parse(protocol, &message) {
                let _the_process_may_not_listen = input.send(said).await;
            }
        }
    };
    let _whichever_ends_first = select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

/// What a client says; nothing where it makes no sense to the protocol.
fn parse(protocol: &str, message: &Bytes) -> Option<Input> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Size {
        width: u16,
        height: u16,
    }
    match *message.first()? {
        STDIN => Some(Input::Stdin(message.slice(1..))),
        RESIZE => {
            let Size { width, height } = serde_json::from_slice(&message[1..]).ok()?;
            Some(Input::Resize { width, height })
        }
        CLOSE if protocol == V5 && message.get(1) == Some(&STDIN) => Some(Input::StdinEnd),
        _ => None,
    }
}

fn message(channel: u8, bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(1 + bytes.len());
    message.put_u8(channel);
    message.put_slice(bytes);
    message.freeze()
}

fn status_message(status: &Status) -> Bytes {
    message(ERROR, &serde_json::to_vec(status).expect("a Status is JSON"))
}

/// How a process ended, as the error channel tells it.
fn status(protocol: &str, end: Result<i32, String>) -> Status {
    match end {
        Ok(0) => Status::success(StatusDetails::default()),
        Ok(code) => {
            let message = format!(
                "command terminated with non-zero exit code: command terminated with exit code {code}"
            );
            let cause = StatusCause {
                reason: "ExitCode".to_owned(),
                message: code.to_string(),
                ..StatusCause::default()
            };
            let mut status = Status::failure(500, "NonZeroExitCode", message);
            status.details = Some(StatusDetails { causes: vec![cause], ..StatusDetails::default() });
            status
        }
        // The API server that translates finds an internal error, and makes it one of its own.
        Err(why) if protocol == V5 => Status::internal(Status::internal(why)),
        Err(why) => Status::internal(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &'static [u8], expected: Option<Input>) {
        assert_eq!(parse(V5, &Bytes::from_static(message)), expected, "{message:?}");
    }

    #[test]
    fn the_first_byte_names_the_channel() {
        check(b"\x00ls\n", Some(Input::Stdin(Bytes::from_static(b"ls\n"))));
        check(b"\x04{\"Width\":80,\"Height\":24}", Some(Input::Resize { width: 80, height: 24 }));
        check(b"\xff\x00", Some(Input::StdinEnd));
        assert_eq!(parse("v4.channel.k8s.io", &Bytes::from_static(b"\xff\x00")), None);
    }

    #[test]
    fn garbage_says_nothing() {
        for message in
            [&b""[..], b"\x01hello", b"\x07", b"\xff", b"\xff\x01", b"\x04{", b"\x04{\"Width\":-1}"]
        {
            check(message, None);
        }
    }

    #[test]
    fn ends_read_as_kubectl_expects_them() {
        assert_eq!(status(V5, Ok(0)).status, "Success");
        let failed = status(V5, Ok(3));
        assert_eq!(failed.reason, "NonZeroExitCode");
        let cause = &failed.details.unwrap().causes[0];
        assert_eq!((cause.reason.as_str(), cause.message.as_str()), ("ExitCode", "3"));
        let twice = "Internal error occurred: Internal error occurred: no";
        assert_eq!(status(V5, Err("no".to_owned())).message, twice);
        assert_eq!(status("v4.channel.k8s.io", Err("no".to_owned())).message, "Internal error occurred: no");
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_session_is_carried_to_its_end() {
        let (mut client, server) = Pipe::pair();
        let (session, mut process) = Session::pair();
        let carried = carry(V5, true, true, server, session);
        let both = async {
            client.sender.send(Bytes::from_static(b"\x00hi")).await.unwrap();
            assert_eq!(process.input.recv().await, Some(Input::Stdin(Bytes::from_static(b"hi"))));
            process.output.send(Output::Stderr(Bytes::from_static(b"no"))).await.unwrap();
            process.output.send(Output::End(Ok(0))).await.unwrap();
        };
        futures::join!(carried, both);
        assert_eq!(client.receiver.recv().await.unwrap(), &b"\x01"[..]);
        assert_eq!(client.receiver.recv().await.unwrap(), &b"\x02no"[..]);
        let end = client.receiver.recv().await.unwrap();
        assert!(end.starts_with(b"\x03{") && end.ends_with(b"}"), "{end:?}");
        assert!(client.receiver.recv().await.is_none());
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_client_that_leaves_closes_the_session_and_a_lost_node_is_told() {
        let (client, server) = Pipe::pair();
        let (session, process) = Session::pair();
        drop(client);
        carry(V5, true, true, server, session).await;
        assert!(process.output.is_closed());
        let (mut client, server) = Pipe::pair();
        let (session, process) = Session::pair();
        drop(process);
        carry(V5, true, true, server, session).await;
        client.receiver.recv().await.unwrap();
        let end = client.receiver.recv().await.unwrap();
        assert!(String::from_utf8_lossy(&end).contains("connection reset by peer"));
    }
}
