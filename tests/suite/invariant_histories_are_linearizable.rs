//! Invariant: whatever breaks, the store looks to its clients like one machine: every history of puts, gets,
//! deletes and compare-and-swaps could have happened one call after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_etcd::{
    Client, Compare, DeleteRangeRequest, EtcdError, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use labkit_sim::{Pace, World, run};
use labkit_tests::chaos::{for_each_seed, havoc};
use labkit_tests::linearizability::{Call, Operation, Outcome, check};
use rand::Rng;

const KEYS: u64 = 5;

pub(super) type History = Arc<Mutex<Vec<Call>>>;

#[test]
fn invariant_histories_are_linearizable() {
    for_each_seed(|world, etcd| async move {
        let history = History::default();
        let clients = world.component("clients");
        for number in 0..5_u64 {
            // Three that stay with a member each, two that go where they are answered.
            let client = match number {
                0..3 => etcd.client_of_member("clients", &format!("etcd{}", number + 1)),
                _ => etcd.client("clients"),
            };
            clients.spawn(call_at_random(world.clone(), client, number, history.clone(), false));
        }
        havoc(&world, &etcd, 6).await;
        clients.kill().await;
        let history = history.lock().unwrap().clone();
        let answered = history.iter().filter(|call| call.outcome != Outcome::Unknown).count();
        assert!(answered > 200, "the clients got through: {answered}");
        if let Err(calls) = check(&history) {
            panic!("no order explains what happened to {}:\n{}", calls[0].key, told(&calls));
        }
    });
}

/// Serializable reads may be stale: the check must be able to tell, or it would prove nothing.
#[test]
fn stale_reads_are_found() {
    let found = (1..=20).any(|seed| {
        run(Pace::Virtual, seed, |world| async move {
            let config = labkit_etcd::EtcdConfig { members: 3, ..Default::default() };
            let etcd = labkit_etcd::Etcd::boot(&world, config).await;
            let history = History::default();
            let clients = world.component("clients");
            for number in 0..5_u64 {
                let client = etcd.client_of_member("clients", &format!("etcd{}", number % 3 + 1));
                clients.spawn(call_at_random(world.clone(), client, number, history.clone(), true));
            }
            havoc(&world, &etcd, 3).await;
            clients.kill().await;
            check(&history.lock().unwrap()).is_err()
        })
    });
    assert!(found);
}

/// One client: a call at a time, to one of a few keys, with values that no one else writes.
pub(super) async fn call_at_random(
    world: World,
    client: Client,
    number: u64,
    history: History,
    serializable: bool,
) {
    let mut rng = world.seed().stream(&format!("client/{number}"));
    let client = client.with_deadline(Duration::from_secs(2));
    let mut known = vec![None; usize::try_from(KEYS).unwrap()];
    for turn in 1_u64.. {
        let index = rng.gen_range(0..known.len());
        let key = format!("register/{index}");
        let value = number * 1_000_000 + turn;
        let operation = match rng.gen_range(0..10) {
            0..4 => Operation::Get,
            4..7 => Operation::Put(value),
            7 => Operation::Delete,
            _ => Operation::Swap { from: known[index], to: value },
        };
        let began = world.clock().elapsed();
        // Should the client be killed in the midst of a call, that call is in the history as one without answer.
        let place = {
            let mut history = history.lock().unwrap();
            let outcome = Outcome::Unknown;
            history.push(Call {
                key: key.clone(),
                began,
                ended: began,
                operation: operation.clone(),
                outcome,
            });
            history.len() - 1
        };
        let outcome = call(&client, &key, &operation, serializable).await.unwrap_or(Outcome::Unknown);
        match (&operation, &outcome) {
            (Operation::Put(value), Outcome::Done) => known[index] = Some(*value),
            (Operation::Swap { to, .. }, Outcome::Swapped(true)) => known[index] = Some(*to),
            (_, Outcome::Read(value)) => known[index] = *value,
            _ => {}
        }
        {
            let mut history = history.lock().unwrap();
            history[place].outcome = outcome;
            history[place].ended = world.clock().elapsed();
        }
        tokio::time::sleep(Duration::from_millis(rng.gen_range(20..200))).await;
    }
}

async fn call(
    client: &Client,
    key: &str,
    operation: &Operation,
    serializable: bool,
) -> Result<Outcome, EtcdError> {
    let key = key.to_owned();
    Ok(match operation {
        Operation::Put(value) => {
            client.put(PutRequest::new(key, value.to_string())).await?;
            Outcome::Done
        }
        Operation::Delete => {
            client.delete_range(DeleteRangeRequest::key(key)).await?;
            Outcome::Done
        }
        Operation::Get => {
            let read = client.range(RangeRequest { serializable, ..RangeRequest::key(key) }).await?;
            let value = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse().unwrap();
            Outcome::Read(read.kvs.first().map(|kv| value(&kv.value)))
        }
        Operation::Swap { from, to } => {
            let compare = match from {
                Some(from) => Compare::value(key.clone(), from.to_string()),
                None => Compare::mod_revision(key.clone(), 0),
            };
            let success = vec![RequestOp::Put(PutRequest::new(key, to.to_string()))];
            let answer = client.txn(TxnRequest { compare: vec![compare], success, failure: vec![] }).await?;
            Outcome::Swapped(answer.succeeded)
        }
    })
}

pub(super) fn told(calls: &[Call]) -> String {
    let line = |call: &Call| {
        format!("{:>8?} - {:<8?} {:?} -> {:?}\n", call.began, call.ended, call.operation, call.outcome)
    };
    calls.iter().map(line).collect()
}
