//! Whole clusters in virtual pace: boot, faults, healing, one timeline per seed.

use std::time::Duration;

use labkit_api::{GroupVersionKind, Object, Resource, Scope};
use labkit_client::ListParams;
use labkit_cluster::spec::{ApiServerSpec, EtcdSpec};
use labkit_cluster::timeline::timeline;
use labkit_cluster::{Cluster, ClusterSpec, Fault};
use labkit_etcd::{PutRequest, RangeRequest};
use labkit_sim::{ComponentState, Pace, World, run};
use serde_json::json;

fn resource(group: &str, kind: &str, plural: &str) -> Resource {
    Resource {
        gvk: GroupVersionKind::new(group, "v1", kind),
        plural: plural.to_owned(),
        scope: if matches!(kind, "Node" | "ClusterRole") { Scope::Cluster } else { Scope::Namespaced },
    }
}

fn only_etcd(members: u8) -> ClusterSpec {
    ClusterSpec { etcd: Some(EtcdSpec { members, ..EtcdSpec::default() }), ..ClusterSpec::default() }
}

fn deployment(name: &str, replicas: i64) -> Object {
    Object::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    }))
    .unwrap()
}

/// Waits until the Deployment has that many ready replicas.
async fn ready(world: &World, cluster: &Cluster, name: &str, replicas: i64) {
    let deployments = resource("apps", "Deployment", "deployments");
    let client = cluster.client("test").unwrap();
    let waiting = async {
        loop {
            let object = client.get(&deployments, "default", name).await.unwrap();
            if object.i64_at(&["status", "readyReplicas"]) == Some(replicas) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
    assert!(waited.is_ok(), "{name} is not ready at {:?}", world.clock().elapsed());
}

#[test]
fn a_deployment_runs_on_a_whole_cluster() {
    run(Pace::Virtual, 1, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(3, 3)).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &deployment("web", 3)).await.unwrap();
        ready(&world, &cluster, "web", 3).await;
        let pods = client.list(&resource("", "Pod", "pods"), &ListParams::default()).await.unwrap();
        let nodes: std::collections::BTreeSet<_> =
            pods.items.iter().map(|pod| pod.str_at(&["spec", "nodeName"])).collect();
        assert_eq!(nodes.len(), 3, "one on each node");
        assert_eq!(world.bugs(), Vec::<String>::new());
    });
}

#[test]
fn a_deployment_runs_on_three_api_servers_of_which_one_after_the_other_dies() {
    run(Pace::Virtual, 1, |world| async move {
        let mut spec = ClusterSpec::whole(1, 2);
        spec.api_server = Some(ApiServerSpec { replicas: 3, ..ApiServerSpec::default() });
        let cluster = Cluster::boot(&world, &spec).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        let deployments = resource("apps", "Deployment", "deployments");
        for index in 0..3 {
            let killed = cluster.inject(&Fault::Kill(format!("apiServer/{index}"))).await.unwrap();
            let name = format!("web{index}");
            client.create(&deployments, &deployment(&name, 3)).await.unwrap();
            ready(&world, &cluster, &name, 3).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            let endpoints = resource("", "Endpoints", "endpoints");
            let living = client.get(&endpoints, "default", "kubernetes").await.unwrap();
            let living = living.rest["subsets"][0]["addresses"].as_array().unwrap().len();
            assert_eq!(living, 2, "the endpoints follow");
            killed.heal().await.unwrap();
        }
    });
}

#[test]
fn only_what_is_named_is_booted() {
    run(Pace::Virtual, 1, |world| async move {
        let cluster = Cluster::boot(&world, &only_etcd(3)).await.unwrap();
        assert!(cluster.client("kubectl").is_none());
        let targets: Vec<String> = cluster.targets().iter().map(ToString::to_string).collect();
        assert_eq!(targets, ["etcd/etcd1", "etcd/etcd2", "etcd/etcd3"]);
        let error = cluster.inject(&Fault::Kill("scheduler".to_owned())).await.unwrap_err();
        let text = "there is no scheduler here; there are etcd/leader, etcd/etcd1, etcd/etcd2, etcd/etcd3";
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn healing_restarts_the_leader_that_was_killed() {
    run(Pace::Virtual, 3, |world| async move {
        let cluster = Cluster::boot(&world, &only_etcd(3)).await.unwrap();
        let before = cluster.etcd().leader().unwrap();
        let crash = cluster.inject(&Fault::Kill("etcd/leader".to_owned())).await.unwrap();
        assert_eq!(crash.target, format!("etcd/{before}"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_ne!(cluster.etcd().leader().unwrap(), before);
        crash.heal().await.unwrap();
        let states: Vec<ComponentState> =
            cluster.components().iter().map(|component| component.state).collect();
        assert_eq!(states, [ComponentState::Running; 3]);
    });
}

#[test]
fn the_minority_of_a_partition_cannot_write() {
    run(Pace::Virtual, 5, |world| async move {
        let cluster = Cluster::boot(&world, &only_etcd(3)).await.unwrap();
        let cut = cluster.inject(&Fault::Partition("etcd1 | etcd2, etcd3".to_owned())).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let minority = cluster.etcd().client_of_member("test", "etcd1");
        assert!(minority.put(PutRequest::new("a", "1")).await.is_err());
        cluster.etcd().client_of_member("test", "etcd2").put(PutRequest::new("b", "1")).await.unwrap();
        cut.heal().await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(minority.range(RangeRequest::key("b")).await.unwrap().kvs.len(), 1);
    });
}

#[test]
fn a_stopped_controller_manager_makes_no_pods_and_goes_on_when_it_is_back() {
    run(Pace::Virtual, 2, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(1, 1)).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        cluster.stop("controllerManager").await.unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &deployment("web", 2)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let pods = client.list(&resource("", "Pod", "pods"), &ListParams::default()).await.unwrap();
        assert_eq!(pods.items.len(), 0);
        cluster.start("controllerManager").await.unwrap();
        ready(&world, &cluster, "web", 2).await;
        assert!(
            cluster.start("controllerManager").await.unwrap_err().to_string().contains("is running already")
        );
    });
}

#[test]
fn an_api_server_that_comes_back_finds_everything() {
    run(Pace::Virtual, 2, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(1, 1)).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &deployment("web", 1)).await.unwrap();
        ready(&world, &cluster, "web", 1).await;
        cluster.stop("apiServer").await.unwrap();
        let error =
            client.get(&resource("apps", "Deployment", "deployments"), "default", "web").await.unwrap_err();
        assert!(error.to_string().contains("connection refused"), "{error}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.start("apiServer").await.unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &deployment("shop", 1)).await.unwrap();
        ready(&world, &cluster, "shop", 1).await;
    });
}

#[test]
fn a_machine_without_power_is_not_ready_after_the_grace_period_and_ready_when_it_is_back() {
    run(Pace::Virtual, 2, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(1, 2)).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        let nodes = resource("", "Node", "nodes");
        let status = async |name: &str| {
            let node = client.get(&nodes, "", name).await.unwrap();
            let conditions = node.at(&["status", "conditions"]).unwrap().as_array().unwrap().clone();
            let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap();
            ready["status"].as_str().unwrap().to_owned()
        };
        let fault = cluster.inject(&Fault::PowerOff("node/worker2".to_owned())).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(status("worker2").await, "True", "nobody has noticed yet");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(status("worker2").await, "Unknown");
        assert_eq!(status("worker1").await, "True");
        fault.heal().await.unwrap();
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(status("worker2").await, "True");
    });
}

#[test]
fn one_seed_gives_one_timeline() {
    let play = |seed| {
        run(Pace::Virtual, seed, |world| async move {
            let cluster = Cluster::boot(&world, &ClusterSpec::whole(3, 2)).await.unwrap();
            let client = cluster.client("kubectl").unwrap();
            client
                .create(&resource("apps", "Deployment", "deployments"), &deployment("web", 3))
                .await
                .unwrap();
            ready(&world, &cluster, "web", 3).await;
            let _never_healed = cluster.inject(&Fault::Kill("etcd/leader".to_owned())).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            serde_json::to_string(&timeline(&world)).unwrap()
        })
    };
    let first = play(11);
    for _ in 0..3 {
        assert_eq!(play(11), first);
    }
    assert_ne!(play(12), first);
}

/// What an exec's connection says on a channel to its end.
async fn heard(pipe: &mut labkit_client::Pipe, channel: u8) -> String {
    let mut text = String::new();
    while let Some(message) = pipe.receiver.recv().await {
        if message[0] == channel {
            text.push_str(&String::from_utf8_lossy(&message[1..]));
        }
    }
    text
}

#[test]
fn a_stream_goes_through_the_kubelet_and_its_link() {
    run(Pace::Virtual, 1, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(1, 1)).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &deployment("web", 1)).await.unwrap();
        ready(&world, &cluster, "web", 1).await;
        let pods = client.list(&resource("", "Pod", "pods"), &ListParams::default()).await.unwrap();
        let pod = pods.items[0].metadata.name.clone();
        let exec = async |command: &str| {
            let words: Vec<String> = command.split(' ').map(|word| format!("command={word}")).collect();
            let target = format!(
                "/api/v1/namespaces/default/pods/{pod}/exec?{}&stdin=true&stdout=true&stderr=true",
                words.join("&")
            );
            client.upgrade(&target, "v5.channel.k8s.io").await.unwrap()
        };
        let mut echo = exec("echo hi").await;
        assert_eq!(heard(&mut echo, 1).await, "hi\n");

        let mut cat = exec("cat").await;
        let link = Fault::Partition("apiServer/0 | kubelet/worker1".to_owned());
        let fault = cluster.inject(&link).await.unwrap();
        let before = world.clock().elapsed();
        let mut cut = exec("echo hi").await;
        let why = heard(&mut cut, 3).await;
        assert!(why.contains("dial tcp 10.0.0.11:10250: i/o timeout"), "{why}");
        assert_eq!((world.clock().elapsed() - before).as_secs(), 30);
        fault.heal().await.unwrap();
        cat.sender.send("\x00late".into()).await.unwrap();
        cat.sender.send(vec![0xff, 0].into()).await.unwrap();
        assert_eq!(heard(&mut cat, 1).await, "late");

        let mut sleep = exec("sleep 1000").await;
        let fault = cluster.inject(&Fault::Kill("kubelet/worker1".to_owned())).await.unwrap();
        let why = heard(&mut sleep, 3).await;
        assert!(why.contains("connection reset by peer"), "{why}");
        let why = heard(&mut exec("true").await, 3).await;
        assert!(why.contains("dial tcp 10.0.0.11:10250: connect: connection refused"), "{why}");
        let log = format!("/api/v1/namespaces/default/pods/{pod}/log");
        let (code, log) = client.raw(http::Method::GET, &log, None).await.unwrap();
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(
            code == 500 && log.contains("Get \\\"https://10.0.0.11:10250/containerLogs/default/"),
            "{log}"
        );
        fault.heal().await.unwrap();
        let fault = cluster.inject(&Fault::PowerOff("node/worker1".to_owned())).await.unwrap();
        let why = heard(&mut exec("true").await, 3).await;
        assert!(why.contains("connect: no route to host"), "{why}");
        fault.heal().await.unwrap();
        assert_eq!(world.bugs(), Vec::<String>::new());
    });
}

/// What `target` answers, or the code of the refusal.
async fn raw(cluster: &Cluster, target: &str) -> Result<serde_json::Value, u16> {
    let client = cluster.client("test").unwrap();
    let (code, body) = client.raw(http::Method::GET, target, None).await.unwrap();
    if code == 200 { Ok(serde_json::from_slice(&body).unwrap()) } else { Err(code) }
}

#[test]
fn a_metrics_server_tells_what_nodes_and_pods_use() {
    run(Pace::Virtual, 1, |world| async move {
        let spec = ClusterSpec {
            metrics_server: Some(Default::default()),
            images: serde_json::from_value(json!({"busy": {"uses": {"cpu": "250m", "memory": "64Mi"}}}))
                .unwrap(),
            ..ClusterSpec::whole(1, 2)
        };
        let cluster = Cluster::boot(&world, &spec).await.unwrap();
        assert_eq!(raw(&cluster, "/apis/metrics.k8s.io/v1beta1/nodes").await, Err(503));
        let mut web = deployment("web", 1);
        web.set_at(&["spec", "template", "spec", "containers"], json!([{"name": "c", "image": "busy"}]));
        let client = cluster.client("kubectl").unwrap();
        client.create(&resource("apps", "Deployment", "deployments"), &web).await.unwrap();
        tokio::time::sleep(Duration::from_secs(70)).await;
        let pods = raw(&cluster, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods").await.unwrap();
        assert_eq!(pods["items"].as_array().unwrap().len(), 1, "{pods}");
        let usage = &pods["items"][0]["containers"][0];
        assert_eq!(usage, &json!({"name": "c", "usage": {"cpu": "250000000n", "memory": "65536Ki"}}));
        assert_eq!(pods["items"][0]["window"], "15s");
        let nodes = raw(&cluster, "/apis/metrics.k8s.io/v1beta1/nodes").await.unwrap();
        assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
        let gone = raw(&cluster, "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/nope").await;
        assert_eq!(gone, Err(404));
        let _dead = cluster.inject(&Fault::Kill("kubelet/worker2".to_owned())).await.unwrap();
        tokio::time::sleep(Duration::from_secs(16)).await;
        let nodes = raw(&cluster, "/apis/metrics.k8s.io/v1beta1/nodes").await.unwrap();
        assert_eq!(nodes["items"].as_array().unwrap().len(), 1, "nobody asks a kubelet that is dead");
    });
}

#[test]
fn with_node_and_rbac_every_component_has_its_own_rights_and_nobody_is_refused() {
    run(Pace::Virtual, 1, |world| async move {
        let mut spec = ClusterSpec::whole(1, 2);
        let flags = [("authorization-mode", "Node,RBAC"), ("enable-admission-plugins", "NodeRestriction")];
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        spec.api_server = Some(ApiServerSpec { flags, ..ApiServerSpec::default() });
        let cluster = Cluster::boot(&world, &spec).await.unwrap();
        let client = cluster.client("kubectl").unwrap();
        let deployments = resource("apps", "Deployment", "deployments");
        client.create(&deployments, &deployment("web", 3)).await.unwrap();
        ready(&world, &cluster, "web", 3).await;
        let roles = resource("rbac.authorization.k8s.io", "ClusterRole", "clusterroles");
        let view = client.get(&roles, "", "view").await.unwrap();
        assert_eq!(view.rest["rules"].as_array().unwrap().len(), 10, "a controller has collected them");
        client.delete(&deployments, "default", "web", &Default::default()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(90)).await;
        let pods = client.list(&resource("", "Pod", "pods"), &ListParams::default()).await.unwrap();
        assert_eq!(pods.items.len(), 0);
        let records = world.trace().records();
        let refused: Vec<String> = records
            .iter()
            .map(|record| record.payload.fields().to_string())
            .filter(|payload| payload.contains("\"code\":403"))
            // Upstream's, too: a pod that is gone is related to no node any more.
            .filter(|payload| !(payload.contains("/pods/web-") && payload.contains("\"GET\"")))
            .collect();
        assert_eq!(refused, [""; 0]);
        let users: std::collections::BTreeSet<String> = records
            .iter()
            .filter_map(|record| Some(record.payload.fields()["user"].as_str()?.to_owned()))
            .filter(|user| user.starts_with("system:serviceaccount:"))
            .collect();
        assert!(users.contains("system:serviceaccount:kube-system:replicaset-controller"), "{users:?}");
    });
}

#[test]
fn a_paused_api_server_gets_no_requests_once_the_load_balancer_has_noticed() {
    run(Pace::Virtual, 1, |world| async move {
        let mut spec = ClusterSpec::whole(1, 1);
        spec.api_server = Some(ApiServerSpec { replicas: 3, ..ApiServerSpec::default() });
        let cluster = Cluster::boot(&world, &spec).await.unwrap();
        let client = cluster.client("kubectl").unwrap().with_timeout(Duration::from_secs(1));
        let nodes = resource("", "Node", "nodes");
        let failures = async || {
            let mut failures = 0;
            for _ in 0..9 {
                failures += usize::from(client.get(&nodes, "", "worker1").await.is_err());
            }
            failures
        };
        let paused = cluster.inject(&Fault::Pause("apiServer/1".to_owned())).await.unwrap();
        let failed = failures().await;
        // Controllers have their turns at the balancer meanwhile.
        assert!((1..=5).contains(&failed), "some of 9 requests wait for the one that is paused: {failed}");
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(failures().await, 0);
        paused.heal().await.unwrap();
        tokio::time::sleep(Duration::from_secs(15)).await;
        let before = world.trace().last_id();
        assert_eq!(failures().await, 0);
        let asked = world.trace().since(before);
        assert!(asked.iter().any(|record| record.to.as_ref() == "apiServer/1"), "it serves again");
    });
}
