//! The decoder of a transaction, as the KV service uses it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| labkit_etcd::grpc::fuzz::txn(input));
