//! `endpoint status`, `endpoint health` and `member list`.

use super::args::{Args, Format};
use super::{Failure, print};
use crate::api::{RangeRequest, StatusResponse};
use crate::client::Client;
use crate::error::EtcdError;

/// The members that a command asks, each with a client of its own, and how they are called.
fn endpoints(client: &Client, args: &Args) -> Vec<(String, Client)> {
    let cluster = client.cluster();
    let ids: Vec<u64> = if args.is_set("cluster") {
        cluster.peers.iter().map(|peer| peer.id).collect()
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

pub(super) async fn status(client: &Client, args: &Args) -> Result<String, Failure> {
    let format = args.format()?;
    let mut rows = Vec::new();
    let mut failed = String::new();
    for (endpoint, client) in endpoints(client, args) {
        match client.status().await {
            Ok(status) => rows.push(status_row(endpoint, &status)),
            Err(error) => {
                failed.push_str(&format!("Failed to get the status of endpoint {endpoint} ({error})\n"))
            }
        }
    }
    let headings = [
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
    let stdout = match format {
        Format::Table => print::table(&headings, &rows),
        Format::Simple | Format::Fields | Format::Json => {
            rows.iter().map(|row| format!("{}\n", row.join(", "))).collect()
        }
    };
    if failed.is_empty() {
        return Ok(stdout);
    }
    Err(Failure { stdout, stderr: failed, ..Failure::new("") })
}

fn status_row(endpoint: String, status: &StatusResponse) -> Vec<String> {
    vec![
        endpoint,
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

pub(super) async fn list(client: &Client, args: &Args) -> Result<String, Failure> {
    let members = client.member_list().await?.members;
    let row = |member: &crate::api::MemberInfo| {
        vec![
            format!("{:x}", member.id),
            "started".to_owned(),
            member.name.clone(),
            member.peer_urls.join(","),
            member.client_urls.join(","),
            member.is_learner.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    Ok(match args.format()? {
        Format::Table => {
            print::table(&["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"], &rows)
        }
        Format::Simple | Format::Fields | Format::Json => {
            rows.iter().map(|row| format!("{}\n", row.join(", "))).collect()
        }
    })
}
