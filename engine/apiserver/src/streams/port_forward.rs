//! Connections to a pod's ports, each as two streams of one SPDY connection: `data`, and `error` for why it
//! failed. Counterpart: `k8s.io/kubelet/pkg/cri/streaming/portforward/httpstream.go`.

use std::collections::BTreeMap;

use bytes::Bytes;
use labkit_client::{Pipe, PortRequest};
use tokio::sync::{mpsc, oneshot};

use super::spdy::{self, Frame, Garbage, Reader, Reset, Writer};

/// The subprotocols: SPDY's frames within WebSocket's.
pub(crate) const PROTOCOLS: &[&str] = &["SPDY/3.1+portforward.k8s.io"];

/// Streams of one client at a time; each connection has two.
const STREAMS_MAX: usize = 512;
/// Pieces that wait for a pod which does not read, before its stream is given up.
const WAITING_MAX: usize = 1024;

/// What happens to a connection on the pod's side.
enum Event {
    Bytes {
        data: u32,
        bytes: Bytes,
    },
    /// With why, if it did not come about.
    End {
        data: u32,
        why: Option<String>,
    },
}

/// A stream of the client's.
enum Stream {
    /// Its counterpart has not come yet.
    Waiting {
        request: String,
        is_error: bool,
    },
    Error,
    /// `None` once the client has said all.
    Data {
        error: u32,
        to_pod: Option<mpsc::Sender<Bytes>>,
    },
}

struct Forwarder {
    streams: BTreeMap<u32, Stream>,
    last: u32,
    writer: Writer,
    to_client: mpsc::Sender<Bytes>,
    ports: mpsc::Sender<PortRequest>,
    events: mpsc::Sender<Event>,
}

/// Serves a client until it leaves, breaks the protocol, or the node is lost.
pub(crate) async fn serve(pipe: Pipe, ports: mpsc::Sender<PortRequest>) {
    let Pipe { sender, mut receiver } = pipe;
    let (events, mut happened) = mpsc::channel(16);
    let lost = ports.clone();
    let mut reader = Reader::new();
    let mut forwarder = Forwarder {
        streams: BTreeMap::new(),
        last: 0,
        writer: Writer::new(),
        to_client: sender,
        ports,
        events,
    };
    loop {
        let goes_on = tokio::select! {
            biased;
            () = lost.closed() => None,
            Some(event) = happened.recv() => forwarder.happened(event).await,
            bytes = receiver.recv() => match bytes {
                Some(bytes) => forwarder.read(&mut reader, &bytes).await,
                None => None,
            },
        };
        if goes_on.is_none() {
            return;
        }
    }
}

/// `None` ends the connection.
type Going = Option<()>;

impl Forwarder {
    async fn read(&mut self, reader: &mut Reader, bytes: &[u8]) -> Going {
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(frame)) => self.frame(frame).await?,
                Ok(None) => return Some(()),
                Err(Garbage(_)) => {
                    self.send(spdy::go_away(self.last)).await?;
                    return None;
                }
            }
        }
    }

    async fn frame(&mut self, frame: Frame) -> Going {
        match frame {
            Frame::SynStream { id, headers, .. } => self.open(id, &headers).await,
            Frame::Data { id, fin, bytes } => self.take(id, fin, bytes).await,
            Frame::Reset { id } => {
                self.streams.remove(&id);
                Some(())
            }
            Frame::Ping { id } => self.send(spdy::ping(id)).await,
            Frame::GoAway | Frame::Ignored => Some(()),
        }
    }

    /// A new stream; with its counterpart, a new connection.
    async fn open(&mut self, id: u32, headers: &[(String, String)]) -> Going {
        if id.is_multiple_of(2) || id <= self.last {
            return self.send(spdy::reset(id, Reset::ProtocolError)).await;
        }
        self.last = id;
        if self.streams.len() >= STREAMS_MAX {
            return self.send(spdy::reset(id, Reset::RefusedStream)).await;
        }
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let port = header("port").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        let is_error = match header("streamType") {
            Some("error") => Some(true),
            Some("data") => Some(false),
            _ => None,
        };
        let (Some(port), Some(is_error)) = (port, is_error) else {
            return self.send(spdy::reset(id, Reset::ProtocolError)).await;
        };
        let request = header("requestID").unwrap_or_default().to_owned();
        let reply = self.writer.syn_reply(id);
        self.send(reply).await?;
        let counterpart = self.streams.iter().find(|(_, stream)| match stream {
            Stream::Waiting { request: other, is_error: kind, .. } => *other == request && *kind != is_error,
            _ => false,
        });
        match counterpart.map(|(id, _)| *id) {
            None => drop(self.streams.insert(id, Stream::Waiting { request, is_error })),
            Some(other) if is_error => self.connect(port, other, id),
            Some(other) => self.connect(port, id, other),
        }
        Some(())
    }

    fn connect(&mut self, port: u16, data: u32, error: u32) {
        let (to_pod, from_client) = mpsc::channel(WAITING_MAX);
        self.streams.insert(error, Stream::Error);
        self.streams.insert(data, Stream::Data { error, to_pod: Some(to_pod) });
        labkit_sim::spawn(connection(data, port, self.ports.clone(), from_client, self.events.clone()));
    }

    async fn take(&mut self, id: u32, fin: bool, bytes: Bytes) -> Going {
        match self.streams.get_mut(&id) {
            Some(Stream::Data { to_pod, .. }) => {
                let is_lost = |sender: &mpsc::Sender<Bytes>| {
                    let full = |error| matches!(error, mpsc::error::TrySendError::Full(_));
                    !bytes.is_empty() && sender.try_send(bytes.clone()).is_err_and(full)
                };
                if to_pod.as_ref().is_some_and(is_lost) {
                    self.streams.remove(&id);
                    return self.send(spdy::reset(id, Reset::FlowControlError)).await;
                }
                if fin {
                    *to_pod = None;
                }
                Some(())
            }
            // Clients say nothing on the error stream but that they will say nothing.
            Some(Stream::Error | Stream::Waiting { .. }) => Some(()),
            None if fin => Some(()),
            None => self.send(spdy::reset(id, Reset::InvalidStream)).await,
        }
    }

    async fn happened(&mut self, event: Event) -> Going {
        match event {
            Event::Bytes { data, bytes } => {
                if self.streams.contains_key(&data) {
                    self.send(spdy::data(data, false, &bytes)).await?;
                }
            }
            Event::End { data, why } => {
                let Some(Stream::Data { error, .. }) = self.streams.remove(&data) else { return Some(()) };
                self.streams.remove(&error);
                self.send(spdy::data(error, true, why.unwrap_or_default().as_bytes())).await?;
                self.send(spdy::data(data, true, &[])).await?;
            }
        }
        Some(())
    }

    async fn send(&self, frame: Bytes) -> Going {
        self.to_client.send(frame).await.ok()
    }
}

/// Dials the port and carries what is said until the pod has said all.
async fn connection(
    data: u32,
    port: u16,
    ports: mpsc::Sender<PortRequest>,
    mut from_client: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<Event>,
) {
    let (answer, answered) = oneshot::channel();
    let asked = ports.send(PortRequest { port, answer }).await;
    let lost = || "the connection to the node was lost".to_owned();
    let pipe = match asked {
        Ok(()) => answered.await.unwrap_or_else(|_| Err(lost())),
        Err(_) => Err(lost()),
    };
    let why = match pipe {
        Err(why) => Some(why),
        Ok(Pipe { sender, mut receiver }) => {
            let outward = async {
                while let Some(bytes) = receiver.recv().await {
                    events.send(Event::Bytes { data, bytes }).await.ok()?;
                }
                Some(())
            };
            let inward = async {
                while let Some(bytes) = from_client.recv().await {
                    if sender.send(bytes).await.is_err() {
                        break;
                    }
                }
                drop(sender);
                // What the client said last still has its answer.
                std::future::pending::<()>().await;
            };
            futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
            None
        }
    };
    let _the_client_may_be_gone = events.send(Event::End { data, why }).await;
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use labkit_sim::Pace;

    use super::super::spdy::client::Client;
    use super::*;

    /// A client with a pod behind it that says everything back on port 80 and does not listen elsewhere.
    fn forwarded<F: Future<Output = ()>>(test: impl FnOnce(Pipe) -> F) {
        labkit_sim::run(Pace::Virtual, 1, |world| async move {
            let (client, server) = Pipe::pair();
            let (ports, mut asked) = mpsc::channel::<PortRequest>(4);
            let component = world.component("apiserver");
            component.spawn(async move {
                while let Some(PortRequest { port, answer }) = asked.recv().await {
                    let (near, mut far) = Pipe::pair();
                    let answered = if port == 80 { Ok(near) } else { Err(format!("no {port}")) };
                    answer.send(answered).unwrap();
                    labkit_sim::spawn(async move {
                        while let Some(bytes) = far.receiver.recv().await {
                            let _gone = far.sender.send(bytes).await;
                        }
                    });
                }
            });
            component.spawn(serve(server, ports));
            test(client).await;
            assert_eq!(world.bugs(), [""; 0]);
        });
    }

    fn headers<'a>(kind: &'a str, port: &'a str) -> [(&'a str, &'a str); 3] {
        [("streamtype", kind), ("port", port), ("requestid", "0")]
    }

    /// What comes back, without the replies to new streams.
    async fn answers(pipe: &mut Pipe, count: usize) -> Vec<Frame> {
        let (mut reader, mut frames) = (Reader::new(), Vec::new());
        while frames.len() < count {
            reader.push(&pipe.receiver.recv().await.expect("more to come"));
            while let Some(frame) = reader.next().unwrap() {
                frames.extend((frame != Frame::Ignored).then_some(frame));
            }
        }
        frames
    }

    fn said(id: u32, fin: bool, text: &'static str) -> Frame {
        Frame::Data { id, fin, bytes: Bytes::from_static(text.as_bytes()) }
    }

    #[test]
    fn two_streams_are_a_connection() {
        forwarded(|mut pipe| async move {
            let mut client = Client::new();
            for frame in [
                client.syn_stream(1, &headers("error", "80")),
                spdy::data(1, true, b""),
                client.syn_stream(3, &headers("data", "80")),
                spdy::data(3, false, b"hello"),
                spdy::data(3, true, b"!"),
                spdy::ping(9),
            ] {
                pipe.sender.send(frame).await.unwrap();
            }
            let expected = [
                Frame::Ping { id: 9 },
                said(3, false, "hello"),
                said(3, false, "!"),
                said(1, true, ""),
                said(3, true, ""),
            ];
            assert_eq!(answers(&mut pipe, 5).await, expected);
        });
    }

    #[test]
    fn a_closed_port_is_told_on_the_error_stream() {
        forwarded(|mut pipe| async move {
            let mut client = Client::new();
            pipe.sender.send(client.syn_stream(1, &headers("data", "81"))).await.unwrap();
            pipe.sender.send(client.syn_stream(3, &headers("error", "81"))).await.unwrap();
            assert_eq!(answers(&mut pipe, 2).await, [said(3, true, "no 81"), said(1, true, "")]);
        });
    }

    #[test]
    fn bad_streams_are_reset_and_garbage_ends_the_connection() {
        forwarded(|mut pipe| async move {
            let mut client = Client::new();
            for frame in [
                client.syn_stream(2, &headers("data", "80")),
                client.syn_stream(3, &headers("data", "eighty")),
                client.syn_stream(5, &headers("log", "80")),
                client.syn_stream(5, &headers("data", "80")),
                spdy::data(99, false, b"who?"),
            ] {
                pipe.sender.send(frame).await.unwrap();
            }
            let reset: Vec<Frame> = [2, 3, 5, 5, 99].map(|id| Frame::Reset { id }).into();
            assert_eq!(answers(&mut pipe, 5).await, reset);
            pipe.sender.send(Bytes::from_static(b"GET / HTTP/1.1\r\n")).await.unwrap();
            assert_eq!(answers(&mut pipe, 1).await, [Frame::GoAway]);
            assert!(pipe.receiver.recv().await.is_none());
        });
    }
}
