//! The store by tables: scripts of requests and what they answer.

use bytes::Bytes;

use super::range::Found;
use super::txn::{check_put, check_txn};
use super::{Store, Watchers};
use crate::api::*;
use crate::error::EtcdError;

fn store() -> Store {
    Store::new(2)
}

/// `put a 1`, `del a`, `del a z` (a range), `compact 5`: one change per word group, by `;`.
fn apply(store: &mut Store, script: &str) {
    for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        let words: Vec<&str> = step.split(' ').collect();
        match words.as_slice() {
            ["put", key, value] => put(store, PutRequest::new(bytes(key), bytes(value))).map(drop).unwrap(),
            ["del", key] => drop(delete(store, key, "")),
            ["del", key, end] => drop(delete(store, key, end)),
            ["compact", revision] => store.compact(revision.parse().unwrap()).unwrap(),
            _ => panic!("{step}"),
        }
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(store: &mut Store, request: PutRequest) -> Result<PutResponse, EtcdError> {
    let mut write = store.write(None);
    let response = write.put_request(request)?;
    write.end();
    Ok(response)
}

fn delete(store: &mut Store, key: &str, end: &str) -> DeleteRangeResponse {
    let mut write = store.write(None);
    let request = DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv: true };
    let response = write.delete_request(request);
    write.end();
    response
}

fn txn(store: &mut Store, request: TxnRequest) -> Result<TxnResponse, EtcdError> {
    check_txn(&request)?;
    let mut write = store.write(None);
    let response = write.txn_request(request)?;
    write.end();
    Ok(response)
}

/// `a=1 c2m3v2` for a key a with value 1, created at 2, modified at 3, version 2.
fn line(kv: &KeyValue) -> String {
    let (key, value) = (String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value));
    format!("{key}={value} c{}m{}v{}", kv.create_revision, kv.mod_revision, kv.version)
}

fn lines(found: &Found) -> Vec<String> {
    found.kvs.iter().map(line).collect()
}

#[track_caller]
fn check_range(script: &str, request: RangeRequest, expected: &[&str]) {
    let mut store = store();
    apply(&mut store, script);
    assert_eq!(lines(&store.range(&request).unwrap()), expected, "{script}");
}

fn between(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(end), ..RangeRequest::default() }
}

#[test]
fn the_first_put_makes_revision_2() {
    let mut store = store();
    assert_eq!(store.revision(), 1);
    apply(&mut store, "put a 1");
    assert_eq!(store.revision(), 2);
    assert_eq!(delete(&mut store, "nosuch", "").header.revision, 2, "a deletion of nothing is no revision");
    assert_eq!(store.revision(), 2);
}

#[test]
fn versions_count_since_the_key_was_created() {
    check_range("put a 1; put a 2", RangeRequest::key("a"), &["a=2 c2m3v2"]);
    check_range("put a 1; put a 2; del a; put a 3", RangeRequest::key("a"), &["a=3 c5m5v1"]);
    check_range("put a 1; del a", RangeRequest::key("a"), &[]);
}

#[test]
fn a_range_is_read_as_of_its_revision() {
    let at = |revision| RangeRequest { revision, ..between("a", "z") };
    let script = "put a 1; put b 1; put a 2; del b";
    check_range(script, at(0), &["a=2 c2m4v2"]);
    check_range(script, at(2), &["a=1 c2m2v1"]);
    check_range(script, at(3), &["a=1 c2m2v1", "b=1 c3m3v1"]);
    check_range(script, at(4), &["a=2 c2m4v2", "b=1 c3m3v1"]);
    let mut store = store();
    apply(&mut store, script);
    assert_eq!(store.range(&at(6)).unwrap_err(), EtcdError::FutureRevision);
    apply(&mut store, "compact 4");
    assert_eq!(store.range(&at(3)).unwrap_err(), EtcdError::Compacted);
    assert_eq!(lines(&store.range(&at(4)).unwrap()), ["a=2 c2m4v2", "b=1 c3m3v1"]);
}

#[test]
fn a_range_ends_before_its_end() {
    let script = "put a 1; put b 1; put c 1";
    check_range(script, between("a", "c"), &["a=1 c2m2v1", "b=1 c3m3v1"]);
    check_range(script, between("b", "\0"), &["b=1 c3m3v1", "c=1 c4m4v1"]);
    check_range(script, between("c", "a"), &[]);
    check_range(script, RangeRequest::prefix("b"), &["b=1 c3m3v1"]);
    check_range(script, RangeRequest::prefix(""), &["a=1 c2m2v1", "b=1 c3m3v1", "c=1 c4m4v1"]);
}

#[test]
fn a_range_is_sorted_filtered_and_cut() {
    let script = "put a 3; put b 2; put c 1; put a 3";
    let sorted = |sort_target, sort_order| RangeRequest {
        sort_target,
        sort_order,
        keys_only: true,
        ..between("a", "z")
    };
    check_range(
        script,
        sorted(SortTarget::Key, SortOrder::Descend),
        &["c= c4m4v1", "b= c3m3v1", "a= c2m5v2"],
    );
    check_range(script, sorted(SortTarget::Mod, SortOrder::None), &["b= c3m3v1", "c= c4m4v1", "a= c2m5v2"]);
    check_range(
        script,
        sorted(SortTarget::Value, SortOrder::Ascend),
        &["c= c4m4v1", "b= c3m3v1", "a= c2m5v2"],
    );
    check_range(
        script,
        sorted(SortTarget::Version, SortOrder::Descend),
        &["a= c2m5v2", "b= c3m3v1", "c= c4m4v1"],
    );
    let filtered = RangeRequest { min_mod_revision: 4, max_create_revision: 3, ..between("a", "z") };
    check_range(script, filtered, &["a=3 c2m5v2"]);
    let mut store = store();
    apply(&mut store, script);
    let cut = store.range(&RangeRequest { limit: 2, ..between("a", "z") }).unwrap();
    assert_eq!((cut.kvs.len(), cut.count, cut.more), (2, 3, true));
    let whole = store.range(&RangeRequest { limit: 3, ..between("a", "z") }).unwrap();
    assert_eq!((whole.kvs.len(), whole.count, whole.more), (3, 3, false));
    let counted = store.range(&RangeRequest { count_only: true, ..between("a", "z") }).unwrap();
    assert_eq!((counted.kvs.len(), counted.count, counted.more), (0, 3, false));
}

#[test]
fn puts_are_checked() {
    let value = PutRequest { ignore_value: true, ..PutRequest::new("a", "1") };
    assert_eq!(check_put(&value), Err(EtcdError::ValueProvided));
    let lease = PutRequest { ignore_lease: true, lease: 7, ..PutRequest::new("a", "1") };
    assert_eq!(check_put(&lease), Err(EtcdError::LeaseProvided));
    assert_eq!(check_put(&PutRequest::new("", "1")), Err(EtcdError::EmptyKey));
    let mut store = store();
    let kept = PutRequest { ignore_value: true, prev_kv: true, ..PutRequest::new("a", "") };
    assert_eq!(put(&mut store, kept.clone()), Err(EtcdError::KeyNotFound));
    assert_eq!(
        put(&mut store, PutRequest { lease: 7, ..PutRequest::new("a", "1") }),
        Err(EtcdError::LeaseNotFound)
    );
    assert_eq!(store.revision(), 1, "what fails changes nothing");
    apply(&mut store, "put a 1");
    assert_eq!(put(&mut store, kept).unwrap().prev_kv.unwrap().value, "1");
    assert_eq!(line(store.key_at(b"a", 3).unwrap()), "a=1 c2m3v2");
}

fn op_put(key: &str, value: &str) -> RequestOp {
    RequestOp::Put(PutRequest::new(bytes(key), bytes(value)))
}

fn op_get(key: &str) -> RequestOp {
    RequestOp::Range(RangeRequest::key(bytes(key)))
}

#[test]
fn a_transaction_is_one_revision() {
    let mut store = store();
    apply(&mut store, "put a 1");
    let request = TxnRequest {
        compare: vec![Compare::value("a", "1"), Compare::mod_revision("b", 0)],
        success: vec![op_put("a", "2"), op_put("b", "1"), op_get("a")],
        failure: Vec::new(),
    };
    let done = txn(&mut store, request.clone()).unwrap();
    assert!(done.succeeded);
    assert_eq!(done.header.revision, 3);
    let ResponseOp::Range(read) = &done.responses[2] else { panic!() };
    assert_eq!(line(&read.kvs[0]), "a=2 c2m3v2", "a transaction reads what it wrote");
    assert_eq!(line(store.key_at(b"b", 3).unwrap()), "b=1 c3m3v1");
    let refused = txn(&mut store, request).unwrap();
    assert!(!refused.succeeded);
    assert_eq!(store.revision(), 3, "an empty branch is no revision");
}

#[track_caller]
fn check_compare(compare: Compare, holds: bool) {
    let mut store = store();
    apply(&mut store, "put a 1; put a 2; put b 5");
    let request = TxnRequest { compare: vec![compare.clone()], ..TxnRequest::default() };
    assert_eq!(txn(&mut store, request).unwrap().succeeded, holds, "{compare:?}");
}

#[test]
fn comparisons_hold_as_in_etcd() {
    use CompareResult::*;
    use CompareTarget::*;
    let range = |key: &str, end: &str, result, target| Compare {
        range_end: bytes(end),
        ..Compare::new(bytes(key), result, target)
    };
    check_compare(Compare::new("a", Equal, Version(2)), true);
    check_compare(Compare::new("a", Greater, Version(1)), true);
    check_compare(Compare::new("a", Less, Create(2)), false);
    check_compare(Compare::new("a", NotEqual, Mod(2)), true);
    check_compare(Compare::new("a", Greater, Value(bytes("1"))), true);
    check_compare(Compare::new("a", Equal, Lease(0)), true);
    check_compare(Compare::new("none", Equal, Version(0)), true);
    check_compare(Compare::new("none", Equal, Value(bytes(""))), false);
    check_compare(Compare::new("none", NotEqual, Value(bytes("x"))), false);
    check_compare(range("a", "z", Greater, Mod(2)), true);
    check_compare(range("a", "z", Equal, Version(2)), false);
}

#[test]
fn nested_comparisons_see_the_store_as_it_was() {
    let mut store = store();
    let nested = TxnRequest {
        compare: vec![Compare::create_revision("a", 0)],
        success: vec![op_put("b", "a was not there")],
        failure: vec![op_put("b", "a was there")],
    };
    let request =
        TxnRequest { success: vec![op_put("a", "1"), RequestOp::Txn(nested)], ..TxnRequest::default() };
    let done = txn(&mut store, request).unwrap();
    let ResponseOp::Txn(nested) = &done.responses[1] else { panic!() };
    assert!(nested.succeeded);
    assert_eq!(nested.header.revision, 2);
    assert_eq!(store.key_at(b"b", 2).unwrap().value, "a was not there");
}

#[track_caller]
fn check_refused(success: Vec<RequestOp>, error: EtcdError) {
    let request = TxnRequest { success, ..TxnRequest::default() };
    assert_eq!(check_txn(&request), Err(error), "{request:?}");
}

#[test]
fn transactions_are_checked() {
    let delete = |key: &str, end: &str| {
        RequestOp::DeleteRange(DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv: false })
    };
    let nested = |success, failure| RequestOp::Txn(TxnRequest { success, failure, ..TxnRequest::default() });
    check_refused(vec![op_put("a", "1"), op_put("a", "2")], EtcdError::DuplicateKey);
    check_refused(vec![op_put("b", "1"), delete("a", "c")], EtcdError::DuplicateKey);
    check_refused(vec![op_put("a", "1"), nested(vec![op_put("a", "2")], vec![])], EtcdError::DuplicateKey);
    check_refused(vec![nested(vec![], vec![op_put("b", "1")]), delete("a", "\0")], EtcdError::DuplicateKey);
    check_refused(vec![op_put("", "1")], EtcdError::EmptyKey);
    check_refused((0..129).map(|n| op_put(&n.to_string(), "")).collect(), EtcdError::TooManyOps);
    let either = vec![nested(vec![op_put("a", "1")], vec![op_put("a", "2")])];
    assert_eq!(check_txn(&TxnRequest { success: either, ..TxnRequest::default() }), Ok(()));
    let deleted_twice = vec![delete("a", "c"), delete("b", "d")];
    assert_eq!(check_txn(&TxnRequest { success: deleted_twice, ..TxnRequest::default() }), Ok(()));
}

#[test]
fn a_transaction_that_would_fail_in_the_middle_does_nothing() {
    let mut store = store();
    let leased = RequestOp::Put(PutRequest { lease: 7, ..PutRequest::new("b", "1") });
    let request = TxnRequest { success: vec![op_put("a", "1"), leased], ..TxnRequest::default() };
    assert_eq!(txn(&mut store, request), Err(EtcdError::LeaseNotFound));
    assert_eq!(store.revision(), 1);
    assert!(store.key_at(b"a", 99).is_none());
}

#[test]
fn compaction_forgets_and_frees() {
    let mut store = store();
    apply(&mut store, "put a 1; put a 2; put b 1; del b; put c 1");
    let before = store.dump_len();
    assert_eq!(store.compact(7), Err(EtcdError::FutureRevision));
    apply(&mut store, "compact 5");
    assert_eq!(store.compact(5), Err(EtcdError::Compacted));
    assert_eq!(store.compact(4), Err(EtcdError::Compacted));
    assert_eq!((before, store.dump_len()), (5, 2), "a=2 and c=1 are left");
    apply(&mut store, "put a 3; compact 7");
    assert_eq!(store.dump_len(), 2);
}

#[test]
fn a_restored_store_equals_the_dumped_one() {
    let mut store = store();
    store.leases.grant(7, 60).unwrap();
    put(&mut store, PutRequest { lease: 7, ..PutRequest::new("leased", "1") }).unwrap();
    apply(&mut store, "put a 1; put b 1; del b; put a 2; compact 4; put c 1");
    let restored = Store::restore(store.dump());
    assert_eq!(format!("{restored:?}"), format!("{store:?}"));
}

#[test]
fn a_filtered_watch_tells_of_deletions_only() {
    let mut store = store();
    let mut watchers = Watchers::default();
    let (sender, mut responses) = tokio::sync::mpsc::unbounded_channel();
    let request = WatchRequest { filters: vec![WatchFilter::NoPut], ..WatchRequest::prefix("") };
    let header = ResponseHeader::default();
    let id = watchers.create(&store, 0, request, header, std::sync::Arc::new(sender), true).unwrap();
    for script in ["put a 1", "del a", "put a 2"] {
        apply(&mut store, script);
        watchers.notify(&store, store.revision(), ResponseHeader::default());
    }
    assert!(responses.try_recv().unwrap().created);
    let told = responses.try_recv().unwrap();
    assert_eq!((told.events.len(), told.events[0].kind), (1, EventKind::Delete));
    assert!(responses.try_recv().is_err());
    watchers.cancel(id);
    apply(&mut store, "del a");
    watchers.notify(&store, store.revision(), ResponseHeader::default());
    assert!(responses.try_recv().is_err());
}
