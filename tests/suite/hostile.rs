//! What no client should send, over TLS: it is refused or forgotten, and the others are served on.

use std::time::Duration;

use labkit_cluster::ClusterSpec;
use labkit_cluster::spec::{ApiServerSpec, EtcdSpec};
use labkit_tests::https::Endpoint;
use labkit_tests::live::live;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn small() -> ClusterSpec {
    ClusterSpec {
        etcd: Some(EtcdSpec::default()),
        api_server: Some(ApiServerSpec::default()),
        ..ClusterSpec::default()
    }
}

#[test]
fn hostile_bodies_and_targets_are_refused_over_tls() {
    live(small(), |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let deep = format!("{{\"data\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let large = vec![b' '; 3 * 1024 * 1024 + 1];
        let long = format!("{CONFIG_MAPS}?labelSelector={}", "a%2C".repeat(20_000));
        let cases: [(&str, &str, &str, &[u8], u16); 8] = [
            ("POST", CONFIG_MAPS, "application/json", deep.as_bytes(), 400),
            ("POST", CONFIG_MAPS, "application/json", &large, 413),
            ("POST", CONFIG_MAPS, "text/html", b"{}", 415),
            ("POST", CONFIG_MAPS, "application/vnd.kubernetes.protobuf", b"k8s\0\xff\xff\xff", 400),
            ("POST", CONFIG_MAPS, "application/yaml", b"a: &a [*a, *a]\nb: *a", 400),
            ("GET", &long, "application/json", b"", 414),
            ("GET", "/api/v1/namespaces/default/configmaps/%2e%2e", "application/json", b"", 400),
            ("BREW", CONFIG_MAPS, "application/json", b"", 405),
        ];
        for (method, target, content_type, body, code) in cases {
            let mut client = endpoint.connect().await.unwrap();
            let answer = client.send(method, target, &[("content-type", content_type)], body).await.unwrap();
            assert_eq!(answer.code, code, "{method} {} {content_type}", &target[..target.len().min(60)]);
            if code == 413 {
                assert_eq!(answer.json()["message"], "Request entity too large: limit is 3145728");
            }
        }
        let mut client = endpoint.connect().await.unwrap();
        assert_eq!(client.send("GET", CONFIG_MAPS, &[], b"").await.unwrap().code, 200);
    });
}

#[test]
fn half_open_connections_keep_nobody_waiting() {
    live(small(), |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let mut open = Vec::new();
        for number in 0..40 {
            let mut silent = TcpStream::connect(endpoint.address).await.unwrap();
            if number % 2 == 0 {
                silent.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.unwrap();
            }
            open.push(silent);
        }
        let mut halves = Vec::new();
        for number in 0..40 {
            let mut client = endpoint.connect().await.unwrap();
            let head = format!("POST {CONFIG_MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n");
            let sent = if number % 2 == 0 { head } else { format!("{head}\r\n{{\"metadata\":") };
            client.write(sent.as_bytes()).await.unwrap();
            halves.push(client);
        }
        let mut idle = endpoint.connect().await.unwrap();
        let mut client = endpoint.connect().await.unwrap();
        let body = br#"{"metadata":{"name":"a"}}"#;
        assert_eq!(client.send("POST", CONFIG_MAPS, &JSON, body).await.unwrap().code, 201);
        // A request that is not here yet is not under way: the clock does not wait for it. The servers' patience is
        // measured by that clock.
        let before = live.world.clock().elapsed();
        live.world.clock().fast_forward(Duration::from_secs(120)).await;
        assert!(live.world.clock().elapsed() - before >= Duration::from_secs(120));
        let mut client = endpoint.connect().await.unwrap();
        assert_eq!(client.send("GET", CONFIG_MAPS, &[], b"").await.unwrap().code, 200);
        assert!(idle.send("GET", CONFIG_MAPS, &[], b"").await.is_err(), "who says nothing is hung up on");
        let patience = "request did not complete within requested timeout - context deadline exceeded";
        let answer =
            halves[1].send("GET", "/", &[], b"").await.map(|answer| answer.json()["message"].to_string());
        assert!(answer.is_err() || answer.is_ok_and(|message| message.contains(patience)));
    });
}

#[test]
fn watchers_who_do_not_read_hold_nobody_up() {
    live(small(), |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let target = format!("{CONFIG_MAPS}?watch=true&resourceVersion=0");
        let mut silent = Vec::new();
        for _ in 0..200 {
            let mut watch = endpoint.connect().await.unwrap();
            watch.watch(&target).await.unwrap();
            silent.push(watch);
        }
        let mut reader = endpoint.connect().await.unwrap();
        reader.watch(&target).await.unwrap();
        let mut writer = endpoint.connect().await.unwrap();
        let padding = "x".repeat(20_000);
        for number in 0..150 {
            let body = format!(r#"{{"metadata":{{"name":"c{number}"}},"data":{{"x":"{padding}"}}}}"#);
            let created = writer.send("POST", CONFIG_MAPS, &JSON, body.as_bytes()).await.unwrap();
            assert_eq!(created.code, 201);
            let event: serde_json::Value = serde_json::from_slice(&reader.line().await.unwrap()).unwrap();
            assert_eq!(event["object"]["metadata"]["name"], format!("c{number}"));
        }
        // Who begins to read then finds everything, in order.
        for number in 0..150 {
            let event: serde_json::Value = serde_json::from_slice(&silent[7].line().await.unwrap()).unwrap();
            assert_eq!(event["object"]["metadata"]["name"], format!("c{number}"));
        }
    });
}

/// How many watches: `LABKIT_WATCHES=10000 ./tests/run` asks for as many as the issue does, and for `ulimit -n 32768`.
fn watches() -> usize {
    let asked = std::env::var("LABKIT_WATCHES").ok();
    asked.map_or(400, |asked| asked.parse().expect("LABKIT_WATCHES is a number"))
}

/// What the process holds of the machine's memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

#[test]
fn idle_watches_cost_little_and_the_server_goes_on() {
    live(small(), |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let target = format!("{CONFIG_MAPS}?watch=true&resourceVersion=0&timeoutSeconds=3000");
        let (count, before) = (watches(), resident());
        let mut idle = Vec::new();
        for _ in 0..count {
            let mut watch = endpoint.connect().await.unwrap();
            watch.watch(&target).await.unwrap();
            idle.push(watch);
        }
        // Both ends of each connection are in this process.
        let each = resident().saturating_sub(before) / count;
        println!("{count} idle watches: {} KiB for each, both ends together", each / 1024);
        assert!(each < 256 * 1024, "{each} bytes for each watch");
        let mut writer = endpoint.connect().await.unwrap();
        let body = br#"{"metadata":{"name":"a"}}"#;
        assert_eq!(writer.send("POST", CONFIG_MAPS, &JSON, body).await.unwrap().code, 201);
        for watch in [0, count / 2, count - 1] {
            let event: serde_json::Value =
                serde_json::from_slice(&idle[watch].line().await.unwrap()).unwrap();
            assert_eq!(event["object"]["metadata"]["name"], "a");
        }
        drop(idle);
        let target = format!("{CONFIG_MAPS}/a");
        assert_eq!(writer.send("GET", &target, &[], b"").await.unwrap().code, 200);
    });
}

#[test]
fn a_large_list_is_compressed_and_its_connection_lives_on() {
    live(small(), |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let mut client = endpoint.connect().await.unwrap();
        for name in ["a", "b"] {
            let body =
                format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"x":"{}"}}}}"#, "y".repeat(100_000));
            assert_eq!(client.send("POST", CONFIG_MAPS, &JSON, body.as_bytes()).await.unwrap().code, 201);
        }
        let plain = client.send("GET", CONFIG_MAPS, &[], b"").await.unwrap();
        assert!(plain.header("content-encoding").is_none() && plain.body.len() > 200_000);
        let compressed = client.send("GET", CONFIG_MAPS, &[("accept-encoding", "gzip")], b"").await.unwrap();
        assert_eq!(compressed.header("content-encoding"), Some("gzip"));
        assert!(compressed.body.starts_with(&[0x1f, 0x8b]) && compressed.body.len() < 20_000);
    });
}
