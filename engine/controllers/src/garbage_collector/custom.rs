//! Custom kinds, whose objects own and are owned like others: each is followed from the moment its definition is
//! established until the definition goes. Upstream finds them by asking for all kinds every 30 s.

use std::collections::BTreeMap;

use labkit_api::{GroupVersionKind, Object, Resource, Scope};
use labkit_client::Change;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::Collector;
use super::feed::{self, News};

/// A kind that is followed, and the task that does.
struct Followed {
    resource: Resource,
    task: JoinHandle<()>,
}

/// Follows the definitions, and the objects of each.
pub(super) async fn follow(collector: &Collector) {
    let gvk = GroupVersionKind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let definitions = Resource { gvk, plural: "customresourcedefinitions".to_owned(), scope: Scope::Cluster };
    let mut changes = collector.context.informers.dynamic(&definitions).subscribe();
    let (sender, mut news) = unbounded_channel();
    let mut followed = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Some(change) => apply(collector, &change, &sender, &mut followed),
                None => return,
            },
            Some(news) = news.recv() => collector.apply(news),
        }
    }
}

fn apply(
    collector: &Collector,
    change: &Change<Object>,
    sender: &UnboundedSender<News>,
    followed: &mut BTreeMap<String, Followed>,
) {
    let name = &change.key.name;
    let served = change.new.as_deref().map(served).unwrap_or_default();
    let Some(first) = served.first().cloned() else {
        if let Some(gone) = followed.remove(name) {
            gone.task.abort();
            let is_of = |gvk: &GroupVersionKind| {
                gvk.group == gone.resource.gvk.group && gvk.kind == gone.resource.gvk.kind
            };
            collector.resources().retain(|gvk, _| !is_of(gvk));
            collector.customs().retain(|gvk| !is_of(gvk));
        }
        return;
    };
    for resource in served {
        collector.customs().insert(resource.gvk.clone());
        collector.resources().insert(resource.gvk.clone(), resource);
    }
    if followed.get(name).is_some_and(|known| known.resource == first) {
        return;
    }
    let mut feed = feed::custom(&collector.context, &first);
    let sender = sender.clone();
    let task = labkit_sim::spawn(async move {
        while let Some(news) = feed.next().await
            && sender.send(news).is_ok()
        {}
    });
    if let Some(before) = followed.insert(name.clone(), Followed { resource: first, task }) {
        before.task.abort();
    }
}

/// The kind of a definition in each version that is served, the stored one first; none before it is established.
fn served(definition: &Object) -> Vec<Resource> {
    let conditions = definition.at(&["status", "conditions"]).and_then(Value::as_array);
    let is_established =
        |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    if !conditions.into_iter().flatten().any(is_established) {
        return Vec::new();
    }
    let text = |path: &[&str]| definition.str_at(path).unwrap_or_default().to_owned();
    let scope = if text(&["spec", "scope"]) == "Cluster" { Scope::Cluster } else { Scope::Namespaced };
    let versions = definition.at(&["spec", "versions"]).and_then(Value::as_array);
    let mut versions: Vec<&Value> =
        versions.into_iter().flatten().filter(|version| version["served"] == true).collect();
    versions.sort_by_key(|version| version["storage"] != true);
    let resource = |version: &Value| Resource {
        gvk: GroupVersionKind::new(
            &text(&["spec", "group"]),
            version["name"].as_str().unwrap_or_default(),
            &text(&["status", "acceptedNames", "kind"]),
        ),
        plural: text(&["status", "acceptedNames", "plural"]),
        scope,
    };
    versions.into_iter().map(resource).collect()
}
