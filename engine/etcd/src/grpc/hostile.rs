//! Bad input at the socket: it is refused as etcd refuses it, and the server goes on for everybody else.

use std::time::Duration;

use futures::StreamExt;
use labkit_sim::{Pace, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::etcdserverpb::kv_client::KvClient;
use super::etcdserverpb::maintenance_client::MaintenanceClient;
use super::etcdserverpb::watch_client::WatchClient;
use super::etcdserverpb::watch_request::RequestUnion;
use super::etcdserverpb::{self as pb, PutRequest, SnapshotRequest, WatchCreateRequest, WatchRequest};
use crate::{Etcd, EtcdConfig};

/// A member behind a socket.
struct Bench {
    etcd: Etcd,
    address: String,
}

fn with_member<Fut: Future<Output = ()>>(body: impl FnOnce(Bench) -> Fut) {
    labkit_sim::run(Pace::Wall, 1, |world: World| async move {
        let etcd = Etcd::boot(&world, EtcdConfig::default()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        super::serve(&etcd, "etcd1", listener, None).await.unwrap();
        body(Bench { etcd, address }).await;
        assert_eq!(world.bugs(), Vec::<String>::new());
    });
}

impl Bench {
    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// That the server still does its work.
    async fn serves(&self) {
        let mut kv = KvClient::new(self.channel().await);
        let put = PutRequest { key: "alive".into(), value: "yes".into(), ..PutRequest::default() };
        tokio::time::timeout(Duration::from_secs(10), kv.put(put)).await.expect("in time").unwrap();
    }

    async fn metrics(&self) -> String {
        let answer = self.say(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        String::from_utf8(answer).unwrap()
    }

    /// What comes back for these bytes, until the server closes or has been silent for a while.
    async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        // A server that has heard enough may close in the midst of it.
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_millis(300), socket.read_to_end(&mut answer)).await;
        answer
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() * 1024
}

#[test]
fn garbage_on_the_port_is_nobodys_concern() {
    with_member(async |bench| {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let huge_frame = [&preface[..], &[0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1], &noise[..]].concat();
        let bad_block = [&preface[..], &[0, 0, 4, 1, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]].concat();
        let other_stream = [&preface[..], &[0, 0, 1, 0, 0, 0, 0, 0, 9, 0]].concat();
        let client_hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for bytes in [&noise, &preface[..9].to_vec(), &huge_frame, &bad_block, &other_stream, &client_hello] {
            bench.say(bytes).await;
        }
        let refused = bench.say(b"NONSENSE / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let refused = String::from_utf8_lossy(&refused);
        assert!(
            refused.starts_with("HTTP/1.1 404 ") && refused.ends_with("404 page not found\n"),
            "{refused}"
        );
        // Whoever says nothing at all keeps nobody waiting.
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(TcpStream::connect(&bench.address).await.unwrap());
        }
        bench.serves().await;
    });
}

#[test]
fn a_request_that_is_too_large_is_refused_in_words_that_clients_know() {
    with_member(async |bench| {
        let mut kv = KvClient::new(bench.channel().await);
        let mut put = async |bytes: usize| {
            let value = vec![b'x'; bytes].into();
            kv.put(PutRequest { key: "k".into(), value, ..PutRequest::default() }).await
        };
        put(1_500_000).await.unwrap();
        let refused = put(1_600_000).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert_eq!(refused.message(), "etcdserver: request is too large");
        let refused = put(3_000_000).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(refused.message(), "grpc: received message larger than max (3000008 vs. 2097152)");
        let put = |code: &str| {
            format!(
                "{{grpc_code=\"{code}\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}} 1\n"
            )
        };
        let metrics = bench.metrics().await;
        for code in ["OK", "InvalidArgument", "ResourceExhausted"] {
            assert!(metrics.contains(&put(code)), "{code}: {metrics}");
        }
        assert!(metrics.contains("grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 3\n"));
        assert!(metrics.contains(
            "etcd_server_client_requests_total{client_api_version=\"unknown\",type=\"unary\"} 3\n"
        ));
        bench.serves().await;
    });
}

/// The bytes of a request that no client would send.
#[test]
fn a_request_that_is_no_message_is_refused() {
    with_member(async |bench| {
        let mut grpc = tonic::client::Grpc::new(bench.channel().await);
        grpc.ready().await.unwrap();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/etcdserverpb.KV/Range");
        // A member of the cluster service's vocabulary read as a range: field 1 is a number there.
        let request = pb::MemberRemoveRequest { id: 7 };
        let codec = tonic_prost::ProstCodec::<pb::MemberRemoveRequest, pb::RangeResponse>::default();
        let refused = grpc.unary(tonic::Request::new(request), path, codec).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Internal, "{refused}");
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/etcdserverpb.KV/Nonsense");
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::MemberRemoveRequest, pb::RangeResponse>::default();
        let refused = grpc.unary(tonic::Request::new(request), path, codec).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented, "{refused}");
        let told = "grpc_server_handled_total{grpc_code=\"Internal\",grpc_method=\"Range\"";
        let metrics = bench.metrics().await;
        assert!(metrics.contains(told) && !metrics.contains("Nonsense"), "{metrics}");
        bench.serves().await;
    });
}

#[test]
fn ten_thousand_watches_of_one_client_are_served_and_forgotten() {
    const WATCHES: i64 = 10_000;
    with_member(async |bench| {
        let before = resident_bytes();
        let (sender, receiver) = mpsc::unbounded_channel();
        let create = |number: i64| {
            let key = format!("w/{}", number % 100).into();
            let create = WatchCreateRequest { key, ..WatchCreateRequest::default() };
            WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
        };
        (0..WATCHES).for_each(|number| sender.send(create(number)).unwrap());
        let requests = futures::stream::unfold(receiver, async |mut receiver| {
            let next = receiver.recv().await?;
            Some((next, receiver))
        });
        let mut watch = WatchClient::new(bench.channel().await);
        let mut answers = watch.watch(Box::pin(requests)).await.unwrap().into_inner();
        for number in 0..WATCHES {
            let answer = answers.next().await.unwrap().unwrap();
            assert!(answer.created && answer.watch_id == number, "{answer:?}");
        }
        bench.etcd.client("writer").put(crate::PutRequest::new("w/7", "x")).await.unwrap();
        for _ in 0..WATCHES / 100 {
            let answer = answers.next().await.unwrap().unwrap();
            assert_eq!((answer.events.len(), answer.watch_id % 100), (1, 7));
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 100 << 20, "{} bytes for each watch", grown / WATCHES.unsigned_abs());
        drop((answers, sender));
        let member = bench.etcd.cluster.running(bench.etcd.members()[0].id).unwrap();
        let forgotten = async {
            while member.locked().watchers.count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), forgotten)
            .await
            .expect("watches end with their stream");
        bench.serves().await;
    });
}

#[test]
fn a_watch_that_nobody_reads_holds_no_more_than_its_share_and_misses_nothing() {
    const WRITES: usize = 4000;
    with_member(async |bench| {
        let create =
            WatchCreateRequest { key: "s/".into(), range_end: "s0".into(), ..WatchCreateRequest::default() };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = futures::stream::iter([create]).chain(futures::stream::pending());
        let mut answers = WatchClient::new(bench.channel().await).watch(requests).await.unwrap().into_inner();
        assert!(answers.next().await.unwrap().unwrap().created);
        let member = bench.etcd.cluster.running(bench.etcd.members()[0].id).unwrap();
        let writer = bench.etcd.client("writer");
        for number in 0..WRITES {
            writer.put(crate::PutRequest::new(format!("s/{}", number % 10), vec![b'x'; 1000])).await.unwrap();
        }
        assert_eq!(member.locked().watchers.count(), 0, "the store has nothing more to tell it");
        let mut revisions = Vec::new();
        while revisions.len() < WRITES {
            let answer = answers.next().await.unwrap().unwrap();
            assert!(!answer.created && !answer.canceled, "{answer:?}");
            revisions.extend(answer.events.into_iter().map(|event| event.kv.unwrap().mod_revision));
        }
        assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "once and in order");
        assert_eq!(member.locked().watchers.count(), 1);
    });
}

#[test]
fn a_snapshot_that_nobody_reads_to_its_end_is_dropped() {
    with_member(async |bench| {
        let client = bench.etcd.client("writer");
        for number in 0..20 {
            let put = crate::PutRequest::new(format!("big/{number}"), vec![b'x'; 500_000]);
            client.put(put).await.unwrap();
        }
        let before = resident_bytes();
        for _ in 0..20 {
            let mut maintenance = MaintenanceClient::new(bench.channel().await);
            let mut parts = maintenance.snapshot(SnapshotRequest {}).await.unwrap().into_inner();
            assert!(parts.message().await.unwrap().unwrap().remaining_bytes > 0);
        }
        bench.serves().await;
        let told = "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Snapshot\",\
            grpc_service=\"etcdserverpb.Maintenance\",grpc_type=\"server_stream\"} 20\n";
        let mut metrics = String::new();
        for _ in 0..100 {
            metrics = bench.metrics().await;
            if metrics.contains(told) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(metrics.contains(told), "{metrics}");
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 150 << 20, "{grown} bytes are kept");
    });
}
