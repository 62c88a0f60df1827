//! A pod from its creation to its end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{self, condition, field};

#[test]
fn a_pod_is_scheduled_and_runs_and_its_events_say_how() {
    lab::run(1, 3, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let pod = lab.get("web").await;
        let node = pod["spec"]["nodeName"].as_str().unwrap().to_owned();
        let events = lab.events("web").await;
        let expected = [
            &format!("Scheduled: Successfully assigned default/web to {node}"),
            "Pulling: Pulling image \"nginx\"",
            "Pulled: Successfully pulled image \"nginx\" in 1s (1s including waiting). Image size: 72000000 bytes.",
            "Created: Created container: c",
            "Started: Started container c",
        ];
        assert_eq!(events, expected);
        let status = &pod["status"];
        assert_eq!(status["phase"], "Running");
        let number = node.trim_start_matches("worker");
        assert_eq!(status["podIP"], json!(format!("10.244.{number}.2")));
        assert_eq!(status["hostIP"], json!(format!("10.0.0.1{number}")));
        assert_eq!(status["qosClass"], "BestEffort");
        for type_ in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        {
            assert_eq!(condition(&pod, type_)["status"], "True", "{type_}");
            assert_eq!(condition(&pod, type_)["reason"], Value::Null, "{type_}");
        }
        let container = &status["containerStatuses"][0];
        assert_eq!(container["image"], "docker.io/library/nginx:latest");
        assert_eq!((&container["restartCount"], &container["started"]), (&json!(0), &json!(true)));
        assert!(container["containerID"].as_str().unwrap().starts_with("containerd://"));
    });
}

#[test]
fn the_pod_is_written_four_times_on_its_way() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let writes: Vec<String> = ["POST", "PATCH", "PUT", "DELETE"]
            .iter()
            .flat_map(|method| lab.records(method))
            .filter(|record| field(record, "target").as_str().is_some_and(|target| target.contains("/pods")))
            .map(|record| {
                format!(
                    "{} {} {}",
                    record.from,
                    record.payload.kind(),
                    field(&record, "target").as_str().unwrap()
                )
            })
            .collect();
        let pods = "/api/v1/namespaces/default/pods";
        let expected = [
            format!("kubectl POST {pods}"),
            format!("scheduler/0 POST {pods}/web/binding"),
            format!("kubelet/worker1 PATCH {pods}/web/status"),
            format!("kubelet/worker1 PATCH {pods}/web/status"),
        ];
        assert_eq!(writes, expected);
    });
}

#[test]
fn the_runtime_is_asked_in_order() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let asked: Vec<String> = lab
            .world
            .trace()
            .records()
            .iter()
            .filter(|record| &*record.from == "kubelet/worker1" && &*record.to == "node/worker1")
            .map(|record| record.payload.kind().to_owned())
            .collect();
        assert_eq!(asked, ["RunPodSandbox", "PullImage", "CreateContainer", "StartContainer"]);
    });
}

#[test]
fn init_containers_run_one_after_the_other_before_the_rest() {
    lab::run(1, 1, |lab| async move {
        let init = |name: &str| json!({"name": name, "image": "busybox:1.36", "command": ["sleep", "5"]});
        let spec = json!({"initContainers": [init("i1"), init("i2")], "containers": [{"name": "c", "image": "nginx:1.27"}]});
        lab.pod("web", spec).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let pod = lab.get("web").await;
        let initialized = condition(&pod, "Initialized");
        assert_eq!(initialized["reason"], "ContainersNotInitialized");
        assert_eq!(initialized["message"], "containers with incomplete status: [i1 i2]");
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
        lab.until_ready("web").await;
        let started: Vec<Value> =
            lab.records("StartContainer").iter().map(|record| field(record, "container")).collect();
        assert_eq!(started, ["i1", "i2", "c"]);
        let events = lab.events("web").await;
        assert!(
            events
                .contains(&"Pulled: Container image \"busybox:1.36\" already present on machine".to_owned()),
            "{events:#?}"
        );
    });
}

#[test]
fn a_pod_that_is_done_succeeds_or_fails() {
    lab::run(1, 1, |lab| async move {
        let once = |command: &str| {
            let container = json!({"name": "c", "image": "busybox", "command": ["sh", "-c", command]});
            json!({"restartPolicy": "Never", "containers": [container]})
        };
        lab.pod("good", once("echo hello; sleep 2")).await;
        lab.pod("bad", once("sleep 2; exit 3")).await;
        lab.until("both are done", async |lab| {
            lab.get("good").await["status"]["phase"] == "Succeeded"
                && lab.get("bad").await["status"]["phase"] == "Failed"
        })
        .await;
        let (good, bad) = (lab.get("good").await, lab.get("bad").await);
        assert_eq!(condition(&good, "Ready")["reason"], "PodCompleted");
        assert_eq!(condition(&bad, "ContainersReady")["reason"], "PodFailed");
        let end = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
        assert_eq!((&end(&good)["reason"], &end(&good)["exitCode"]), (&json!("Completed"), &json!(0)));
        assert_eq!((&end(&bad)["reason"], &end(&bad)["exitCode"]), (&json!("Error"), &json!(3)));
        let log =
            lab.machine("worker1").logs("default", "good", "c", &labkit_node::LogOptions::default()).unwrap();
        assert!(matches!(log, labkit_client::Body::Full(bytes) if bytes == "hello\n"));
        assert!(good["status"]["podIP"].is_string(), "the address stays in the status");
    });
}

#[test]
fn an_unschedulable_pod_says_why_and_is_scheduled_when_that_changes() {
    lab::run(1, 3, |lab| async move {
        let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
        lab.patch_node("worker1", taint).await;
        let large = json!({"resources": {"requests": {"cpu": "3500m"}}});
        for name in ["a", "b", "web"] {
            lab.container(name, "nginx", large.clone()).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let expected = "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu. \
                        preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
                        2 No preemption victims found for incoming pod.";
        assert_eq!(lab.events("web").await, [format!("FailedScheduling: {expected}")]);
        let scheduled = condition(&lab.get("web").await, "PodScheduled");
        assert_eq!((&scheduled["status"], &scheduled["reason"]), (&json!("False"), &json!("Unschedulable")));
        assert_eq!(scheduled["message"], expected);
        lab.delete("a", None).await;
        lab.until_ready("web").await;
        let scheduled = condition(&lab.get("web").await, "PodScheduled");
        assert_eq!((&scheduled["status"], &scheduled["message"]), (&json!("True"), &Value::Null));
    });
}

#[test]
fn a_cordoned_node_gets_no_pods() {
    lab::run(1, 2, |lab| async move {
        lab.patch_node("worker1", json!({"spec": {"unschedulable": true}})).await;
        for name in ["a", "b", "c"] {
            lab.container(name, "nginx", json!({})).await;
            lab.until_ready(name).await;
            assert_eq!(lab.get(name).await["spec"]["nodeName"], "worker2");
        }
        lab.patch_node("worker2", json!({"spec": {"unschedulable": true}})).await;
        lab.container("d", "nginx", json!({})).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let message = lab.decision("d").unwrap().message;
        assert!(message.starts_with("0/2 nodes are available: 2 node(s) were unschedulable."), "{message}");
    });
}

#[test]
fn pods_of_other_schedulers_wait_and_pods_with_a_node_need_none() {
    lab::run(1, 1, |lab| async move {
        lab.pod("mine", json!({"schedulerName": "mine", "containers": [{"name": "c", "image": "nginx"}]}))
            .await;
        lab.pod("placed", json!({"nodeName": "worker1", "containers": [{"name": "c", "image": "nginx"}]}))
            .await;
        lab.until_ready("placed").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(lab.get("mine").await["spec"]["nodeName"], Value::Null);
        assert_eq!(lab.events("mine").await, [""; 0]);
        assert_eq!(lab.decision("placed"), None);
    });
}

#[test]
fn a_readiness_that_another_wrote_is_put_right() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        let pods = lab.client.api::<k8s_openapi::api::core::v1::Pod>();
        pods.patch("default", "web", Some("status"), unready).await.unwrap();
        lab.until("it is ready again", async |lab| {
            condition(&lab.get("web").await, "Ready")["status"] == "True"
        })
        .await;
    });
}
