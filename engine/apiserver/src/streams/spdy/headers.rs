//! Header blocks: names and values with their lengths, deflated as one stream per direction, from a dictionary
//! that both sides know.

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Garbage;

/// Unpacked, a block is no longer than that.
const BLOCK_MAX: usize = 64 << 10;

/// The dictionary's words stand in it with their lengths before them, the tail without.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding \
    content-language content-length content-location content-md5 content-range content-type date etag expect \
    expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified \
    location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te \
    trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200_OK \
    version HTTP/1.1 url public set-cookie keep-alive origin";
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
    403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::new();
    for word in WORDS.split(' ').map(|word| word.replace('_', " ")) {
        dictionary.extend((word.len() as u32).to_be_bytes());
        dictionary.extend(word.as_bytes());
    }
    dictionary.extend(TAIL.as_bytes());
    dictionary
}

pub(super) struct Decompressor(Decompress);

impl Decompressor {
    pub fn new() -> Decompressor {
        Decompressor(Decompress::new(true))
    }

    pub fn read(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, Garbage> {
        let unpacked = self.unpack(block)?;
        let mut rest = Bytes::from(unpacked);
        let short = Garbage("headers that break off");
        let count = rest.try_get_u32().map_err(|_| short)?;
        let mut text = || {
            let length = rest.try_get_u32().map_err(|_| short)? as usize;
            if length > rest.len() {
                return Err(short);
            }
            Ok(String::from_utf8_lossy(&rest.split_to(length)).into_owned())
        };
        (0..count).map(|_| Ok((text()?, text()?))).collect()
    }

    fn unpack(&mut self, mut block: &[u8]) -> Result<Vec<u8>, Garbage> {
        let garbage = Garbage("headers that do not unpack");
        let mut unpacked = Vec::with_capacity(1 << 10);
        loop {
            if unpacked.len() == unpacked.capacity() {
                if unpacked.len() >= BLOCK_MAX {
                    return Err(Garbage("headers are too long"));
                }
                unpacked.reserve(unpacked.len());
            }
            let (read, written) = (self.0.total_in(), unpacked.len());
            let done = self.0.decompress_vec(block, &mut unpacked, FlushDecompress::Sync);
            block = &block[(self.0.total_in() - read) as usize..];
            match done {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| garbage)?;
                }
                // A stream that ends would have no further block.
                Err(_) | Ok(Status::StreamEnd) => return Err(garbage),
                Ok(_) if block.is_empty() && unpacked.len() < unpacked.capacity() => return Ok(unpacked),
                Ok(_) if self.0.total_in() == read && unpacked.len() == written => return Err(garbage),
                Ok(_) => {}
            }
        }
    }
}

pub(super) struct Compressor(Compress);

impl Compressor {
    pub fn new() -> Compressor {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&dictionary()).expect("a new stream takes a dictionary");
        Compressor(compress)
    }

    pub fn write(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut block = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.extend((text.len() as u32).to_be_bytes());
            block.extend(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(block.len() + 128);
        let done = self.0.compress_vec(&block, &mut packed, FlushCompress::Sync);
        done.expect("there is room for what does not shrink");
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_of_the_protocol() {
        assert_eq!(dictionary().len(), 1423);
        // A stream with a dictionary names it by its checksum after two bytes.
        assert_eq!(Compressor::new().write(&[])[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn headers_read_back_block_after_block() {
        let (mut writer, mut reader) = (Compressor::new(), Decompressor::new());
        for value in ["a", &"b".repeat(5000), ""] {
            let packed = writer.write(&[("port", "80"), ("x", value)]);
            let expected = [("port".to_owned(), "80".to_owned()), ("x".to_owned(), value.to_owned())];
            assert_eq!(reader.read(&packed).unwrap(), expected);
        }
    }

    #[test]
    fn a_block_that_unpacks_beyond_measure_is_refused() {
        let mut writer = Compressor::new();
        let packed = writer.write(&[("x", &"b".repeat(4 * BLOCK_MAX))]);
        assert_eq!(Decompressor::new().read(&packed), Err(Garbage("headers are too long")));
        let mut lying = Compressor::new();
        let mut packed = Vec::with_capacity(64);
        lying.0.compress_vec(&[0xff; 4], &mut packed, FlushCompress::Sync).unwrap();
        assert_eq!(Decompressor::new().read(&packed), Err(Garbage("headers that break off")));
    }
}
