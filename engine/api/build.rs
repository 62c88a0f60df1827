//! Compiles `proto/` to the descriptor set that `src/protobuf` decodes with.

use std::path::Path;
use std::{env, fs};

use prost::Message;

fn main() {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<String> = fs::read_dir("proto")
        .expect("proto/ is part of the crate")
        .map(|entry| entry.expect("proto/ is readable").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let descriptors = protox::compile(files, ["proto"]).expect("the files of proto/ compile");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("kubernetes.binpb"), descriptors.encode_to_vec())
        .expect("OUT_DIR is writable");
}
