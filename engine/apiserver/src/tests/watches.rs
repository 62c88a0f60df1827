//! Watches.

use super::*;

/// A new server in the place of the one that is killed: its caches begin anew.
async fn restarted(lab: &Lab) -> Lab {
    lab.component.kill().await;
    let (component, server) = start(&lab.world, &lab.etcd).await;
    Lab { world: lab.world.clone(), etcd: lab.etcd.clone(), component, server }
}

#[test]
fn a_watch_tells_the_present_then_each_change() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=0")).await;
        assert_eq!(events.line().await, "ADDED a");
        lab.post(CONFIG_MAPS, config_map("b")).await;
        lab.patch(&format!("{CONFIG_MAPS}/a"), json!({"data": {"x": "y"}})).await;
        lab.json("DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
        assert_eq!(events.line().await, "ADDED b");
        assert_eq!(events.line().await, "MODIFIED a");
        let deleted = events.next().await.unwrap();
        assert_eq!((&deleted["type"], &deleted["object"]["data"]["x"]), (&json!("DELETED"), &json!("y")));
        lab.post(PODS, pod("p")).await;
        assert!(events.is_quiet().await);
    });
}

#[test]
fn a_watch_from_a_version_tells_what_came_after_it() {
    lab(|lab| async move {
        let first = lab.post(CONFIG_MAPS, config_map("a")).await;
        lab.post(CONFIG_MAPS, config_map("b")).await;
        let version = first["metadata"]["resourceVersion"].as_str().unwrap();
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}")).await;
        let chunk = events.chunk().await.unwrap();
        let note = chunk.note.unwrap();
        assert_eq!((note.kind, note.resource.as_str(), note.name.as_str()), ("ADDED", "configmaps", "b"));
        assert!(chunk.cause.is_some(), "the record of the commit travels with the event");
    });
}

#[test]
fn a_version_that_is_gone_is_told_as_an_error_event() {
    lab(|lab| async move {
        let lab = restarted(&lab).await;
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=1")).await;
        let error = events.next().await.unwrap();
        assert_eq!(
            (&error["type"], &error["object"]["code"], &error["object"]["reason"]),
            (&json!("ERROR"), &json!(410), &json!("Expired"))
        );
        let message = error["object"]["message"].as_str().unwrap();
        assert!(message.starts_with("too old resource version: 1 ("), "{message}");
        assert_eq!(events.line().await, "END");
    });
}

#[test]
fn what_enters_a_selection_is_added_and_what_leaves_it_is_deleted() {
    lab(|lab| async move {
        let mut events = lab.watch(&format!("{PODS}?watch=true&labelSelector=app%3Da")).await;
        lab.post(PODS, pod("a")).await;
        assert_eq!(events.line().await, "ADDED a");
        lab.patch(&format!("{PODS}/a"), json!({"metadata": {"labels": {"app": "b"}}})).await;
        let event = events.next().await.unwrap();
        assert_eq!(
            (&event["type"], &event["object"]["metadata"]["labels"]["app"]),
            (&json!("DELETED"), &json!("a"))
        );
        lab.patch(&format!("{PODS}/a"), json!({"metadata": {"labels": {"x": "y"}}})).await;
        assert!(events.is_quiet().await);
        lab.patch(&format!("{PODS}/a"), json!({"metadata": {"labels": {"app": "a"}}})).await;
        assert_eq!(events.line().await, "ADDED a");
    });
}

#[test]
fn bookmarks_come_every_minute_and_before_the_end() {
    lab(|lab| async move {
        let target = format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=100");
        let mut events = lab.watch(&target).await;
        assert_eq!(events.line().await, "BOOKMARK");
        assert_eq!(lab.world.clock().elapsed().as_secs(), 60);
        assert_eq!(events.line().await, "BOOKMARK");
        assert_eq!(lab.world.clock().elapsed().as_secs(), 98);
        assert_eq!(events.line().await, "END");
        assert_eq!(lab.world.clock().elapsed().as_secs(), 100);
    });
}

#[test]
fn initial_events_end_with_an_annotated_bookmark() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let options =
            "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?{options}")).await;
        assert_eq!(events.line().await, "ADDED a");
        let bookmark = events.next().await.unwrap();
        assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    });
}

#[test]
fn a_watch_from_a_list_does_not_repeat_what_was_listed() {
    lab(|lab| async move {
        // The list comes from the store; the cache hears of the write only after it.
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let list = lab.get(CONFIG_MAPS).await;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap();
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}")).await;
        lab.post(CONFIG_MAPS, config_map("b")).await;
        assert_eq!(events.line().await, "ADDED b");
    });
}

#[test]
fn a_watched_table_has_its_columns_once() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
        let response = lab.send("GET", &format!("{PODS}?watch=true"), &accept, "").await;
        let Body::Stream(chunks) = response.into_body() else { panic!("no stream") };
        let mut events = Events { chunks };
        lab.post(PODS, pod("b")).await;
        let first = events.next().await.unwrap();
        assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
        assert!(first["object"]["columnDefinitions"].is_array());
        let second = events.next().await.unwrap();
        assert!(second["object"]["columnDefinitions"].is_null());
        assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    });
}

#[test]
fn a_kill_of_the_server_ends_its_watches() {
    lab(|lab| async move {
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
        lab.component.kill().await;
        assert_eq!(events.line().await, "END");
    });
}

#[test]
fn a_second_server_sees_what_the_first_wrote() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let again = restarted(&lab).await;
        assert_eq!(again.get(&format!("{CONFIG_MAPS}/a")).await["data"]["key"], "value");
    });
}

#[test]
fn a_watch_goes_on_while_the_leader_of_the_store_dies() {
    lab_of(3, |lab| async move {
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
        let leader = lab.etcd.leader().unwrap();
        lab.etcd.kill(&leader).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        lab.post(CONFIG_MAPS, config_map("a")).await;
        assert_eq!(events.line().await, "ADDED a");
    });
}
