//! SPDY/3.1, as much of it as a port-forward speaks: frames from and to bytes. Pure.
//! Counterpart: `github.com/moby/spdystream/spdy`. Flow control is absent, as it is there.

mod headers;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use self::headers::{Compressor, Decompressor};

/// A frame longer than that is no frame of ours: kubectl sends 32 KiB.
const LENGTH_MAX: usize = 1 << 20;
const VERSION: u16 = 0x8003;
const FIN: u8 = 1;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        headers: Vec<(String, String)>,
    },
    Data {
        id: u32,
        fin: bool,
        bytes: Bytes,
    },
    Reset {
        id: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Window updates, settings and the like: nothing to do.
    Ignored,
}

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    ProtocolError = 1,
    InvalidStream = 2,
    RefusedStream = 3,
    FlowControlError = 7,
}

/// What arrived is not SPDY/3.1; the connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbage(pub &'static str);

/// Reads frames out of bytes, which may come in any pieces.
pub(super) struct Reader {
    buffer: BytesMut,
    headers: Decompressor,
}

impl Reader {
    pub fn new() -> Reader {
        Reader { buffer: BytesMut::new(), headers: Decompressor::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes come.
    pub fn next(&mut self) -> Result<Option<Frame>, Garbage> {
        let Some(head) = self.buffer.get(..8) else { return Ok(None) };
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (flags, length) =
            (head[4], usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]));
        if length > LENGTH_MAX {
            return Err(Garbage("a frame is too long"));
        }
        let is_control = first >> 31 == 1;
        if is_control && (first >> 16) as u16 != VERSION {
            return Err(Garbage("a frame of another version"));
        }
        if self.buffer.len() < 8 + length {
            return Ok(None);
        }
        self.buffer.advance(8);
        let payload = self.buffer.split_to(length).freeze();
        if !is_control {
            return Ok(Some(Frame::Data { id: first, fin: flags & FIN != 0, bytes: payload }));
        }
        self.control(first as u16, flags & FIN != 0, payload).map(Some)
    }

    fn control(&mut self, kind: u16, fin: bool, mut payload: Bytes) -> Result<Frame, Garbage> {
        let needs = match kind {
            1 => 10,
            3 => 8,
            2 | 6 | 8 => 4,
            _ => 0,
        };
        if payload.len() < needs {
            return Err(Garbage("a control frame is too short"));
        }
        Ok(match kind {
            1 => {
                let id = payload.get_u32() & 0x7fff_ffff;
                // The associated stream, the priority and the slot mean nothing here.
                payload.advance(6);
                Frame::SynStream { id, fin, headers: self.headers.read(&payload)? }
            }
            // Whoever compresses headers goes on from the last: none may be skipped.
            2 | 8 => {
                payload.advance(4);
                self.headers.read(&payload)?;
                Frame::Ignored
            }
            3 => Frame::Reset { id: payload.get_u32() & 0x7fff_ffff },
            6 => Frame::Ping { id: payload.get_u32() },
            7 => Frame::GoAway,
            _ => Frame::Ignored,
        })
    }
}

/// Writes the frames of a server.
pub(super) struct Writer {
    headers: Compressor,
}

impl Writer {
    pub fn new() -> Writer {
        Writer { headers: Compressor::new() }
    }

    /// The answer to a new stream: it is there.
    pub fn syn_reply(&mut self, id: u32) -> Bytes {
        let block = self.headers.write(&[]);
        let mut payload = BytesMut::with_capacity(4 + block.len());
        payload.put_u32(id);
        payload.put_slice(&block);
        control(2, &payload)
    }
}

pub(super) fn data(id: u32, fin: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u32(id);
    put_length(&mut frame, if fin { FIN } else { 0 }, bytes.len());
    frame.put_slice(bytes);
    frame.freeze()
}

pub(super) fn reset(id: u32, why: Reset) -> Bytes {
    control(3, &[id.to_be_bytes(), (why as u32).to_be_bytes()].concat())
}

pub(super) fn ping(id: u32) -> Bytes {
    control(6, &id.to_be_bytes())
}

/// The end of a connection on which the client broke the protocol; `last` is the last stream that was seen.
pub(super) fn go_away(last: u32) -> Bytes {
    control(7, &[last.to_be_bytes(), 1_u32.to_be_bytes()].concat())
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u16(VERSION);
    frame.put_u16(kind);
    put_length(&mut frame, 0, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

fn put_length(frame: &mut BytesMut, flags: u8, length: usize) {
    frame.put_u32(u32::from(flags) << 24 | u32::try_from(length).expect("what we write is short"));
}

/// A client's frames, for tests.
#[cfg(test)]
pub(super) mod client {
    use super::*;

    pub struct Client {
        headers: Compressor,
    }

    impl Client {
        pub fn new() -> Client {
            Client { headers: Compressor::new() }
        }

        pub fn syn_stream(&mut self, id: u32, headers: &[(&str, &str)]) -> Bytes {
            let block = self.headers.write(headers);
            control(1, &[&id.to_be_bytes()[..], &[0; 6], &block].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::client::Client;
    use super::*;

    #[track_caller]
    fn read(bytes: &[u8]) -> Result<Option<Frame>, Garbage> {
        let mut reader = Reader::new();
        reader.push(bytes);
        reader.next()
    }

    #[test]
    fn frames_come_out_of_bytes_in_any_pieces() {
        let mut client = Client::new();
        let first = client.syn_stream(1, &[("streamtype", "error"), ("port", "80")]);
        let second = client.syn_stream(3, &[("streamtype", "data"), ("port", "80")]);
        let all = [first, second, data(3, true, b"hello"), ping(7)].concat();
        let mut reader = Reader::new();
        let mut frames = Vec::new();
        for byte in all {
            reader.push(&[byte]);
            frames.extend(reader.next().unwrap());
        }
        let headers = |kind: &str| {
            vec![("streamtype".to_owned(), kind.to_owned()), ("port".to_owned(), "80".to_owned())]
        };
        let expected = [
            Frame::SynStream { id: 1, fin: false, headers: headers("error") },
            Frame::SynStream { id: 3, fin: false, headers: headers("data") },
            Frame::Data { id: 3, fin: true, bytes: Bytes::from_static(b"hello") },
            Frame::Ping { id: 7 },
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn what_we_write_reads_back() {
        let mut writer = Writer::new();
        assert_eq!(read(&writer.syn_reply(1)), Ok(Some(Frame::Ignored)));
        assert_eq!(read(&reset(5, Reset::RefusedStream)), Ok(Some(Frame::Reset { id: 5 })));
        assert_eq!(read(&go_away(5)), Ok(Some(Frame::GoAway)));
    }

    #[test]
    fn garbage_is_an_error_and_half_a_frame_is_not() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(Garbage("a frame is too long")));
        assert_eq!(read(b"\x80\x02\x00\x01\x00\x00\x00\x00"), Err(Garbage("a frame of another version")));
        assert_eq!(read(b"\x80\x03\x00\x01\x00\x00\x00\x02ab"), Err(Garbage("a control frame is too short")));
        let block = b"\x80\x03\x00\x01\x00\x00\x00\x0d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00abc";
        assert_eq!(read(block), Err(Garbage("headers that do not unpack")));
        assert_eq!(read(b"\x00\x00\x00\x01\x00\x00\x00\x09ab"), Ok(None));
        assert_eq!(read(b"\x80\x03\x00\x63\x00\x00\x00\x00"), Ok(Some(Frame::Ignored)));
    }
}
