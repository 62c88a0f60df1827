//! The real kubectl with every kind: made by its own commands (which send protobuf), shown, described, explained
//! and deleted.

use super::kubectl::{Live, live};

/// Command, and what it prints.
const CREATED: &[(&str, &str)] = &[
    ("create job pi --image=perl:5.34 -- perl -e 1", "job.batch/pi created"),
    (
        "create cronjob nightly --image=busybox:1.36 --schedule=@daily -- date",
        "cronjob.batch/nightly created",
    ),
    ("create job manual --from=cronjob/nightly", "job.batch/manual created"),
    (
        "create role reader --verb=get,list --resource=pods,deployments",
        "role.rbac.authorization.k8s.io/reader created",
    ),
    (
        "create clusterrole viewer --verb=get --resource=nodes",
        "clusterrole.rbac.authorization.k8s.io/viewer created",
    ),
    (
        "create clusterrole prober --verb=get --non-resource-url=/healthz",
        "clusterrole.rbac.authorization.k8s.io/prober created",
    ),
    (
        "create rolebinding readers --role=reader --user=ana",
        "rolebinding.rbac.authorization.k8s.io/readers created",
    ),
    (
        "create clusterrolebinding viewers --clusterrole=viewer --group=devs",
        "clusterrolebinding.rbac.authorization.k8s.io/viewers created",
    ),
    ("create quota small --hard=pods=4,requests.cpu=1", "resourcequota/small created"),
    (
        "create poddisruptionbudget web --selector=app=web --min-available=50%",
        "poddisruptionbudget.policy/web created",
    ),
    ("create ingress web --class=nginx --rule=a.example/=web:80", "ingress.networking.k8s.io/web created"),
    (
        "create priorityclass high --value=100 --description=fast",
        "priorityclass.scheduling.k8s.io/high created",
    ),
    ("create deployment web --image=nginx:1.27", "deployment.apps/web created"),
    (
        "autoscale deployment web --min=2 --max=5 --cpu-percent=50",
        "horizontalpodautoscaler.autoscaling/web autoscaled",
    ),
];

const MANIFESTS: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: fluentd}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: postgres}]}}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: fast, hostPath: {path: /data}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}}
provisioner: example.com/disk
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: example.com/nginx}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, default: {cpu: 500m}}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 443}]}]
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: gvisor}
handler: runsc
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec: {template: {metadata: {labels: {app: old}}, spec: {containers: [{name: c, image: nginx}]}}}
";

/// What is got, and the words of its line.
const SHOWN: &[(&str, &str)] = &[
    ("get job pi --no-headers", "pi Running 0/1"),
    ("get cronjob nightly --no-headers", "nightly @daily <none> False 0 <none>"),
    ("get role reader -o jsonpath={.rules[*].resources[*]}", "pods deployments"),
    ("get rolebinding readers -o wide --no-headers", "readers Role/reader"),
    ("get clusterrolebinding viewers -o wide --no-headers", "viewers ClusterRole/viewer"),
    ("get pdb web --no-headers", "web 50% N/A 0"),
    ("get ingress web --no-headers", "web nginx a.example 80"),
    ("get pc high --no-headers", "high 100 false"),
    ("get hpa web --no-headers", "web Deployment/web cpu: <unknown>/50% 2 5 0"),
    ("get ds agent --no-headers", "agent 0 0 0 0 0 <none>"),
    ("get sts db -o wide", "NAME READY AGE CONTAINERS IMAGES db 0/1"),
    ("get pv disk --no-headers", "disk 1Gi RWO Retain Pending fast <unset>"),
    (
        "get pvc data",
        "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE data Pending fast <unset>",
    ),
    ("get sc --no-headers", "fast (default) example.com/disk Delete Immediate false"),
    ("get netpol deny --no-headers", "deny <none>"),
    ("get endpoints outside --no-headers", "outside 192.0.2.1:443"),
    ("get rc old --no-headers", "old 1 0 0"),
    ("get all", "horizontalpodautoscaler.autoscaling/web"),
];

const DESCRIBED: &[&str] = &[
    "job/pi",
    "cronjob/nightly",
    "role/reader",
    "clusterrole/viewer",
    "rolebinding/readers",
    "clusterrolebinding/viewers",
    "quota/small",
    "pdb/web",
    "ingress/web",
    "pc/high",
    "hpa/web",
    "ds/agent",
    "sts/db",
    "pv/disk",
    "pvc/data",
    "sc/fast",
    "netpol/deny",
    "ingressclass/nginx",
    "limits/limits",
    "endpoints/outside",
    "runtimeclass/gvisor",
    "rc/old",
];

/// Columns are set with as many blanks as they need.
async fn says(live: &Live, arguments: &str, input: &str, part: &str) {
    let output = live.kubectl(arguments, input).await;
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(part), "kubectl {arguments} does not show {part:?}:\n{output}");
}

#[test]
fn kubectl_plays_every_kind_from_its_creation_to_its_end() {
    live(|live| async move {
        for (command, printed) in CREATED {
            says(&live, command, "", printed).await;
        }
        says(&live, "apply -f INPUT", MANIFESTS, "replicationcontroller/old created").await;
        says(&live, "apply -f INPUT", MANIFESTS, "daemonset.apps/agent unchanged").await;
        for (command, part) in SHOWN {
            says(&live, command, "", part).await;
        }
        for object in DESCRIBED {
            let name = object.split_once('/').unwrap().1;
            says(&live, &format!("describe {object}"), "", &format!("Name: {name}")).await;
        }
        says(&live, "scale sts/db --replicas=3", "", "statefulset.apps/db scaled").await;
        says(&live, "scale rc/old --replicas=2", "", "replicationcontroller/old scaled").await;
        says(
            &live,
            "patch cronjob nightly -p {\"spec\":{\"suspend\":true}}",
            "",
            "cronjob.batch/nightly patched",
        )
        .await;
        says(&live, "set image ds/agent agent=fluentd:1.17", "", "daemonset.apps/agent image updated").await;
        for object in DESCRIBED {
            says(&live, &format!("delete {object} --wait=false"), "", "deleted").await;
        }
        says(&live, "get all", "", "deployment.apps/web").await;
    });
}

#[test]
fn kubectl_explains_every_kind() {
    live(|live| async move {
        let explained = [
            ("explain pod.spec.containers", "FIELD: containers <[]Container>"),
            ("explain deployment --recursive", "maxSurge <IntOrString>"),
            ("explain deploy.spec.strategy", "type <string>"),
            ("explain cronjob.spec.jobTemplate.spec.backoffLimit", "FIELD: backoffLimit <integer>"),
            (
                "explain hpa --api-version=autoscaling/v1 --recursive",
                "targetCPUUtilizationPercentage <integer>",
            ),
            ("explain hpa.spec.metrics", "VERSION: v2"),
            ("explain networkpolicy.spec.ingress.from.ipBlock", "cidr <string> -required-"),
            ("explain pod.spec.nope", "field \"nope\" does not exist"),
        ];
        for (command, part) in explained {
            says(&live, command, "", part).await;
        }
        for kind in crate::kinds::KINDS {
            let command = format!("explain {} --api-version={}", kind.plural, kind.api_version());
            says(&live, &command, "", &format!("KIND: {}", kind.kind)).await;
        }
    });
}

#[test]
fn kubectl_lists_what_is_served() {
    live(|live| async move {
        let lines = [
            "cronjobs cj batch/v1 true CronJob",
            "horizontalpodautoscalers hpa autoscaling/v2 true HorizontalPodAutoscaler",
            "clusterroles rbac.authorization.k8s.io/v1 false ClusterRole",
            "poddisruptionbudgets pdb policy/v1 true PodDisruptionBudget",
            "endpoints ep v1 true Endpoints",
            "storageclasses sc storage.k8s.io/v1 false StorageClass",
        ];
        for line in lines {
            says(&live, "api-resources", "", line).await;
        }
        says(&live, "api-resources --categories=all -o name", "", "statefulsets.apps").await;
        says(
            &live,
            "api-versions",
            "",
            "autoscaling/v1 autoscaling/v2 batch/v1 certificates.k8s.io/v1 coordination.k8s.io/v1",
        )
        .await;
    });
}

/// Client-side apply reads from the schemas by which key a list is merged.
#[test]
fn kubectl_apply_removes_one_container_of_two() {
    let manifest = |containers: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{a: b}}}}\n  \
             template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{containers}]}}}}\n"
        )
    };
    live(|live| async move {
        let (web, log) = ("{name: web, image: nginx}", "{name: log, image: fluentd}");
        says(&live, "apply -f INPUT", &manifest(&format!("{web}, {log}")), "deployment.apps/web created")
            .await;
        says(&live, "apply -f INPUT", &manifest(web), "deployment.apps/web configured").await;
        let names =
            live.kubectl("get deploy web -o jsonpath={.spec.template.spec.containers[*].name}", "").await;
        assert_eq!(names, "web");
    });
}
