//! The store as its users see it: under faults, in virtual time, over seeds; and with the real etcdctl.

mod acknowledged_writes;
mod changes;
mod clients;
mod ctl;
mod determinism;
mod elections;
mod etcdctl;
mod golden;
mod leases;
mod members;
mod process;
mod snapshots;
mod watches;

use std::collections::BTreeSet;
use std::time::Duration;

use labkit_etcd::{Client, Etcd, EtcdConfig, EtcdError, PutRequest, RangeRequest};
use labkit_sim::{Pace, RuleId, World};

/// How many seeds a property is tried with: `LABKIT_SEEDS`, or 20.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("LABKIT_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    0..count
}

/// Runs `body` in a virtual world, and fails if a component panicked in it.
fn virtually<Fut: Future>(seed: u64, body: impl FnOnce(World) -> Fut) -> Fut::Output {
    labkit_sim::run(Pace::Virtual, seed, |world| async move {
        let output = body(world.clone()).await;
        assert!(world.bugs().is_empty(), "seed {seed}: {:?}", world.bugs());
        output
    })
}

async fn boot(world: &World, members: u8) -> Etcd {
    Etcd::boot(world, EtcdConfig { members, ..EtcdConfig::default() }).await
}

fn follower(etcd: &Etcd) -> String {
    etcd.members().into_iter().find(|member| !member.is_leader).expect("three members").name
}

async fn put(client: &Client, key: &str, value: &str) -> Result<i64, EtcdError> {
    let put = PutRequest::new(key.to_owned(), value.to_owned());
    client.put(put).await.map(|response| response.header.revision)
}

async fn get(client: &Client, key: &str) -> Result<Option<String>, EtcdError> {
    let read = client.range(RangeRequest::key(key.to_owned())).await?;
    Ok(read.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

/// What a member has in its own store, as of now.
async fn get_stale(etcd: &Etcd, member: &str, key: &str) -> Option<String> {
    let read = RangeRequest { serializable: true, ..RangeRequest::key(key.to_owned()) };
    let read = etcd.client_of_member("etcdctl", member).range(read).await.unwrap();
    read.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

/// Cuts `alone` off from the other members; clients reach all of them.
fn isolate(world: &World, etcd: &Etcd, alone: &str) -> RuleId {
    let others: BTreeSet<String> =
        etcd.members().into_iter().map(|member| member.name).filter(|name| name != alone).collect();
    let groups = vec![BTreeSet::from([alone.to_owned()]), others];
    world.network().add(labkit_sim::Rule::Partition { groups })
}

/// Waits until there is a leader other than `old`, and says how long that took.
async fn new_leader(world: &World, etcd: &Etcd, old: &str) -> (String, Duration) {
    let since = world.clock().elapsed();
    loop {
        if let Some(leader) = etcd.leader().filter(|leader| leader != old) {
            return (leader, world.clock().elapsed() - since);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
