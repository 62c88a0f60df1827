//! Lists: selectors, versions, pages, tables.

use super::*;

fn names(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn selectors_choose() {
    lab(|lab| async move {
        for name in ["a", "b", "c"] {
            lab.post(PODS, pod(name)).await;
        }
        assert_eq!(names(&lab.get(&format!("{PODS}?labelSelector=app%21%3Da")).await), ["b", "c"]);
        assert_eq!(names(&lab.get(&format!("{PODS}?fieldSelector=metadata.name%3Db")).await), ["b"]);
        assert_eq!(
            names(&lab.get("/api/v1/pods?fieldSelector=spec.nodeName%3D,status.phase%3DPending").await).len(),
            3
        );
        let target = "/api/v1/pods?fieldSelector=spec.foo%3D1";
        lab.refused("GET", target, Value::Null, 400, "field label not supported: spec.foo").await;
    });
}

#[test]
fn pages_are_true_at_one_revision() {
    lab(|lab| async move {
        for name in ["a", "b", "c", "d", "e"] {
            lab.post(CONFIG_MAPS, config_map(name)).await;
        }
        let first = lab.get(&format!("{CONFIG_MAPS}?limit=2")).await;
        assert_eq!(
            (names(&first), &first["metadata"]["remainingItemCount"]),
            (vec!["a".to_owned(), "b".to_owned()], &json!(3))
        );
        lab.json("DELETE", &format!("{CONFIG_MAPS}/c"), Value::Null).await;
        let token = first["metadata"]["continue"].as_str().unwrap();
        let rest = lab.get(&format!("{CONFIG_MAPS}?limit=500&continue={token}")).await;
        assert_eq!(names(&rest), ["c", "d", "e"]);
        assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        assert_eq!(rest["metadata"].get("continue"), None);
    });
}

#[test]
fn a_page_of_a_revision_that_is_compacted_away_is_gone() {
    lab(|lab| async move {
        for name in ["a", "b", "c"] {
            lab.post(CONFIG_MAPS, config_map(name)).await;
        }
        let first = lab.get(&format!("{CONFIG_MAPS}?limit=1")).await;
        let token = first["metadata"]["continue"].as_str().unwrap();
        let newest = lab.post(CONFIG_MAPS, config_map("d")).await;
        lab.etcd
            .client("test")
            .compact(newest["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
            .await
            .unwrap();
        let (code, status) =
            lab.json("GET", &format!("{CONFIG_MAPS}?limit=1&continue={token}"), Value::Null).await;
        assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
        lab.refused(
            "GET",
            &format!("{CONFIG_MAPS}?resourceVersion=2&resourceVersionMatch=Exact"),
            Value::Null,
            410,
            "The resourceVersion for the provided list is too old.",
        )
        .await;
    });
}

#[test]
fn a_list_is_at_least_as_new_as_it_is_asked_to_be() {
    lab(|lab| async move {
        let created = lab.post(CONFIG_MAPS, config_map("a")).await;
        let version: i64 = created["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        lab.post(PODS, pod("p")).await;
        assert_eq!(names(&lab.get(&format!("{CONFIG_MAPS}?resourceVersion={version}")).await), ["a"]);
        assert_eq!(names(&lab.get(&format!("{CONFIG_MAPS}?resourceVersion={}", version + 1)).await), ["a"]);
        let (code, status) =
            lab.json("GET", &format!("{CONFIG_MAPS}?resourceVersion=9999"), Value::Null).await;
        assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
        assert!(
            status["message"]
                .as_str()
                .unwrap()
                .starts_with("Timeout: Too large resource version: 9999, current: ")
        );
    });
}

#[test]
fn a_table_has_upstreams_columns_and_cells() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        tokio::time::sleep(Duration::from_secs(42)).await;
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
        let response = lab.send("GET", &format!("{PODS}?limit=500"), &accept, "").await;
        let table: Value = serde_json::from_slice(&whole(response)).unwrap();
        let columns: Vec<&str> = table["columnDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            columns,
            ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"]
        );
        assert_eq!(
            table["rows"][0]["cells"],
            json!(["a", "0/1", "Pending", "0", "42s", "<none>", "<none>", "<none>", "<none>"])
        );
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    });
}

#[test]
fn every_kind_has_a_row() {
    lab(|lab| async move {
        for kind in crate::kinds::KINDS.iter().filter(|kind| kind.is_stored()) {
            let path = kind.resource().path("", None);
            let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
            let response = lab.send("GET", &path, &accept, "").await;
            assert_eq!(response.status(), 200, "{path}");
            let object = labkit_api::Object::new(&kind.gvk(), "default", "x");
            let row =
                crate::table::row(kind, &object, crate::table::IncludeObject::None, lab.world.clock().now());
            let columns = crate::table::column_definitions(kind);
            assert_eq!(row["cells"].as_array().unwrap().len(), columns.as_array().unwrap().len(), "{path}");
        }
    });
}

#[test]
fn what_is_older_than_the_last_period_is_compacted_away() {
    lab(|lab| async move {
        let first = lab.post(CONFIG_MAPS, config_map("a")).await;
        let version = |object: &Value| -> i64 {
            object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
        };
        let at = |version: i64| format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
        tokio::time::sleep(Duration::from_secs(310)).await;
        let second = lab.post(CONFIG_MAPS, config_map("b")).await;
        assert_eq!(names(&lab.get(&at(version(&first))).await), ["a"], "one tick only learns the time");
        let key = || labkit_etcd::RangeRequest::key("compact_rev_key");
        let found = lab.etcd.client("test").range(key()).await.unwrap().kvs;
        assert_eq!((found[0].version, &found[0].value[..]), (1, &b"0"[..]));
        tokio::time::sleep(Duration::from_secs(300)).await;
        let (code, status) = lab.json("GET", &at(version(&first)), Value::Null).await;
        assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
        assert_eq!(names(&lab.get(&at(version(&second))).await), ["a", "b"]);
        let found = lab.etcd.client("test").range(key()).await.unwrap().kvs;
        assert_eq!(found[0].version, 2);
        assert_eq!(names(&lab.get(CONFIG_MAPS).await), ["a", "b"]);
    });
}
