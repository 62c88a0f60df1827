//! Several versions of a custom kind: which are served, in which objects are stored, and how they are migrated.

use super::custom::{DEFINITIONS, MERGE, cron_tab, cron_tabs, defined, patched};
use super::*;

const NAME: &str = "crontabs.stable.example.com";

fn of(version: &str) -> String {
    format!("/apis/stable.example.com/{version}/namespaces/default/crontabs")
}

/// The versions, each with its flags `served` and `storage`.
fn versions(all: &[(&str, bool, bool)]) -> Value {
    let first = cron_tabs()["spec"]["versions"][0].clone();
    let version = |(name, served, storage): &(&str, bool, bool)| {
        let mut version = first.clone();
        version["name"] = json!(name);
        version["served"] = json!(served);
        version["storage"] = json!(storage);
        version
    };
    json!({"spec": {"versions": all.iter().map(version).collect::<Vec<Value>>()}})
}

async fn redefine(lab: &Lab, all: &[(&str, bool, bool)]) -> (u16, Value) {
    let answer = patched(lab, &format!("{DEFINITIONS}/{NAME}"), MERGE, &versions(all)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    answer
}

/// The version in which etcd has the object.
async fn stored_in(lab: &Lab, name: &str) -> Value {
    let key = format!("/registry/stable.example.com/crontabs/default/{name}");
    let found = lab.etcd.client("test").range(labkit_etcd::RangeRequest::key(key)).await.unwrap().kvs;
    serde_json::from_slice::<Value>(&found[0].value).unwrap()["apiVersion"].clone()
}

#[test]
fn objects_are_migrated_to_another_storage_version_by_being_written_again() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        lab.post(&of("v1"), cron_tab("a")).await;
        let (code, changed) = redefine(&lab, &[("v2", true, true), ("v1", true, false)]).await;
        assert_eq!((code, &changed["status"]["storedVersions"]), (200, &json!(["v1", "v2"])), "{changed}");
        assert_eq!(stored_in(&lab, "a").await, "stable.example.com/v1", "nobody has written it yet");
        let old = lab.get(&format!("{}/a", of("v2"))).await;
        assert_eq!(
            (&old["apiVersion"], &old["spec"]["image"]),
            (&json!("stable.example.com/v2"), &json!("nginx"))
        );

        let (code, status) = redefine(&lab, &[("v2", true, true)]).await;
        let why = "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions";
        assert!(code == 422 && status["message"].as_str().unwrap().contains(why), "{status}");

        let (code, same) = lab.json("PUT", &format!("{}/a", of("v2")), old.clone()).await;
        assert_eq!(code, 200, "{same}");
        assert_ne!(
            same["metadata"]["resourceVersion"], old["metadata"]["resourceVersion"],
            "it is written anew"
        );
        assert_eq!(stored_in(&lab, "a").await, "stable.example.com/v2");
        let status = json!({"status": {"storedVersions": ["v2"]}});
        let (code, done) = patched(&lab, &format!("{DEFINITIONS}/{NAME}/status"), MERGE, &status).await;
        assert_eq!((code, &done["status"]["storedVersions"]), (200, &json!(["v2"])), "{done}");
        let (code, status) = redefine(&lab, &[("v2", true, true)]).await;
        assert_eq!(code, 200, "{status}");
        assert_eq!(lab.send("GET", &of("v1"), &[], "").await.status(), 404);
        assert_eq!(lab.get(&of("v2")).await["items"][0]["metadata"]["name"], "a");
    });
}

#[test]
fn a_version_that_is_not_served_is_not_found_and_its_objects_are() {
    lab(|lab| async move {
        let mut definition = cron_tabs();
        definition["spec"]["versions"] =
            versions(&[("v1", false, true), ("v1beta1", true, false)])["spec"]["versions"].clone();
        defined(&lab, definition).await;
        let mut made = cron_tab("a");
        made["apiVersion"] = json!("stable.example.com/v1beta1");
        lab.post(&of("v1beta1"), made).await;
        assert_eq!(stored_in(&lab, "a").await, "stable.example.com/v1");
        assert_eq!(lab.send("GET", &of("v1"), &[], "").await.status(), 404);
        let group = lab.get("/apis/stable.example.com").await;
        assert_eq!(
            group["versions"],
            json!([{"groupVersion": "stable.example.com/v1beta1", "version": "v1beta1"}])
        );
        let list = lab.get(&of("v1beta1")).await;
        assert_eq!(
            (&list["apiVersion"], &list["items"][0]["apiVersion"]),
            (&json!("stable.example.com/v1beta1"), &json!("stable.example.com/v1beta1"))
        );
    });
}

#[test]
fn a_definition_has_one_storage_version() {
    lab(|lab| async move {
        defined(&lab, cron_tabs()).await;
        for all in
            [&[("v1", true, true), ("v2", true, true)][..], &[("v1", true, false), ("v2", true, false)]]
        {
            let (code, status) = redefine(&lab, all).await;
            let message = status["message"].as_str().unwrap_or_default();
            assert!(
                code == 422 && message.contains("must have exactly one version marked as storage version"),
                "{status}"
            );
        }
    });
}
