//! `endpoint status`, `endpoint health` and `member list`.

use serde_json::{Value, json};

use super::args::{Args, Format};
use super::{Failure, print};
use crate::api::{MemberInfo, RangeRequest, StatusResponse};
use crate::client::Client;
use crate::error::EtcdError;

/// The members that a command asks, each with a client of its own, and how they are called.
pub(super) fn endpoints(client: &Client, args: &Args) -> Vec<(String, Client)> {
    let cluster = client.cluster();
    let ids: Vec<u64> = if args.is_set("cluster") {
        cluster.peers().iter().map(|peer| peer.id).collect()
    } else {
        client.endpoints().to_vec()
    };
    let given = args.text("endpoints").filter(|_| !args.is_set("cluster"));
    let mut given = given.into_iter().flat_map(|given| given.split(','));
    ids.into_iter()
        .map(|id| {
            let name = given.next().map_or_else(|| format!("{}:2379", cluster.name_of(id)), str::to_owned);
            (name, client.at(vec![id]))
        })
        .collect()
}

const FORMATS: &[Format] = &[Format::Simple, Format::Json, Format::Table];

const STATUS_HEADINGS: [&str; 10] = [
    "ENDPOINT",
    "ID",
    "VERSION",
    "DB SIZE",
    "IS LEADER",
    "IS LEARNER",
    "RAFT TERM",
    "RAFT INDEX",
    "RAFT APPLIED INDEX",
    "ERRORS",
];

pub(super) async fn status(client: &Client, args: &Args) -> Result<String, Failure> {
    let format = args.format(FORMATS)?;
    let mut found = Vec::new();
    let mut failed = String::new();
    for (endpoint, client) in endpoints(client, args) {
        match client.status().await {
            Ok(status) => found.push((endpoint, status)),
            Err(error) => {
                failed.push_str(&format!("Failed to get the status of endpoint {endpoint} ({error})\n"));
            }
        }
    }
    let rows: Vec<Vec<String>> =
        found.iter().map(|(endpoint, status)| status_row(endpoint, status)).collect();
    let stdout = match format {
        Format::Table => print::table(&STATUS_HEADINGS, &rows),
        Format::Json => {
            let statuses: Vec<Value> =
                found.iter().map(|(endpoint, status)| status_json(endpoint, status)).collect();
            format!("{}\n", Value::from(statuses))
        }
        Format::Simple | Format::Fields => rows.iter().map(|row| format!("{}\n", row.join(", "))).collect(),
    };
    if failed.is_empty() {
        return Ok(stdout);
    }
    Err(Failure { stdout, stderr: failed, ..Failure::new("") })
}

fn status_json(endpoint: &str, status: &StatusResponse) -> Value {
    let fields = print::object([
        ("header", print::header(&status.header)),
        ("version", status.version.clone().into()),
        ("dbSize", status.db_size.into()),
        ("leader", status.leader.into()),
        ("raftIndex", status.raft_index.into()),
        ("raftTerm", status.raft_term.into()),
        ("raftAppliedIndex", status.raft_applied_index.into()),
        ("errors", status.errors.clone().into()),
        ("dbSizeInUse", status.db_size_in_use.into()),
        ("isLearner", status.is_learner.into()),
    ]);
    json!({"Endpoint": endpoint, "Status": fields})
}

fn status_row(endpoint: &str, status: &StatusResponse) -> Vec<String> {
    vec![
        endpoint.to_owned(),
        format!("{:x}", status.header.member_id),
        status.version.clone(),
        print::human_bytes(status.db_size),
        (status.leader == status.header.member_id).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
    ]
}

pub(super) async fn health(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let mut stdout = String::new();
    let mut healthy = true;
    for (endpoint, client) in endpoints(client, args) {
        let began = client.cluster().world.clock().elapsed();
        // As upstream: any answer to a linearizable read proves that the member can reach a quorum.
        let read: Result<_, EtcdError> = client.range(RangeRequest::key("health")).await;
        let took = print::human_duration(client.cluster().world.clock().elapsed() - began);
        let line = match read {
            Ok(_) => format!("{endpoint} is healthy: successfully committed proposal: took = {took}\n"),
            Err(error) => {
                healthy = false;
                format!("{endpoint} is unhealthy: failed to commit proposal: {error}\n")
            }
        };
        stdout.push_str(&line);
    }
    if healthy { Ok(stdout) } else { Err(Failure { stdout, ..Failure::new("unhealthy cluster") }) }
}

const MEMBER_HEADINGS: [&str; 6] = ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"];

pub(super) async fn list(client: &Client, args: &Args) -> Result<String, Failure> {
    let format = args.format(FORMATS)?;
    let response = client.member_list().await?;
    let rows: Vec<Vec<String>> = response.members.iter().map(member_row).collect();
    Ok(match format {
        Format::Table => print::table(&MEMBER_HEADINGS, &rows),
        Format::Json => {
            let members: Vec<Value> = response.members.iter().map(member_json).collect();
            let header = print::header(&response.header);
            format!("{}\n", print::object([("header", header), ("members", members.into())]))
        }
        Format::Simple | Format::Fields => rows.iter().map(|row| format!("{}\n", row.join(", "))).collect(),
    })
}

fn member_row(member: &MemberInfo) -> Vec<String> {
    vec![
        format!("{:x}", member.id),
        if member.name.is_empty() { "unstarted" } else { "started" }.to_owned(),
        member.name.clone(),
        member.peer_urls.join(","),
        member.client_urls.join(","),
        member.is_learner.to_string(),
    ]
}

fn member_json(member: &MemberInfo) -> Value {
    print::object([
        ("ID", member.id.into()),
        ("name", member.name.clone().into()),
        ("peerURLs", member.peer_urls.clone().into()),
        ("clientURLs", member.client_urls.clone().into()),
        ("isLearner", member.is_learner.into()),
    ])
}
