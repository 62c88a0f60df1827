//! The table of kubectl's verbs: each row is run with the real kubectl over TLS, and prints what the table says.
//! `LABKIT_BLESS=1` writes what it printed into the table; the book shows the same files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{Live, Printed, has, live};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// One file: rows that are run one after the other on a cluster of their own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    title: BTreeMap<String, String>,
    nodes: u8,
    /// Whether RBAC decides, or everybody may do everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rbac: bool,
    /// Whether there is a metrics server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    metrics_server: bool,
    rows: Vec<Row>,
}

/// One command line, and what it printed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Seconds that the cluster's clock is put forward first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forward: Option<u64>,
    /// Done first, and not shown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    before: String,
    /// For a shell.
    run: String,
    /// Written before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
    /// Ended after so many seconds, for what does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_after: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    code: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    out: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    err: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(code: &i32) -> bool {
    *code == 0
}

/// What differs from run to run, and what the table has in its place.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"/tmp/[^ ]*\.yaml", "<file>"),
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
        (r"\b([0-9a-f]{64}|[0-9a-f]{32})\b", "<id>"),
        (r"(JTI|X509SHA256)=[0-9a-f-]+", "$1=<id>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<date>"),
        (r"\b(127\.0\.0\.1|localhost):\d+", "$1:<port>"),
        (r"-[0-9bcdf-hj-np-tv-xz]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<hash>-<id>"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{5}(\s|$)", "-<id>$1"),
        (r"\b10\.(9[6-9]|1[01]\d)\.\d+\.\d+\b", "<service-ip>"),
        (r"\b10\.244\.\d+\.\d+\b", "<pod-ip>"),
        (r"(resourceVersion: ?)?(\x22resourceVersion\x22: ?)?\x22\d+\x22", "$1$2\"<n>\""),
        (r":3\d{4}/TCP", ":<node-port>/TCP"),
        (r"(NodePort: +\S* +)\d+/", "$1<node-port>/"),
        (r"\b(\d+h)?(\d+m)?\d+(\.\d+)?s\b|\b\d+m\b|<invalid>", "<age>"),
        (r"Client Version: .*", "Client Version: <client>"),
        (r"(?m)([^ \n]) {2,}", "$1  "),
        (r"(?m)[ \t]+$", ""),
    ];
    masks.map(|(pattern, by)| (Regex::new(pattern).expect("a constant"), by)).into()
});

fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/kubectl_table")
}

#[track_caller]
fn check(name: &str) {
    if !has("kubectl") || !has("openssl") {
        return;
    }
    let path = folder().join(name);
    let mut table: Table = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut spec = ClusterSpec::whole(1, table.nodes.max(1));
    if table.nodes == 0 {
        spec.nodes = None;
    }
    spec.metrics_server = table.metrics_server.then(Default::default);
    if table.rbac {
        let flags = &mut spec.api_server.as_mut().unwrap().flags;
        flags.insert("authorization-mode".to_owned(), "Node,RBAC".to_owned());
    }
    let bless = std::env::var_os("LABKIT_BLESS").is_some();
    live(spec, |live| async move {
        let mut wrong = Vec::new();
        for row in &mut table.rows {
            let Printed { code, stdout, stderr } = run(&live, row).await;
            let found = (code, masked(&stdout), masked(&stderr));
            let expected = (row.code, row.out.clone(), row.err.clone());
            if found != expected {
                wrong.push(format!("$ {}\n--- the table:\n{expected:#?}\n--- printed:\n{found:#?}", row.run));
                (row.code, row.out, row.err) = found;
            }
        }
        if bless {
            std::fs::write(&path, serde_yaml::to_string(&table).unwrap()).unwrap();
        } else {
            assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n\n"));
        }
    });
}

async fn run(live: &Live, row: &Row) -> Printed {
    for (name, text) in &row.files {
        std::fs::create_dir_all(live.folder().join(name).parent().unwrap()).unwrap();
        live.file(name, text);
    }
    if let Some(seconds) = row.forward {
        live.world.clock().fast_forward(Duration::from_secs(seconds)).await;
    }
    if !row.before.is_empty() {
        let before = live.shell(&row.before, None).await;
        assert_eq!(before.code, 0, "{}: {}", row.before, before.stderr);
    }
    live.shell(&row.run, row.stop_after.map(Duration::from_secs)).await
}

#[test]
fn kubectl_looks_at_objects() {
    check("reads.yaml");
}

#[test]
fn kubectl_makes_and_changes_objects() {
    check("writes.yaml");
}

#[test]
fn kubectl_manages_workloads() {
    check("workloads.yaml");
}

#[test]
fn kubectl_manages_nodes() {
    check("nodes.yaml");
}

#[test]
fn kubectl_asks_who_may_do_what() {
    check("access.yaml");
}

#[test]
fn kubectl_sees_what_is_used() {
    check("metrics.yaml");
}

#[test]
fn kubectl_reaches_into_containers() {
    check("streams.yaml");
}

#[test]
fn every_verb_of_kubectl_has_a_row() {
    // Completion, options and plugins are kubectl's own business.
    const VERBS: &[&str] = &[
        "annotate",
        "api-resources",
        "api-versions",
        "apply",
        "attach",
        "auth",
        "autoscale",
        "certificate",
        "cluster-info",
        "config",
        "cordon",
        "cp",
        "create",
        "debug",
        "delete",
        "describe",
        "diff",
        "drain",
        "edit",
        "events",
        "exec",
        "explain",
        "expose",
        "get",
        "kustomize",
        "label",
        "logs",
        "patch",
        "port-forward",
        "proxy",
        "replace",
        "rollout",
        "run",
        "scale",
        "set",
        "taint",
        "top",
        "uncordon",
        "version",
        "wait",
    ];
    let mut lines = String::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        lines += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    for verb in VERBS {
        assert!(
            lines.contains(&format!("kubectl {verb} ")) || lines.contains(&format!("kubectl {verb}\n")),
            "{verb}"
        );
    }
}
