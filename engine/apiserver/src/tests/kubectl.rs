//! The real kubectl over TLS, in wall pace. Without a kubectl on the PATH this is skipped, but for CI.

use std::path::PathBuf;
use std::process::Command;

use labkit_pki::{Authority, ClientAuth, LeafSpec, kubeconfig, server_config};

use super::*;

/// One live server, and kubectl's home.
pub(super) struct Live {
    lab: Lab,
    home: tempfile::TempDir,
    config: PathBuf,
}

impl Live {
    async fn boot(world: &World) -> Live {
        let etcd = Etcd::boot(world, EtcdConfig::default()).await;
        let (component, server) = start(world, &etcd).await;
        let authority = Authority::new(world, "kubernetes");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = authority.issue(&LeafSpec {
            common_name: "kube-apiserver".to_owned(),
            names,
            ..Default::default()
        });
        let admin = authority.issue(&LeafSpec {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            ..Default::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = server_config(&authority, &leaf, ClientAuth::Optional, &["h2", "http/1.1"]);
        component.spawn(crate::edge::serve(world.clone(), server.transport(), listener, tls));
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("admin.conf");
        std::fs::write(&config, kubeconfig("labkit", &url, authority.cert_pem(), "kubernetes-admin", &admin))
            .unwrap();
        let lab = Lab { world: world.clone(), etcd, component, server };
        Live { lab, home, config }
    }

    /// Runs `kubectl ARGUMENTS` with a file on its standard input; its output, both streams.
    pub(super) async fn kubectl(&self, arguments: &str, input: &str) -> String {
        self.kubectl_with(arguments, input, &[]).await
    }

    async fn kubectl_with(&self, arguments: &str, input: &str, variables: &'static [(&str, &str)]) -> String {
        let (home, config) = (self.home.path().to_owned(), self.config.clone());
        let file = self.home.path().join("input.yaml");
        std::fs::write(&file, input).unwrap();
        let arguments: Vec<String> =
            arguments.split(' ').map(|word| word.replace("INPUT", &file.to_string_lossy())).collect();
        let run = move || {
            let mut command = Command::new("timeout");
            let command = command.arg("10").arg("kubectl").arg("--kubeconfig").arg(config).args(arguments);
            command
                .env("HOME", home)
                .env_remove("KUBECONFIG")
                .envs(variables.iter().copied())
                .output()
                .unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    }

    /// Runs kubectl and checks that the output has these lines or parts.
    async fn shows(&self, arguments: &str, input: &str, parts: &[&str]) {
        let output = self.kubectl(arguments, input).await;
        for part in parts {
            assert!(output.contains(part), "kubectl {arguments} does not show {part:?}:\n{output}");
        }
    }
}

/// Whether there is a kubectl. In CI there must be.
fn has_kubectl() -> bool {
    let found = Command::new("kubectl").arg("version").arg("--client").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "kubectl >= 1.30 is needed: https://kubernetes.io/releases/download"
    );
    if !found {
        eprintln!("SKIPPED: there is no kubectl on the PATH");
    }
    found
}

pub(super) fn live<F, Fut>(body: F)
where
    F: FnOnce(Live) -> Fut,
    Fut: Future<Output = ()>,
{
    if !has_kubectl() {
        return;
    }
    labkit_sim::run(Pace::Wall, 1, |world| async move {
        let live = Live::boot(&world).await;
        body(live).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: 'nginx:1.27'}]}
";

#[test]
fn kubectl_applies_scales_labels_and_deletes_a_deployment() {
    live(|live| async move {
        live.shows("get deployments", "", &["No resources found in default namespace."]).await;
        live.shows("apply -f INPUT", DEPLOYMENT, &["deployment.apps/web created"]).await;
        live.shows("apply -f INPUT", DEPLOYMENT, &["deployment.apps/web unchanged"]).await;
        let changed = DEPLOYMENT.replace("1.27", "1.28").replace("replicas: 2", "replicas: 3");
        live.shows("apply -f INPUT", &changed, &["deployment.apps/web configured"]).await;
        live.shows(
            "get deploy web -o wide",
            "",
            &["CONTAINERS   IMAGES       SELECTOR", "0/3", "nginx:1.28   app=web"],
        )
        .await;
        live.shows("scale deploy web --replicas=5", "", &["deployment.apps/web scaled"]).await;
        live.shows("get deploy web -o jsonpath={.spec.replicas}", "", &["5"]).await;
        live.shows("label deploy web tier=front", "", &["deployment.apps/web labeled"]).await;
        live.shows("get deploy -l tier=front --show-labels", "", &["app=web,tier=front"]).await;
        live.shows("annotate deploy web a=b", "", &["deployment.apps/web annotated"]).await;
        live.shows("set image deploy web c=nginx:1.29", "", &["deployment.apps/web image updated"]).await;
        live.shows(
            "describe deploy web",
            "",
            &["Name:                   web", "Replicas:               5 desired", "nginx:1.29"],
        )
        .await;
        live.shows("delete deploy web", "", &["deployment.apps \"web\" deleted"]).await;
        live.shows(
            "get deploy web",
            "",
            &["Error from server (NotFound): deployments.apps \"web\" not found"],
        )
        .await;
    });
}

#[test]
fn kubectl_creates_with_protobuf() {
    live(|live| async move {
        live.shows("create deployment cd --image=nginx", "", &["deployment.apps/cd created"]).await;
        live.shows("create configmap c1 --from-literal=a=b", "", &["configmap/c1 created"]).await;
        live.shows("create namespace shop", "", &["namespace/shop created"]).await;
        live.shows("get cm c1 -o jsonpath={.data.a}", "", &["b"]).await;
        live.shows("expose deploy cd --port=80", "", &["service/cd exposed"]).await;
        live.shows("create service nodeport np --tcp=80:80", "", &["service/np created"]).await;
        live.shows("get svc", "", &["kubernetes", "10.96.0.1", "443/TCP", "NodePort"]).await;
        live.shows("describe svc cd", "", &["Selector:", "app=cd"]).await;
        live.shows("get all", "", &["deployment.apps/cd", "service/kubernetes"]).await;
    });
}

#[test]
fn kubectl_runs_describes_and_deletes_pods() {
    live(|live| async move {
        live.shows("run a --image=nginx", "", &["pod/a created"]).await;
        live.shows("get pods -o wide", "", &["NOMINATED NODE", "a      0/1     Pending   0"]).await;
        live.shows("describe pod a", "", &["Status:           Pending", "Tolerations:", "BestEffort"]).await;
        live.shows("get pod a -o yaml", "", &["serviceAccountName: default"]).await;
        live.shows(
            "wait --for=jsonpath={.status.phase}=Pending pod/a --timeout=5s",
            "",
            &["pod/a condition met"],
        )
        .await;
        let binding = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "worker1"}});
        live.lab.post(&format!("{PODS}/a/binding"), binding).await;
        live.shows("logs a", "", &["a on worker1"]).await;
        live.shows("delete pod a --wait=false", "", &["pod \"a\" deleted"]).await;
        live.shows("get pods", "", &["a      0/1     Terminating"]).await;
        live.shows("delete pod a --grace-period=0 --force", "", &["pod \"a\" force deleted"]).await;
        live.shows("run a --image=nginx --restart=Never", "", &["pod/a created"]).await;
        let (watched, ()) = tokio::join!(live.kubectl("get pods -w --request-timeout=3s", ""), async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            live.lab.post(PODS, pod("later")).await;
        });
        assert!(watched.contains("later   0/1     Pending   0          0s"), "{watched}");
    });
}

#[test]
fn kubectl_sees_discovery_nodes_and_events() {
    live(|live| async move {
        live.shows("version", "", &["Server Version: v1.32.4"]).await;
        live.shows("api-resources", "", &["deployments", "deploy", "apps/v1", "true         Deployment"])
            .await;
        live.shows("api-versions", "", &["coordination.k8s.io/v1"]).await;
        live.shows("cluster-info", "", &["Kubernetes control plane is running at"]).await;
        live.lab.post("/api/v1/nodes", json!({"metadata": {"name": "worker1"}})).await;
        live.shows("get nodes -o wide", "", &["CONTAINER-RUNTIME", "worker1   Unknown   <none>"]).await;
        live.shows("cordon worker1", "", &["node/worker1 cordoned"]).await;
        live.shows("get nodes", "", &["Unknown,SchedulingDisabled"]).await;
        live.shows("describe node worker1", "", &["Unschedulable:      true", "Allocated resources:"]).await;
        live.shows("drain worker1", "", &["node/worker1 drained"]).await;
        live.shows("get ns", "", &["kube-system       Active"]).await;
        live.shows("get events", "", &["No resources found in default namespace."]).await;
        let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
            "reason": "Scheduled", "message": "Successfully assigned default/p to worker1", "type": "Normal"});
        live.lab.post("/api/v1/namespaces/default/events", event).await;
        let line = "<unknown>   Normal   Scheduled   pod/p    Successfully assigned default/p to worker1";
        live.shows("get events", "", &["LAST SEEN   TYPE     REASON      OBJECT   MESSAGE", line]).await;
        live.shows("events", "", &["Successfully assigned"]).await;
        live.shows("get pods -A", "", &["No resources found"]).await;
        live.shows("get --raw /readyz", "", &["ok"]).await;
    });
}

#[test]
fn what_kubectl_asks_is_in_the_trace_and_the_cause_of_what_follows() {
    live(|live| async move {
        live.shows("create deployment cd --image=nginx", "", &["deployment.apps/cd created"]).await;
        let records = live.lab.world.trace().records();
        let asked = records.iter().find(|record| record.payload.kind() == "POST").unwrap();
        assert_eq!((&*asked.from, &*asked.to), ("kubectl", "apiserver"));
        assert_eq!(asked.payload.fields()["user"], "kubernetes-admin");
        let caused = |record: &&labkit_sim::Record| record.cause == Some(asked.id);
        let to: Vec<&str> = records.iter().filter(caused).map(|record| &*record.to).collect();
        assert!(to.contains(&"etcd1") && to.contains(&"kubectl"), "{to:?}");
    });
}

#[test]
fn kubectl_speaks_http_1_too() {
    live(|live| async move {
        let http1 = &[("DISABLE_HTTP2", "1")];
        let output = live.kubectl_with("get ns", "", http1).await;
        assert!(output.contains("kube-node-lease   Active"), "{output}");
        let output = live.kubectl_with("get ns -w --request-timeout=2s", "", http1).await;
        assert!(output.contains("kube-node-lease   Active"), "{output}");
    });
}

#[test]
fn a_kill_of_the_server_breaks_its_connections() {
    live(|live| async move {
        let watch = live.kubectl("get ns -w", "");
        let kill = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            live.lab.component.kill().await;
            live.lab.world.clock().elapsed()
        };
        let (watched, killed) = tokio::join!(watch, kill);
        assert!(watched.contains("default"), "{watched}");
        assert!(
            live.lab.world.clock().elapsed() < killed + Duration::from_secs(5),
            "kubectl waits for a dead server"
        );
        live.shows("get ns", "", &["was refused"]).await;
    });
}

#[test]
fn kubectl_shows_the_servers_refusals() {
    live(|live| async move {
        let unknown = DEPLOYMENT.replace("replicas: 2", "replicas: 2\n  foo: 1");
        let text = "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\"";
        live.shows(
            "apply -f INPUT",
            &unknown,
            &["Error from server (BadRequest): error when creating", text],
        )
        .await;
        let negative = DEPLOYMENT.replace("replicas: 2", "replicas: -2");
        let text = "The Deployment \"web\" is invalid: spec.replicas: Invalid value: -2: must be greater than or equal to 0";
        live.shows("create -f INPUT", &negative, &[text]).await;
        live.shows("create -f INPUT", DEPLOYMENT, &["deployment.apps/web created"]).await;
        live.shows(
            "create -f INPUT",
            DEPLOYMENT,
            &[
                "Error from server (AlreadyExists): error when creating",
                "deployments.apps \"web\" already exists",
            ],
        )
        .await;
        live.shows("delete ns default", "", &["Error from server (Forbidden): namespaces \"default\" is forbidden: this namespace may not be deleted"]).await;
    });
}

#[test]
fn answers_have_an_id_and_are_not_to_be_cached() {
    live(|live| async move {
        let parts = ["Audit-Id: ", "Cache-Control: no-cache, private", "Content-Type: application/json"];
        live.shows("get namespaces -v=8", "", &parts).await;
    });
}
