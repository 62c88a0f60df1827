//! The control socket: requests in, replies out, any number of terminals at once.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Take};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::{Live, read_snapshot, verbs};
use crate::control::{Reply, Request};
use crate::failure::Failure;
use crate::screen::say;
use crate::state::{LabState, make_private, with_socket};

/// No request is this long, in bytes.
const REQUEST_MAX: u64 = 1024 * 1024;

/// Listens on the lab's socket; after a reset on the one that is open already.
pub(super) fn listen(
    place: &LabState,
    open: Option<std::os::unix::net::UnixListener>,
) -> Result<UnixListener, Failure> {
    let listener = match open {
        Some(open) => UnixListener::from_std(open),
        None => with_socket(place, |path| {
            let listener = UnixListener::bind(path)?;
            make_private(path)?;
            Ok(listener)
        }),
    };
    listener.map_err(|error| Failure::file("listen on", &place.socket(), &error))
}

/// Serves terminals until the task is dropped.
pub(super) async fn accept(live: &Arc<Live>, listener: &UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                labkit_sim::spawn(converse(live.clone(), stream));
            }
            // Out of file descriptors, perhaps: others may close theirs.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn converse(live: Arc<Live>, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let mut voice = Voice { write };
    let mut lines = BufReader::new(read.take(REQUEST_MAX)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        live.memory().requests += 1;
        let request: Result<Request, _> = serde_json::from_str(&line);
        let stops = matches!(request, Ok(Request::Stop {}));
        let reply = match request {
            Ok(Request::Restore { ref file }) => {
                match read_snapshot(live.order.language, file, &live.order.lab) {
                    Ok(snapshot) => live.memory().restore = Some(snapshot),
                    Err(failure) => {
                        if voice.say(&failure.into()).await.is_err() {
                            return;
                        }
                        continue;
                    }
                }
                hand_over(&live, lines, voice);
                return;
            }
            Ok(Request::Reset {}) => {
                hand_over(&live, lines, voice);
                return;
            }
            Ok(Request::News { after }) => tokio::select! {
                biased;
                // Whoever waits for news says nothing meanwhile: the terminal went away.
                _ = lines.next_line() => return,
                reply = verbs::news(&live, after) => reply,
            },
            Ok(request) => verbs::answer(&live, request, &mut voice).await,
            Err(error) => {
                let language = live.order.language;
                let message = say!(
                    language,
                    "this lab does not know the request: {error}",
                    "이 실습이 모르는 요청입니다: {error}"
                );
                Err(Failure::usage(message).next(say!(
                    language,
                    "it was started by another version of labkit; labkit stop ends it",
                    "다른 버전의 labkit으로 시작한 실습입니다. labkit stop 으로 끝내세요"
                )))
            }
        };
        let heard = voice.say(&reply.map_or_else(Reply::from, Reply::Done)).await;
        if stops {
            live.stop.notify_one();
        }
        if heard.is_err() {
            return;
        }
    }
}

/// Leaves the terminal to the next world, which answers when it can be played.
fn hand_over(live: &Live, lines: Lines<BufReader<Take<OwnedReadHalf>>>, voice: Voice) {
    let stream = lines.into_inner().into_inner().into_inner().reunite(voice.write);
    live.memory().reset_for = stream.ok().and_then(|stream| stream.into_std().ok());
    live.reset.notify_one();
}

/// The way back to one terminal.
pub(super) struct Voice {
    write: OwnedWriteHalf,
}

impl Voice {
    pub async fn say(&mut self, reply: &Reply) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(reply).expect("replies are plain data");
        line.push(b'\n');
        self.write.write_all(&line).await
    }
}
