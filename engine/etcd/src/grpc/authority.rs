//! Lets clients in that name their server by a URL. etcdctl up to 3.4 sends `:authority: http://127.0.0.1:2379`
//! with the calls for which it dials one endpoint (`endpoint status`, `defrag`); Go's servers take that, the `h2`
//! crate refuses it as no authority. On its way in, `://` of such a header becomes `jhh`, which has as many
//! letters and as many bits in HPACK's Huffman code, so that nothing moves and the tables of both sides agree.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const READ_BYTES: usize = 16 * 1024;
const HEADERS: u8 = 1;
/// Header blocks above this pass unexamined; clients of etcd send some hundred bytes.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// HPACK: a literal that enters the table, under the static table's first name, `:authority`.
const AUTHORITY: u8 = 0x41;
const IS_HUFFMAN: u8 = 0x80;
/// `http://` and `https://` in the Huffman code, and what they become; the last byte of each counts as far as
/// the mask says.
const REWRITTEN: [(&[u8; 6], u8, &[u8; 6]); 2] = [
    (&[0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x00], 0x80, &[0x9d, 0x29, 0xaf, 0xa4, 0xf3, 0x80]),
    (&[0x9d, 0x29, 0xad, 0x17, 0x18, 0x60], 0xfc, &[0x9d, 0x29, 0xad, 0x1d, 0x27, 0x9c]),
];

/// A client's connection, with such headers made acceptable.
#[derive(Debug)]
pub(super) struct UrlAuthority<S> {
    inner: S,
    state: State,
    /// Read, but not yet handed on.
    pending: BytesMut,
    /// How much of that has been examined.
    examined: usize,
}

#[derive(Debug)]
enum State {
    Preface,
    FrameHeader,
    /// That many bytes of a frame are to come that need no look.
    Payload(usize),
    /// Not HTTP/2.
    Other,
}

impl<S> UrlAuthority<S> {
    pub fn new(inner: S) -> UrlAuthority<S> {
        UrlAuthority { inner, state: State::Preface, pending: BytesMut::new(), examined: 0 }
    }

    fn examine(&mut self) {
        while self.examined < self.pending.len() {
            let pending = &mut self.pending[self.examined..];
            let (pass, next) = match self.state {
                State::Other => (pending.len(), State::Other),
                State::Preface => {
                    let seen = pending.len().min(PREFACE.len());
                    if pending[..seen] != PREFACE[..seen] {
                        (0, State::Other)
                    } else if seen < PREFACE.len() {
                        return;
                    } else {
                        (seen, State::FrameHeader)
                    }
                }
                State::Payload(left) => {
                    let pass = left.min(pending.len());
                    (pass, if pass == left { State::FrameHeader } else { State::Payload(left - pass) })
                }
                State::FrameHeader => {
                    let Some(header) = pending.first_chunk::<FRAME_HEADER_BYTES>() else { return };
                    let length =
                        usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
                    let whole = FRAME_HEADER_BYTES + length;
                    if header[3] != HEADERS || length > HEADERS_BYTES_MAX {
                        (FRAME_HEADER_BYTES, State::Payload(length))
                    } else if pending.len() < whole {
                        return;
                    } else {
                        rewrite(&mut pending[FRAME_HEADER_BYTES..whole]);
                        (whole, State::FrameHeader)
                    }
                }
            };
            self.examined += pass;
            self.state = next;
        }
    }
}

impl<S: AsyncRead + Unpin> UrlAuthority<S> {
    /// Whether the client speaks HTTP/2; waits until that shows.
    pub async fn is_http2(&mut self) -> bool {
        while matches!(self.state, State::Preface) {
            self.pending.reserve(PREFACE.len());
            if self.inner.read_buf(&mut self.pending).await.unwrap_or_default() == 0 {
                self.state = State::Other;
            }
            self.examine();
        }
        !matches!(self.state, State::Other)
    }
}

/// Rewrites a URL under `:authority` in a block of headers.
fn rewrite(block: &mut [u8]) {
    for at in 0..block.len().saturating_sub(8) {
        let [AUTHORITY, length, value @ ..] = &mut block[at..] else { continue };
        if *length & IS_HUFFMAN == 0 {
            let scheme = [&b"http"[..], b"https"]
                .into_iter()
                .find(|scheme| value.strip_prefix(*scheme).is_some_and(|rest| rest.starts_with(b"://")));
            if let Some(scheme) = scheme {
                value[scheme.len()..][..3].copy_from_slice(b"jhh");
            }
            continue;
        }
        for (from, mask, to) in REWRITTEN {
            let (last, head) = (from.len() - 1, &from[..from.len() - 1]);
            if value.starts_with(head) && value.get(last).is_some_and(|byte| byte & mask == from[last]) {
                value[..last].copy_from_slice(&to[..last]);
                value[last] = value[last] & !mask | to[last];
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UrlAuthority<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.examined == 0 {
            this.pending.reserve(READ_BYTES);
            if ready!(pin!(this.inner.read_buf(&mut this.pending)).poll(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
            this.examine();
        }
        let handed = this.examined.min(out.remaining());
        out.put_slice(&this.pending[..handed]);
        this.pending.advance(handed);
        this.examined -= handed;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UrlAuthority<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    /// Said to be no use here, so that `h2` gathers up to 1,024 bytes of a message with others in one buffer, and
    /// one write: else each message of 256 bytes or more, as most values and events make, is a write of its own.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of a text in HPACK's Huffman code, for the letters that occur here.
    fn bits(text: &str) -> String {
        let code = |letter| match letter {
            'h' => "100111",
            't' => "01001",
            'p' => "101011",
            's' => "01000",
            'j' => "1110100",
            ':' => "1011100",
            '/' => "011000",
            _ => unreachable!("{letter}"),
        };
        text.chars().map(code).collect()
    }

    /// Bytes of `bits`, filled up with `fill`.
    fn bytes(bits: &str, fill: char) -> Vec<u8> {
        let length = bits.len().div_ceil(8) * 8;
        let bits: String = bits.chars().chain(std::iter::repeat(fill)).take(length).collect();
        bits.as_bytes()
            .chunks(8)
            .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn the_patterns_are_the_huffman_code_of_the_schemes() {
        for ((scheme, rewritten), (from, mask, to)) in
            [("http://", "httpjhh"), ("https://", "httpsjhh")].into_iter().zip(REWRITTEN)
        {
            assert_eq!(bytes(&bits(scheme), '0'), from, "{scheme}");
            assert_eq!(bytes(&bits(rewritten), '0'), to, "{scheme}");
            let counted = "1".repeat(bits(scheme).len() - 40);
            assert_eq!(bytes(&counted, '0'), [mask], "{scheme}");
        }
    }

    #[test]
    fn a_url_under_authority_is_rewritten_and_nothing_else() {
        let block = |text: &str| {
            [vec![0x83, AUTHORITY, IS_HUFFMAN | 7], bytes(&bits(text), '1'), vec![0, 0, 0]].concat()
        };
        let mut url = block("https://hhh");
        rewrite(&mut url);
        assert_eq!(url, block("httpsjhhhhh"));
        let mut host = block("hhhhhhhhhh");
        rewrite(&mut host);
        assert_eq!(host, block("hhhhhhhhhh"));
        let mut plain = [&[AUTHORITY, 11], &b"http://host"[..]].concat();
        rewrite(&mut plain);
        assert_eq!(&plain[2..], b"httpjhhhost");
    }

    #[test]
    fn bytes_that_arrive_one_by_one_pass_in_order() {
        let headers = [&[0, 0, 13, HEADERS, 4, 0, 0, 0, 1, AUTHORITY, 11], &b"http://host"[..]].concat();
        let data = [&[0, 0, 2, 0, 1, 0, 0, 0, 1], &b"ab"[..]].concat();
        let sent = [PREFACE, &headers, &data].concat();
        let mut connection = UrlAuthority::new(());
        for byte in &sent {
            connection.pending.extend_from_slice(&[*byte]);
            connection.examine();
        }
        let expected = String::from_utf8_lossy(&sent).replace("://", "jhh");
        assert_eq!(String::from_utf8_lossy(&connection.pending[..connection.examined]), expected);
    }
}
