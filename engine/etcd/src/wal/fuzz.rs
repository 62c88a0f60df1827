//! What the fuzz targets call, and the tests that replay their corpus. An input's first byte says whether the rest is
//! a file as it is (0), or what is to be sealed with right checksums first, which no fuzzer guesses.

use super::{frame, read_segments, read_snapshot, segment_name, snapshot};

/// One segment. To be sealed are records: a byte with the length of its body, the body.
pub fn segment(input: &[u8]) {
    let Some((mode, input)) = input.split_first() else { return };
    let bytes = if *mode == 0 { input.to_vec() } else { seal(input) };
    // Whether it is a log does not matter: it is read, or refused.
    let _ = read_segments(vec![(segment_name(0, 0), bytes)]);
}

fn seal(mut input: &[u8]) -> Vec<u8> {
    let (mut out, mut chain) = (Vec::new(), 0);
    while let Some((length, rest)) = input.split_first() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        chain = frame::write(&mut out, chain, |out| out.extend_from_slice(body));
        input = rest;
    }
    out
}

/// One snapshot. To be sealed is all behind the checksum.
pub fn snapshot(input: &[u8]) {
    let Some((mode, input)) = input.split_first() else { return };
    let bytes = if *mode == 0 { input.to_vec() } else { snapshot::seal(input) };
    let _ = read_snapshot("snapshot", &bytes);
}
