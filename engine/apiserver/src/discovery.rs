//! Discovery: which groups, versions, resources and verbs there are, aggregated or piece by piece.
//! Counterpart: `k8s.io/apiserver/pkg/endpoints/discovery`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use labkit_api::{GroupVersionKind, Verb};
use labkit_client::Response;
use serde_json::{Value, json};

use crate::aggregation::Remote;
use crate::custom::Served;
use crate::kinds::{Kind, group_versions};
use crate::storage::entry::to_json;
use crate::{negotiate, respond};

pub(crate) fn serve(served: &Served, headers: &HeaderMap, segments: &[&str]) -> Response {
    let value = match segments {
        ["api"] | ["apis"] => {
            if let Some(version) = negotiate::aggregated_discovery(headers) {
                return aggregated(served, headers, segments[0] == "api", version);
            }
            if segments[0] == "api" { core_versions() } else { group_list(served) }
        }
        ["api", "v1"] => return listed(served, "", "v1"),
        ["apis", group] => match groups(served).into_iter().find(|(found, _)| found == group) {
            Some((group, versions)) if !group.is_empty() => {
                let mut value = group_value(group, &versions);
                value["kind"] = json!("APIGroup");
                value["apiVersion"] = json!("v1");
                value
            }
            _ => return respond::page_not_found(),
        },
        ["apis", group, version] if served.group_versions().contains(&(*group, *version)) => {
            return listed(served, group, version);
        }
        _ => return respond::page_not_found(),
    };
    respond::value(StatusCode::OK, &value)
}

/// What each group serves in each version, but for custom kinds; it never changes.
static LISTS: LazyLock<BTreeMap<(&str, &str), Bytes>> = LazyLock::new(|| {
    let list = |&(group, version): &(&'static str, &'static str)| {
        ((group, version), to_json(&resource_list(&Served::built_in(), group, version)))
    };
    group_versions().iter().map(list).collect()
});

fn listed(served: &Served, group: &str, version: &str) -> Response {
    let body = match LISTS.get(&(group, version)).filter(|_| !served.has_custom(group, version)) {
        Some(list) => list.clone(),
        None => to_json(&resource_list(served, group, version)),
    };
    respond::whole(StatusCode::OK, "application/json", body)
}

fn core_versions() -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}],
    })
}

fn group_list(served: &Served) -> Value {
    let groups = groups(served).into_iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = groups.map(|(group, versions)| group_value(group, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// The groups, each with its versions, the preferred one first.
fn groups(served: &Served) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for &(group, version) in served.group_versions() {
        match groups.last_mut() {
            Some((last, versions)) if *last == group => versions.push(version),
            _ => groups.push((group, vec![version])),
        }
    }
    groups
}

fn group_value(group: &str, versions: &[&str]) -> Value {
    let version = |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions[0]})
}

fn kinds_of(served: &Served, group: &str, version: &str) -> Vec<&'static Kind> {
    let mut kinds = served.kinds_of(group, version);
    kinds.sort_by_key(|kind| kind.plural);
    kinds
}

fn verbs(verbs: &[Verb]) -> Value {
    Value::Array(verbs.iter().map(|verb| json!(verb.as_str())).collect())
}

fn resource_list(served: &Served, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in kinds_of(served, group, version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular(), "namespaced": kind.is_namespaced(),
            "kind": kind.kind, "verbs": verbs(served.verbs(kind)),
        });
        if !kind.short_names.is_empty() {
            resource["shortNames"] = json!(kind.short_names);
        }
        if !kind.categories.is_empty() {
            resource["categories"] = json!(kind.categories);
        }
        resources.push(resource);
        for subresource in kind.subresources {
            let gvk = subresource.gvk(kind);
            let mut value = json!({
                "name": format!("{}/{}", kind.plural, subresource.name()), "singularName": "",
                "namespaced": kind.is_namespaced(), "kind": gvk.kind, "verbs": verbs(subresource.verbs()),
            });
            if gvk.group != kind.group {
                value["group"] = json!(gvk.group);
                value["version"] = json!(gvk.version);
            }
            resources.push(value);
        }
    }
    let group_version = GroupVersionKind::new(group, version, "").api_version();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// Everything in one answer, with an ETag, so that a client's cache costs one empty answer.
fn aggregated(served: &Served, headers: &HeaderMap, core: bool, version: &str) -> Response {
    let groups = groups(served).into_iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Value> =
        groups.map(|(group, versions)| aggregated_group(served, group, &versions)).collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    });
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let mut response = respond::with_etag(headers, &content_type, to_json(&list));
    response.headers_mut().insert(http::header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn aggregated_group(served: &Served, group: &str, versions: &[&str]) -> Value {
    let mut metadata = json!({"creationTimestamp": null});
    if !group.is_empty() {
        metadata["name"] = json!(group);
    }
    let version = |version: &&str| {
        if let Some(remote) = served.remote(group, version) {
            return aggregated_remote(remote);
        }
        let kinds = kinds_of(served, group, version).into_iter();
        let resources: Vec<Value> = kinds.map(|kind| aggregated_resource(served, kind)).collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"metadata": metadata, "versions": versions})
}

/// What another server named when it last answered; stale where it does not answer now.
fn aggregated_remote(remote: &Remote) -> Value {
    let freshness = if remote.is_available { "Current" } else { "Stale" };
    let list = remote.resources.as_deref().and_then(|list| list["resources"].as_array());
    let (mut resources, mut below): (Vec<Value>, Vec<&Value>) = (Vec::new(), Vec::new());
    for resource in list.into_iter().flatten() {
        let name = resource["name"].as_str().unwrap_or_default();
        if name.contains('/') {
            below.push(resource);
            continue;
        }
        let own = |field: &str, otherwise: &str| match resource[field].as_str() {
            None | Some("") => otherwise.to_owned(),
            Some(text) => text.to_owned(),
        };
        let mut entry = json!({
            "resource": name,
            "responseKind": {
                "group": own("group", remote.group), "version": own("version", remote.version),
                "kind": resource["kind"],
            },
            "scope": if resource["namespaced"] == true { "Namespaced" } else { "Cluster" },
            "singularResource": resource["singularName"],
            "verbs": resource["verbs"],
        });
        for field in ["shortNames", "categories"] {
            if let Some(names) = resource.get(field) {
                entry[field] = names.clone();
            }
        }
        resources.push(entry);
    }
    for resource in below {
        let (name, subresource) =
            resource["name"].as_str().unwrap_or_default().split_once('/').unwrap_or_default();
        let Some(owner) = resources.iter_mut().find(|owner| owner["resource"] == name) else { continue };
        let entry = json!({
            "subresource": subresource, "verbs": resource["verbs"],
            "responseKind": {"group": remote.group, "version": remote.version, "kind": resource["kind"]},
        });
        match owner.get_mut("subresources").and_then(Value::as_array_mut) {
            Some(entries) => entries.push(entry),
            None => owner["subresources"] = json!([entry]),
        }
    }
    json!({"version": remote.version, "resources": resources, "freshness": freshness})
}

fn aggregated_resource(served: &Served, kind: &'static Kind) -> Value {
    let response_kind = |gvk: GroupVersionKind, of: &Kind| {
        // The group and version of the list are understood.
        let elsewhere = gvk.group != of.group;
        let (group, version) =
            if elsewhere { (gvk.group, gvk.version) } else { (String::new(), String::new()) };
        json!({"group": group, "version": version, "kind": gvk.kind})
    };
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": response_kind(kind.gvk(), kind),
        "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular(),
        "verbs": verbs(served.verbs(kind)),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            json!({
                "subresource": subresource.name(),
                "responseKind": response_kind(subresource.gvk(kind), kind),
                "verbs": verbs(subresource.verbs()),
            })
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = json!(subresources);
    }
    resource
}
