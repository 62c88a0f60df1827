//! The roles and bindings that RBAC begins with, as data. Counterpart:
//! `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`, with the feature gates of 1.32 at their defaults.

use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";
const EVENTS: &str = "core,events.k8s.io events create,patch,update";

/// The ClusterRoleBindings beside those of controllers: the role, which gives its name, and to whom.
const CLUSTER_ROLE_BINDINGS: &[(&str, &[&str])] = &[
    ("cluster-admin", &["group:system:masters"]),
    ("system:basic-user", &["group:system:authenticated"]),
    ("system:discovery", &["group:system:authenticated"]),
    ("system:kube-controller-manager", &["user:system:kube-controller-manager"]),
    ("system:kube-dns", &["sa:kube-dns"]),
    ("system:kube-scheduler", &["user:system:kube-scheduler"]),
    ("system:monitoring", &["group:system:monitoring"]),
    // Nodes are the Node authorizer's business.
    ("system:node", &[]),
    ("system:node-proxier", &["user:system:kube-proxy"]),
    ("system:public-info-viewer", &["group:system:authenticated", "group:system:unauthenticated"]),
    ("system:service-account-issuer-discovery", &["group:system:serviceaccounts"]),
    ("system:volume-scheduler", &["user:system:kube-scheduler"]),
];

/// A role as the files have it: the words of its first line, and its rules.
struct Entry<'a> {
    words: Vec<&'a str>,
    rules: Vec<Value>,
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix("  "), entries.last_mut()) {
            (Some(text), Some(entry)) => entry.rules.push(rule(if text == "EVENTS" { EVENTS } else { text })),
            _ => entries.push(Entry { words: line.split(' ').collect(), rules: Vec::new() }),
        }
    }
    entries
}

fn rule(line: &str) -> Value {
    let mut columns = line.split(' ').map(|column| {
        let expand = |word| match word {
            "core" => vec![""],
            "READ" => vec!["get", "list", "watch"],
            "WRITE" => vec!["create", "delete", "deletecollection", "patch", "update"],
            word => vec![word],
        };
        let mut words: Vec<&str> = column.split(',').flat_map(expand).collect();
        words.sort_unstable();
        words
    });
    let mut next = || columns.next().unwrap_or_default();
    let (groups, resources, verbs, names) = (next(), next(), next(), next());
    match (groups.as_slice(), names.is_empty()) {
        (["url"], _) => json!({"nonResourceURLs": resources, "verbs": verbs}),
        (_, true) => json!({"apiGroups": groups, "resources": resources, "verbs": verbs}),
        _ => json!({"apiGroups": groups, "resourceNames": names, "resources": resources, "verbs": verbs}),
    }
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

/// `user:NAME`, `group:NAME`, `sa:NAME` of kube-system.
fn subject(text: &str) -> Value {
    match text.split_once(':') {
        Some(("user", name)) => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        Some(("group", name)) => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
        Some((_, name)) => json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
        None => unreachable!("a subject says what it is: {text}"),
    }
}

fn binding(name: &str, role_kind: &str, role: &str, subjects: &[&str]) -> Value {
    let mut value =
        json!({"metadata": metadata(name), "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role}});
    if !subjects.is_empty() {
        value["subjects"] = subjects.iter().copied().map(subject).collect();
    }
    value
}

fn cluster_entries() -> Vec<Entry<'static>> {
    entries(include_str!("cluster_roles.txt"))
}

fn controllers() -> Vec<Entry<'static>> {
    entries(include_str!("controller_roles.txt"))
}

/// `system:controller:NAME`, the role of a controller.
fn role_of_controller(entry: &Entry<'_>) -> String {
    format!("system:controller:{}", entry.words[0])
}

/// The ClusterRoles. Of those that are aggregated the rules come from a controller.
pub(crate) fn cluster_roles() -> Vec<Value> {
    let of_component = |entry: Entry<'static>| {
        let mut value = json!({"metadata": metadata(entry.words[0]), "rules": entry.rules});
        for word in &entry.words[1..] {
            let (way, name) = word.split_once(':').unwrap_or_default();
            let label = format!("{GROUP}/aggregate-to-{name}");
            if way == "to" {
                value["metadata"]["labels"][label] = json!("true");
            } else {
                value["aggregationRule"] =
                    json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
            }
        }
        value
    };
    let of_controller = |entry: Entry<'static>| json!({"metadata": metadata(&role_of_controller(&entry)), "rules": entry.rules});
    let components = cluster_entries().into_iter().map(of_component);
    components.chain(controllers().into_iter().map(of_controller)).collect()
}

/// The ClusterRoleBindings.
pub(crate) fn cluster_role_bindings() -> Vec<Value> {
    let of_component = |(role, subjects): &(&str, &[&str])| binding(role, "ClusterRole", role, subjects);
    let of_controller = |entry: Entry<'static>| {
        let role = role_of_controller(&entry);
        binding(&role, "ClusterRole", &role, &[&format!("sa:{}", entry.words[0])])
    };
    let components = CLUSTER_ROLE_BINDINGS.iter().map(of_component);
    components.chain(controllers().into_iter().map(of_controller)).collect()
}

/// The Roles with the RoleBinding of each.
pub(crate) fn namespaced() -> Vec<(Value, Value)> {
    let pair = |entry: Entry<'static>| {
        let (namespace, role) = entry.words[0].split_once('/').expect("the file names namespace and role");
        let name = if entry.words[1] == "=" { role } else { entry.words[1] };
        let mut pair = (
            json!({"metadata": metadata(role), "rules": entry.rules}),
            binding(name, "Role", role, &entry.words[2..]),
        );
        for value in [&mut pair.0, &mut pair.1] {
            value["metadata"]["namespace"] = json!(namespace);
        }
        pair
    };
    entries(include_str!("namespaced_roles.txt")).into_iter().map(pair).collect()
}

/// What a node may do at all: the rules of `system:node`.
pub(crate) fn node_rules() -> Vec<Value> {
    let node = cluster_entries().into_iter().find(|entry| entry.words[0] == "system:node");
    node.expect("the file has it").rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_rule_with_sorted_lists() {
        let expected = json!({"apiGroups": ["", "apps"], "resources": ["a", "b/c"], "verbs": ["create", "get", "list", "watch"]});
        assert_eq!(rule("core,apps b/c,a READ,create"), expected);
        assert_eq!(rule("url /a,* get"), json!({"nonResourceURLs": ["*", "/a"], "verbs": ["get"]}));
        let named =
            json!({"apiGroups": [""], "resourceNames": ["x"], "resources": ["configmaps"], "verbs": ["get"]});
        assert_eq!(rule("core configmaps get x"), named);
    }

    #[test]
    fn every_binding_is_to_a_role_that_is_there() {
        let roles = cluster_roles();
        let names: Vec<&str> = roles.iter().map(|role| role["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 31 + 33);
        for binding in cluster_role_bindings() {
            let role = binding["roleRef"]["name"].as_str().unwrap();
            assert!(names.contains(&role), "{role}");
        }
        for (role, binding) in namespaced() {
            assert_eq!(role["metadata"]["name"], binding["roleRef"]["name"]);
            assert_eq!(role["metadata"]["namespace"], binding["metadata"]["namespace"]);
        }
        assert!(node_rules().len() > 20);
    }
}
