//! A store under load: members as processes of their own, each with its files in a folder of its own on the same
//! disk, and its defaults; Debian's etcd, or ours as `labkit etcd` runs it.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use labkit_etcd::EtcdConfig;
use labkit_etcd::process::tls::TlsFiles;
use labkit_etcd::process::url::Url;
use labkit_etcd::process::{Listeners, MemberConfig, Process, address};
use labkit_sim::{Pace, run};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The word with which this program is a member of our store; etcd's flags follow.
pub const MEMBER: &str = "member";

/// A cluster that takes longer to begin does not begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Etcd,
    Ours,
}

/// The members of a store. Dropping it ends them.
pub struct Target {
    members: Vec<Child>,
    /// Where clients reach each member.
    pub urls: Vec<String>,
    _folder: TempDir,
}

impl Drop for Target {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended by itself.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

impl Target {
    /// Starts the members and waits until each says that it is healthy.
    pub async fn start(store: Store, members: u8) -> Target {
        let folder = TempDir::new().expect("there is room for a folder");
        let mut ports = Vec::new();
        for _ in 0..members {
            ports.push((free_port().await, free_port().await));
        }
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let name = |number: usize| format!("m{number}");
        let cluster: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("{}={}", name(n), url(*peer))).collect();
        let start = |(number, (client, peer)): (usize, &(u16, u16))| {
            let log = File::create(folder.path().join(format!("{number}.log"))).expect("as above");
            let mut member = program(store);
            member.args(["--name", &name(number), "--data-dir"]).arg(folder.path().join(name(number)));
            member.args(["--listen-client-urls", &url(*client), "--advertise-client-urls", &url(*client)]);
            member.args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)]);
            member.args(["--initial-cluster", &cluster.join(",")]);
            // Ours ends when its input does.
            member.stdin(Stdio::piped()).stdout(log.try_clone().expect("as above")).stderr(log);
            member.spawn().expect("the member starts")
        };
        let members = ports.iter().enumerate().map(start).collect();
        let urls = ports.iter().map(|(client, _)| url(*client)).collect();
        let target = Target { members, urls, _folder: folder };
        let begun = async {
            for url in &target.urls {
                while !says(url, "/health", "\"health\":\"true\"").await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::time::timeout(BEGIN_MAX, begun).await.expect("a cluster begins");
        target
    }

    /// Ends the leader's process as SIGKILL does.
    pub async fn kill_leader(&mut self) {
        for (member, url) in self.members.iter_mut().zip(&self.urls) {
            if says(url, "/metrics", "\netcd_server_is_leader 1\n").await {
                member.kill().expect("it runs");
                member.wait().expect("it was killed");
                return;
            }
        }
        panic!("no member leads");
    }

    /// What the members' processes have used of the processors.
    pub fn cpu_time(&self) -> Duration {
        self.members.iter().map(|member| cpu_time(member.id())).sum()
    }
}

/// User and system time of a process, as Linux counts it: in hundredths of a second. Nothing elsewhere.
fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse().ok()).map(|ticks: u64| Duration::from_millis(ticks * 10)).sum()
}

fn program(store: Store) -> Command {
    match store {
        Store::Etcd => {
            let mut etcd = Command::new("etcd");
            etcd.arg("--logger=zap");
            etcd
        }
        Store::Ours => {
            let mut own = Command::new(std::env::current_exe().expect("this program has a path"));
            own.arg(MEMBER);
            own
        }
    }
}

/// Runs one member until this process's input ends, as `labkit etcd` runs it until it is told to end.
pub fn member(flags: &[String]) {
    let flag = |name: &str| {
        let at = flags.iter().position(|flag| flag == name).expect("the flag is given");
        flags[at + 1].clone()
    };
    let initial_cluster = flag("--initial-cluster");
    let founders = initial_cluster.split(',').filter_map(|founder| founder.split_once('='));
    let config = MemberConfig {
        name: flag("--name"),
        data_dir: Path::new(&flag("--data-dir")).to_owned(),
        advertise_client_urls: vec![flag("--advertise-client-urls")],
        initial_advertise_peer_urls: vec![flag("--initial-advertise-peer-urls")],
        initial_cluster: founders.map(|(name, url)| (name.to_owned(), vec![url.to_owned()])).collect(),
        initial_cluster_token: "bench".to_owned(),
        joins: false,
        etcd: EtcdConfig::default(),
        peer_tls: TlsFiles::default(),
    };
    let (peers, clients) = (flag("--listen-peer-urls"), flag("--listen-client-urls"));
    run(Pace::Wall, u64::from(std::process::id()), |world| async move {
        let listeners = Listeners {
            peers: vec![(listen(&peers).await, false)],
            clients: vec![(listen(&clients).await, false)],
            client_tls: TlsFiles::default(),
        };
        let mut process = Process::start(&world, config, listeners).await.expect("the member starts");
        let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            biased;
            _ = input => {}
            ended = process.ended() => panic!("{ended:?}"),
        }
    });
}

async fn listen(url: &str) -> TcpListener {
    let address: SocketAddr = address(&Url::parse(url).expect("it is a URL")).await.expect("it is loopback");
    TcpListener::bind(address).await.expect("the port is free")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Whether a member's answer on a path has `words` in it.
async fn says(url: &str, path: &str, words: &str) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(url.trim_start_matches("http://")).await?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.contains(words))
    };
    asked.await.unwrap_or(false)
}
