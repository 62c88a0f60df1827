//! The flags of `labkit etcd`: etcd's own, with its defaults.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct EtcdArguments {
    /// The member's name.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,
    /// Where its log and snapshots are kept [default: NAME.etcd].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The founders as NAME=PEER-URL, with commas; to join, all members with this one [default: this one alone].
    #[arg(long, value_name = "MEMBERS")]
    pub initial_cluster: Option<String>,
    /// Whether it founds a cluster or joins one, after `etcdctl member add`.
    #[arg(long, value_enum, default_value_t = ClusterState::New)]
    pub initial_cluster_state: ClusterState,
    /// Tells apart clusters that are founded at the same URLs.
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// Where it listens for clients [default: http://localhost:2379].
    #[arg(long, value_name = "URLS")]
    pub listen_client_urls: Option<String>,
    /// Where clients reach it; `etcdctl member list` shows it [default: http://localhost:2379].
    #[arg(long, value_name = "URLS")]
    pub advertise_client_urls: Option<String>,
    /// Where it listens for the other members.
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2380")]
    pub listen_peer_urls: String,
    /// Where the other members reach it.
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2380")]
    pub initial_advertise_peer_urls: String,
    /// How often the leader says that it is there, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub heartbeat_interval: u64,
    /// How long a follower waits for that before it stands for election, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub election_timeout: u64,
    /// After how many entries of the log a snapshot is made.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_count: u64,
    /// How large the store may grow; 0 is 2 GiB. Then it takes no more writes, until there is room.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub quota_backend_bytes: i64,
    /// What --auto-compaction-retention counts: hours or another time, or revisions.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = CompactionMode::Periodic)]
    pub auto_compaction_mode: CompactionMode,
    /// How much history stays: 1 (hour), 10m, or a number of revisions; 0 is all of it.
    #[arg(long, value_name = "RETENTION", default_value = "0")]
    pub auto_compaction_retention: String,
    /// The certificate that clients are shown.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// The key of --cert-file.
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// The authority that clients' certificates must come from.
    #[arg(long, value_name = "FILE")]
    pub trusted_ca_file: Option<PathBuf>,
    /// Refuse clients without such a certificate.
    #[arg(long, requires = "trusted_ca_file")]
    pub client_cert_auth: bool,
    /// The certificate that the other members are shown.
    #[arg(long, value_name = "FILE", requires = "peer_key_file")]
    pub peer_cert_file: Option<PathBuf>,
    /// The key of --peer-cert-file.
    #[arg(long, value_name = "FILE", requires = "peer_cert_file")]
    pub peer_key_file: Option<PathBuf>,
    /// The authority that the members' certificates must come from.
    #[arg(long, value_name = "FILE")]
    pub peer_trusted_ca_file: Option<PathBuf>,
    /// Refuse members without such a certificate.
    #[arg(long, requires = "peer_trusted_ca_file")]
    pub peer_client_cert_auth: bool,
}

/// What of its history a store forgets by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompactionMode {
    Periodic,
    Revision,
}

/// What a new member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClusterState {
    New,
    Existing,
}
