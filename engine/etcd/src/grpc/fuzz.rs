//! What the fuzz target `txn` calls, and a test that replays its corpus and seeded changes of it.

use prost::Message as _;

use super::{etcdserverpb as pb, wire};
use crate::mvcc::txn::check_txn;

/// Decodes the bytes as a transaction and checks it, as the KV service does. Whatever they are, nothing panics.
pub fn txn(input: &[u8]) {
    let Ok(request) = pb::TxnRequest::decode(input) else { return };
    // What is refused is refused.
    let _ = wire::txn(request).and_then(|txn| check_txn(&txn));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use labkit_sim::Seed;
    use rand::Rng;

    use super::*;
    use crate::api::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

    /// A transaction with one of everything, and itself within, `depth` times.
    fn nested(depth: u32) -> TxnRequest {
        let inner = (depth > 0).then(|| RequestOp::Txn(nested(depth - 1)));
        let success = [
            RequestOp::Put(PutRequest { lease: 7, ..PutRequest::new(format!("k{depth}"), "v") }),
            RequestOp::DeleteRange(DeleteRangeRequest::prefix("d/")),
            RequestOp::Range(RangeRequest { limit: -1, ..RangeRequest::prefix("r/") }),
        ];
        TxnRequest {
            compare: vec![Compare::mod_revision("k", 1), Compare::value("k", "v")],
            success: success.into_iter().chain(inner).collect(),
            failure: vec![RequestOp::Range(RangeRequest::key("k"))],
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_of_transactions_panic() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/txn");
        if std::env::var_os("LABKIT_BLESS").is_some() {
            std::fs::create_dir_all(&corpus).unwrap();
            for (name, depth) in [("flat", 0), ("nested", 3), ("deep", 60)] {
                let bytes = pb::TxnRequest::from(nested(depth)).encode_to_vec();
                std::fs::write(corpus.join(name), bytes).unwrap();
            }
        }
        let mut files: Vec<_> =
            std::fs::read_dir(&corpus).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        let mut rng = Seed(1).stream("fuzz");
        for file in files {
            let whole = std::fs::read(file).unwrap();
            txn(&whole);
            for _ in 0..2000 {
                let mut bytes = whole.clone();
                for _ in 0..rng.gen_range(1..5) {
                    let at = rng.gen_range(0..bytes.len());
                    bytes[at] = rng.r#gen();
                }
                bytes.truncate(rng.gen_range(0..=bytes.len()));
                txn(&bytes);
            }
        }
    }
}
