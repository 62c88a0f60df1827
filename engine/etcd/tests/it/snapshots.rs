//! A snapshot of ours as etcd's own tools take it: etcdctl checks and restores it, and a real etcd serves it.

use std::process::{Command, Stdio};

use labkit_etcd::{DeleteRangeRequest, grpc};
use tokio::net::TcpListener;

use super::etcdctl::have;
use super::golden::free_port;
use super::*;

struct Ended(std::process::Child, std::path::PathBuf);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

async fn sh(directory: &std::path::Path, command: String) -> (String, bool) {
    let mut process = Command::new("sh");
    process.arg("-c").arg(&command).current_dir(directory).env("ETCDCTL_API", "3");
    let output = tokio::task::spawn_blocking(move || process.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

#[test]
fn a_real_etcd_restores_a_snapshot_of_ours() {
    if !have("etcdctl", "etcd-client") || !have("etcd", "etcd-server") {
        return;
    }
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        // Enough for branch pages, with a value that needs several pages, deletions and a compaction.
        for n in 0..3000 {
            put(&client, &format!("/k/{n:04}"), &format!("value {n} {}", "x".repeat(n % 200))).await.unwrap();
        }
        put(&client, "large", &"y".repeat(100_000)).await.unwrap();
        let deleted = client.delete_range(DeleteRangeRequest::prefix("/k/00")).await.unwrap();
        assert_eq!(deleted.deleted, 100);
        client.compact(2000).await.unwrap();
        let revision = put(&client, "last", "one").await.unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = format!("http://{}", listener.local_addr().unwrap());
        grpc::serve(&etcd, "etcd1", listener, None).await.unwrap();
        let directory = std::env::temp_dir().join(format!("labkit-snapshot-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let saved = sh(&directory, format!("etcdctl --endpoints {ours} snapshot save snap.db")).await;
        assert!(saved.1, "{}", saved.0);
        let status = sh(&directory, "etcdctl snapshot status snap.db -w json".to_owned()).await;
        assert!(status.1 && status.0.contains(&format!("\"revision\":{revision}")), "{}", status.0);

        let (peer, port) = (free_port().await, free_port().await);
        let (peer, real) = (format!("http://127.0.0.1:{peer}"), format!("http://127.0.0.1:{port}"));
        let restore = format!(
            "etcdctl snapshot restore snap.db --name n1 --data-dir d --initial-cluster n1={peer} \
             --initial-advertise-peer-urls {peer}"
        );
        let restored = sh(&directory, restore).await;
        assert!(restored.1, "{}", restored.0);
        let mut process = Command::new("etcd");
        process.args(["--name", "n1", "--data-dir", "d", "--listen-client-urls", &real]);
        process.args(["--advertise-client-urls", &real, "--listen-peer-urls", &peer]);
        process.current_dir(&directory).stdout(Stdio::null()).stderr(Stdio::null());
        let _real = Ended(process.spawn().unwrap(), directory.clone());
        while !sh(&directory, format!("etcdctl --endpoints {real} endpoint health")).await.1 {}
        for read in [
            "get /k/ --prefix",
            "get large",
            "get last -w fields | grep -v ID | grep -v Raft",
            "get /k/1500 --rev=2100",
            "get /k/0050 --rev=2500",
        ] {
            let (expected, found) = (
                sh(&directory, format!("etcdctl --endpoints {ours} {read}")).await,
                sh(&directory, format!("etcdctl --endpoints {real} {read}")).await,
            );
            assert!(expected.1, "{read}: {}", expected.0);
            assert_eq!(expected, found, "{read}");
        }
    });
}

#[test]
fn a_snapshot_that_was_cut_short_or_changed_is_restored_by_nobody() {
    if !have("etcdctl", "etcd-client") {
        return;
    }
    labkit_sim::run(Pace::Wall, 2, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        for n in 0..200 {
            put(&client, &format!("/k/{n:04}"), &"x".repeat(n)).await.unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = format!("http://{}", listener.local_addr().unwrap());
        grpc::serve(&etcd, "etcd1", listener, None).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let saved = sh(folder.path(), format!("etcdctl --endpoints {ours} snapshot save whole.db")).await;
        assert!(saved.1, "{}", saved.0);
        let whole = std::fs::read(folder.path().join("whole.db")).unwrap();
        assert_eq!(whole.len() % 512, 32, "pages and a hash");
        let restore = async |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(format!("{name}.db")), bytes).unwrap();
            sh(folder.path(), format!("etcdctl snapshot restore {name}.db --data-dir {name}.etcd")).await
        };
        let restored = restore("again", &whole).await;
        assert!(restored.1, "{}", restored.0);
        let ends =
            [0, 1, 31, 32, 511, 512, 544, 4096, 4128, whole.len() - 33, whole.len() - 32, whole.len() - 1];
        let spread =
            (1..8).flat_map(|part| [whole.len() * part / 8, whole.len() * part / 8 / 512 * 512 + 32]);
        for end in ends.into_iter().chain(spread) {
            let (told, restored) = restore(&format!("cut-{end}"), &whole[..end]).await;
            assert!(!restored, "{end} of {} bytes: {told}", whole.len());
            let known = [
                "snapshot missing hash",
                "expected sha256",
                "unexpected EOF",
                "invalid argument",
                "no such file",
            ];
            assert!(end < 32 || known.iter().any(|known| told.contains(known)), "{end}: {told}");
        }
        for at in (0..whole.len()).step_by(whole.len() / 16).chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let (told, restored) = restore(&format!("flip-{at}"), &changed).await;
            assert!(!restored && told.contains("expected sha256"), "{at}: {told}");
        }
    });
}
