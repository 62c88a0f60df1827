//! Patches of all kinds, strict decoding.

use super::*;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";

impl Lab {
    async fn patch_as(&self, content_type: &str, target: &str, body: &str) -> (u16, Value) {
        let response = self.send("PATCH", target, &[("content-type", content_type)], body.to_owned()).await;
        let code = response.status().as_u16();
        (code, serde_json::from_slice(&whole(response)).unwrap())
    }
}

#[test]
fn a_json_patch_is_carried_out_whole_or_not_at_all() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web");
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let (code, web) = lab
            .patch_as(JSON, &path, r#"[{"op":"test","path":"/spec/replicas","value":1},{"op":"replace","path":"/spec/replicas","value":3}]"#)
            .await;
        assert_eq!((code, &web["spec"]["replicas"]), (200, &json!(3)));
        let failing =
            r#"[{"op":"replace","path":"/spec/replicas","value":5},{"op":"remove","path":"/spec/none"}]"#;
        let (code, status) = lab.patch_as(JSON, &path, failing).await;
        let message = "the server rejected our request due to an error in our request";
        assert_eq!((code, &status["message"], &status["reason"]), (422, &json!(message), &json!("Invalid")));
        assert_eq!(lab.get(&path).await["spec"]["replicas"], 3);
        let (code, status) = lab.patch_as(JSON, &path, "{}").await;
        let message = "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
        assert_eq!((code, &status["message"]), (400, &json!(message)));
        let stale = r#"[{"op":"replace","path":"/metadata/resourceVersion","value":"1"}]"#;
        assert_eq!(lab.patch_as(JSON, &path, stale).await.0, 409);
        let (code, _) = lab
            .patch_as(
                JSON,
                &format!("{path}/scale"),
                r#"[{"op":"replace","path":"/spec/replicas","value":4}]"#,
            )
            .await;
        assert_eq!((code, &lab.get(&path).await["spec"]["replicas"]), (200, &json!(4)));
    });
}

#[test]
fn fields_that_stand_twice_or_are_unknown_are_refused_when_strict() {
    lab(|lab| async move {
        let twice = r#"{"metadata":{"name":"a"},"data":{"k":"1","k":"2"},"foo":1}"#;
        let headers = [("content-type", "application/json")];
        let response =
            lab.send("POST", &format!("{CONFIG_MAPS}?fieldValidation=Strict"), &headers, twice).await;
        assert_eq!(response.status(), 400);
        let status: Value = serde_json::from_slice(&whole(response)).unwrap();
        let message = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.k\", unknown field \"foo\"";
        assert_eq!(status["message"], message);
        let response = lab.send("POST", CONFIG_MAPS, &headers, twice).await;
        assert_eq!(response.status(), 201);
        let warnings: Vec<&str> =
            response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(warnings, [r#"299 - "duplicate field \"data.k\"""#, r#"299 - "unknown field \"foo\"""#]);
        let path = format!("{CONFIG_MAPS}/a?fieldValidation=Strict");
        let message = " \"\" is invalid: patch: Invalid value: \"map[foo:1]\": strict decoding error: unknown field \"foo\"";
        lab.refused("PATCH", &path, json!({"foo": 1}), 422, message).await;
        let (code, status) =
            lab.patch_as(MERGE, &path, r#"{"data":{"k":"3","k":"4"},"metadata":{"labels":5}}"#).await;
        let text = "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type map[string]string";
        assert!(code == 422 && status["message"].as_str().unwrap().ends_with(text), "{status}");
    });
}

const APPLY: &str = "application/apply-patch+yaml";

/// `kubectl-create Update`, with the paths of the fields as JSON.
fn managers(object: &Value) -> Vec<(String, Value)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let name = |entry: &Value| {
        format!("{} {} {}", text(entry, "manager"), text(entry, "operation"), text(entry, "subresource"))
    };
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.map(|entry| (name(entry).trim_end().to_owned(), entry["fieldsV1"].clone())).collect()
}

fn fields<'a>(managers: &'a [(String, Value)], name: &str) -> &'a Value {
    let found = managers.iter().find(|(manager, _)| manager == name);
    &found.unwrap_or_else(|| panic!("{name} is not among {managers:?}")).1
}

#[test]
fn every_write_notes_its_manager() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web");
        let created =
            lab.post(&format!("{DEPLOYMENTS}?fieldManager=kubectl-create"), deployment("web")).await;
        let found = managers(&created);
        let own = fields(&found, "kubectl-create Update");
        assert_eq!(own["f:metadata"], json!({"f:labels": {".": {}, "f:app": {}}}));
        assert_eq!(
            own["f:spec"]["f:strategy"],
            json!({"f:type": {}, "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}})
        );
        let container = &own["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
        assert_eq!((&container["."], &container["f:image"]), (&json!({}), &json!({})));
        assert_eq!(own.get("f:status"), None);

        let headers = [("content-type", MERGE), ("user-agent", "kubectl/v1.32 (linux)")];
        lab.send("PATCH", &format!("{path}/scale"), &headers, r#"{"spec":{"replicas":5}}"#).await;
        let status = json!({"status": {"replicas": 5}});
        lab.patch(&format!("{path}/status?fieldManager=controller"), status).await;
        let web = lab.get(&path).await;
        let found = managers(&web);
        assert_eq!(fields(&found, "kubectl-create Update")["f:spec"].get("f:replicas"), None);
        assert_eq!(*fields(&found, "kubectl Update scale"), json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(*fields(&found, "controller Update status"), json!({"f:status": {"f:replicas": {}}}));

        let headers = [("accept", "application/json"), (labkit_client::OMIT_MANAGED_FIELDS, "true")];
        let lean: Value = serde_json::from_slice(&whole(lab.send("GET", &path, &headers, "").await)).unwrap();
        assert_eq!((lean["metadata"].get("managedFields"), &lean["spec"]), (None, &web["spec"]));
    });
}

fn config(replicas: Option<i64>, image: &str, labels: Value) -> String {
    let mut config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": labels}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}});
    if let Some(replicas) = replicas {
        config["spec"]["replicas"] = json!(replicas);
    }
    config.to_string()
}

#[test]
fn a_server_side_apply_creates_changes_and_takes_back() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web?fieldManager=team");
        let (code, web) =
            lab.patch_as(APPLY, &path, &config(Some(2), "a", json!({"x": "y", "z": "z"}))).await;
        assert_eq!(
            (code, &web["spec"]["replicas"], &web["spec"]["revisionHistoryLimit"]),
            (201, &json!(2), &json!(10))
        );
        let found = managers(&web);
        let own = fields(&found, "team Apply");
        assert_eq!(own["f:metadata"], json!({"f:labels": {"f:x": {}, "f:z": {}}}));
        assert_eq!(own["f:spec"].get("f:revisionHistoryLimit"), None);

        let same = lab.patch_as(APPLY, &path, &config(Some(2), "a", json!({"x": "y", "z": "z"}))).await;
        assert_eq!(same, (200, web));

        // A field that nobody applies any more goes, or goes back to its default.
        let (_, web) = lab.patch_as(APPLY, &path, &config(None, "b", json!({"x": "y"}))).await;
        assert_eq!((&web["metadata"]["labels"], &web["spec"]["replicas"]), (&json!({"x": "y"}), &json!(1)));
        assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "b");
    });
}

#[test]
fn another_managers_fields_are_a_conflict_unless_forced_or_shared() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web");
        lab.post(&format!("{DEPLOYMENTS}?fieldManager=kubectl-client-side-apply"), deployment("web")).await;
        let team = format!("{path}?fieldManager=team");
        let (code, status) =
            lab.patch_as(APPLY, &team, &config(Some(3), "nginx:1.27", json!({"app": "web"}))).await;
        let message = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas";
        assert_eq!((code, &status["message"], &status["reason"]), (409, &json!(message), &json!("Conflict")));
        let cause = json!({"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-client-side-apply\" using apps/v1", "field": ".spec.replicas"});
        assert_eq!(status["details"]["causes"], json!([cause]));
        let (_, status) = lab.patch_as(APPLY, &team, &config(Some(3), "other", json!({"app": "web"}))).await;
        let message = "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n\
                       - .spec.replicas\n- .spec.template.spec.containers[name=\"c\"].image";
        assert_eq!(status["message"], message);

        // What both say the same of belongs to both; with force, what they say otherwise goes over.
        let (code, web) = lab
            .patch_as(APPLY, &format!("{team}&force=true"), &config(Some(3), "nginx:1.27", json!({})))
            .await;
        assert_eq!((code, &web["spec"]["replicas"]), (200, &json!(3)));
        let found = managers(&web);
        assert_eq!(fields(&found, "kubectl-client-side-apply Update")["f:spec"].get("f:replicas"), None);
        let image = |name: &str| {
            let spec = &fields(&found, name)["f:spec"]["f:template"]["f:spec"];
            spec["f:containers"]["k:{\"name\":\"c\"}"].get("f:image").is_some()
        };
        assert!(image("kubectl-client-side-apply Update") && image("team Apply"));

        // Of two that apply one field, one may let go of it.
        let other = format!("{path}?fieldManager=other");
        lab.patch_as(APPLY, &other, &config(Some(3), "nginx:1.27", json!({}))).await;
        let (_, web) = lab.patch_as(APPLY, &other, &config(None, "nginx:1.27", json!({}))).await;
        assert_eq!(web["spec"]["replicas"], 3);
    });
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_clients_side() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web?fieldManager=kubectl");
        let applied = config(Some(2), "a", json!({"app": "web"}));
        let object: Value = serde_json::from_str(&applied).unwrap();
        let annotated = labkit_api::patch::with_last_applied(&object);
        lab.post(&format!("{DEPLOYMENTS}?fieldManager=kubectl-client-side-apply"), annotated).await;
        let (code, web) = lab.patch_as(APPLY, &path, &config(Some(4), "b", json!({"app": "web"}))).await;
        assert_eq!((code, &web["spec"]["replicas"]), (200, &json!(4)));
        let last = web["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
            .as_str()
            .unwrap();
        assert!(last.contains("\"replicas\":4"), "{last}");
        // kubectl then moves the old manager's fields to the new one, by a JSON patch of the list.
        let mut list = web["metadata"]["managedFields"].clone();
        list.as_array_mut().unwrap().retain(|entry| entry["operation"] == "Apply");
        let patch = json!([{"op": "replace", "path": "/metadata/managedFields", "value": list}]).to_string();
        let (_, web) = lab.patch_as(JSON, &path, &patch).await;
        assert_eq!(managers(&web).len(), 1);
        let (_, web) = lab
            .patch_as(JSON, &path, r#"[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]"#)
            .await;
        assert_eq!(managers(&web).len(), 0);
    });
}

#[test]
fn what_cannot_be_applied_is_refused() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web?fieldManager=team");
        let check = |target: String, body: String, code: u16, message: &'static str| {
            let lab = lab.clone();
            async move {
                let (found, status) = lab.patch_as(APPLY, &target, &body).await;
                assert_eq!((found, status["message"].as_str().unwrap()), (code, message));
            }
        };
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        check(format!("{DEPLOYMENTS}/web"), "{}".to_owned(), 422, message).await;
        let unknown =
            config(None, "a", json!({})).replace("\"name\":\"c\"", "\"name\":\"c\",\"imagee\":\"x\"");
        let message = "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \
                       .spec.template.spec.containers[name=\"c\"].imagee: field not declared in schema";
        check(path.clone(), unknown, 500, message).await;
        let version = config(None, "a", json!({})).replace("apps/v1", "apps/v2");
        let message =
            "Incorrect version specified in apply patch. Specified patch version: apps/v2, expected: apps/v1";
        check(path.clone(), version, 400, message).await;
        let managed = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, managedFields: []}}";
        check(path.clone(), managed.to_owned(), 400, "metadata.managedFields must be nil").await;
        check(
            path.clone(),
            "- a".to_owned(),
            400,
            "error decoding YAML: json: cannot unmarshal the document into an object",
        )
        .await;
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
        let (code, status) = lab.patch_as(MERGE, &format!("{path}&force=true"), "{}").await;
        assert_eq!((code, status["message"].as_str().unwrap()), (422, message));
        let (code, _) =
            lab.patch_as(APPLY, &format!("{path}&dryRun=All"), &config(None, "a", json!({}))).await;
        assert_eq!((code, lab.json("GET", &format!("{DEPLOYMENTS}/web"), Value::Null).await.0), (201, 404));
    });
}

#[test]
fn an_applied_scale_owns_the_replicas_of_the_workload() {
    lab(|lab| async move {
        lab.post(&format!("{DEPLOYMENTS}?fieldManager=owner"), deployment("web")).await;
        let scale =
            |manager: &str, more: &str| format!("{DEPLOYMENTS}/web/scale?fieldManager={manager}{more}");
        let config = |replicas: i64| {
            format!(
                "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {{name: web}}\nspec: {{replicas: {replicas}}}\n"
            )
        };
        let (code, status) = lab.patch_as(APPLY, &scale("robot", ""), &config(5)).await;
        let message =
            "Apply failed with 1 conflict: conflict with \"owner\" using autoscaling/v1: .spec.replicas";
        assert_eq!((code, status["message"].as_str()), (409, Some(message)));
        let (code, answer) = lab.patch_as(APPLY, &scale("robot", "&force=true"), &config(5)).await;
        assert_eq!(
            (code, &answer["kind"], &answer["spec"]["replicas"]),
            (200, &json!("Scale"), &json!(5)),
            "{answer}"
        );
        let web = lab.get(&format!("{DEPLOYMENTS}/web")).await;
        assert_eq!(web["spec"]["replicas"], 5);
        let managers = web["metadata"]["managedFields"].as_array().unwrap();
        let robot = managers.iter().find(|entry| entry["manager"] == "robot").unwrap();
        assert_eq!(
            (&robot["operation"], &robot["subresource"], &robot["apiVersion"], &robot["fieldsV1"]),
            (&json!("Apply"), &json!("scale"), &json!("apps/v1"), &json!({"f:spec": {"f:replicas": {}}}))
        );
        let owner = managers.iter().find(|entry| entry["manager"] == "owner").unwrap();
        assert_eq!(owner["fieldsV1"]["f:spec"].get("f:replicas"), None, "it was taken from its owner");
        let whole = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2}});
        let path = format!("{DEPLOYMENTS}/web?fieldManager=other");
        let (code, status) = lab.patch_as(APPLY, &path, &whole.to_string()).await;
        let message = "Apply failed with 1 conflict: conflict with \"robot\" with subresource \"scale\": .spec.replicas";
        assert_eq!((code, status["message"].as_str()), (409, Some(message)));
        let (code, _) = lab.patch_as(APPLY, &scale("robot", ""), &config(6)).await;
        assert_eq!(
            (code, &lab.get(&format!("{DEPLOYMENTS}/web")).await["spec"]["replicas"]),
            (200, &json!(6))
        );
        let unknown = "apiVersion: autoscaling/v1\nkind: Scale\nspec: {replica: 1}\n";
        let (code, status) = lab.patch_as(APPLY, &scale("robot", ""), unknown).await;
        assert!(
            code == 500
                && status["message"]
                    .as_str()
                    .unwrap()
                    .contains(".spec.replica: field not declared in schema"),
            "{status}"
        );
        let (code, status) =
            lab.patch_as(APPLY, &scale("robot", ""), "apiVersion: apps/v1\nkind: Deployment\n").await;
        assert_eq!(code, 400, "{status}");
        let (code, _) =
            lab.patch_as(APPLY, &format!("{DEPLOYMENTS}/none/scale?fieldManager=a"), &config(1)).await;
        assert_eq!(code, 404);
    });
}

#[test]
fn null_in_a_configuration_is_owned_and_takes_the_value_away() {
    lab(|lab| async move {
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(4);
        lab.post(&format!("{DEPLOYMENTS}?fieldManager=owner"), web).await;
        let config = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "creationTimestamp": null},
            "spec": {"replicas": null, "template": null},
        });
        let path = format!("{DEPLOYMENTS}/web?fieldManager=robot");
        let (code, status) = lab.patch_as(APPLY, &path, &config.to_string()).await;
        let message = "Apply failed with 1 conflict: conflict with \"owner\" using apps/v1: .spec.replicas";
        assert_eq!((code, status["message"].as_str()), (409, Some(message)));
        let (code, web) = lab.patch_as(APPLY, &format!("{path}&force=true"), &config.to_string()).await;
        assert_eq!((code, &web["spec"]["replicas"]), (200, &json!(1)), "the default: {web}");
        assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["name"], "c", "null is an empty map");
        let managers = web["metadata"]["managedFields"].as_array().unwrap();
        let robot = managers.iter().find(|entry| entry["manager"] == "robot").unwrap();
        assert_eq!(robot["fieldsV1"], json!({"f:spec": {"f:replicas": {}, "f:template": {}}}));
    });
}

#[test]
fn a_status_is_applied_through_its_subresource() {
    lab(|lab| async move {
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let config = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "b"}},
            "spec": {"replicas": 7}, "status": {"replicas": 3, "observedGeneration": 1},
        });
        let path = format!("{DEPLOYMENTS}/web/status?fieldManager=robot&force=true");
        let (code, web) = lab.patch_as(APPLY, &path, &config.to_string()).await;
        assert_eq!(
            (code, &web["status"]["replicas"], &web["spec"]["replicas"]),
            (200, &json!(3), &json!(1)),
            "{web}"
        );
        let managers = web["metadata"]["managedFields"].as_array().unwrap();
        let robot = managers.iter().find(|entry| entry["manager"] == "robot").unwrap();
        assert_eq!(robot["subresource"], "status");
        assert_eq!(robot["fieldsV1"], json!({"f:status": {"f:observedGeneration": {}, "f:replicas": {}}}));
        let config = config.to_string().replace("\"web\"", "\"none\"");
        let missing =
            lab.patch_as(APPLY, &format!("{DEPLOYMENTS}/none/status?fieldManager=a"), &config).await;
        assert_eq!(missing.0, 404, "a status makes no object: {}", missing.1);
    });
}
