//! The roles and bindings that RBAC begins with. Counterpart:
//! `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`.
//!
//! The loops of the controller manager share one identity here, which therefore holds what upstream gives to each
//! loop's service account; kubelets hold `system:node` through their group, as there is no Node authorizer.

use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] = &["*"];

/// A rule on resources; `pods,pods/log` of the group.
fn rule(group: &str, resources: &str, verbs: &[&str]) -> Value {
    let resources: Vec<&str> = resources.split(',').collect();
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// A rule on paths.
fn paths(paths: &[&str]) -> Value {
    json!({"nonResourceURLs": paths, "verbs": ["get"]})
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

fn role(name: &str, rules: Vec<Value>) -> Value {
    json!({"metadata": metadata(name), "rules": rules})
}

/// What namespaced workloads are made of, which `view` reads and `edit` writes.
const WORKLOADS: &[(&str, &str)] = &[
    (
        "",
        "configmaps,persistentvolumeclaims,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services",
    ),
    (
        "apps",
        "daemonsets,deployments,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
    ),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs,jobs"),
    ("networking.k8s.io", "ingresses,networkpolicies"),
    ("policy", "poddisruptionbudgets"),
];

fn view() -> Vec<Value> {
    let mut rules: Vec<Value> =
        WORKLOADS.iter().map(|(group, resources)| rule(group, resources, READ)).collect();
    let more = [
        (
            "",
            "bindings,endpoints,events,limitranges,namespaces,namespaces/status,persistentvolumeclaims/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status,services/status",
        ),
        (
            "apps",
            "controllerrevisions,daemonsets/status,deployments/status,replicasets/status,statefulsets/status",
        ),
        ("autoscaling", "horizontalpodautoscalers/status"),
        ("batch", "cronjobs/status,jobs/status"),
        ("discovery.k8s.io", "endpointslices"),
        ("networking.k8s.io", "ingresses/status"),
        ("policy", "poddisruptionbudgets/status"),
    ];
    rules.extend(more.iter().map(|(group, resources)| rule(group, resources, READ)));
    rules
}

fn edit() -> Vec<Value> {
    let mut rules = vec![
        rule("", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy", READ),
        rule("", "serviceaccounts", &["impersonate"]),
        rule("", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy", WRITE),
        rule("", "events", WRITE),
        rule("", "pods/eviction,serviceaccounts/token", &["create"]),
    ];
    rules.extend(WORKLOADS.iter().map(|(group, resources)| rule(group, resources, WRITE)));
    rules.push(rule("apps", "deployments/rollback", WRITE));
    rules.push(rule("coordination.k8s.io", "leases", &[READ, WRITE].concat()));
    rules
}

fn admin() -> Vec<Value> {
    vec![
        rule("authorization.k8s.io", "localsubjectaccessreviews", &["create"]),
        rule(GROUP, "rolebindings,roles", &[READ, WRITE].concat()),
    ]
}

fn aggregated(name: &str, own: Vec<Value>, label: &str) -> Value {
    let mut value = role(name, own);
    let selector = json!({"matchLabels": {format!("{GROUP}/aggregate-to-{label}"): "true"}});
    value["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
    value
}

fn scheduler() -> Vec<Value> {
    vec![
        rule("", "events", &["create", "patch", "update"]),
        rule("events.k8s.io", "events", &["create", "patch", "update"]),
        rule("coordination.k8s.io", "leases", &["create", "get", "list", "update", "watch"]),
        rule(
            "",
            "nodes,namespaces,replicationcontrollers,services,persistentvolumeclaims,persistentvolumes",
            READ,
        ),
        rule("", "pods", &["delete", "get", "list", "watch"]),
        rule("", "bindings,pods/binding", &["create"]),
        rule("", "pods/status", &["patch", "update"]),
        rule("apps", "replicasets,statefulsets", READ),
        rule("policy", "poddisruptionbudgets", READ),
        rule("scheduling.k8s.io", "priorityclasses", READ),
        rule("storage.k8s.io", "csidrivers,csinodes,csistoragecapacities,storageclasses", READ),
        rule("authentication.k8s.io", "tokenreviews", &["create"]),
        rule("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    ]
}

fn node() -> Vec<Value> {
    vec![
        rule("authentication.k8s.io", "tokenreviews", &["create"]),
        rule("authorization.k8s.io", "localsubjectaccessreviews,subjectaccessreviews", &["create"]),
        rule("", "services", READ),
        rule("", "nodes", &["create", "get", "list", "watch", "patch", "update"]),
        rule("", "nodes/status", &["patch", "update"]),
        rule("", "events", &["create", "patch", "update"]),
        rule("", "pods", &["create", "delete", "get", "list", "watch"]),
        rule("", "pods/status", &["patch", "update"]),
        rule("", "pods/eviction,serviceaccounts/token", &["create"]),
        rule("", "configmaps,secrets,persistentvolumeclaims,persistentvolumes", READ),
        rule("certificates.k8s.io", "certificatesigningrequests", &["create", "get", "list", "watch"]),
        rule("coordination.k8s.io", "leases", &["create", "delete", "get", "patch", "update"]),
        rule("storage.k8s.io", "csidrivers,volumeattachments", READ),
        rule("storage.k8s.io", "csinodes", &["create", "delete", "get", "patch", "update"]),
        rule("node.k8s.io", "runtimeclasses", READ),
    ]
}

/// The ClusterRoles.
pub(crate) fn cluster_roles() -> Vec<Value> {
    let everything = json!({"nonResourceURLs": ["*"], "verbs": ["*"]});
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let public = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let monitoring =
        ["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*"];
    let reviews = vec![
        rule("authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews", &["create"]),
        rule("authentication.k8s.io", "selfsubjectreviews", &["create"]),
    ];
    let delegated = vec![
        rule("authentication.k8s.io", "tokenreviews", &["create"]),
        rule("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    ];
    vec![
        role("cluster-admin", vec![rule("*", "*", ALL), everything.clone()]),
        aggregated("admin", [view(), edit(), admin()].concat(), "admin"),
        aggregated("edit", [view(), edit()].concat(), "edit"),
        aggregated("view", view(), "view"),
        role("system:auth-delegator", delegated),
        role("system:basic-user", reviews),
        role("system:discovery", vec![paths(&discovery)]),
        role("system:kube-controller-manager", vec![rule("*", "*", ALL), everything]),
        role("system:kube-scheduler", scheduler()),
        role("system:monitoring", vec![paths(&monitoring)]),
        role("system:node", node()),
        role("system:public-info-viewer", vec![paths(&public)]),
        role(
            "system:service-account-issuer-discovery",
            vec![paths(&[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ])],
        ),
    ]
}

/// The ClusterRoleBindings: role of the same name, and to whom.
pub(crate) fn cluster_role_bindings() -> Vec<Value> {
    let bindings: [(&str, &str, &[&str]); 9] = [
        ("cluster-admin", "Group", &["system:masters"]),
        ("system:basic-user", "Group", &["system:authenticated"]),
        ("system:discovery", "Group", &["system:authenticated"]),
        ("system:kube-controller-manager", "User", &["system:kube-controller-manager"]),
        ("system:kube-scheduler", "User", &["system:kube-scheduler"]),
        ("system:monitoring", "Group", &["system:monitoring"]),
        ("system:node", "Group", &["system:nodes"]),
        ("system:public-info-viewer", "Group", &["system:authenticated", "system:unauthenticated"]),
        ("system:service-account-issuer-discovery", "Group", &["system:serviceaccounts"]),
    ];
    let binding = |(name, kind, subjects): &(&str, &str, &[&str])| {
        let subjects: Vec<Value> = subjects
            .iter()
            .map(|subject| json!({"apiGroup": GROUP, "kind": kind, "name": subject}))
            .collect();
        json!({
            "metadata": metadata(name),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": subjects,
        })
    };
    bindings.iter().map(binding).collect()
}
