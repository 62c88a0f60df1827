//! Clients that others wrote, each with one walk through an etcd: they find the same with ours and with a real one.
//! `./tests/run` builds them and says where they are.

use std::process::Command;

use super::golden::{Bench, with_ours, with_real};

/// The crate etcd-client, `tests/clients/etcd_client_script.rs`.
const RUST: &str = "LABKIT_ETCD_CLIENT";
/// A Python with the package etcd3, for `tests/clients/etcd3_script.py`.
const PYTHON: &str = "LABKIT_PYTHON";

const RUST_FINDS: &str = r#"put: it was blue
get: red in version 2
get --prefix: ["a/3", "a/2"] of 3, more: true
delete --prefix: 3
no key: InvalidArgument: etcdserver: key is not provided
txn: true yellow
txn: false yellow
twice: InvalidArgument: etcdserver: duplicate key given in txn request
keep-alive: 60
time to live: granted 60, keys "leased"
after revoke: 0 keys
revoked twice: NotFound: etcdserver: requested lease not found
absurd: OutOfRange: etcdserver: too large lease TTL
watch: Put w/0=before before -, Put w/0=after before before, Delete w/0= before after
compacted: the oldest is 1 on
compacted: OutOfRange: etcdserver: mvcc: required revision has been compacted
1600000 bytes: InvalidArgument: etcdserver: request is too large
3000000 bytes: ResourceExhausted: grpc: received message larger than max (3000010 vs. 2097152)
a lease of 0 s: 2
a lease of -5 s: 2
a lease that is none: NotFound: etcdserver: requested lease not found
backwards: 0 of 0
limit -1: 1
revision -1: 1
the last revision: OutOfRange: etcdserver: mvcc: required revision is a future revision
compaction at 0: OutOfRange: etcdserver: mvcc: required revision has been compacted
compaction at -1: OutOfRange: etcdserver: mvcc: required revision has been compacted
compaction at 9223372036854775807: OutOfRange: etcdserver: mvcc: required revision is a future revision
129 operations: InvalidArgument: etcdserver: too many operations in txn request
lock: m/
lock: the hasty one got it: false
lock: the second one got it: false
lock: its key is its lease's: true
lock: again under the same lease: true
lock: 0 keys after the lease
lock: Unknown: etcdserver: requested lease not found
election: Unknown: election: no leader
election: first leads
election: two leaders: false
election: too late: Unknown: election: not leader
election: observed ["first", "first, still", "second"]
election: Unknown: election: no leader
election: Unknown: etcdserver: requested lease not found
election: Unknown: "leader" field must be provided
"#;

const PYTHON_FINDS: &str = r#"put: it was blue
get: red in version 2
get_prefix: ['a/3', 'a/2', 'a/1']
delete_prefix: 3
replace: False True
txn: True yellow
txn: False yellow
keep-alive: 60
time to live: granted 60 keys [b'leased']
after revoke: None
watch: PutEvent w/0 before before -
watch: PutEvent w/0 after before before
watch: DeleteEvent w/0 - before after
compacted: OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted
watch: compacted, the oldest is 0 on
lock: True
lock: the second one got it: False
lock: released: True
lock: the second one got it: True
election: UNKNOWN: election: no leader
election: first leads
election: two leaders: False
election: the second one leads: True
lock: its key is its lease's: True
lock: gone: None
lock: UNKNOWN: etcdserver: requested lease not found
"#;

/// Where the client is. In CI it must be somewhere.
fn program(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        let hint = format!("{variable} is not set: ./tests/run builds the client and sets it");
        assert!(std::env::var_os("CI").is_none(), "{hint}");
        println!("SKIPPED: {hint}");
    }
    found
}

async fn check(bench: Bench, program: String, arguments: Vec<String>, expected: &str) {
    let mut client = Command::new(program);
    client.args(arguments).arg(bench.members[0].1.trim_start_matches("http://127.0.0.1:"));
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().unwrap();
    let (found, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(found, expected, "{errors}");
    assert!(output.status.success(), "{errors}");
}

async fn check_rust(bench: Bench) {
    if let Some(program) = program(RUST) {
        check(bench, program, vec![], RUST_FINDS).await;
    }
}

async fn check_python(bench: Bench) {
    if let Some(program) = program(PYTHON) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/etcd3_script.py");
        check(bench, program, vec![script.to_owned()], PYTHON_FINDS).await;
    }
}

#[test]
fn the_rust_client_finds_the_same_with_ours() {
    with_ours(3, check_rust);
}

#[test]
fn the_rust_client_finds_the_same_with_a_real_etcd() {
    with_real(&["rust"], check_rust);
}

#[test]
fn the_python_client_finds_the_same_with_ours() {
    with_ours(3, check_python);
}

#[test]
fn the_python_client_finds_the_same_with_a_real_etcd() {
    with_real(&["python"], check_python);
}
