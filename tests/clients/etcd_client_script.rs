//! `etcd-client-script PORT`: one walk through an etcd on loopback with the crate etcd-client. Prints what it
//! finds, without ids and revisions, so that two servers can be compared.

use std::time::Duration;

use etcd_client::*;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How long something is watched that must not happen.
const QUIET: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let port = std::env::args().nth(1).ok_or("usage: etcd-client-script PORT")?;
    let mut client = Client::connect([format!("127.0.0.1:{port}")], None).await?;
    keys(&mut client).await?;
    transactions(&mut client).await?;
    leases(&mut client).await?;
    watches(&mut client).await?;
    absurdities(&mut client).await?;
    locks(&mut client).await?;
    elections(&mut client).await
}

async fn keys(client: &mut Client) -> Outcome<()> {
    client.put("color", "blue", None).await?;
    let put = client.put("color", "red", Some(PutOptions::new().with_prev_key())).await?;
    println!("put: it was {}", put.prev_key().ok_or("no previous value")?.value_str()?);
    let get = client.get("color", None).await?;
    println!("get: {} in version {}", get.kvs()[0].value_str()?, get.kvs()[0].version());
    for key in ["a/1", "a/2", "a/3"] {
        client.put(key, "x", None).await?;
    }
    let options =
        GetOptions::new().with_prefix().with_limit(2).with_sort(SortTarget::Key, SortOrder::Descend);
    let get = client.get("a/", Some(options.with_keys_only())).await?;
    let found: Vec<&str> = get.kvs().iter().map(|kv| kv.key_str()).collect::<Result<_, _>>()?;
    println!("get --prefix: {found:?} of {}, more: {}", get.count(), get.more());
    println!(
        "delete --prefix: {}",
        client.delete("a/", Some(DeleteOptions::new().with_prefix())).await?.deleted()
    );
    println!("no key: {}", error(client.get("", None).await));
    Ok(())
}

async fn transactions(client: &mut Client) -> Outcome<()> {
    for wanted in ["red", "green"] {
        let txn = Txn::new()
            .when([Compare::value("color", CompareOp::Equal, wanted)])
            .and_then([TxnOp::put("color", "yellow", None), TxnOp::get("color", None)])
            .or_else([TxnOp::get("color", None)]);
        let answer = client.txn(txn).await?;
        let responses = answer.op_responses();
        let Some(TxnOpResponse::Get(get)) = responses.last() else { return Err("no read".into()) };
        println!("txn: {} {}", answer.succeeded(), get.kvs()[0].value_str()?);
    }
    let twice = Txn::new().and_then([TxnOp::put("k", "1", None), TxnOp::put("k", "2", None)]);
    println!("twice: {}", error(client.txn(twice).await));
    Ok(())
}

async fn leases(client: &mut Client) -> Outcome<()> {
    let lease = client.lease_grant(60, None).await?.id();
    client.put("leased", "x", Some(PutOptions::new().with_lease(lease))).await?;
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await?;
    keeper.keep_alive().await?;
    println!("keep-alive: {}", kept.message().await?.ok_or("the stream ended")?.ttl());
    let left = client.lease_time_to_live(lease, Some(LeaseTimeToLiveOptions::new().with_keys())).await?;
    println!(
        "time to live: granted {}, keys {:?}",
        left.granted_ttl(),
        String::from_utf8_lossy(&left.keys()[0])
    );
    client.lease_revoke(lease).await?;
    println!("after revoke: {} keys", client.get("leased", None).await?.count());
    println!("revoked twice: {}", error(client.lease_revoke(lease).await));
    println!("absurd: {}", error(client.lease_grant(i64::MAX, None).await));
    Ok(())
}

async fn watches(client: &mut Client) -> Outcome<()> {
    let before = client.put("w/0", "before", None).await?;
    let start = before.header().ok_or("no header")?.revision();
    let options = WatchOptions::new().with_prefix().with_prev_key().with_start_revision(start);
    let mut stream = client.watch("w/", Some(options)).await?;
    client.put("w/0", "after", None).await?;
    client.delete("w/0", None).await?;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        for event in stream.message().await?.ok_or("the watch ended")?.events() {
            let (kv, before) = (event.kv().ok_or("no key")?, event.prev_kv());
            let before = before.map_or(Ok("-"), |kv| kv.value_str())?;
            seen.push(format!(
                "{:?} {}={} before {before}",
                event.event_type(),
                kv.key_str()?,
                kv.value_str()?
            ));
        }
    }
    println!("watch: {}", seen.join(", "));
    client.compact(start + 1, None).await?;
    let options = WatchOptions::new().with_start_revision(start);
    let mut stream = client.watch("w/0", Some(options)).await?;
    let message = loop {
        let message = stream.message().await?.ok_or("the watch ended")?;
        if message.canceled() {
            break message;
        }
    };
    println!("compacted: the oldest is {} on", message.compact_revision() - start);
    println!("compacted: {}", error(client.get("w/0", Some(GetOptions::new().with_revision(start))).await));
    Ok(())
}

/// What no client in its senses asks for.
async fn absurdities(client: &mut Client) -> Outcome<()> {
    for bytes in [1_600_000, 3_000_000] {
        println!("{bytes} bytes: {}", error(client.put("big", vec![b'x'; bytes], None).await));
    }
    for ttl in [0, -5] {
        println!("a lease of {ttl} s: {}", client.lease_grant(ttl, None).await?.ttl());
    }
    println!(
        "a lease that is none: {}",
        error(client.put("k", "v", Some(PutOptions::new().with_lease(-1))).await)
    );
    let backwards = client.get("z", Some(GetOptions::new().with_range("a"))).await?;
    println!("backwards: {} of {}", backwards.kvs().len(), backwards.count());
    println!("limit -1: {}", client.get("color", Some(GetOptions::new().with_limit(-1))).await?.kvs().len());
    println!(
        "revision -1: {}",
        client.get("color", Some(GetOptions::new().with_revision(-1))).await?.kvs().len()
    );
    let never = client.get("color", Some(GetOptions::new().with_revision(i64::MAX))).await;
    println!("the last revision: {}", error(never));
    for revision in [0, -1, i64::MAX] {
        println!("compaction at {revision}: {}", error(client.compact(revision, None).await));
    }
    let many: Vec<TxnOp> = (0..129).map(|n| TxnOp::put(format!("k{n}"), "", None)).collect();
    println!("129 operations: {}", error(client.txn(Txn::new().and_then(many)).await));
    Ok(())
}

async fn locks(client: &mut Client) -> Outcome<()> {
    let first = client.lock("m", None).await?.key().to_vec();
    println!("lock: {}", String::from_utf8_lossy(&first[..2]));
    let lease = client.lease_grant(60, None).await?.id();
    let options = LockOptions::new().with_lease(lease);
    {
        let mut hasty = client.clone();
        let waiting =
            hasty.lock("m", Some(LockOptions::new().with_lease(client.lease_grant(60, None).await?.id())));
        println!("lock: the hasty one got it: {}", tokio::time::timeout(QUIET, waiting).await.is_ok());
    }
    let mut other = client.clone();
    let mut waiting = Box::pin(other.lock("m", Some(options.clone())));
    println!("lock: the second one got it: {}", tokio::time::timeout(QUIET, &mut waiting).await.is_ok());
    client.unlock(first).await?;
    let second = waiting.await?.key().to_vec();
    println!("lock: its key is its lease's: {}", second == format!("m/{lease:x}").into_bytes());
    let again = client.lock("m", Some(options)).await?;
    println!("lock: again under the same lease: {}", again.key() == second);
    client.lease_revoke(lease).await?;
    println!(
        "lock: {} keys after the lease",
        client.get("m/", Some(GetOptions::new().with_prefix())).await?.count()
    );
    println!("lock: {}", error(client.lock("m", Some(LockOptions::new().with_lease(1234))).await));
    Ok(())
}

async fn elections(client: &mut Client) -> Outcome<()> {
    println!("election: {}", error(client.leader("e").await));
    let leases = [client.lease_grant(60, None).await?.id(), client.lease_grant(60, None).await?.id()];
    let won = client.campaign("e", "first", leases[0]).await?;
    let first = won.leader().ok_or("no leader key")?.clone();
    let mut observed = client.observe("e").await?;
    println!("election: {} leads", client.leader("e").await?.kv().ok_or("no leader")?.value_str()?);
    let mut other = client.clone();
    let mut waiting = Box::pin(other.campaign("e", "second", leases[1]));
    println!("election: two leaders: {}", tokio::time::timeout(QUIET, &mut waiting).await.is_ok());
    let proclaim = |leader: &LeaderKey| Some(ProclaimOptions::new().with_leader(leader.clone()));
    client.proclaim("first, still", proclaim(&first)).await?;
    client.resign(Some(ResignOptions::new().with_leader(first.clone()))).await?;
    let second = waiting.await?.leader().ok_or("no leader key")?.clone();
    println!("election: too late: {}", error(client.proclaim("x", proclaim(&first)).await));
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|value| value != "second") {
        let message = observed.message().await?.ok_or("the stream ended")?;
        seen.push(message.kv().ok_or("no leader")?.value_str()?.to_owned());
    }
    println!("election: observed {seen:?}");
    client.resign(Some(ResignOptions::new().with_leader(second))).await?;
    println!("election: {}", error(client.leader("e").await));
    println!("election: {}", error(client.campaign("e", "x", 1234).await));
    println!("election: {}", error(client.resign(None).await));
    Ok(())
}

/// A failure's code and text.
fn error<T>(answer: Result<T, Error>) -> String {
    match answer {
        Ok(_) => "no error".to_owned(),
        Err(Error::GRpcStatus(status)) => format!("{:?}: {}", status.code(), status.message()),
        Err(other) => other.to_string(),
    }
}
