//! The reader of a snapshot's file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| labkit_etcd::wal::fuzz::snapshot(input));
