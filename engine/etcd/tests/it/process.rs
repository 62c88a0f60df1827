//! Members that are processes of their own, here within one test: real directories, real sockets. What kills do to
//! them is tested with the binary.

use std::collections::BTreeMap;
use std::path::Path;

use labkit_etcd::grpc::{Endpoints, Watcher};
use labkit_etcd::process::tls::TlsFiles;
use labkit_etcd::process::{Ended, Listeners, MemberConfig, Process, ProcessError};
use labkit_etcd::{LeaseTimeToLiveResponse, MemberChange, WatchRequest};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::etcdctl::have;
use super::*;

/// Three founders' addresses, and what they share.
struct Founders {
    folder: TempDir,
    scheme: &'static str,
    tls: TlsFiles,
    peers: BTreeMap<String, Vec<String>>,
}

async fn founders(names: &[&str], tls: bool) -> (Founders, BTreeMap<String, TcpListener>) {
    let folder = tempfile::tempdir().unwrap();
    let scheme = if tls { "https" } else { "http" };
    let (mut peers, mut listeners) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        peers.insert((*name).to_owned(), vec![format!("{scheme}://{}", listener.local_addr().unwrap())]);
        listeners.insert((*name).to_owned(), listener);
    }
    let tls = if tls { certificates(folder.path()) } else { TlsFiles::default() };
    (Founders { folder, scheme, tls, peers }, listeners)
}

fn certificates(folder: &Path) -> TlsFiles {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(ca, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let write = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        Some(path)
    };
    TlsFiles {
        cert: write("peer.crt", leaf.pem()),
        key: write("peer.key", key.serialize_pem()),
        trusted_ca: write("ca.crt", ca.pem()),
        client_cert_auth: true,
    }
}

impl Founders {
    fn config(&self, name: &str) -> MemberConfig {
        MemberConfig {
            name: name.to_owned(),
            data_dir: self.folder.path().join(name),
            advertise_client_urls: vec![format!("http://{name}:2379")],
            initial_advertise_peer_urls: self.peers.get(name).cloned().unwrap_or_default(),
            initial_cluster: self.peers.clone(),
            initial_cluster_token: "test".to_owned(),
            joins: false,
            etcd: EtcdConfig {
                heartbeat_interval: Duration::from_millis(20),
                election_timeout: Duration::from_millis(200),
                snapshot_count: 50,
                ..EtcdConfig::default()
            },
            peer_tls: self.tls.clone(),
        }
    }

    async fn start(&self, world: &World, name: &str, listener: TcpListener) -> Process {
        self.try_start(world, self.config(name), listener).await.unwrap()
    }

    async fn try_start(
        &self,
        world: &World,
        config: MemberConfig,
        listener: TcpListener,
    ) -> Result<Process, ProcessError> {
        let peers = vec![(listener, self.scheme == "https")];
        let listeners = Listeners { peers, clients: Vec::new(), client_tls: TlsFiles::default() };
        Process::start(world, config, listeners).await
    }

    async fn listen_again(&self, name: &str) -> TcpListener {
        let address = self.peers[name][0].split_once("://").unwrap().1;
        loop {
            if let Ok(listener) = TcpListener::bind(address).await {
                return listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn three(world: &World, tls: bool) -> (Founders, BTreeMap<String, Process>) {
    let (founders, listeners) = founders(&["m1", "m2", "m3"], tls).await;
    let mut processes = BTreeMap::new();
    for (name, listener) in listeners {
        let process = founders.start(world, &name, listener).await;
        processes.insert(name, process);
    }
    for process in processes.values() {
        process.wait_leader().await;
    }
    (founders, processes)
}

fn patient(process: &Process) -> Client {
    process.client("test").with_deadline(Duration::from_secs(10))
}

async fn put_in_the_end(client: &Client, key: &str, value: &str) {
    while put(client, key, value).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn members_meet(tls: bool) {
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut processes) = three(&world, tls).await;
        let clients: Vec<Client> = processes.values().map(patient).collect();
        for (n, client) in clients.iter().enumerate() {
            put(client, "k", &n.to_string()).await.unwrap();
            for reader in &clients {
                assert_eq!(get(reader, "k").await, Ok(Some(n.to_string())));
            }
            // Each is asked of the leader, by two of the three over the wire.
            let lease = client.lease_grant(0, 60).await.unwrap().id;
            assert_eq!(client.lease_keep_alive(lease).await.unwrap().ttl, 60);
            let LeaseTimeToLiveResponse { ttl, granted_ttl, .. } =
                client.lease_time_to_live(lease, true).await.unwrap();
            assert!(granted_ttl == 60 && ttl > 50);
        }
        let listed = clients[0].member_list().await.unwrap().members;
        let names: Vec<&str> = listed.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names.len(), 3);
        let url = format!("http://{}:2379", names[0]);
        assert_eq!(listed[0].client_urls, [url], "members publish where their clients reach them");

        // One that was away gets a snapshot, values of a megabyte among it.
        world.find("m3").unwrap().kill().await;
        drop(processes.remove("m3"));
        for n in 0..120 {
            put_in_the_end(&clients[0], &format!("late/{n}"), "v").await;
        }
        for n in 0..10 {
            put_in_the_end(&clients[0], &format!("large/{n}"), &"x".repeat(1_000_000)).await;
        }
        let listener = founders.listen_again("m3").await;
        let back = founders.start(&world, "m3", listener).await;
        let client = patient(&back);
        assert_eq!(get(&client, "late/119").await, Ok(Some("v".to_owned())));
        assert_eq!(get(&client, "large/9").await.unwrap().unwrap().len(), 1_000_000);
        let hashes = [client.hash_kv(0).await.unwrap(), clients[0].hash_kv(0).await.unwrap()];
        assert_eq!(hashes[0].hash, hashes[1].hash);

        let leader = back.wait_leader().await;
        let target = listed.iter().find(|member| member.id != leader).unwrap().id;
        for client in [&clients[0], &clients[1], &client] {
            if client.status().await.unwrap().header.member_id == leader {
                client.move_leader(target).await.unwrap();
            }
        }
        while back.wait_leader().await != target {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn members_meet_over_tcp() {
    members_meet(false);
}

#[test]
fn members_meet_over_tls() {
    members_meet(true);
}

/// How many watches there are at a member, by its metrics.
async fn watches_at(address: &str) -> u64 {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut metrics = String::new();
    socket.read_to_string(&mut metrics).await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    line.unwrap().parse().unwrap()
}

/// Waits until a member has so many watches.
async fn have_watches(address: &str, count: u64) {
    let counted = async {
        while watches_at(address).await != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("in time");
}

/// The next `count` events, which are of revisions that follow on each other, `step` apart.
async fn events(watcher: &mut Watcher, count: usize, step: i64) {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), watcher.next()).await.expect("in time");
        let response = next.unwrap().unwrap();
        assert!(!response.canceled && (!response.created || revisions.is_empty()), "{response:?}");
        revisions.extend(response.events.into_iter().map(|event| event.kv.mod_revision));
    }
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + step), "once and in order: {revisions:?}");
}

#[test]
fn a_watch_that_nobody_reads_waits_in_the_store_and_misses_nothing() {
    const WRITES: usize = 1500;
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut listeners) = founders(&["m1"], false).await;
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = clients.local_addr().unwrap().to_string();
        let listeners = Listeners {
            peers: vec![(listeners.remove("m1").unwrap(), false)],
            clients: vec![(clients, false)],
            client_tls: TlsFiles::default(),
        };
        let etcd = EtcdConfig::default();
        let config = MemberConfig { etcd, ..founders.config("m1") };
        let process = Process::start(&world, config, listeners).await.unwrap();
        process.wait_leader().await;
        let endpoints = Endpoints { urls: vec![format!("http://{address}")], tls: None };
        let component = world.component("watching");
        let watch = async |request| {
            let client = labkit_etcd::grpc::Client::new(&component, &endpoints).unwrap();
            client.watch(request).await.unwrap()
        };
        let mut idle = watch(WatchRequest::prefix("s/")).await;
        let mut prompt = watch(WatchRequest { prev_kv: true, ..WatchRequest::key("s/3") }).await;
        let client = patient(&process);
        let value = "x".repeat(4000);
        let write = async |count| {
            for number in 0..count {
                put(&client, &format!("s/{}", number % 10), &value).await.unwrap();
            }
        };
        futures::join!(write(WRITES), events(&mut prompt, WRITES / 10, 10));
        assert_eq!(watches_at(&address).await, 1, "one has all that its client takes, and waits");
        events(&mut idle, WRITES, 1).await;
        have_watches(&address, 2).await;
        futures::join!(write(10), events(&mut idle, 10, 1), events(&mut prompt, 1, 0));
        drop((idle, prompt));
        have_watches(&address, 0).await;
    });
}

#[test]
fn etcdctl_speaks_tls_to_a_process() {
    if !have("etcdctl", "etcd-client") {
        return;
    }
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut listeners) = founders(&["m1"], false).await;
        let tls = certificates(founders.folder.path());
        let client = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", client.local_addr().unwrap());
        let peers = vec![(listeners.remove("m1").unwrap(), false)];
        let listeners = Listeners { peers, clients: vec![(client, true)], client_tls: tls.clone() };
        let _m1 = Process::start(&world, founders.config("m1"), listeners).await.unwrap();
        let etcdctl = |with_certificate: bool| {
            let mut command = std::process::Command::new("etcdctl");
            command.env("ETCDCTL_API", "3").args([
                "--endpoints",
                &endpoint,
                "--command-timeout=5s",
                "put",
                "k",
                "v",
            ]);
            command.arg("--cacert").arg(tls.trusted_ca.as_ref().unwrap());
            if with_certificate {
                command.arg("--cert").arg(tls.cert.as_ref().unwrap());
                command.arg("--key").arg(tls.key.as_ref().unwrap());
            }
            async move {
                let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
                (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
            }
        };
        assert_eq!(etcdctl(true).await, (true, "OK\n".to_owned()));
        assert!(!etcdctl(false).await.0, "clients need a certificate");
    });
}

#[test]
fn a_member_joins_and_one_is_removed() {
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut processes) = three(&world, false).await;
        let client = patient(&processes["m1"]);
        put(&client, "k", "v").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let urls = vec![format!("http://{}", listener.local_addr().unwrap())];
        let config = |founders: &Founders| MemberConfig {
            initial_advertise_peer_urls: urls.clone(),
            joins: true,
            ..founders.config("m4")
        };
        let unasked = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = founders.try_start(&world, config(&founders), unasked).await.unwrap_err();
        assert!(matches!(refused, ProcessError::NotAdded(_)), "{refused}");
        // Five seconds connected is what etcd asks for before the membership grows.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let added = client
            .change_members(MemberChange::Add { peer_urls: urls.clone(), learner: true })
            .await
            .unwrap();
        let m4 = founders.try_start(&world, config(&founders), listener).await.unwrap();
        assert_eq!(m4.member_id(), added.id);
        while client.change_members(MemberChange::Promote { id: added.id }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(get(&patient(&m4), "k").await, Ok(Some("v".to_owned())));

        let gone = processes.remove("m2").unwrap();
        client.change_members(MemberChange::Remove { id: gone.member_id() }).await.unwrap();
        let mut gone = gone;
        assert_eq!(gone.ended().await, Ended::Removed);
        put_in_the_end(&patient(&m4), "k", "w").await;
        assert_eq!(client.member_list().await.unwrap().members.len(), 3);
    });
}

#[test]
fn wrong_flags_and_a_directory_in_use_are_refused() {
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut listeners) = founders(&["m1"], false).await;
        let listen = || TcpListener::bind("127.0.0.1:0");
        let other = MemberConfig { name: "m9".to_owned(), ..founders.config("m1") };
        let refused = founders.try_start(&world, other, listen().await.unwrap()).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "couldn't find local name \"m9\" in the initial cluster configuration"
        );
        let without_a_ca = MemberConfig {
            initial_cluster: BTreeMap::from([("m1".to_owned(), vec!["https://a:1".to_owned()])]),
            ..founders.config("m1")
        };
        let refused = founders.try_start(&world, without_a_ca, listen().await.unwrap()).await.unwrap_err();
        assert_eq!(refused.to_string(), "https needs a trusted CA to judge peers by");
        let elsewhere = MemberConfig {
            initial_advertise_peer_urls: vec!["http://a:1".to_owned()],
            ..founders.config("m1")
        };
        let refused = founders.try_start(&world, elsewhere, listen().await.unwrap()).await.unwrap_err();
        assert!(matches!(refused, ProcessError::OtherPeerUrls { .. }), "{refused}");
        let m1 = founders.start(&world, "m1", listeners.remove("m1").unwrap()).await;
        m1.wait_leader().await;
        let refused =
            founders.try_start(&world, founders.config("m1"), listen().await.unwrap()).await.unwrap_err();
        assert!(refused.to_string().starts_with("lock "), "{refused}");
    });
}

#[test]
fn garbage_on_the_peer_port_is_cut_off() {
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let (founders, mut listeners) = founders(&["m1"], false).await;
        let listener = listeners.remove("m1").unwrap();
        let address = listener.local_addr().unwrap();
        let m1 = founders.start(&world, "m1", listener).await;
        m1.wait_leader().await;
        let cluster = m1.cluster_id().to_le_bytes();
        let greeting = [&b"LABPEER1"[..], &cluster].concat();
        let huge = [&greeting[..], &u32::MAX.to_le_bytes(), &[0; 8]].concat();
        let nonsense = [&greeting[..], &4_u32.to_le_bytes(), &[0; 8], b"\xff\xff\xff\xff"].concat();
        let foreign = [&b"LABPEER1"[..], &7_u64.to_le_bytes(), &[0; 40]].concat();
        for garbage in [b"GET / HTTP/1.1\r\n\r\nmore".to_vec(), huge, nonsense, foreign] {
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            socket.write_all(&garbage).await.unwrap();
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
            // A reset is a way to be cut off, too.
            assert!(closed.is_ok() && answer.is_empty(), "{garbage:?}");
        }
        put(&patient(&m1), "k", "v").await.unwrap();
    });
}

/// The ids of the cluster and of its members, as a real etcd that is started with these flags has them.
async fn ids_of_real(
    peers: &BTreeMap<String, Vec<String>>,
    token: &str,
    folder: &Path,
) -> (u64, Vec<(String, u64)>) {
    let client = format!("http://127.0.0.1:{}", super::golden::free_port().await);
    let (name, urls) = peers.first_key_value().unwrap();
    let listed = |urls: &Vec<String>| urls.join(",");
    let all = peers.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
    let mut etcd = std::process::Command::new("etcd");
    etcd.args(["--name", name, "--initial-cluster", &all.collect::<Vec<_>>().join(",")]);
    etcd.args(["--initial-cluster-token", token, "--data-dir"]).arg(folder.join("real"));
    etcd.args(["--listen-peer-urls", &urls[0], "--initial-advertise-peer-urls", &listed(urls)]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--logger", "zap"]);
    let log = std::fs::File::create(folder.join("real.log")).unwrap();
    let mut etcd = etcd.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    // Without its peers it serves nobody: its log tells the ids.
    let told = loop {
        let log = std::fs::read_to_string(folder.join("real.log")).unwrap();
        let found = log.lines().find(|line| line.contains("starting local member"));
        let added: Vec<&str> = log.lines().filter(|line| line.contains("\"added member\"")).collect();
        if let Some(found) = found.filter(|_| added.len() == peers.len()) {
            break (found.to_owned(), added.into_iter().map(str::to_owned).collect::<Vec<_>>());
        }
        assert!(etcd.try_wait().unwrap().is_none(), "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    etcd.kill().unwrap();
    etcd.wait().unwrap();
    let field = |line: &str, name: &str| {
        let rest = line.split(&format!("\"{name}\":\"")).nth(1).unwrap_or_else(|| panic!("{name}: {line}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let number = |text: String| u64::from_str_radix(&text, 16).unwrap();
    let members = told.1.iter().map(|line| {
        let urls = line.split("\"added-peer-peer-urls\":[\"").nth(1).unwrap().split("\"]").next().unwrap();
        (urls.replace("\",\"", ","), number(field(line, "added-peer-id")))
    });
    (number(field(&told.0, "cluster-id")), members.collect())
}

#[test]
fn members_and_clusters_have_the_ids_that_a_real_etcd_gives_them() {
    if !have("etcd", "etcd-server") {
        return;
    }
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        for (names, token) in [(&["m1"][..], "etcd-cluster"), (&["b", "a", "c"], "another token")] {
            let (founders, mut listeners) = founders(names, false).await;
            let real = {
                // Ports are listened at by one of the two at a time.
                listeners.clear();
                let mut peers = founders.peers.clone();
                // More than one URL, to be sorted.
                let (_, first) =
                    peers.first_key_value().map(|(name, urls)| (name.clone(), urls[0].clone())).unwrap();
                let port = first.rsplit_once(':').unwrap().1;
                peers.first_entry().unwrap().get_mut().push(format!("http://localhost:{port}"));
                (ids_of_real(&peers, token, founders.folder.path()).await, peers)
            };
            let ((cluster_id, members), peers) = real;
            for (name, urls) in &peers {
                let config = MemberConfig {
                    initial_cluster: peers.clone(),
                    initial_advertise_peer_urls: urls.clone(),
                    initial_cluster_token: token.to_owned(),
                    ..founders.config(name)
                };
                let listener = founders.listen_again(name).await;
                let process = founders.try_start(&world, config, listener).await.unwrap();
                assert_eq!(process.cluster_id(), cluster_id, "{members:x?}");
                let mut sorted = urls.clone();
                sorted.sort();
                let real = members.iter().find(|(real, _)| *real == sorted.join(","));
                assert_eq!(real.unwrap().1, process.member_id(), "{name}");
            }
        }
    });
}
