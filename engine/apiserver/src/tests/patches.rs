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
        let failing = r#"[{"op":"replace","path":"/spec/replicas","value":5},{"op":"remove","path":"/spec/none"}]"#;
        let (code, status) = lab.patch_as(JSON, &path, failing).await;
        let message = "the server rejected our request due to an error in our request";
        assert_eq!((code, &status["message"], &status["reason"]), (422, &json!(message), &json!("Invalid")));
        assert_eq!(lab.get(&path).await["spec"]["replicas"], 3);
        let (code, status) = lab.patch_as(JSON, &path, "{}").await;
        let message = "json: cannot unmarshal object into Go value of type jsonpatch.Patch";
        assert_eq!((code, &status["message"]), (400, &json!(message)));
        let stale = r#"[{"op":"replace","path":"/metadata/resourceVersion","value":"1"}]"#;
        assert_eq!(lab.patch_as(JSON, &path, stale).await.0, 409);
        let (code, _) = lab
            .patch_as(JSON, &format!("{path}/scale"), r#"[{"op":"replace","path":"/spec/replicas","value":4}]"#)
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
