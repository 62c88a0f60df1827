//! As much of a gRPC client as the loads need, and as little work: the processors are the stores'. Many calls of one
//! method run on a connection; what they answer is looked at no further than whether it is an answer.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// What may be under way to a connection's end that has said nothing else.
const WINDOW: u32 = 65_535;
const WINDOW_MAX: u32 = (1 << 31) - 1;
const READ_BYTES: usize = 64 * 1024;

/// What came in on a call, which is named by its stream.
pub enum Heard {
    Data(u32, Bytes),
    End(u32),
}

pub struct Connection {
    socket: TcpStream,
    input: BytesMut,
    out: Vec<u8>,
    authority: String,
    path: &'static str,
    next_stream: u32,
    /// How much the other side takes now.
    window: i64,
    /// What waits until it takes more: the stream, the message, and whether it is the last one.
    held: VecDeque<(u32, Vec<u8>, bool)>,
    /// What was read since the other side was last told that it may send more.
    unacknowledged: u32,
}

impl Connection {
    pub async fn open(url: &str, path: &'static str) -> io::Result<Connection> {
        let authority = url.trim_start_matches("http://").to_owned();
        let socket = TcpStream::connect(&authority).await?;
        socket.set_nodelay(true)?;
        let mut connection = Connection {
            socket,
            input: BytesMut::new(),
            out: PREFACE.to_vec(),
            authority,
            path,
            next_stream: 1,
            window: WINDOW.into(),
            held: VecDeque::new(),
            unacknowledged: 0,
        };
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &WINDOW_MAX.to_be_bytes()].concat();
        connection.frame(SETTINGS, 0, 0, &setting);
        connection.frame(WINDOW_UPDATE, 0, 0, &(WINDOW_MAX - WINDOW).to_be_bytes());
        Ok(connection)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
        self.out.extend_from_slice(&length[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    /// Begins a call with a message; with `ends`, there will be no other. It goes out with [`Connection::exchange`].
    pub fn call(&mut self, message: &[u8], ends: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = if stream == 1 { self.first_headers() } else { HEADERS_AGAIN.to_vec() };
        self.frame(HEADERS, END_HEADERS, stream, &headers);
        let length = u32::try_from(message.len()).expect("messages are small").to_be_bytes();
        let framed = [&[0], &length[..], message].concat();
        self.held.push_back((stream, framed, ends));
        self.send_held();
        stream
    }

    fn send_held(&mut self) {
        while let Some((stream, framed, ends)) = self.held.pop_front() {
            if self.window < framed.len() as i64 {
                return self.held.push_front((stream, framed, ends));
            }
            self.window -= framed.len() as i64;
            self.frame(DATA, if ends { END_STREAM } else { 0 }, stream, &framed);
        }
    }

    /// The headers of a call, which the other side keeps in its table: `:path`, `:authority`, `content-type`, `te`.
    fn first_headers(&self) -> Vec<u8> {
        let text = |text: &str| [&[u8::try_from(text.len()).expect("below 127")], text.as_bytes()].concat();
        let named = [(0x44, self.path), (0x41, &self.authority[..]), (0x5f, "application/grpc")];
        let named = named.iter().flat_map(|(name, value)| [vec![*name], text(value)].concat());
        let te = [vec![0x40], text("te"), text("trailers")].concat();
        [POST_HTTP.to_vec(), named.collect(), te].concat()
    }

    /// Sends what was begun, and waits until something comes in.
    pub async fn exchange(&mut self, heard: &mut Vec<Heard>) -> io::Result<()> {
        self.socket.write_all(&self.out).await?;
        self.out.clear();
        self.input.reserve(READ_BYTES);
        if self.socket.read_buf(&mut self.input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(header) = self.input.first_chunk::<FRAME_HEADER_BYTES>() {
            let [high, middle, low, kind, flags, stream @ ..] = *header;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            if self.input.len() < FRAME_HEADER_BYTES + length {
                break;
            }
            self.input.advance(FRAME_HEADER_BYTES);
            let payload = self.input.split_to(length).freeze();
            self.take(kind, flags, u32::from_be_bytes(stream), payload, heard)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: Bytes,
        heard: &mut Vec<Heard>,
    ) -> io::Result<()> {
        let ends = flags & END_STREAM != 0;
        match kind {
            DATA => {
                self.unacknowledged += u32::try_from(payload.len()).unwrap_or(WINDOW_MAX);
                if self.unacknowledged > WINDOW_MAX / 2 {
                    let read = std::mem::take(&mut self.unacknowledged);
                    self.frame(WINDOW_UPDATE, 0, 0, &read.to_be_bytes());
                }
                heard.push(Heard::Data(stream, payload));
            }
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload),
            WINDOW_UPDATE if stream == 0 => {
                let more = payload.first_chunk().map_or(0, |more| u32::from_be_bytes(*more));
                self.window += i64::from(more);
                self.send_held();
            }
            GOAWAY => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        if kind == RST_STREAM || ends && matches!(kind, DATA | HEADERS) {
            heard.push(Heard::End(stream));
        }
        Ok(())
    }
}

/// `:method: POST`, `:scheme: http`, of HPACK's own table.
const POST_HTTP: [u8; 2] = [0x83, 0x86];
/// The same headers as those of the first call: they stand in the other side's table, the last one first.
const HEADERS_AGAIN: [u8; 6] = [0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe];

/// A field of bytes in protobuf.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}
