//! Every kind from its creation to its end: one small manifest each, what a table shows of it, what may not be.

use super::*;
use crate::kinds::KINDS;

/// A request of ana, of the group dev, as `openssl req` makes it.
pub(super) const REQUEST: &str = "\
    LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIV01INENBUUF3SERFTU1Bb0dBMVVFQ2d3RFpHVjJNUXd3Q2dZ\
    RFZRUUREQU5oYm1Fd1dUQVRCZ2NxaGtqTwpQUUlCQmdncWhrak9QUU1CQndOQ0FBU2cwTHZxZWtQb1BDbVV1RFcvSUcxajVJajhU\
    eTRNV3VxR0pDMmFUMHRUCnZHTDBJSlQ5VjBuSUdxc0h6SVNMVDFjNGlXMnN0SVRDcHZ2SWVPUTd3M3B4b0FBd0NnWUlLb1pJemow\
    RUF3SUQKU0FBd1JRSWdJUGNYcVhCWG5kN010UEY1MHVpNmZqU0ErdTFOWG91Um41bVFGSjlGQnpRQ0lRRHFscWxDR0VWNApJNW9i\
    am1BOFF1T1pBd3YrRlM0c1dzdnVmUHRlTE5wYjh3PT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==\
";

/// Group and version, plural, manifest without apiVersion and name, cells after NAME without ages.
fn manifests() -> Vec<(&'static str, &'static str, Value, Vec<&'static str>)> {
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}});
    let once =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.36"}]}});
    let selector = json!({"matchLabels": {"app": "x"}});
    let role = json!({"kind": "Role", "name": "reader"});
    let users = json!([{"kind": "User", "name": "ana"}, {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}]);
    let cluster_role = json!({"kind": "ClusterRole", "name": "reader"});
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let volume = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}});
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    vec![
        (
            "apps/v1",
            "daemonsets",
            json!({"spec": {"selector": selector, "template": template}}),
            vec!["0", "0", "0", "0", "0", "<none>", "c", "nginx:1.27", "app=x"],
        ),
        (
            "apps/v1",
            "statefulsets",
            json!({"spec": {"serviceName": "x", "selector": selector, "template": template}}),
            vec!["0/1", "c", "nginx:1.27"],
        ),
        ("apps/v1", "controllerrevisions", json!({"revision": 3, "data": {"spec": {}}}), vec!["<none>", "3"]),
        (
            "v1",
            "replicationcontrollers",
            json!({"spec": {"template": template}}),
            vec!["1", "0", "0", "c", "nginx:1.27", "app=x"],
        ),
        ("v1", "podtemplates", json!({"template": template}), vec!["c", "nginx:1.27", "app=x"]),
        (
            "v1",
            "endpoints",
            json!({"subsets": [{"addresses": [{"ip": "10.1.0.1"}, {"ip": "10.1.0.2"}], "ports": [{"port": 80}]}]}),
            vec!["10.1.0.1:80,10.1.0.2:80"],
        ),
        (
            "v1",
            "limitranges",
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
            vec![],
        ),
        ("v1", "resourcequotas", json!({"spec": {"hard": {"pods": "4"}}}), vec!["", ""]),
        (
            "v1",
            "persistentvolumes",
            json!({"spec": volume}),
            vec!["1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "Filesystem"],
        ),
        (
            "v1",
            "persistentvolumeclaims",
            json!({"spec": claim}),
            vec!["Pending", "", "", "", "", "<unset>", "Filesystem"],
        ),
        (
            "batch/v1",
            "jobs",
            json!({"spec": {"template": once}}),
            vec!["Running", "0/1", "", "c", "busybox:1.36"],
        ),
        (
            "batch/v1",
            "cronjobs",
            json!({"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": once}}}}),
            vec!["*/5 * * * *", "<none>", "False", "0", "<none>", "c", "busybox:1.36", "<none>"],
        ),
        (
            "autoscaling/v2",
            "horizontalpodautoscalers",
            json!({"spec": {"maxReplicas": 5, "scaleTargetRef": target}}),
            vec!["Deployment/web", "cpu: <unknown>/80%", "1", "5", "0"],
        ),
        (
            "networking.k8s.io/v1",
            "ingresses",
            json!({"spec": {"ingressClassName": "nginx", "rules": [{"host": "a.example", "http": http}]}}),
            vec!["nginx", "a.example", "", "80"],
        ),
        (
            "networking.k8s.io/v1",
            "ingressclasses",
            json!({"spec": {"controller": "example.com/ingress"}}),
            vec!["example.com/ingress", "<none>"],
        ),
        (
            "networking.k8s.io/v1",
            "networkpolicies",
            json!({"spec": {"podSelector": selector}}),
            vec!["app=x"],
        ),
        (
            "certificates.k8s.io/v1",
            "certificatesigningrequests",
            json!({"spec": {"request": REQUEST, "usages": ["client auth"], "signerName": "kubernetes.io/kube-apiserver-client"}}),
            vec!["kubernetes.io/kube-apiserver-client", "kubernetes-admin", "<none>", "Pending"],
        ),
        (
            "policy/v1",
            "poddisruptionbudgets",
            json!({"spec": {"minAvailable": 1, "selector": selector}}),
            vec!["1", "N/A", "0"],
        ),
        ("rbac.authorization.k8s.io/v1", "roles", json!({"rules": rules}), vec![]),
        ("rbac.authorization.k8s.io/v1", "clusterroles", json!({"rules": rules}), vec![]),
        (
            "rbac.authorization.k8s.io/v1",
            "rolebindings",
            json!({"roleRef": role, "subjects": users}),
            vec!["Role/reader", "ana", "", "default/robot"],
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "clusterrolebindings",
            json!({"roleRef": cluster_role, "subjects": users}),
            vec!["ClusterRole/reader", "ana", "", "default/robot"],
        ),
        (
            "storage.k8s.io/v1",
            "storageclasses",
            json!({"provisioner": "example.com/disk"}),
            vec!["example.com/disk", "Delete", "Immediate", "false"],
        ),
        (
            "scheduling.k8s.io/v1",
            "priorityclasses",
            json!({"value": 100}),
            vec!["100", "false", "PreemptLowerPriority"],
        ),
        ("node.k8s.io/v1", "runtimeclasses", json!({"handler": "gvisor"}), vec!["gvisor"]),
    ]
    .into_iter()
    .chain(extensions())
    .collect()
}

/// The same for the kinds that extend a cluster.
fn extensions() -> Vec<(&'static str, &'static str, Value, Vec<&'static str>)> {
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let webhook = json!({
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [rule],
        "clientConfig": {"service": {"namespace": "default", "name": "hook"}},
    });
    let policy = json!({
        "matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "object.spec.replicas <= 5"}],
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
    });
    let binding = json!({"policyName": "x", "validationActions": ["Deny"], "paramRef": {"name": "limits"}});
    let schema =
        json!({"priorityLevelConfiguration": {"name": "exempt"}, "distinguisherMethod": {"type": "ByUser"}});
    let level = json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 16}}}});
    let attachment =
        json!({"attacher": "disk.example", "nodeName": "worker1", "source": {"persistentVolumeName": "v"}});
    vec![
        (
            "admissionregistration.k8s.io/v1",
            "mutatingwebhookconfigurations",
            json!({"webhooks": [webhook]}),
            vec!["1"],
        ),
        (
            "admissionregistration.k8s.io/v1",
            "validatingwebhookconfigurations",
            json!({"webhooks": [webhook]}),
            vec!["1"],
        ),
        (
            "admissionregistration.k8s.io/v1",
            "validatingadmissionpolicies",
            json!({"spec": policy}),
            vec!["1", "v1/ConfigMap"],
        ),
        (
            "admissionregistration.k8s.io/v1",
            "validatingadmissionpolicybindings",
            json!({"spec": binding}),
            vec!["x", "limits"],
        ),
        (
            "flowcontrol.apiserver.k8s.io/v1",
            "flowschemas",
            json!({"spec": schema}),
            vec!["exempt", "1000", "ByUser", "?"],
        ),
        (
            "flowcontrol.apiserver.k8s.io/v1",
            "prioritylevelconfigurations",
            json!({"spec": level}),
            vec!["Limited", "30", "16", "8", "50"],
        ),
        (
            "storage.k8s.io/v1",
            "csidrivers",
            json!({"spec": {"tokenRequests": [{"audience": "vault"}]}}),
            vec!["true", "false", "false", "vault", "false", "Persistent"],
        ),
        (
            "storage.k8s.io/v1",
            "csinodes",
            json!({"spec": {"drivers": [{"name": "d", "nodeID": "n"}]}}),
            vec!["1"],
        ),
        (
            "storage.k8s.io/v1",
            "csistoragecapacities",
            json!({"storageClassName": "fast", "capacity": "1Gi"}),
            vec!["fast", "1Gi"],
        ),
        (
            "storage.k8s.io/v1",
            "volumeattachments",
            json!({"spec": attachment}),
            vec!["disk.example", "v", "worker1", "false"],
        ),
    ]
}

#[test]
fn extensions_that_are_not_right_are_refused() {
    lab(|lab| async move {
        let group = "/apis/admissionregistration.k8s.io/v1";
        let webhook = json!({"metadata": {"name": "w"}, "webhooks": [{"name": "short", "sideEffects": "Some", "timeoutSeconds": 31, "clientConfig": {}}]});
        let message = "ValidatingWebhookConfiguration.admissionregistration.k8s.io \"w\" is invalid: [\
            webhooks[0].name: Invalid value: \"short\": should be a domain with at least three segments separated by dots, \
            webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1, \
            webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\", \
            webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds, \
            webhooks[0].clientConfig: Required value: exactly one of url or service is required]";
        lab.refused("POST", &format!("{group}/validatingwebhookconfigurations"), webhook, 422, message).await;
        let level = json!({"metadata": {"name": "p"}, "spec": {"type": "Exempt", "limited": {"limitResponse": {"type": "Reject"}}}});
        let message = "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io \"p\" is invalid: spec.limited: Forbidden: must be nil if the type is not Limited";
        lab.refused(
            "POST",
            "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
            level,
            422,
            message,
        )
        .await;
    });
}

/// The collection of a kind, in `default` where it has namespaces.
fn collection(api_version: &str, plural: &str) -> (&'static crate::kinds::Kind, String) {
    let kind = KINDS.iter().find(|kind| kind.api_version() == api_version && kind.plural == plural).unwrap();
    let namespace = if kind.is_namespaced() { "default" } else { "" };
    (kind, kind.resource().path(namespace, None))
}

#[test]
fn every_kind_lives_from_its_creation_to_its_end() {
    lab(|lab| async move {
        for (api_version, plural, manifest, cells) in manifests() {
            let (kind, path) = collection(api_version, plural);
            let mut manifest = manifest;
            manifest["apiVersion"] = json!(api_version);
            manifest["metadata"] = json!({"name": "x"});
            let made = lab.post(&path, manifest.clone()).await;
            assert_eq!((&made["apiVersion"], &made["kind"]), (&json!(api_version), &json!(kind.kind)));
            // Everything that the server says is in the schema that it decodes with.
            let mut known = made.clone();
            let unknown = labkit_api::protobuf::prune_unknown(&kind.gvk(), &mut known).unwrap();
            assert_eq!(unknown, [""; 0], "{plural}");
            lab.refused(
                "POST",
                &path,
                manifest,
                409,
                &format!("{} \"x\" already exists", kind.resource().qualified()),
            )
            .await;
            let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
            let table: Value =
                serde_json::from_slice(&whole(lab.send("GET", &format!("{path}/x"), &table, "").await))
                    .unwrap();
            let names = table["columnDefinitions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|column| column["name"].as_str().unwrap());
            let row = table["rows"][0]["cells"].as_array().unwrap();
            let shown: Vec<String> = names
                .zip(row)
                .filter(|(name, _)| !matches!(*name, "Name" | "Age" | "Created At"))
                .map(|(_, cell)| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
                .collect();
            // A job's selector is its uid, which no one can foresee.
            assert_eq!(&shown[..cells.len()], cells, "{plural}");
            let labels = json!({"metadata": {"labels": {"a": "b"}}});
            assert_eq!(lab.patch(&format!("{path}/x"), labels).await["metadata"]["labels"]["a"], "b");
            assert_eq!(
                lab.get(&format!("{path}?labelSelector=a=b")).await["items"].as_array().unwrap().len(),
                1
            );
            assert_eq!(lab.json("DELETE", &format!("{path}/x"), Value::Null).await.0, 200, "{plural}");
            assert_eq!(lab.json("GET", &format!("{path}/x"), Value::Null).await.0, 404, "{plural}");
        }
    });
}

#[test]
fn a_kind_that_nobody_uses_costs_no_watch() {
    lab(|lab| async move {
        let followed = |plural: &str| {
            let kind = KINDS.iter().find(|kind| kind.plural == plural).unwrap();
            lab.server.registry.cache(kind).is_running()
        };
        assert!(followed("pods") && !followed("jobs") && !followed("roles"));
        lab.get("/apis/batch/v1/jobs").await;
        assert!(!followed("jobs"));
        lab.get("/apis/batch/v1/jobs?resourceVersion=0").await;
        assert!(followed("jobs") && !followed("cronjobs"));
        let mut events =
            lab.watch("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles?watch=true").await;
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
        lab.post(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
            json!({"metadata": {"name": "r"}, "rules": rules}),
        )
        .await;
        assert_eq!(events.line().await, "ADDED r");
    });
}

#[test]
fn a_job_selects_its_pods_by_its_uid() {
    lab(|lab| async move {
        let jobs = "/apis/batch/v1/namespaces/default/jobs";
        let once =
            json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
        let job =
            lab.post(jobs, json!({"metadata": {"generateName": "pi-"}, "spec": {"template": once}})).await;
        let (uid, name) = (&job["metadata"]["uid"], &job["metadata"]["name"]);
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
        );
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&labels["batch.kubernetes.io/job-name"], &labels["controller-uid"]), (name, uid));
        assert_eq!(job["spec"]["backoffLimit"], 6);
        let always = json!({"spec": {"containers": [{"name": "c", "image": "busybox"}]}});
        let message = "Job.batch \"a\" is invalid: spec.template.spec.restartPolicy: Required value: valid values: \
                       \"OnFailure\", \"Never\"";
        lab.refused(
            "POST",
            jobs,
            json!({"metadata": {"name": "a"}, "spec": {"template": always}}),
            422,
            message,
        )
        .await;
    });
}

#[test]
fn an_autoscaler_is_one_object_in_two_versions() {
    lab(|lab| async move {
        let (v1, v2) = (
            "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        );
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50});
        lab.post(v1, json!({"metadata": {"name": "web"}, "spec": spec})).await;
        let seen = lab.get(&format!("{v2}/web")).await;
        assert_eq!(seen["apiVersion"], "autoscaling/v2");
        assert_eq!(seen["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
        let seen = lab.get(&format!("{v1}/web")).await;
        assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 50);
        let group = lab.get("/apis/autoscaling").await;
        assert_eq!(group["preferredVersion"]["version"], "v2");
        assert_eq!(group["versions"].as_array().unwrap().len(), 2);
        let message = "HorizontalPodAutoscaler.autoscaling \"b\" is invalid: spec.maxReplicas: Invalid value: 1: must be \
                       greater than or equal to `minReplicas`";
        let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 1});
        lab.refused("POST", v2, json!({"metadata": {"name": "b"}, "spec": spec}), 422, message).await;
    });
}

#[test]
fn a_pod_gets_the_priority_of_its_class() {
    lab(|lab| async move {
        let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
        let mut urgent = pod("a");
        urgent["spec"]["priorityClassName"] = json!("urgent");
        let message = "pods \"a\" is forbidden: no PriorityClass with name urgent was found";
        lab.refused("POST", PODS, urgent.clone(), 403, message).await;
        lab.post(
            classes,
            json!({"metadata": {"name": "urgent"}, "value": 1000, "preemptionPolicy": "Never"}),
        )
        .await;
        let made = lab.post(PODS, urgent).await;
        assert_eq!(
            (&made["spec"]["priority"], &made["spec"]["preemptionPolicy"]),
            (&json!(1000), &json!("Never"))
        );
        lab.post(classes, json!({"metadata": {"name": "usual"}, "value": 10, "globalDefault": true})).await;
        lab.get(&format!("{classes}?resourceVersion=0")).await;
        let made = lab.post(PODS, pod("b")).await;
        assert_eq!(
            (&made["spec"]["priority"], &made["spec"]["priorityClassName"]),
            (&json!(10), &json!("usual"))
        );
        let message = "PriorityClass.scheduling.k8s.io \"big\" is invalid: value: Forbidden: maximum allowed value of a user \
                       defined priority is 1000000000";
        lab.refused(
            "POST",
            classes,
            json!({"metadata": {"name": "big"}, "value": 2_000_000_000}),
            422,
            message,
        )
        .await;
    });
}

#[test]
fn what_is_invalid_is_refused_in_upstreams_words() {
    lab(|lab| async move {
        let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
        let binding =
            |role: &str| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": role}});
        lab.post(bindings, binding("reader")).await;
        let message = "RoleBinding.rbac.authorization.k8s.io \"b\" is invalid: roleRef: Invalid value: rbac.RoleRef{\
                       APIGroup:\"rbac.authorization.k8s.io\", Kind:\"Role\", Name:\"writer\"}: cannot change roleRef";
        lab.refused("PUT", &format!("{bindings}/b"), binding("writer"), 422, message).await;
        let classes = "/apis/storage.k8s.io/v1/storageclasses";
        lab.post(classes, json!({"metadata": {"name": "fast"}, "provisioner": "a.example/disk"})).await;
        let message = "StorageClass.storage.k8s.io \"fast\" is invalid: provisioner: Forbidden: updates to provisioner are forbidden.";
        lab.refused(
            "PUT",
            &format!("{classes}/fast"),
            json!({"metadata": {"name": "fast"}, "provisioner": "b"}),
            422,
            message,
        )
        .await;
        let message = "PersistentVolumeClaim \"c\" is invalid: [spec.accessModes: Required value: at least 1 access mode is \
                       required, spec.resources[storage]: Required value]";
        lab.refused(
            "POST",
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({"metadata": {"name": "c"}, "spec": {}}),
            422,
            message,
        )
        .await;
        let once =
            json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
        let cron = json!({"metadata": {"name": "c"}, "spec": {"schedule": "61 * * * *", "jobTemplate": {"spec": {"template": once}}}});
        let message = "CronJob.batch \"c\" is invalid: spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61";
        lab.refused("POST", "/apis/batch/v1/namespaces/default/cronjobs", cron, 422, message).await;
        let ingress = json!({"metadata": {"name": "i"}, "spec": {}});
        let message = "Ingress.networking.k8s.io \"i\" is invalid: spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified";
        lab.refused("POST", "/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress, 422, message)
            .await;
    });
}

#[test]
fn every_kind_has_a_schema_and_every_reference_leads_somewhere() {
    lab(|lab| async move {
        let index = lab.get("/openapi/v3").await;
        let paths = index["paths"].as_object().unwrap();
        let groups = crate::kinds::group_versions();
        assert_eq!(paths.len(), groups.len());
        for kind in KINDS {
            let path = if kind.group.is_empty() {
                "api/v1".to_owned()
            } else {
                format!("apis/{}", kind.api_version())
            };
            let document = lab.get(paths[&path]["serverRelativeURL"].as_str().unwrap()).await;
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let own = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
            let of_kind =
                schemas.values().filter(|schema| schema["x-kubernetes-group-version-kind"] == own).count();
            assert_eq!(of_kind, 1, "{}", kind.plural);
            let text = document.to_string();
            for reference in text.split("\"#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(schemas.contains_key(name), "{name} of {path}");
            }
        }
        let apps = lab.get("/openapi/v3/apis/apps/v1").await;
        let schemas = &apps["components"]["schemas"];
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        assert!(containers["description"].as_str().unwrap().starts_with("List of containers"));
        let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
        assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
        let response = lab.send("GET", "/openapi/v3/apis/batch/v1?hash=1", &[], "").await;
        assert_eq!(response.headers()["cache-control"], "public, immutable");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        let again = lab.send("GET", "/openapi/v3/apis/batch/v1", &[("if-none-match", &etag)], "").await;
        assert_eq!(again.status(), 304);
        assert_eq!(lab.send("GET", "/openapi/v3/apis/batch/v9", &[], "").await.status(), 404);
    });
}
