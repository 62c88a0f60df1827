//! The reader of a log's segments.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| labkit_etcd::wal::fuzz::segment(input));
