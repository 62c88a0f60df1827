//! `lease grant`, `revoke`, `timetolive`, `keep-alive --once` and `list`.

use super::args::{Args, Format};
use super::{Failure, print};
use crate::client::Client;
use crate::payload::lease_id;

/// A lease's id as the user writes it.
pub(super) fn id_of(text: &str) -> Result<i64, Failure> {
    i64::from_str_radix(text, 16).map_err(|_| {
        Failure::bad_args(format!(
            "bad lease ID arg (strconv.ParseInt: parsing {text:?}: invalid syntax), expecting ID in Hex"
        ))
    })
}

fn one_id(args: &Args, usage: &str) -> Result<i64, Failure> {
    args.format(&[Format::Simple])?;
    match args.positional.as_slice() {
        [id] => id_of(id),
        _ => Err(Failure::bad_args(usage)),
    }
}

pub(super) async fn grant(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let [ttl] = args.positional.as_slice() else {
        return Err(Failure::bad_args("lease grant command needs TTL argument"));
    };
    let ttl: i64 = ttl.parse().map_err(|_| {
        Failure::bad_args(format!("bad TTL (strconv.ParseInt: parsing {ttl:?}: invalid syntax)"))
    })?;
    let lease = client
        .lease_grant(0, ttl)
        .await
        .map_err(|error| Failure::new(format!("failed to grant lease ({error})")))?;
    Ok(format!("lease {} granted with TTL({}s)\n", lease_id(lease.id), lease.ttl))
}

pub(super) async fn revoke(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_id(args, "lease revoke command needs 1 argument")?;
    client
        .lease_revoke(id)
        .await
        .map_err(|error| Failure::new(format!("failed to revoke lease ({error})")))?;
    Ok(format!("lease {} revoked\n", lease_id(id)))
}

pub(super) async fn time_to_live(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_id(args, "lease timetolive command needs lease ID as argument")?;
    let keys = args.is_set("keys");
    let lease = client.lease_time_to_live(id, keys).await?;
    let name = lease_id(id);
    if lease.granted_ttl == 0 && lease.ttl == -1 {
        return Ok(format!("lease {name} already expired\n"));
    }
    let mut out = format!("lease {name} granted with TTL({}s), remaining({}s)", lease.granted_ttl, lease.ttl);
    if keys {
        let keys: Vec<String> = lease.keys.iter().map(print::text).collect();
        out.push_str(&format!(", attached keys([{}])", keys.join(" ")));
    }
    out.push('\n');
    Ok(out)
}

pub(super) async fn keep_alive(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_id(args, "lease keep-alive command needs lease ID as argument")?;
    if !args.is_set("once") {
        return Err(Failure::bad_args("lease keep-alive without --once does not end"));
    }
    let lease = client.lease_keep_alive(id).await?;
    if lease.ttl == 0 {
        return Err(Failure::new("etcdserver: requested lease not found"));
    }
    Ok(format!("lease {} keepalived with TTL({})\n", lease_id(id), lease.ttl))
}

pub(super) async fn list(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let leases = client.leases().await?.leases;
    let mut out = format!("found {} leases\n", leases.len());
    leases.iter().for_each(|id| out.push_str(&format!("{}\n", lease_id(*id))));
    Ok(out)
}
