//! etcdctl's commands in process: the texts of the real one (its output is in `etcdctl.rs`, word for word).

use labkit_etcd::ctl::{self, CtlOutput};

use super::*;

/// Runs a script: lines `$ command`, each followed by what it prints, an error with `! ` and the code in front.
#[track_caller]
fn check(members: u8, script: &str) {
    let mut expected = String::new();
    let mut actual = String::new();
    let commands: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    for line in script.lines() {
        expected.push_str(line);
        expected.push('\n');
    }
    let outputs: Vec<CtlOutput> = virtually(1, |world| async move {
        let etcd = boot(&world, members).await;
        let client = etcd.client("etcdctl");
        let mut outputs = Vec::new();
        for command in &commands {
            let words: Vec<&str> =
                command.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
            outputs.push(ctl::run(&client, &words).await);
        }
        outputs
    });
    let commands = script.lines().filter(|line| line.starts_with("$ "));
    for (command, output) in commands.zip(outputs) {
        actual.push_str(&format!("{command}\n{}", output.stdout));
        actual.extend(output.stderr.lines().map(|line| format!("! {} {line}\n", output.code)));
    }
    assert_eq!(actual, expected);
}

#[test]
fn keys_are_put_read_and_deleted() {
    check(
        1,
        "\
$ put foo bar
OK
$ get foo
foo
bar
$ get foo --print-value-only
bar
$ put foo bar2 --prev-kv
OK
foo
bar
$ get foo --rev=2
foo
bar
$ get foo --rev=99
! 1 Error: etcdserver: mvcc: required revision is a future revision
$ put /a/1 x
OK
$ put /a/2 y
OK
$ get /a/ --prefix --keys-only
/a/1

/a/2

$ get '' --from-key --keys-only --limit 2
/a/1

/a/2

$ get /a/ --prefix --consistency=s --order=DESCEND --print-value-only
y
x
$ del /a/ --prefix --prev-kv
2
/a/1
x
/a/2
y
$ del nosuch
0
$ compaction 5
compacted revision 5
$ compaction 3
! 1 Error: etcdserver: mvcc: required revision has been compacted
$ get foo --rev 3
! 1 Error: etcdserver: mvcc: required revision has been compacted
$ get
! 128 Error: get command needs one argument as key and an optional argument as range_end
$ get foo --nosuch
! 1 Error: unknown flag: --nosuch
",
    );
}

#[test]
fn a_key_is_shown_as_json_and_as_fields() {
    let (cluster, member) = virtually(1, |world| async move {
        let header = boot(&world, 1).await.client("etcdctl").status().await.unwrap().header;
        (header.cluster_id, header.member_id)
    });
    check(
        1,
        &format!(
            "\
$ put foo bar
OK
$ get foo -w json
{{\"header\":{{\"cluster_id\":{cluster},\"member_id\":{member},\"revision\":2,\"raft_term\":2}},\"kvs\":[{{\"key\":\"Zm9v\",\"create_revision\":2,\"mod_revision\":2,\"version\":1,\"value\":\"YmFy\"}}],\"count\":1}}
$ get foo -w fields
\"ClusterID\" : {cluster}
\"MemberID\" : {member}
\"Revision\" : 2
\"RaftTerm\" : 2
\"Key\" : \"foo\"
\"CreateRevision\" : 2
\"ModRevision\" : 2
\"Version\" : 1
\"Value\" : \"bar\"
\"Lease\" : 0
\"More\" : false
\"Count\" : 1
"
        ),
    );
}

#[test]
fn leases_and_members_are_shown_as_etcdctl_does() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let run = async |command: &str| {
            let words: Vec<&str> = command.split(' ').collect();
            ctl::run(&client, &words).await
        };
        let granted = run("lease grant 60").await.stdout;
        let id = granted.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(granted, format!("lease {id} granted with TTL(60s)\n"));
        assert_eq!(run(&format!("put --lease={id} lk v")).await.stdout, "OK\n");
        let left = run(&format!("lease timetolive {id} --keys")).await.stdout;
        assert_eq!(left, format!("lease {id} granted with TTL(60s), remaining(60s), attached keys([lk])\n"));
        assert_eq!(run("lease list").await.stdout, format!("found 1 leases\n{id}\n"));
        assert_eq!(run(&format!("lease revoke {id}")).await.stdout, format!("lease {id} revoked\n"));
        let again = run(&format!("lease revoke {id}")).await;
        assert_eq!(again.stderr, "Error: failed to revoke lease (etcdserver: requested lease not found)\n");
        assert_eq!(
            run(&format!("lease timetolive {id}")).await.stdout,
            format!("lease {id} already expired\n")
        );

        let healthy = "etcd2:2379 is healthy: successfully committed proposal: took = 0s\n";
        assert_eq!(run("--endpoints=etcd2:2379 endpoint health").await.stdout, healthy);
        let table = run("endpoint status --cluster -w table").await.stdout;
        assert_eq!(table.lines().count(), 7);
        assert_eq!(table.matches(" true |").count(), 1, "{table}");
        assert_eq!(run("member list").await.stdout.lines().count(), 3);
        etcd.kill("etcd3").await.unwrap();
        let down = run("endpoint health --endpoints=etcd3").await;
        assert_eq!(down.stdout, "etcd3 is unhealthy: failed to commit proposal: context deadline exceeded\n");
        assert_eq!((down.stderr.as_str(), down.code), ("Error: unhealthy cluster\n", 1));
        let down = run("endpoint status --endpoints=etcd3").await;
        assert_eq!(down.stderr, "Failed to get the status of endpoint etcd3 (context deadline exceeded)\n");
    });
}

#[test]
fn members_and_endpoints_are_shown_as_json() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        let status = ctl::run(&client, &["endpoint", "status", "-w", "json"]).await.stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status[0]["Endpoint"], "etcd1:2379");
        assert_eq!(status[0]["Status"]["version"], "3.5.16");
        let members = ctl::run(&client, &["member", "list", "-w=json"]).await.stdout;
        let members: serde_json::Value = serde_json::from_str(&members).unwrap();
        assert_eq!(members["members"][0]["name"], "etcd1");
        let refused = ctl::run(&client, &["get", "foo", "-w", "table"]).await;
        assert_eq!(
            (refused.stderr.as_str(), refused.code),
            ("Error: table not supported as output format\n", 4)
        );
    });
}

#[test]
fn an_operator_works_on_the_cluster() {
    virtually(5, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        let run = async |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let output = ctl::run(&client, &words).await;
            (output.stdout + &output.stderr, output.code)
        };
        let cluster = client.member_list().await.unwrap().header.cluster_id;
        let (added, code) = run("member add etcd4 --learner --peer-urls=https://etcd4:2380").await;
        assert_eq!(code, 0, "{added}");
        let id = added.split_whitespace().nth(1).unwrap().to_owned();
        assert!(
            added
                .starts_with(&format!("Member {id} added to cluster {cluster:16x}\n\nETCD_NAME=\"etcd4\"\n"))
        );
        assert!(added.contains("etcd4=https://etcd4:2380"), "{added}");
        let unready = "Error: etcdserver: can only promote a learner member which is in sync with leader\n";
        assert_eq!(run(&format!("member promote {id}")).await, (unready.to_owned(), 1));
        let removed = format!("Member {id} removed from cluster {cluster:16x}\n");
        assert_eq!(run(&format!("member remove {id}")).await, (removed, 0));
        let leader = etcd.members().into_iter().find(|member| member.is_leader).unwrap();
        let target = etcd.members().into_iter().find(|member| !member.is_leader).unwrap();
        let moved = format!("Leadership transferred from {:x} to {:x}\n", leader.id, target.id);
        assert_eq!(run(&format!("move-leader {:x}", target.id)).await, (moved, 0));
        let follower = format!("move-leader {:x} --endpoints {}:2379", leader.id, leader.name);
        let refused = format!("Error: no leader endpoint given at [{}:2379]\n", leader.name);
        assert_eq!(run(&follower).await, (refused, 128));
        assert_eq!(run("alarm list").await, (String::new(), 0));
        let defragmented = "Finished defragmenting etcd member[etcd2:2379]\n".to_owned();
        assert_eq!(run("defrag --endpoints etcd2:2379").await, (defragmented, 0));
        let (hashes, _) = run("endpoint hashkv").await;
        let hashes: BTreeSet<&str> = hashes.lines().map(|line| line.split(", ").nth(1).unwrap()).collect();
        assert_eq!(hashes.len(), 1);
    });
}
