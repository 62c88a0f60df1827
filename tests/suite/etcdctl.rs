//! Stock etcdctl against three live members, while their leader dies.

use labkit_cluster::spec::EtcdSpec;
use labkit_cluster::{ClusterSpec, Fault};
use labkit_tests::live::{has, live};

#[test]
fn etcdctl_keeps_working_while_the_leader_dies() {
    if !has("etcdctl") {
        return;
    }
    let spec =
        ClusterSpec { etcd: Some(EtcdSpec { members: 3, ..EtcdSpec::default() }), ..ClusterSpec::default() };
    live(spec, |live| async move {
        assert_eq!(live.etcdctl("put color blue").await.stdout, "OK\n");
        assert_eq!(live.etcdctl("get color").await.stdout, "color\nblue\n");
        assert_eq!(live.etcdctl("member list").await.stdout.lines().count(), 3);
        let health = live.etcdctl("endpoint health").await;
        let told = format!("{}{}", health.stdout, health.stderr);
        assert_eq!(told.matches("is healthy: successfully committed proposal").count(), 3, "{told}");

        let mut watch = live.etcdctl_lines("watch color");
        let before = live.cluster.etcd().leader().unwrap();
        let crash = live.cluster.inject(&Fault::Kill("etcd/leader".to_owned())).await.unwrap();
        assert_eq!(crash.target, format!("etcd/{before}"));
        // The client may meet the time without a leader: then it says so, and the next try goes through.
        live.until("a put after the leader's death", || async {
            let put = live.etcdctl("put color red").await;
            (put.code == 0).then_some(())
        })
        .await;
        assert_eq!(live.etcdctl("get color --print-value-only").await.stdout, "red\n");
        assert_ne!(live.cluster.etcd().leader().unwrap(), before);
        watch.line_with("red").await;

        let status = live.etcdctl("endpoint status -w table").await;
        assert_eq!(
            status.stdout.matches("| true").count() + status.stdout.matches("|      true").count(),
            1,
            "{}",
            status.stdout
        );
        crash.heal().await.unwrap();
        let told = live.until("three healthy members", || async {
            let health = live.etcdctl("endpoint health").await;
            let told = format!("{}{}", health.stdout, health.stderr);
            (health.code == 0).then_some(told)
        });
        assert_eq!(told.await.matches("is healthy").count(), 3);
    });
}
