//! Members' questions to each other over TCP, with or without TLS. A connection begins with a greeting; then each
//! message is `length u32 | number u64 | content`, and an answer bears the number of its question. Counterpart of
//! `rafthttp`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::url::Url;
use crate::cluster::Cluster;
use crate::member::Member;
use crate::peer::{self, Call, Peers, Reply};

const GREETING: &[u8; 8] = b"LABPEER1";
/// A message is at most that long: some entries, or a piece of a snapshot.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// A connection on which a question goes unanswered for so long, and nothing else comes either, is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a dial takes at most, and how long who dials takes to say who it is.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
const ACCEPT_RETRY: Duration = Duration::from_millis(10);
/// Who does not know the cluster's id yet greets with this one, and may ask for the members only.
const UNKNOWN_CLUSTER: u64 = 0;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
type AnyStream = Box<dyn Stream>;

/// A question as it travels.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Asked {
    from: u64,
    to: u64,
    call: Call,
}

/// The connections of a member to its peers.
pub(super) struct Transport {
    cluster_id: u64,
    tls: Option<TlsConnector>,
    lines: Mutex<BTreeMap<u64, Arc<tokio::sync::Mutex<Option<Line>>>>>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}

impl Transport {
    pub fn new(cluster_id: u64, tls: Option<Arc<rustls::ClientConfig>>) -> Transport {
        Transport { cluster_id, tls: tls.map(TlsConnector::from), lines: Mutex::default() }
    }

    /// Asks who the members are, before this process knows what cluster it is to join.
    pub async fn members(
        urls: &[String],
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Option<(u64, Vec<(u64, Vec<String>)>)> {
        let transport = Transport::new(UNKNOWN_CLUSTER, tls);
        let line = Line::open(transport.dial(urls).await?);
        match line.ask(&Asked { from: 0, to: 0, call: Call::Members }).await? {
            Reply::Members { cluster_id, members } => Some((cluster_id, members)),
            _ => None,
        }
    }

    /// A connection to the first of the URLs that answers.
    async fn dial(&self, urls: &[String]) -> Option<AnyStream> {
        for url in urls.iter().filter_map(|url| Url::parse(url).ok()) {
            if let Ok(Ok(stream)) = tokio::time::timeout(DIAL_TIMEOUT, self.dial_one(&url)).await {
                return Some(stream);
            }
        }
        None
    }

    async fn dial_one(&self, url: &Url) -> io::Result<AnyStream> {
        let socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
        socket.set_nodelay(true)?;
        let mut stream: AnyStream = match (&self.tls, url.is_tls) {
            (Some(tls), true) => {
                let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
                Box::new(tls.connect(name, socket).await?)
            }
            (None, true) => return Err(io::Error::other("an https peer needs --peer-trusted-ca-file")),
            (_, false) => Box::new(socket),
        };
        stream.write_all(&[&GREETING[..], &self.cluster_id.to_le_bytes()].concat()).await?;
        Ok(stream)
    }

    async fn line(&self, to: u64, urls: &[String]) -> Option<Line> {
        let place = {
            let mut lines = self.lines.lock().expect("no panic happens under this lock");
            lines.entry(to).or_default().clone()
        };
        let mut line = place.lock().await;
        if let Some(line) = line.as_ref().filter(|line| !line.is_closed()) {
            return Some(line.clone());
        }
        *line = self.dial(urls).await.map(Line::open);
        line.clone()
    }
}

impl Peers for Transport {
    fn ask(&self, from: u64, to: u64, urls: Vec<String>, call: Call) -> BoxFuture<'_, Option<Reply>> {
        async move { self.line(to, &urls).await?.ask(&Asked { from, to, call }).await }.boxed()
    }
}

/// A connection to a peer, on which many questions can be under way.
#[derive(Clone)]
struct Line {
    questions: mpsc::UnboundedSender<(u64, Bytes)>,
    pending: Arc<Mutex<Pending>>,
}

#[derive(Default)]
struct Pending {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Bytes>>,
    closed: bool,
}

impl Line {
    fn open(stream: AnyStream) -> Line {
        let (questions, sent) = mpsc::unbounded_channel();
        let line = Line { questions, pending: Arc::default() };
        let (reader, writer) = tokio::io::split(stream);
        let pending = line.pending.clone();
        labkit_sim::spawn(async move {
            tokio::select! {
                biased;
                // Either ends with the connection.
                _ = receive(reader, &pending) => {}
                _ = send(writer, sent) => {}
            }
            let mut pending = locked(&pending);
            pending.closed = true;
            pending.waiting.clear();
        });
        line
    }

    fn is_closed(&self) -> bool {
        locked(&self.pending).closed
    }

    async fn ask(&self, asked: &Asked) -> Option<Reply> {
        let (sender, answer) = oneshot::channel();
        let number = {
            let mut pending = locked(&self.pending);
            if pending.closed {
                return None;
            }
            pending.last += 1;
            let number = pending.last;
            pending.waiting.insert(number, sender);
            number
        };
        self.questions.send((number, encode(asked))).ok()?;
        decode(&answer.await.ok()?)?
    }
}

fn locked(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().expect("no panic happens under this lock")
}

/// Hands answers to who waits for them.
async fn receive(mut reader: ReadHalf<AnyStream>, pending: &Mutex<Pending>) -> io::Result<()> {
    loop {
        let (number, answer) = match tokio::time::timeout(SILENCE_MAX, read_message(&mut reader)).await {
            Ok(message) => message?,
            Err(_silent) if locked(pending).waiting.is_empty() => continue,
            Err(_silent) => return Err(io::ErrorKind::TimedOut.into()),
        };
        if let Some(waiting) = locked(pending).waiting.remove(&number) {
            // Who asked may have given up.
            let _ = waiting.send(answer);
        }
    }
}

async fn send(
    mut writer: WriteHalf<AnyStream>,
    mut messages: mpsc::UnboundedReceiver<(u64, Bytes)>,
) -> io::Result<()> {
    let mut out = BytesMut::new();
    while let Some(message) = messages.recv().await {
        put_message(&mut out, &message);
        while out.len() < MESSAGE_BYTES_MAX
            && let Ok(message) = messages.try_recv()
        {
            put_message(&mut out, &message);
        }
        writer.write_all(&out).await?;
        writer.flush().await?;
        out.clear();
    }
    Ok(())
}

fn put_message(out: &mut BytesMut, (number, content): &(u64, Bytes)) {
    let length = u32::try_from(content.len()).expect("messages are far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(content);
}

async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(u64, Bytes)> {
    let length = usize::try_from(reader.read_u32_le().await?).unwrap_or(usize::MAX);
    let number = reader.read_u64_le().await?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Filled as it comes: who only claims to send much costs little.
    let mut content = Vec::new();
    let read = reader.take(length as u64).read_to_end(&mut content).await?;
    if read < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok((number, content.into())) }
}

fn encode(message: &impl Serialize) -> Bytes {
    postcard::to_stdvec(message).expect("our own types can be written").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// Answers a member's peers on `listener` from now on.
pub(super) fn serve(
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let component = member.component.clone();
    component.spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let (cluster, member, tls) = (cluster.clone(), member.clone(), tls.clone());
            labkit_sim::spawn(async move {
                // A peer that went away, or something that is no peer.
                let _ = connection(&cluster, &member, socket, tls).await;
            });
        }
    });
}

async fn connection(
    cluster: &Arc<Cluster>,
    member: &Arc<Member>,
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut stream: AnyStream = match tls {
        None => Box::new(socket),
        Some(tls) => Box::new(tokio::time::timeout(DIAL_TIMEOUT, tls.accept(socket)).await??),
    };
    let mut greeting = [0; GREETING.len()];
    let greeted = async {
        stream.read_exact(&mut greeting).await?;
        stream.read_u64_le().await
    };
    let cluster_id = tokio::time::timeout(DIAL_TIMEOUT, greeted).await??;
    let knows = cluster_id == cluster.id;
    if greeting != *GREETING || !(knows || cluster_id == UNKNOWN_CLUSTER) {
        return Ok(());
    }
    let (mut reader, writer) = tokio::io::split(stream);
    let (answers, sent) = mpsc::unbounded_channel();
    let answering = async {
        loop {
            let (number, content) = read_message(&mut reader).await?;
            let Some(Asked { from, to, call }) = decode(&content) else {
                return io::Result::Err(io::ErrorKind::InvalidData.into());
            };
            if !(knows && to == member.id || matches!(call, Call::Members)) {
                return Ok(());
            }
            let (cluster, member, answers) = (cluster.clone(), member.clone(), answers.clone());
            labkit_sim::spawn(async move {
                let reply = peer::answer(&cluster, &member, from, call).await;
                // Who asked may be gone.
                let _ = answers.send((number, encode(&reply)));
            });
        }
    };
    tokio::select! {
        biased;
        ended = answering => ended,
        ended = send(writer, sent) => ended,
    }
}
