//! The command line of `labkit up`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct UpArguments {
    /// A kubeadm file: its ClusterConfiguration (v1beta3 or v1beta4), external etcd included. Flags go before it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How many worker nodes; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub nodes: u8,
    /// How many etcd members: 1, 3 or 5.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub etcd: u8,
    /// The API server's port on 127.0.0.1; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub secure_port: u16,
    /// The addresses of services [default: 10.96.0.0/12].
    #[arg(long, value_name = "CIDR")]
    pub service_cluster_ip_range: Option<String>,
    /// Certificates (PEM) of authorities whose clients are known, beside the cluster's own.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Users with static tokens: lines of token,user,uid,"group1,group2".
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,
    /// Who may do what: Node, RBAC, AlwaysAllow, AlwaysDeny, or several [default: AlwaysAllow].
    #[arg(long, value_name = "MODES")]
    pub authorization_mode: Option<String>,
    /// Whether requests without credentials are those of system:anonymous; never under AlwaysAllow [default: true].
    #[arg(long, value_name = "BOOL")]
    pub anonymous_auth: Option<String>,
    /// How often the API server compacts etcd; 0 is never [default: 5m].
    #[arg(long, value_name = "DURATION")]
    pub etcd_compaction_interval: Option<String>,
    /// Admission plugins to run, beside the default ones.
    #[arg(long, value_name = "PLUGINS")]
    pub enable_admission_plugins: Option<String>,
    /// Admission plugins not to run.
    #[arg(long, value_name = "PLUGINS")]
    pub disable_admission_plugins: Option<String>,
    /// Controllers to run: * is all, -NAME all but that one [default: *].
    #[arg(long, value_name = "CONTROLLERS", allow_hyphen_values = true)]
    pub controllers: Option<String>,
    /// Install a metrics server, for `kubectl top`.
    #[arg(long)]
    pub metrics_server: bool,
}
