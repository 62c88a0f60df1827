//! Has the binary built anew when the course that is embedded in it changes.

fn main() {
    println!("cargo::rerun-if-changed=../../labs");
    println!("cargo::rerun-if-changed=build.rs");
}
