//! The real etcdctl against the gRPC API, in wall pace, with and without TLS. Expected texts are those of
//! etcdctl 3.4 with a real etcd.

use std::process::Command;
use std::sync::Arc;

use labkit_etcd::grpc;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;

use super::*;

/// Whether a program is there. In CI it must be.
pub(super) fn have(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").env("ETCDCTL_API", "2").output().is_ok();
    if !found {
        let hint = format!("{program} is not on the PATH: apt-get install {package}");
        assert!(std::env::var_os("CI").is_none(), "{hint}");
        println!("SKIPPED: {hint}");
    }
    found
}

/// A directory with the files of a client's identity, removed with it.
struct Files(std::path::PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Tls {
    server: Arc<rustls::ServerConfig>,
    files: Files,
}

/// An authority, a server's certificate and a client's, which the server demands.
fn tls(name: &str) -> Tls {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let stranger = Issuer::new(params.clone(), KeyPair::generate().unwrap());
    let issuer = Issuer::new(params, authority_key);
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names).unwrap()
    };
    let leaf = |params: CertificateParams, issuer: &Issuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, issuer).unwrap(), key)
    };
    let (server, server_key) = leaf(named(&["localhost", "127.0.0.1"]), &issuer);
    let mut expired = named(&["etcdctl"]);
    (expired.not_before, expired.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));

    let files = Files(std::env::temp_dir().join(format!("labkit-etcd-{name}-{}", std::process::id())));
    std::fs::create_dir_all(&files.0).unwrap();
    std::fs::write(files.0.join("ca.crt"), authority.pem()).unwrap();
    for (name, (certificate, key)) in [
        ("client", leaf(named(&["etcdctl"]), &issuer)),
        ("stranger", leaf(named(&["etcdctl"]), &stranger)),
        ("expired", leaf(expired, &issuer)),
    ] {
        std::fs::write(files.0.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(files.0.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    Tls { server: Arc::new(config), files }
}

/// A store on sockets.
struct Live {
    etcd: Etcd,
    endpoints: Vec<String>,
    tls: Option<Tls>,
}

struct Output {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Live {
    async fn boot(world: &World, members: u8, tls: Option<Tls>) -> Live {
        let etcd = boot(world, members).await;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoints = Vec::new();
        for member in etcd.members() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{}", listener.local_addr().unwrap());
            etcd.set_client_urls(&member.name, vec![url.clone()]).unwrap();
            let server = tls.as_ref().map(|tls| tls.server.clone());
            grpc::serve(&etcd, &member.name, listener, server).await.unwrap();
            endpoints.push(url);
        }
        Live { etcd, endpoints, tls }
    }

    /// Runs etcdctl at all members.
    async fn run(&self, command: &str) -> Output {
        self.run_at(&self.endpoints.join(","), command).await
    }

    async fn run_at(&self, endpoints: &str, command: &str) -> Output {
        let mut process = Command::new("sh");
        process.arg("-c").arg(command).env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", endpoints);
        if let Some(Tls { files, .. }) = &self.tls {
            process.env("ETCDCTL_CACERT", files.0.join("ca.crt"));
            process.env("ETCDCTL_CERT", files.0.join("client.crt"));
            process.env("ETCDCTL_KEY", files.0.join("client.key"));
        }
        let output = tokio::task::spawn_blocking(move || process.output()).await.unwrap().unwrap();
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            // Its own log lines are JSON.
            stderr: String::from_utf8_lossy(&output.stderr)
                .lines()
                .filter(|line| !line.starts_with('{'))
                .map(|line| format!("{line}\n"))
                .collect(),
            code: output.status.code().unwrap(),
        }
    }

    #[track_caller]
    fn check(&self, command: &str, stdout: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let output = self.run(command).await;
            assert_eq!(output.stdout, stdout, "{caller}: {command}: {}", output.stderr);
            assert_eq!(output.code, 0, "{caller}: {command}: {}", output.stderr);
        }
    }

    #[track_caller]
    fn check_fails(&self, command: &str, stderr: &str, code: i32) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let output = self.run(command).await;
            assert_eq!((output.stderr.as_str(), output.code), (stderr, code), "{caller}: {command}");
        }
    }
}

fn live<Fut: Future>(members: u8, tls: Option<Tls>, body: impl FnOnce(World, Live) -> Fut) {
    if !have("etcdctl", "etcd-client") {
        return;
    }
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let live = Live::boot(&world, members, tls).await;
        body(world.clone(), live).await;
        assert!(world.bugs().is_empty(), "{:?}", world.bugs());
    });
}

#[test]
fn keys_and_transactions_over_mutual_tls() {
    live(3, Some(tls("kv")), |_, live| async move {
        live.check("etcdctl put foo bar", "OK\n").await;
        live.check("etcdctl get foo", "foo\nbar\n").await;
        live.check("etcdctl get foo --print-value-only", "bar\n").await;
        live.check("etcdctl put foo bar2 --prev-kv", "OK\nfoo\nbar\n").await;
        live.check("etcdctl get foo --rev=2", "foo\nbar\n").await;
        let future = "Error: etcdserver: mvcc: required revision is a future revision\n";
        live.check_fails("etcdctl get foo --rev=99", future, 1).await;
        live.check("etcdctl put /a/1 x && etcdctl put /a/2 y", "OK\nOK\n").await;
        live.check("etcdctl get /a/ --prefix --keys-only", "/a/1\n\n/a/2\n\n").await;
        live.check("etcdctl get '' --from-key --keys-only --limit 2", "/a/1\n\n/a/2\n\n").await;
        live.check(
            "etcdctl get /a/ --prefix --consistency=s --order=DESCEND --sort-by=VALUE --print-value-only",
            "y\nx\n",
        )
        .await;
        live.check("etcdctl del /a/ --prefix --prev-kv", "2\n/a/1\nx\n/a/2\ny\n").await;
        live.check("etcdctl del nosuch", "0\n").await;
        let txn = r#"printf 'value("foo") = "bar2"\n\nput foo txn\nget foo\n\nget nope\n\n' | etcdctl txn"#;
        live.check(txn, "SUCCESS\n\nOK\n\nfoo\ntxn\n").await;
        let txn = r#"printf 'mod("foo") = "1"\n\nput foo x\n\nget foo\n\n' | etcdctl txn"#;
        live.check(txn, "FAILURE\n\nfoo\ntxn\n").await;
        let twice = r#"printf '\n\nput a 1\nput a 2\n\n\n' | sed 1d | etcdctl txn"#;
        live.check_fails(twice, "Error: etcdserver: duplicate key given in txn request\n", 1).await;
        let big = "head -c 1600000 /dev/zero | tr '\\0' a | etcdctl put big";
        live.check_fails(big, "Error: etcdserver: request is too large\n", 1).await;
        let json = live.run("etcdctl get foo -w json").await.stdout;
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["kvs"][0]["value"], "dHhu");
        assert_eq!(parsed["kvs"][0]["version"], 3);
        assert_eq!(parsed["header"]["raft_term"], 2);
    });
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    live(1, Some(tls("anonymous")), |_, live| async move {
        let command = "env -u ETCDCTL_CERT -u ETCDCTL_KEY etcdctl --command-timeout=1s get foo";
        live.check_fails(command, "Error: context deadline exceeded\n", 1).await;
    });
}

#[test]
fn a_strangers_certificate_and_an_expired_one_are_refused_and_the_rest_goes_on() {
    live(1, Some(tls("refused")), |_, live| async move {
        for name in ["stranger", "expired"] {
            let own = "ETCDCTL_CERT=${ETCDCTL_CERT%client.crt}NAME.crt ETCDCTL_KEY=${ETCDCTL_KEY%client.key}NAME.key";
            let command = format!("{} etcdctl --command-timeout=1s get foo", own.replace("NAME", name));
            live.check_fails(&command, "Error: context deadline exceeded\n", 1).await;
        }
        live.check("etcdctl put foo bar", "OK\n").await;
    });
}

#[test]
fn leases() {
    live(3, None, |_, live| async move {
        let granted = live.run("etcdctl lease grant 60").await.stdout;
        let id = granted.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(granted, format!("lease {id} granted with TTL(60s)\n"));
        live.check(&format!("etcdctl put --lease={id} lk v"), "OK\n").await;
        let left = live.run(&format!("etcdctl lease timetolive {id} --keys")).await.stdout;
        assert!(left.starts_with(&format!("lease {id} granted with TTL(60s), remaining(")), "{left}");
        assert!(left.ends_with("attached keys([lk])\n"), "{left}");
        live.check("etcdctl lease list", &format!("found 1 leases\n{id}\n")).await;
        let kept = format!("lease {id} keepalived with TTL(60)\n");
        live.check(&format!("etcdctl lease keep-alive --once {id}"), &kept).await;
        live.check(&format!("etcdctl lease revoke {id}"), &format!("lease {id} revoked\n")).await;
        live.check("etcdctl get lk", "").await;
        live.check(&format!("etcdctl lease timetolive {id}"), &format!("lease {id} already expired\n")).await;
        let unknown = "Error: failed to revoke lease (etcdserver: requested lease not found)\n";
        live.check_fails(&format!("etcdctl lease revoke {id}"), unknown, 1).await;
        let unknown = "Error: etcdserver: requested lease not found\n";
        live.check_fails("etcdctl put --lease=1234 a b", unknown, 1).await;
    });
}

#[test]
fn watches_replay_follow_and_end_at_a_compaction() {
    live(3, None, |_, live| async move {
        live.check("etcdctl put foo 1 && etcdctl put foo 2", "OK\nOK\n").await;
        let watch = live
            .run("timeout 2 etcdctl watch foo --rev=2 --prev-kv & sleep 1; etcdctl del foo >/dev/null; wait");
        assert_eq!(watch.await.stdout, "PUT\nfoo\n1\nPUT\nfoo\n1\nfoo\n2\nDELETE\nfoo\n2\nfoo\n\n");
        live.check("etcdctl compaction 4", "compacted revision 4\n").await;
        let canceled = live.run("timeout 2 etcdctl watch foo --rev=2").await;
        let expected = "watch was canceled (etcdserver: mvcc: required revision has been compacted)\n\
                        Error: watch is canceled by the server\n";
        assert_eq!((canceled.stderr.as_str(), canceled.code), (expected, 5));
        let compacted = "Error: etcdserver: mvcc: required revision has been compacted\n";
        live.check_fails("etcdctl compaction 3", compacted, 1).await;
        live.check_fails("etcdctl get foo --rev=3", compacted, 1).await;
    });
}

#[test]
fn endpoints_and_members() {
    live(3, None, |_, live| async move {
        let health = live.run("etcdctl endpoint health").await;
        assert_eq!(health.code, 0, "{}", health.stderr);
        let healthy =
            (health.stdout + &health.stderr).matches("is healthy: successfully committed proposal").count();
        assert_eq!(healthy, 3);
        let status = live.run("etcdctl endpoint status -w table").await;
        assert_eq!(status.stderr, "");
        let status = status.stdout;
        assert!(
            status.contains("|        ENDPOINT        |        ID        | VERSION | DB SIZE | IS LEADER |"),
            "{status}"
        );
        assert_eq!(status.matches(" 3.5.16 |").count(), 3, "{status}");
        assert_eq!(status.matches(" true |").count(), 1, "{status}");
        let members = live.run("etcdctl member list -w table").await.stdout;
        assert_eq!(members.matches("| started | etcd").count(), 3, "{members}");
        let member = live.etcd.client("test").member_list().await.unwrap().members.remove(0);
        let line = format!(
            "{:x}, started, {}, {}, {}, false",
            member.id, member.name, member.peer_urls[0], member.client_urls[0]
        );
        assert_eq!(live.run("etcdctl member list").await.stdout.lines().next().unwrap(), line);
        live.check("etcdctl alarm list", "").await;
    });
}

#[test]
fn the_leader_dies_while_etcdctl_works() {
    live(3, None, |world, live| async move {
        live.check("etcdctl put foo before", "OK\n").await;
        let old = live.etcd.leader().unwrap();
        live.etcd.kill(&old).await.unwrap();
        new_leader(&world, &live.etcd, &old).await;
        live.check("etcdctl put foo after", "OK\n").await;
        live.check("etcdctl get foo", "foo\nafter\n").await;
        let index = live.etcd.members().iter().position(|member| member.name == old).unwrap();
        let down = live.run_at(&live.endpoints[index], "etcdctl --command-timeout=1s get foo").await;
        assert_eq!(down.code, 1);
        live.etcd.start(&old).await.unwrap();
        let back = live.run_at(&live.endpoints[index], "etcdctl get foo").await;
        assert_eq!(back.stdout, "foo\nafter\n", "{}", back.stderr);
    });
}
