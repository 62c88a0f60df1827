//! Custom resources in process: from the definition to the last object.

use super::*;

pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CRON_TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";
pub(super) const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// The CronTab of upstream's documentation, with a little of everything.
pub(crate) fn cron_tabs() -> Value {
    let spec = json!({
        "type": "object", "required": ["cronSpec"],
        "x-kubernetes-validations": [
            {"rule": "!has(self.max) || self.replicas <= self.max", "messageExpression": "'replicas beyond ' + string(self.max)"},
            {"rule": "!has(oldSelf.image) || self.image == oldSelf.image", "message": "image is immutable", "fieldPath": ".image"},
        ],
        "properties": {
            "cronSpec": {"type": "string", "pattern": "^(\\S+\\s+){4}\\S+$"},
            "image": {"type": "string", "enum": ["nginx", "busybox"]},
            "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
            "max": {"type": "integer"},
            "selector": {"type": "string"},
            "parts": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "size": {"x-kubernetes-int-or-string": true}}}},
            "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    });
    let status = json!({"type": "object", "properties": {"replicas": {"type": "integer"}, "labelSelector": {"type": "string"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.labelSelector"}},
                "additionalPrinterColumns": [
                    {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                "selectableFields": [{"jsonPath": ".spec.image"}],
            }],
        },
    })
}

pub(super) fn cron_tab(name: &str) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cronSpec": "* * * * */5", "image": "nginx"}})
}

pub(super) async fn defined(lab: &Lab, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    lab.post(DEFINITIONS, definition).await;
    established(lab, &name).await
}

/// Waits until the definition is established, and returns it.
async fn established(lab: &Lab, name: &str) -> Value {
    for _ in 0..100 {
        let definition = lab.get(&format!("{DEFINITIONS}/{name}")).await;
        let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions
            .iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
        {
            return definition;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} is never established");
}

pub(super) async fn patched(lab: &Lab, target: &str, content_type: &str, body: &Value) -> (u16, Value) {
    let response = lab.send("PATCH", target, &[("content-type", content_type)], body.to_string()).await;
    let code = response.status().as_u16();
    (code, serde_json::from_slice(&whole(response)).unwrap())
}

#[test]
fn a_definition_is_established_and_discovered() {
    lab(|lab| async move {
        let definition = defined(&lab, cron_tabs()).await;
        assert_eq!(definition["status"]["acceptedNames"]["listKind"], "CronTabList");
        assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
        let told =
            |index: usize| definition["status"]["conditions"][index]["message"].as_str().unwrap().to_owned();
        assert_eq!(
            (told(0), told(1)),
            ("no conflicts found".to_owned(), "the initial names have been accepted".to_owned())
        );
        let group = lab.get("/apis/stable.example.com").await;
        assert_eq!(group["preferredVersion"]["groupVersion"], "stable.example.com/v1");
        let list = lab.get("/apis/stable.example.com/v1").await;
        let names: Vec<&str> =
            list["resources"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["crontabs", "crontabs/scale", "crontabs/status"]);
        assert_eq!(list["resources"][0]["shortNames"], json!(["ct"]));
        let groups = lab.get("/apis").await;
        assert_eq!(groups["groups"].as_array().unwrap().last().unwrap()["name"], "stable.example.com");
        let index = lab.get("/openapi/v3").await;
        let document =
            index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
        let document = lab.get(&document).await;
        let schema = &document["components"]["schemas"]["com.example.stable.v1.CronTab"];
        assert_eq!(schema["properties"]["spec"]["properties"]["cronSpec"]["type"], "string");
        assert_eq!(
            schema["properties"]["metadata"]["allOf"][0]["$ref"],
            "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        );
    });
}

#[test]
fn custom_objects_are_made_whole_judged_and_changed() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        let mut body = cron_tab("a");
        body["spec"]["bogus"] = json!(1);
        body["spec"]["raw"] = json!({"any": {"thing": [1]}});
        body["status"] = json!({"replicas": 7});
        let response =
            lab.send("POST", CRON_TABS, &[("content-type", "application/json")], body.to_string()).await;
        assert_eq!(response.headers()["warning"], "299 - \"unknown field \\\"spec.bogus\\\"\"");
        let made: Value = serde_json::from_slice(&whole(response)).unwrap();
        assert_eq!(
            made["spec"],
            json!({"cronSpec": "* * * * */5", "image": "nginx", "raw": {"any": {"thing": [1]}}, "replicas": 1})
        );
        assert_eq!((&made["metadata"]["generation"], made.get("status")), (&json!(1), None));
        let strict = format!("{CRON_TABS}?fieldValidation=Strict");
        let why = "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"spec.bogus\"";
        body["metadata"]["name"] = json!("b");
        lab.refused("POST", &strict, body, 400, why).await;

        let object = format!("{CRON_TABS}/a");
        let (code, changed) = patched(&lab, &object, MERGE, &json!({"spec": {"replicas": 3}})).await;
        assert_eq!((code, &changed["metadata"]["generation"]), (200, &json!(2)));
        let (code, status) = patched(
            &lab,
            &format!("{object}/status"),
            MERGE,
            &json!({"spec": {"replicas": 9}, "status": {"replicas": 2}}),
        )
        .await;
        assert_eq!(
            (code, &status["metadata"]["generation"], &status["spec"]["replicas"]),
            (200, &json!(2), &json!(3))
        );
        let (code, refusal) =
            patched(&lab, &object, "application/strategic-merge-patch+json", &json!({})).await;
        assert_eq!(code, 415, "{refusal}");
        let (code, refusal) =
            patched(&lab, &object, MERGE, &json!({"spec": {"image": "busybox", "max": 2}})).await;
        let message = "CronTab.stable.example.com \"a\" is invalid: [spec: Invalid value: \"object\": replicas beyond 2, \
                       spec.image: Invalid value: \"object\": image is immutable]";
        assert_eq!((code, refusal["message"].as_str().unwrap()), (422, message));

        let scale = lab.get(&format!("{object}/scale")).await;
        assert_eq!((&scale["spec"], &scale["status"]), (&json!({"replicas": 3}), &json!({"replicas": 2})));
        let (code, scale) =
            patched(&lab, &format!("{object}/scale"), MERGE, &json!({"spec": {"replicas": 5}})).await;
        assert_eq!((code, &scale["spec"]["replicas"]), (200, &json!(5)));
        let list = lab.get(&format!("{CRON_TABS}?fieldSelector=spec.image%3Dnginx")).await;
        assert_eq!((list["items"].as_array().unwrap().len(), &list["kind"]), (1, &json!("CronTabList")));
        let message = "field label not supported: spec.max";
        lab.refused("GET", &format!("{CRON_TABS}?fieldSelector=spec.max%3D1"), Value::Null, 400, message)
            .await;
    });
}

#[test]
fn what_a_schema_forbids_is_refused_in_upstreams_words() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        let mut bad = cron_tab("a");
        bad["spec"] = json!({"cronSpec": "* * *", "replicas": 15, "image": 3});
        let message = "CronTab.stable.example.com \"a\" is invalid: [\
            spec.cronSpec: Invalid value: \"* * *\": spec.cronSpec in body should match '^(\\S+\\s+){4}\\S+$', \
            spec.image: Invalid value: \"integer\": spec.image in body must be of type string: \"integer\", \
            spec.image: Unsupported value: 3: supported values: \"nginx\", \"busybox\", \
            spec.replicas: Invalid value: 15: spec.replicas in body should be less than or equal to 10, \
            <nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]";
        lab.refused("POST", CRON_TABS, bad, 422, message).await;
        let mut bad = cron_tab("a");
        bad["spec"] = json!({"cronSpec": "1 2 3 4 5", "parts": [{"name": "x"}, {"name": "x"}]});
        let message = "CronTab.stable.example.com \"a\" is invalid: spec.parts[1]: Duplicate value: map[string]interface {}{\"name\":\"x\"}";
        lab.refused("POST", CRON_TABS, bad, 422, message).await;
    });
}

#[test]
fn server_side_apply_knows_the_lists_of_a_schema() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        let target = |manager: &str| format!("{CRON_TABS}/a?fieldManager={manager}");
        let mut one = cron_tab("a");
        one["spec"] = json!({"cronSpec": "1 2 3 4 5", "parts": [{"name": "x", "size": 1}]});
        let (code, made) = patched(&lab, &target("one"), APPLY, &one).await;
        assert_eq!(code, 201, "{made}");
        let mut two = cron_tab("a");
        two["spec"] = json!({"parts": [{"name": "y", "size": "10%"}]});
        let (code, merged) = patched(&lab, &target("two"), APPLY, &two).await;
        assert_eq!((code, merged["spec"]["parts"].as_array().unwrap().len()), (200, 2), "{merged}");
        two["spec"]["parts"] = json!([{"name": "x", "size": 2}]);
        let (code, conflict) = patched(&lab, &target("two"), APPLY, &two).await;
        let message = "Apply failed with 1 conflict: conflict with \"one\": .spec.parts[name=\"x\"].size";
        assert_eq!((code, conflict["message"].as_str().unwrap()), (409, message));
        two["spec"] = json!({"bogus": 1});
        let (code, refusal) = patched(&lab, &target("two"), APPLY, &two).await;
        let message = "failed to create typed patch object (default/a; stable.example.com/v1, Kind=CronTab): .spec.bogus: field not declared in schema";
        assert_eq!((code, refusal["message"].as_str().unwrap()), (500, message));
    });
}

#[test]
fn versions_differ_in_their_name_alone() {
    lab(|lab| async move {
        let mut definition = cron_tabs();
        let mut older = definition["spec"]["versions"][0].clone();
        older["name"] = json!("v1beta1");
        older["storage"] = json!(false);
        older["deprecated"] = json!(true);
        definition["spec"]["versions"].as_array_mut().unwrap().push(older);
        defined(&lab, definition).await;
        let group = lab.get("/apis/stable.example.com").await;
        assert_eq!(group["versions"][1]["version"], "v1beta1");
        let beta = CRON_TABS.replace("/v1/", "/v1beta1/");
        let mut body = cron_tab("a");
        body["apiVersion"] = json!("stable.example.com/v1beta1");
        let response =
            lab.send("POST", &beta, &[("content-type", "application/json")], body.to_string()).await;
        assert_eq!(
            response.headers()["warning"],
            "299 - \"stable.example.com/v1beta1 CronTab is deprecated\""
        );
        assert_eq!(lab.get(&format!("{CRON_TABS}/a")).await["apiVersion"], "stable.example.com/v1");
        assert_eq!(lab.get(&format!("{beta}/a")).await["apiVersion"], "stable.example.com/v1beta1");
        let (code, changed) =
            patched(&lab, &format!("{beta}/a"), MERGE, &json!({"spec": {"replicas": 4}})).await;
        assert_eq!((code, &changed["apiVersion"]), (200, &json!("stable.example.com/v1beta1")));
        assert_eq!(lab.get(&format!("{CRON_TABS}/a")).await["spec"]["replicas"], 4);
    });
}

#[test]
fn a_definition_goes_with_its_objects_and_ends_their_watches() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        lab.post(CRON_TABS, cron_tab("a")).await;
        let mut held = cron_tab("b");
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        lab.post(CRON_TABS, held).await;
        let mut events = lab.watch(&format!("{CRON_TABS}?watch=true")).await;
        assert_eq!((events.line().await, events.line().await), ("ADDED a".to_owned(), "ADDED b".to_owned()));
        let target = format!("{DEFINITIONS}/crontabs.stable.example.com");
        let (code, going) = lab.json("DELETE", &target, Value::Null).await;
        assert_eq!(
            (code, &going["metadata"]["finalizers"][0]),
            (200, &json!("customresourcecleanup.apiextensions.k8s.io"))
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let message = "create not allowed while custom resource definition is terminating";
        lab.refused("POST", CRON_TABS, cron_tab("c"), 405, message).await;
        let (code, _) =
            patched(&lab, &format!("{CRON_TABS}/b"), MERGE, &json!({"metadata": {"finalizers": null}})).await;
        assert_eq!(code, 200);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut seen = Vec::new();
        loop {
            let line = events.line().await;
            if line == "END" {
                break;
            }
            seen.push(line);
        }
        assert!(seen.contains(&"DELETED a".to_owned()) && seen.contains(&"DELETED b".to_owned()), "{seen:?}");
        let message =
            "customresourcedefinitions.apiextensions.k8s.io \"crontabs.stable.example.com\" not found";
        lab.refused("GET", &target, Value::Null, 404, message).await;
        assert_eq!(lab.send("GET", CRON_TABS, &[], "").await.status(), 404);
        // And again, from the beginning.
        defined(&lab, cron_tabs()).await;
        assert_eq!(lab.get(CRON_TABS).await["items"], json!([]));
    });
}

#[test]
fn a_wrong_definition_is_refused_with_all_that_is_wrong() {
    lab(|lab| async move {
        let schema = |schema: Value| {
            let mut definition = cron_tabs();
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema;
            definition["spec"]["versions"][0].as_object_mut().unwrap().shift_remove("selectableFields");
            definition
        };
        let refused = |definition: Value| {
            let lab = lab.clone();
            async move {
                let (code, status) = lab.json("POST", DEFINITIONS, definition).await;
                assert_eq!(code, 422, "{status}");
                let causes = status["details"]["causes"].as_array().unwrap().clone();
                let line = |cause: &Value| {
                    format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap())
                };
                causes.iter().map(line).collect::<Vec<String>>()
            }
        };
        let of = |spec: Value| schema(json!({"type": "object", "properties": {"spec": spec}}));
        let spec = "spec.validation.openAPIV3Schema.properties[spec]";
        assert_eq!(
            refused(of(json!({}))).await,
            [format!("{spec}.type: Required value: must not be empty for specified object fields")]
        );
        let found = refused(of(json!({"$ref": "#/definitions/a", "type": "object"}))).await;
        assert_eq!(found, [format!("{spec}.$ref: Forbidden: $ref is not supported")]);
        let found =
            refused(of(json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}})))
                .await;
        let default = format!("{spec}.properties[a].default");
        assert_eq!(
            found,
            [format!("{default}: Invalid value: \"string\":  in body must be of type integer: \"string\"")]
        );
        let rules = json!([{"rule": "self.nope == 1"}]);
        let found = refused(of(json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-validations": rules}))).await;
        assert!(
            found[0].contains("compilation failed: ERROR: <input>:1:5: undefined field 'nope'"),
            "{found:?}"
        );
        let rules = json!([{"rule": "self.all(x, self.all(y, self.all(z, x + y == z)))"}]);
        let found = refused(of(
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": rules}),
        ))
        .await;
        assert!(
            found[0].contains("estimated rule cost exceeds budget by factor of more than 100x"),
            "{found:?}"
        );
        let found = refused(of(json!({"type": "string", "pattern": "((a{500}){500}){500}"}))).await;
        assert!(found[0].contains("must be a valid regular expression, but isn't"), "{found:?}");

        let mut named = cron_tabs();
        named["metadata"]["name"] = json!("other.stable.example.com");
        assert_eq!(
            refused(named).await,
            [
                "metadata.name: Invalid value: \"other.stable.example.com\": must be spec.names.plural+\".\"+spec.group"
            ]
        );
        let mut unstored = cron_tabs();
        unstored["spec"]["versions"][0]["storage"] = json!(false);
        let found = refused(unstored).await;
        assert!(found[0].ends_with("must have exactly one version marked as storage version"), "{found:?}");
        assert_eq!(
            found[1],
            "status.storedVersions: Invalid value: []string{}: must have at least one stored version"
        );
    });
}

#[test]
fn schemas_without_end_are_refused_before_they_are_read() {
    lab(|lab| async move {
        let deep = |levels: usize| {
            let (open, close) =
                ("{\"type\":\"object\",\"properties\":{\"a\":".repeat(levels), "}}".repeat(levels));
            let definition = cron_tabs().to_string();
            let schema = cron_tabs()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].to_string();
            definition.replace(&schema, &format!("{open}{{\"type\":\"string\"}}{close}"))
        };
        let response =
            lab.send("POST", DEFINITIONS, &[("content-type", "application/json")], deep(10_000)).await;
        assert_eq!(response.status(), 400);
        let without_fields = deep(50)
            .replace("\"selectableFields\":[{\"jsonPath\":\".spec.image\"}]", "\"selectableFields\":[]");
        let response =
            lab.send("POST", DEFINITIONS, &[("content-type", "application/json")], without_fields).await;
        assert_eq!(response.status(), 201);
        established(&lab, "crontabs.stable.example.com").await;
    });
}

#[test]
fn names_that_another_definition_has_are_not_given_twice() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        let mut second = cron_tabs();
        second["metadata"]["name"] = json!("cronlists.stable.example.com");
        second["spec"]["names"] = json!({"plural": "cronlists", "kind": "CronTab", "shortNames": ["ct"]});
        lab.post(DEFINITIONS, second).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = lab.get(&format!("{DEFINITIONS}/cronlists.stable.example.com")).await["status"].clone();
        let told: Vec<String> = status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|condition| {
                format!(
                    "{} {} {}",
                    condition["type"].as_str().unwrap(),
                    condition["reason"].as_str().unwrap(),
                    condition["message"].as_str().unwrap()
                )
            })
            .collect();
        let expected = [
            "NamesAccepted ListKindConflict \"CronTabList\" is already in use",
            "Established NotAccepted not all names are accepted",
        ];
        assert_eq!(told, expected);
        assert_eq!(lab.send("GET", "/apis/stable.example.com/v1/cronlists", &[], "").await.status(), 404);
    });
}

#[test]
fn a_second_server_serves_what_the_first_was_told_of() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        lab.post(CRON_TABS, cron_tab("a")).await;
        let (component, second) = start(&lab.world, &lab.etcd).await;
        let request = http::Request::builder()
            .uri(CRON_TABS)
            .extension(UserInfo::new("kubernetes-admin", &["system:masters"]));
        let request = request.body(Bytes::new()).unwrap();
        let response = component.spawn(async move { second.handle(request).await }).await.unwrap();
        let list: Value = serde_json::from_slice(&whole(response)).unwrap();
        assert_eq!(list["items"][0]["metadata"]["name"], "a");
    });
}

#[test]
fn custom_kinds_are_in_the_document_of_the_second_version() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        let document = lab.get("/openapi/v2").await;
        let schema = &document["definitions"]["com.example.stable.v1.CronTab"];
        assert_eq!(schema["properties"]["spec"]["properties"]["image"]["enum"], json!(["nginx", "busybox"]));
        assert_eq!(
            schema["properties"]["metadata"]["$ref"],
            "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        );
        assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "CronTab");
        assert!(
            document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"]["patch"]
                .is_object()
        );
    });
}
