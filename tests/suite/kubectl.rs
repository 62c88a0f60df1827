//! Real kubectl against a live cluster, over TLS.

use std::time::Duration;

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{Live, has, live};

#[test]
fn kubectl_plays_a_deployment_from_its_creation_to_its_end() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 3), |live| async move {
        shows_nodes(&live).await;
        creates_and_watches(&live).await;
        applies(&live).await;
        describes(&live).await;
        refuses(&live).await;
        deletes(&live).await;
    });
}

async fn shows_nodes(live: &Live) {
    let nodes = live.kubectl_ok("get nodes -o wide").await;
    let header = nodes.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        header,
        "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME"
    );
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 3, "{nodes}");
    assert!(nodes.contains("containerd://"), "{nodes}");
    let version = live.kubectl_ok("version").await;
    assert!(version.contains("Server Version: v1.32."), "{version}");
}

async fn creates_and_watches(live: &Live) {
    let mut watch = live.kubectl_lines("get pods -A -w");
    assert_eq!(
        live.kubectl_ok("create deployment web --image=nginx --replicas=2").await,
        "deployment.apps/web created\n"
    );
    let running = watch.line_with("Running").await;
    assert!(running.starts_with("default ") && running.contains("1/1"), "{running}");
    let status = live.kubectl_ok("rollout status deployment/web --timeout=30s").await;
    assert!(status.contains("successfully rolled out"), "{status}");
    assert_eq!(live.kubectl_ok("scale deployment web --replicas=3").await, "deployment.apps/web scaled\n");
    live.kubectl_ok("wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=30s").await;
    let pods = live.kubectl_ok("get pods -l app=web -o wide").await;
    assert_eq!(pods.lines().filter(|line| line.contains("Running")).count(), 3, "{pods}");
}

async fn applies(live: &Live) {
    let manifest = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: shop}}\nspec:\n  replicas: 1\n  selector: {{matchLabels: {{app: shop}}}}\n  \
             template:\n    metadata: {{labels: {{app: shop}}}}\n    spec:\n      containers: [{{name: shop, image: {image}}}]\n"
        )
    };
    let file = live.file("shop.yaml", &manifest("nginx:1.26"));
    assert_eq!(live.kubectl_ok(&format!("apply -f {file}")).await, "deployment.apps/shop created\n");
    assert_eq!(live.kubectl_ok(&format!("apply -f {file}")).await, "deployment.apps/shop unchanged\n");
    live.file("shop.yaml", &manifest("nginx:1.27"));
    assert_eq!(live.kubectl_ok(&format!("apply -f {file}")).await, "deployment.apps/shop configured\n");
    live.kubectl_ok("rollout status deployment/shop --timeout=60s").await;
    let image =
        live.kubectl_ok("get deployment shop -o jsonpath={.spec.template.spec.containers[0].image}").await;
    assert_eq!(image, "nginx:1.27");
}

async fn describes(live: &Live) {
    let pod = live.kubectl_ok("get pods -l app=web -o jsonpath={.items[0].metadata.name}").await;
    let described = live.kubectl_ok(&format!("describe pod {pod}")).await;
    for part in
        ["Status:           Running", "Scheduled", "Pulled", "Created", "Started", "Ready             True"]
    {
        assert!(described.contains(part), "{part} is missing in\n{described}");
    }
    let events = live.kubectl_ok("get events").await;
    for part in ["ScalingReplicaSet", "SuccessfulCreate", "Successfully assigned default/"] {
        assert!(events.contains(part), "{part} is missing in\n{events}");
    }
    let node = live.kubectl_ok("describe node worker1").await;
    assert!(node.contains("KubeletReady") && node.contains("Allocated resources"), "{node}");
    live.kubectl_ok("describe deployment web").await;
}

async fn refuses(live: &Live) {
    let missing = live.kubectl("get pod nope").await;
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (1, "Error from server (NotFound): pods \"nope\" not found\n")
    );
    let again = live.kubectl("create deployment web --image=nginx").await;
    let text = "error: failed to create deployment: deployments.apps \"web\" already exists\n";
    assert_eq!((again.code, again.stderr.as_str()), (1, text));
    let file = live.file(
        "bad.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\nspec:\n  replicas: -1\n  selector: {matchLabels: {app: bad}}\n  \
         template:\n    metadata: {labels: {app: other}}\n    spec: {containers: [{name: c, image: nginx}]}\n",
    );
    let invalid = live.kubectl(&format!("apply -f {file}")).await;
    assert_eq!(invalid.code, 1);
    assert!(
        invalid.stderr.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        "{}",
        invalid.stderr
    );
    assert!(invalid.stderr.contains("`selector` does not match template `labels`"), "{}", invalid.stderr);
}

async fn deletes(live: &Live) {
    assert_eq!(live.kubectl_ok("delete deployment web").await, "deployment.apps \"web\" deleted\n");
    live.kubectl_ok("wait --for=delete pod -l app=web --timeout=60s").await;
    let left = live.kubectl("get pods -l app=web").await;
    assert_eq!(left.stderr, "No resources found in default namespace.\n");
}

#[test]
fn a_fast_forward_is_seen_by_kubectl() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 2), |live| async move {
        live.kubectl_ok("create deployment web --image=nginx --replicas=2").await;
        live.kubectl_ok("rollout status deployment/web --timeout=30s").await;
        let fault =
            live.cluster.inject(&labkit_cluster::Fault::PowerOff("node/worker2".to_owned())).await.unwrap();
        live.world.clock().fast_forward(Duration::from_secs(60)).await;
        let nodes = live.kubectl_ok("get nodes").await;
        let worker2 = nodes.lines().find(|line| line.starts_with("worker2")).unwrap();
        assert!(worker2.contains("NotReady"), "{nodes}");
        fault.heal().await.unwrap();
        live.kubectl_ok("wait --for=condition=Ready node/worker2 --timeout=30s").await;
    });
}
