//! `member add|remove|promote|update`, `move-leader`, `alarm`, `defrag` and `endpoint hashkv`.

use super::args::{Args, Flag, Format};
use super::members::endpoints;
use super::{Failure, print};
use crate::admin::{AlarmRequest, AlarmResponse, MemberChange, MemberChangeResponse};
use crate::client::Client;

pub(super) const ADD_FLAGS: &[Flag] = &[Flag::value("peer-urls"), Flag::switch("learner")];
pub(super) const UPDATE_FLAGS: &[Flag] = &[Flag::value("peer-urls")];
pub(super) const HASHKV_FLAGS: &[Flag] = &[Flag::switch("cluster"), Flag::value("rev")];

fn peer_urls(args: &Args) -> Result<Vec<String>, Failure> {
    let urls = args.text("peer-urls").filter(|urls| !urls.is_empty());
    let urls = urls.ok_or_else(|| Failure::bad_args("member peer urls not provided"))?;
    Ok(urls.split(',').map(str::to_owned).collect())
}

fn member_id(text: &str) -> Result<u64, Failure> {
    u64::from_str_radix(text, 16).map_err(|_| {
        Failure::bad_args(format!(
            "bad member ID arg (strconv.ParseUint: parsing {text:?}: invalid syntax), expecting ID in Hex"
        ))
    })
}

fn one_member(args: &Args) -> Result<u64, Failure> {
    args.format(&[Format::Simple])?;
    match args.positional.as_slice() {
        [id] => member_id(id),
        _ => Err(Failure::bad_args("member ID is not provided")),
    }
}

/// `Member 8e9e05c52164694d added to cluster cdf818194e3a8c32`.
fn done(response: &MemberChangeResponse, what: &str) -> String {
    format!("Member {:16x} {what} cluster {:16x}\n", response.id, response.header.cluster_id)
}

pub(super) async fn member_add(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let [name] = args.positional.as_slice() else {
        return Err(Failure::bad_args("member name not provided"));
    };
    let peer_urls = peer_urls(args)?;
    let change = MemberChange::Add { peer_urls: peer_urls.clone(), learner: args.is_set("learner") };
    let added = client.change_members(change).await?;
    let cluster: Vec<String> = added
        .members
        .iter()
        .flat_map(|member| {
            let name = if member.id == added.id { name } else { &member.name };
            member.peer_urls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    Ok(format!(
        "{}\nETCD_NAME={name:?}\nETCD_INITIAL_CLUSTER={:?}\nETCD_INITIAL_ADVERTISE_PEER_URLS={:?}\n\
         ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        done(&added, "added to"),
        cluster.join(","),
        peer_urls.join(","),
    ))
}

pub(super) async fn member_remove(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_member(args)?;
    Ok(done(&client.change_members(MemberChange::Remove { id }).await?, "removed from"))
}

pub(super) async fn member_promote(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_member(args)?;
    Ok(done(&client.change_members(MemberChange::Promote { id }).await?, "promoted in"))
}

pub(super) async fn member_update(client: &Client, args: &Args) -> Result<String, Failure> {
    let id = one_member(args)?;
    let peer_urls = peer_urls(args)?;
    Ok(done(&client.change_members(MemberChange::Update { id, peer_urls }).await?, "updated in"))
}

/// Only the leader can hand over, so the endpoints are asked for it first.
pub(super) async fn move_leader(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let [target] = args.positional.as_slice() else {
        return Err(Failure::bad_args("move-leader command needs 1 argument"));
    };
    let target = member_id(target)?;
    let mut names = Vec::new();
    for (endpoint, client) in endpoints(client, args) {
        let status = client.status().await?;
        if status.leader == status.header.member_id {
            client.move_leader(target).await?;
            return Ok(format!("Leadership transferred from {:x} to {target:x}\n", status.leader));
        }
        names.push(endpoint);
    }
    Err(Failure::bad_args(format!("no leader endpoint given at [{}]", names.join(" "))))
}

pub(super) async fn alarm_list(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    Ok(lines(client.alarm(AlarmRequest::List { member_id: 0, kind: None }).await?))
}

pub(super) async fn alarm_disarm(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    Ok(lines(client.alarm(AlarmRequest::Disarm { member_id: 0, kind: None }).await?))
}

fn lines(response: AlarmResponse) -> String {
    response.alarms.iter().map(|alarm| format!("{alarm}\n")).collect()
}

pub(super) async fn defrag(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for (endpoint, client) in endpoints(client, args) {
        match client.defragment().await {
            Ok(_) => stdout.push_str(&format!("Finished defragmenting etcd member[{endpoint}]\n")),
            Err(error) => {
                stderr.push_str(&format!("Failed to defragment etcd member[{endpoint}] ({error})\n"));
            }
        }
    }
    if stderr.is_empty() { Ok(stdout) } else { Err(Failure { stdout, stderr, ..Failure::new("") }) }
}

pub(super) async fn hash_kv(client: &Client, args: &Args) -> Result<String, Failure> {
    let format = args.format(&[Format::Simple, Format::Table])?;
    let revision = args.number("rev")?;
    let mut rows = Vec::new();
    for (endpoint, client) in endpoints(client, args) {
        let hash = client.hash_kv(revision).await?.hash;
        rows.push(vec![endpoint, hash.to_string()]);
    }
    Ok(match format {
        Format::Table => print::table(&["ENDPOINT", "HASH"], &rows),
        _ => rows.iter().map(|row| format!("{}\n", row.join(", "))).collect(),
    })
}
