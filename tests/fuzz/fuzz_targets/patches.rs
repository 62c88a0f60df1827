#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| labkit_fuzz::patches::run(data));
