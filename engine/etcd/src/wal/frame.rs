//! One record as bytes: `length u32 | checksum of the body | checksum of these two | body | end mark`, little-endian.
//! Each checksum (CRC-32C) goes on from that of the record before, so that a record that is missing, doubled or
//! moved shows; the header has its own, so that a flipped length is not taken for a record cut short.

/// Bytes before a record's body.
const HEADER_BYTES: usize = 12;
/// What a record ends with: not zero, as what was never written is.
const END_MARK: u8 = 0xa5;
/// What a disk writes at once.
const SECTOR_BYTES: usize = 512;
/// So many zeros at a file's end are no accident: the file had grown when power was lost, and its last sectors had
/// not been written.
const UNWRITTEN_BYTES_MIN: usize = 16;

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Record {
        body: &'a [u8],
        /// Where the next one begins.
        next: usize,
        /// What the next one's checksums go on from.
        chain: u32,
    },
    End,
    /// The last record was not written to its end.
    Torn,
    Corrupt(&'static str),
}

/// Writes a record and returns what the next one's checksums go on from.
pub(super) fn write(out: &mut Vec<u8>, chain: u32, body: impl FnOnce(&mut Vec<u8>)) -> u32 {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    body(out);
    out.push(END_MARK);
    let length = u32::try_from(out.len() - at - HEADER_BYTES).expect("a request is far below 4 GiB");
    let body_checksum = crc32c::crc32c_append(chain, &out[at + HEADER_BYTES..]);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out[at + 4..at + 8].copy_from_slice(&body_checksum.to_le_bytes());
    let header_checksum = crc32c::crc32c_append(chain, &out[at..at + 8]);
    out[at + 8..at + HEADER_BYTES].copy_from_slice(&header_checksum.to_le_bytes());
    body_checksum
}

/// Reads the record at `at`, which is at most the length of `bytes`.
pub(super) fn read(bytes: &[u8], at: usize, chain: u32) -> Frame<'_> {
    let rest = &bytes[at..];
    if rest.is_empty() {
        return Frame::End;
    }
    let Some((header, after)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Frame::Torn };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mismatch = |end, what| if is_unwritten(bytes, at, end) { Frame::Torn } else { Frame::Corrupt(what) };
    if crc32c::crc32c_append(chain, &header[..8]) != number(8) {
        return mismatch(at + HEADER_BYTES, "the header's checksum does not match");
    }
    let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
    let Some(body) = after.get(..length) else { return Frame::Torn };
    let next = at + HEADER_BYTES + length;
    if crc32c::crc32c_append(chain, body) != number(4) {
        return mismatch(next, "the checksum does not match");
    }
    match body.split_last() {
        Some((&END_MARK, body)) => Frame::Record { body, next, chain: number(4) },
        _ => Frame::Corrupt("the end mark is missing"),
    }
}

/// Whether what should reach from `at` to `end` was not written to its end, nor anything behind it: zeros follow,
/// from `at` or from the beginning of a sector on.
fn is_unwritten(bytes: &[u8], at: usize, end: usize) -> bool {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let written = bytes.len() - zeros;
    let from = if written <= at { at } else { written.div_ceil(SECTOR_BYTES) * SECTOR_BYTES };
    written < end && from + UNWRITTEN_BYTES_MIN <= bytes.len()
}
