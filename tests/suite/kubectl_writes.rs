//! Real kubectl against a live cluster: every command that changes an object, and who then manages its fields.

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{Live, has, live};

fn deployment(replicas: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, labels: {{app: web}}}}\nspec:\n{replicas}  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers: [{{name: web, image: '{image}'}}]\n"
    )
}

async fn field(live: &Live, path: &str) -> String {
    live.kubectl_ok(&format!("get deployment web -o jsonpath={{{path}}}")).await
}

/// Runs kubectl, which fails, and returns what it says.
async fn refused(live: &Live, arguments: &str) -> String {
    let printed = live.kubectl(arguments).await;
    assert_eq!(printed.code, 1, "kubectl {arguments}: {}", printed.stdout);
    printed.stderr
}

#[track_caller]
fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn kubectl_patches_edits_and_replaces() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let file = live.file("web.yaml", &deployment("  replicas: 1\n", "nginx:1.26"));
        live.kubectl_ok(&format!("create -f {file}")).await;
        let patched = "deployment.apps/web patched\n";
        let strategic =
            r#"-p={"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:1.27"}]}}}}"#;
        assert_eq!(live.kubectl_ok(&format!("patch deployment web {strategic}")).await, patched);
        let merge = r#"--type=merge -p={"spec":{"replicas":2}}"#;
        assert_eq!(live.kubectl_ok(&format!("patch deployment web {merge}")).await, patched);
        let json = r#"--type=json -p=[{"op":"replace","path":"/spec/replicas","value":3}]"#;
        assert_eq!(live.kubectl_ok(&format!("patch deployment web {json}")).await, patched);
        let image = "{.spec.replicas} {.spec.template.spec.containers[*].image}";
        let image =
            live.kubectl_ok(&format!("get deployment web -o jsonpath={}", image.replace(' ', ","))).await;
        assert_eq!(image, "3,nginx:1.27");
        let failing = r#"--type=json -p=[{"op":"remove","path":"/spec/nothing"}]"#;
        let text = refused(&live, &format!("patch deployment web {failing}")).await;
        assert_eq!(
            text,
            "The request is invalid: the server rejected our request due to an error in our request\n"
        );

        let editor = live.file("editor.sh", "#!/bin/sh\nsed -i 's/replicas: 3/replicas: 1/' \"$1\"\n");
        let editor = format!("sh {editor}");
        let edited = live.kubectl_with("edit deployment web", &[("EDITOR", &editor)]).await;
        assert_eq!(edited.stdout, "deployment.apps/web edited\n", "{}", edited.stderr);
        assert_eq!(field(&live, ".spec.replicas").await, "1");

        let dry = live.kubectl_ok(&format!("replace -f {file} --dry-run=server")).await;
        assert_eq!(dry, "deployment.apps/web replaced (server dry run)\n");
        assert_eq!(field(&live, ".spec.template.spec.containers[0].image").await, "nginx:1.27");
        assert_eq!(live.kubectl_ok(&format!("replace -f {file}")).await, "deployment.apps/web replaced\n");
        assert_eq!(field(&live, ".spec.template.spec.containers[0].image").await, "nginx:1.26");
        assert_eq!(live.kubectl_ok("label deployment web tier=front").await, "deployment.apps/web labeled\n");
        shows(
            &refused(&live, "label deployment web tier=back").await,
            &["'tier' already has a value (front), and --overwrite is false"],
        );
        assert_eq!(live.kubectl_ok("annotate deployment web a=b").await, "deployment.apps/web annotated\n");
        assert_eq!(live.kubectl_ok("label deployment web tier-").await, "deployment.apps/web unlabeled\n");
        let twice = live.file(
            "twice.json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1"},"dat":{}}"#,
        );
        let text = refused(&live, &format!("create -f {twice}")).await;
        shows(&text, &["strict decoding error: unknown field \"dat\""]);
        let dry = live.kubectl_ok("create configmap dry --from-literal=a=b --dry-run=server").await;
        assert_eq!(dry, "configmap/dry created (server dry run)\n");
        shows(&refused(&live, "get configmap dry").await, &["configmaps \"dry\" not found"]);
    });
}

#[test]
fn kubectl_applies_from_the_servers_side() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let applied = "deployment.apps/web serverside-applied\n";
        let file = live.file("web.yaml", &deployment("  replicas: 1\n", "nginx:1.26"));
        assert_eq!(live.kubectl_ok(&format!("apply --server-side -f {file}")).await, applied);
        assert_eq!(live.kubectl_ok(&format!("apply --server-side -f {file}")).await, applied);
        let managed = live.kubectl_ok("get deployment web -o yaml --show-managed-fields").await;
        shows(
            &managed,
            &[
                "manager: kubectl\n",
                "operation: Apply",
                "k:{\"name\":\"web\"}:",
                "manager: kube-controller-manager",
                "subresource: status",
            ],
        );
        assert!(!live.kubectl_ok("get deployment web -o yaml").await.contains("managedFields"));

        live.kubectl_ok("scale deployment web --replicas=2").await;
        let conflict = "error: Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas\n\
                        Please review the fields above--they currently have other managers.";
        shows(&refused(&live, &format!("apply --server-side -f {file}")).await, &[conflict]);
        let diff = live.kubectl(&format!("diff --server-side --force-conflicts -f {file}")).await;
        assert_eq!(diff.code, 1, "{}", diff.stderr);
        shows(&diff.stdout, &["-  replicas: 2", "+  replicas: 1"]);
        let forced = live.kubectl_ok(&format!("apply --server-side --force-conflicts -f {file}")).await;
        assert_eq!((forced.as_str(), field(&live, ".spec.replicas").await.as_str()), (applied, "1"));

        // A second team owns the image with the first as long as both say the same.
        live.kubectl_ok(&format!("apply --server-side --field-manager=team -f {file}")).await;
        let other = live.file("other.yaml", &deployment("", "nginx:1.27"));
        let text = refused(&live, &format!("apply --server-side --field-manager=team -f {other}")).await;
        shows(&text, &["conflict with \"kubectl\": .spec.template.spec.containers[name=\"web\"].image"]);
        live.kubectl_ok(&format!("apply --server-side --field-manager=team --force-conflicts -f {other}"))
            .await;
        assert_eq!(field(&live, ".spec.template.spec.containers[0].image").await, "nginx:1.27");
        let unknown = live.file("unknown.yaml", &deployment("  replicaz: 1\n", "nginx:1.27"));
        let text = refused(&live, &format!("apply --server-side -f {unknown}")).await;
        shows(
            &text,
            &[
                "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema",
            ],
        );
    });
}

#[test]
fn kubectl_moves_from_the_clients_side_to_the_servers() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let file = live.file("web.yaml", &deployment("  replicas: 1\n", "nginx:1.26"));
        live.kubectl_ok(&format!("apply -f {file}")).await;
        live.file("web.yaml", &deployment("  replicas: 2\n", "nginx:1.27"));
        let diff = live.kubectl(&format!("diff -f {file}")).await;
        assert_eq!(diff.code, 1, "{}", diff.stderr);
        shows(&diff.stdout, &["-  replicas: 1", "+  replicas: 2", "+      - image: nginx:1.27"]);
        live.kubectl_ok(&format!("apply --server-side -f {file}")).await;
        let managers =
            "get deployment web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}";
        let managers = live.kubectl_ok(managers).await;
        assert!(!managers.contains("kubectl-client-side-apply"), "{managers}");
        // Since the old manager's fields moved, what is left out now goes.
        live.file(
            "web.yaml",
            &deployment("", "nginx:1.27").replace("labels: {app: web}}\nspec", "annotations: {a: b}}\nspec"),
        );
        live.kubectl_ok(&format!("apply --server-side -f {file}")).await;
        assert_eq!(field(&live, ".metadata.labels").await, "");
        let last = live.kubectl_ok("apply view-last-applied deployment web").await;
        shows(&last, &["nginx:1.27", "a: b"]);
    });
}

#[test]
fn kubectl_rolls_out_back_and_on() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let file = live.file("web.yaml", &deployment("  replicas: 1\n", "nginx:1.26"));
        live.kubectl_ok(&format!("create -f {file}")).await;
        let settled = "rollout status deployment/web --timeout=60s";
        live.kubectl_ok(settled).await;
        assert_eq!(
            live.kubectl_ok("set image deployment/web web=nginx:1.27").await,
            "deployment.apps/web image updated\n"
        );
        live.kubectl_ok(settled).await;
        let history = live.kubectl_ok("rollout history deployment/web").await;
        shows(&history, &["REVISION  CHANGE-CAUSE", "1         <none>", "2         <none>"]);
        shows(&live.kubectl_ok("rollout history deployment/web --revision=1").await, &["nginx:1.26"]);
        assert_eq!(live.kubectl_ok("rollout undo deployment/web").await, "deployment.apps/web rolled back\n");
        live.kubectl_ok(settled).await;
        assert_eq!(field(&live, ".spec.template.spec.containers[0].image").await, "nginx:1.26");
        assert_eq!(live.kubectl_ok("rollout pause deployment/web").await, "deployment.apps/web paused\n");
        let paused = "can't restart paused deployment (run rollout resume first)";
        shows(&refused(&live, "rollout restart deployment/web").await, &[paused]);
        assert_eq!(live.kubectl_ok("rollout resume deployment/web").await, "deployment.apps/web resumed\n");
        assert_eq!(
            live.kubectl_ok("rollout restart deployment/web").await,
            "deployment.apps/web restarted\n"
        );
        live.kubectl_ok(settled).await;
        assert_eq!(live.kubectl_ok("set env deployment/web A=b").await, "deployment.apps/web env updated\n");
        assert_eq!(live.kubectl_ok("expose deployment web --port=80").await, "service/web exposed\n");
        live.kubectl_ok(settled).await;
    });
}

#[test]
fn kubectl_deletes_in_each_way_of_propagation() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        let file = live.file("web.yaml", &deployment("  replicas: 1\n", "nginx:1.26"));
        live.kubectl_ok(&format!("create -f {file}")).await;
        live.kubectl_ok("rollout status deployment/web --timeout=60s").await;
        let deleted = "deployment.apps \"web\" deleted\n";
        assert_eq!(live.kubectl_ok("delete deployment web --cascade=orphan --timeout=60s").await, deleted);
        let owners = live
            .kubectl_ok("get replicasets -l app=web -o jsonpath={.items[*].metadata.ownerReferences}")
            .await;
        assert_eq!(owners, "", "the replica set is an orphan");
        let left = live.kubectl_ok("get replicasets,pods -l app=web -o name").await;
        assert_eq!(left.lines().count(), 2, "{left}");
        // A deployment of the same selector adopts it; in the foreground the owner goes last.
        live.kubectl_ok(&format!("create -f {file}")).await;
        live.kubectl_ok("rollout status deployment/web --timeout=60s").await;
        assert_eq!(
            live.kubectl_ok("delete deployment web --cascade=foreground --timeout=60s").await,
            deleted
        );
        assert_eq!(live.kubectl_ok("get replicasets -l app=web -o name").await, "");

        live.kubectl_ok("create configmap held --from-literal=a=b").await;
        let hold = r#"patch configmap held --type=json -p=[{"op":"add","path":"/metadata/finalizers","value":["example.com/held"]}]"#;
        live.kubectl_ok(hold).await;
        assert_eq!(
            live.kubectl_ok("delete configmap held --wait=false").await,
            "configmap \"held\" deleted\n"
        );
        let since = live.kubectl_ok("get configmap held -o jsonpath={.metadata.deletionTimestamp}").await;
        assert!(!since.is_empty());
        live.kubectl_ok(r#"patch configmap held --type=merge -p={"metadata":{"finalizers":null}}"#).await;
        shows(&refused(&live, "get configmap held").await, &["configmaps \"held\" not found"]);
    });
}
