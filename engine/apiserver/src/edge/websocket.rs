//! WebSocket on a connection that was upgraded: its handshake, and its frames around our messages.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, future};
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use labkit_client::Pipe;
use sha1::{Digest, Sha1};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// Longer messages close the connection; kubectl's have 32 KiB.
const MESSAGE_MAX: usize = 1 << 20;
/// How long a client may take to say that it has understood the end.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// RFC 6455, 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a request needs to become a WebSocket.
pub(super) struct Offer {
    key: Option<HeaderValue>,
    upgrade: Option<OnUpgrade>,
}

impl Offer {
    pub fn of(headers: &HeaderMap, upgrade: Option<OnUpgrade>) -> Offer {
        Offer { key: headers.get(SEC_WEBSOCKET_KEY).cloned(), upgrade }
    }

    /// Completes the answer that upgrades, and carries the messages from then on. Without a key the handshake
    /// is none, and the answer says so.
    pub fn take_up(self, answer: &mut http::response::Parts, pipe: Pipe) {
        let (Some(key), Some(upgrade)) = (self.key, self.upgrade) else {
            answer.status = StatusCode::BAD_REQUEST;
            answer.headers.clear();
            return;
        };
        answer.headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key.as_bytes()));
        labkit_sim::spawn(carry(upgrade, pipe));
    }
}

fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize();
    HeaderValue::from_str(&BASE64_STANDARD.encode(digest)).expect("base64 is fit for a header")
}

async fn carry(upgrade: OnUpgrade, pipe: Pipe) {
    let Ok(connection) = upgrade.await else { return };
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(limits)).await;
    let (mut to_client, mut from_client) = socket.split();
    let Pipe { sender, mut receiver } = pipe;
    let inward = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes: Bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => break,
                // Pings are answered by the socket itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if sender.send(bytes).await.is_err() {
                // The session is over; the client is told so by the other direction.
                continue;
            }
        }
    };
    let outward = async {
        while let Some(bytes) = receiver.recv().await {
            to_client.send(Message::Binary(bytes)).await.ok()?;
        }
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        to_client.send(Message::Close(Some(close))).await.ok()
    };
    if let future::Either::Left((Some(()), inward)) =
        future::select(Box::pin(outward), Box::pin(inward)).await
    {
        let _the_client_may_be_gone = tokio::time::timeout(CLOSE_MAX, inward).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_accepted_as_the_standard_has_it() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
