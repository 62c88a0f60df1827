//! Compiles etcd's wire format, without protoc.

#[cfg(feature = "grpc")]
fn main() {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["rpc.proto", "lock.proto", "election.proto"], ["proto"])
        .expect("proto/ is well-formed");
    tonic_prost_build::configure().bytes(".").compile_fds(files).expect("OUT_DIR can be written");
}

#[cfg(not(feature = "grpc"))]
fn main() {}
