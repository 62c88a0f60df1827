//! `labkit etcd`: one member of the store as a process of its own, with etcd's flags.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use labkit_cluster::etcd::process::tls::TlsFiles;
use labkit_cluster::etcd::process::url::Url;
use labkit_cluster::etcd::process::{Ended, Listeners, MemberConfig, Process, ProcessError, address};
use labkit_cluster::etcd::wal::WalError;
use labkit_cluster::etcd::{AutoCompaction, EtcdConfig};
use labkit_lab::span::Span;
use labkit_sim::{Pace, World};
use serde_json::json;
use tokio::net::TcpListener;

use crate::arguments::{ClusterState, CompactionMode, EtcdArguments};
use crate::daemon::Ends;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};

/// As upstream.
const ELECTION_TIMEOUT_MAX: u64 = 50_000;
const CLIENT_URLS: &str = "http://localhost:2379";

pub fn run(screen: &Screen, arguments: &EtcdArguments) -> Outcome {
    let config = config(arguments)?;
    let listen = Listen::of(arguments)?;
    // Ids of requests and tokens are drawn from the seed: it must not be guessed.
    let seed = RandomState::new().hash_one(std::process::id());
    labkit_sim::run(Pace::Wall, seed, |world| member(screen, world, config, listen))
}

async fn member(screen: &Screen, world: World, config: MemberConfig, listen: Listen) -> Outcome {
    let mut ends = Ends::listen(true)?;
    let (name, data_dir) = (config.name.clone(), config.data_dir.clone());
    let (peers, clients) = (shown(&listen.peers), shown(&listen.clients));
    let listeners = listen.open().await?;
    let starting = Process::start(&world, config, listeners);
    let mut process = tokio::select! {
        biased;
        () = ends.wait() => return Ok(Exit::Passed),
        started = starting => started.map_err(|error| explained(screen, error))?,
    };
    let (member, cluster) = (format!("{:x}", process.member_id()), format!("{:x}", process.cluster_id()));
    if screen.json {
        screen.print_line(&json!({"listening": {
            "name": name, "memberId": member, "clusterId": cluster, "peerURLs": peers, "clientURLs": clients,
            "dataDir": data_dir, "repaired": process.repaired.as_ref().map(|(file, offset, bytes)|
                json!({"file": file, "offset": offset, "bytes": bytes})),
        }}));
    } else {
        if let Some((file, offset, bytes)) = &process.repaired {
            screen.print(&say!(
                screen.language,
                "{file} ended in the midst of a record, at byte {offset}: {bytes} bytes were cut off. They had never been acknowledged.",
                "{file} 이 {offset} 바이트에서 레코드 중간에 끊겨 있어 {bytes} 바이트를 잘라 냈습니다. 확인 응답을 보낸 적 없는 내용입니다."
            ));
        }
        let data_dir = data_dir.display();
        screen.print(&say!(
            screen.language,
            "{name} is member {member} of cluster {cluster}. Its data is in {data_dir}.\nClients: {clients}. Peers: {peers}. Ctrl-C ends it.",
            "{name} 은 클러스터 {cluster} 의 멤버 {member} 입니다. 데이터는 {data_dir} 에 있습니다.\n클라이언트: {clients}. 피어: {peers}. Ctrl-C 로 끝납니다."
        ));
    }
    let mut told = false;
    let mut leader = std::pin::pin!(process.wait_leader());
    loop {
        tokio::select! {
            biased;
            () = ends.wait() => return Ok(Exit::Passed),
            ended = process.ended() => return ended_by_itself(screen, &ended),
            leader = &mut leader, if !told => {
                told = true;
                let leader = format!("{leader:x}");
                if screen.json {
                    screen.print_line(&json!({"ready": {"leader": leader}}));
                } else {
                    screen.print(&say!(
                        screen.language,
                        "Ready: the leader is {leader}.",
                        "준비됨: 리더는 {leader} 입니다."
                    ));
                }
            }
        }
    }
}

fn ended_by_itself(screen: &Screen, ended: &Ended) -> Outcome {
    match ended {
        Ended::Removed => {
            screen.print(&say!(
                screen.language,
                "This member was removed from the cluster. Its data directory is of no use any more.",
                "이 멤버는 클러스터에서 제거되었습니다. 데이터 디렉터리는 이제 쓸모가 없습니다."
            ));
            Ok(Exit::Passed)
        }
        Ended::Failed(reason) => Err(Failure::failed(say!(
            screen.language,
            "the member cannot go on: {reason}",
            "멤버가 계속할 수 없습니다: {reason}"
        ))),
    }
}

fn explained(screen: &Screen, error: ProcessError) -> Failure {
    let failure = match &error {
        ProcessError::Wal(_) | ProcessError::Raft(_) => Failure::failed(error.to_string()),
        _ => Failure::usage(error.to_string()),
    };
    match &error {
        ProcessError::Wal(WalError::Corrupt { .. }) => failure.next(say!(
            screen.language,
            "the data on this disk cannot be trusted. With the other members up: `etcdctl member remove` this one, delete its data directory, `etcdctl member add` it, and start it with --initial-cluster-state existing",
            "이 디스크의 데이터는 믿을 수 없습니다. 다른 멤버들이 살아 있다면 `etcdctl member remove` 로 이 멤버를 제거하고, 데이터 디렉터리를 지우고, `etcdctl member add` 로 다시 추가한 뒤 --initial-cluster-state existing 으로 시작하세요"
        )),
        ProcessError::Wal(WalError::Io { attempt: "lock", .. }) => failure.next(say!(
            screen.language,
            "another process uses this directory: give each member its own --data-dir",
            "다른 프로세스가 이 디렉터리를 쓰고 있습니다: 멤버마다 다른 --data-dir 을 주세요"
        )),
        ProcessError::NotInInitialCluster(_) => failure.next(say!(
            screen.language,
            "give --name and --initial-cluster the same name: --name etcd1 --initial-cluster etcd1=http://127.0.0.1:2380",
            "--name 과 --initial-cluster 에 같은 이름을 쓰세요: --name etcd1 --initial-cluster etcd1=http://127.0.0.1:2380"
        )),
        _ => failure,
    }
}

fn shown(urls: &[Url]) -> String {
    urls.iter().map(Url::to_string).collect::<Vec<_>>().join(",")
}

/// Where to listen.
struct Listen {
    peers: Vec<Url>,
    clients: Vec<Url>,
    client_tls: TlsFiles,
}

impl Listen {
    fn of(arguments: &EtcdArguments) -> Result<Listen, Failure> {
        Ok(Listen {
            peers: urls("--listen-peer-urls", &arguments.listen_peer_urls)?,
            clients: urls(
                "--listen-client-urls",
                arguments.listen_client_urls.as_deref().unwrap_or(CLIENT_URLS),
            )?,
            client_tls: TlsFiles {
                cert: arguments.cert_file.clone(),
                key: arguments.key_file.clone(),
                trusted_ca: arguments.trusted_ca_file.clone(),
                client_cert_auth: arguments.client_cert_auth,
            },
        })
    }

    async fn open(self) -> Result<Listeners, Failure> {
        let (mut peers, mut clients) = (Vec::new(), Vec::new());
        for (urls, listeners) in [(&self.peers, &mut peers), (&self.clients, &mut clients)] {
            for url in urls {
                let bound = async { TcpListener::bind(address(url).await?).await };
                let bound = bound
                    .await
                    .map_err(|error| Failure::usage(format!("cannot listen on {url}: {error}")))?;
                listeners.push((bound, url.is_tls));
            }
        }
        Ok(Listeners { peers, clients, client_tls: self.client_tls })
    }
}

fn urls(flag: &str, text: &str) -> Result<Vec<Url>, Failure> {
    Url::parse_all(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}

fn texts(flag: &str, text: &str) -> Result<Vec<String>, Failure> {
    Ok(urls(flag, text)?.iter().map(Url::to_string).collect())
}

fn config(arguments: &EtcdArguments) -> Result<MemberConfig, Failure> {
    let (heartbeat, election) = (arguments.heartbeat_interval, arguments.election_timeout);
    if heartbeat == 0 || election < 5 * heartbeat {
        return Err(Failure::usage(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
        )));
    }
    if election > ELECTION_TIMEOUT_MAX {
        return Err(Failure::usage(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_TIMEOUT_MAX}ms"
        )));
    }
    let name = arguments.name.clone();
    let peer_urls = texts("--initial-advertise-peer-urls", &arguments.initial_advertise_peer_urls)?;
    let initial_cluster = match &arguments.initial_cluster {
        Some(members) => initial_cluster(members)?,
        None => BTreeMap::from([(name.clone(), peer_urls.clone())]),
    };
    let advertised = match (&arguments.advertise_client_urls, &arguments.listen_client_urls) {
        (Some(urls), _) => urls,
        (None, None) => CLIENT_URLS,
        (None, Some(_)) => {
            let text = "--advertise-client-urls is required when --listen-client-urls is set explicitly";
            return Err(Failure::usage(text));
        }
    };
    let default = EtcdConfig::default();
    let quota = arguments.quota_backend_bytes;
    Ok(MemberConfig {
        data_dir: arguments.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.etcd"))),
        name,
        advertise_client_urls: texts("--advertise-client-urls", advertised)?,
        initial_advertise_peer_urls: peer_urls,
        initial_cluster,
        initial_cluster_token: arguments.initial_cluster_token.clone(),
        joins: arguments.initial_cluster_state == ClusterState::Existing,
        etcd: EtcdConfig {
            heartbeat_interval: Duration::from_millis(heartbeat),
            election_timeout: Duration::from_millis(election),
            snapshot_count: arguments.snapshot_count,
            auto_compaction: auto_compaction(arguments)?,
            quota_backend_bytes: if quota == 0 { default.quota_backend_bytes } else { quota },
            ..default
        },
        peer_tls: TlsFiles {
            cert: arguments.peer_cert_file.clone(),
            key: arguments.peer_key_file.clone(),
            trusted_ca: arguments.peer_trusted_ca_file.clone(),
            client_cert_auth: arguments.peer_client_cert_auth,
        },
    })
}

/// `1` is an hour in the mode `periodic`, and a revision in the other.
fn auto_compaction(arguments: &EtcdArguments) -> Result<Option<AutoCompaction>, Failure> {
    let text = arguments.auto_compaction_retention.as_str();
    let number = text.parse::<u32>().ok();
    let wrong =
        |wanted: &str| Failure::usage(format!("--auto-compaction-retention: {text:?} is not {wanted}"));
    match (arguments.auto_compaction_mode, number) {
        (_, Some(0)) => Ok(None),
        (CompactionMode::Revision, Some(kept)) => Ok(Some(AutoCompaction::Revision(kept.into()))),
        (CompactionMode::Revision, None) => Err(wrong("a number of revisions")),
        (CompactionMode::Periodic, Some(hours)) => {
            Ok(Some(AutoCompaction::Periodic(Duration::from_secs(3600) * hours)))
        }
        (CompactionMode::Periodic, None) => match Span::parse(text) {
            Ok(Span(span)) if span >= Duration::from_secs(1) => Ok(Some(AutoCompaction::Periodic(span))),
            _ => Err(wrong("a number of hours, or a time from 1s to 2h such as 10m")),
        },
    }
}

/// `etcd1=http://10.0.0.1:2380,etcd2=http://10.0.0.2:2380`; a name may come more than once.
fn initial_cluster(text: &str) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in text.split(',') {
        let (name, url) = member.trim().split_once('=').ok_or_else(|| {
            Failure::usage(format!("--initial-cluster: {member:?} is not NAME=URL"))
                .next("--initial-cluster etcd1=http://127.0.0.1:2380,etcd2=http://127.0.0.1:2480")
        })?;
        members.entry(name.to_owned()).or_default().extend(texts("--initial-cluster", url)?);
    }
    Ok(members)
}
