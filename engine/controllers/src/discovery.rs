//! Which kinds the API server has. Counterpart: `ServerPreferredResources`.

use std::collections::BTreeMap;

use http::Method;
use labkit_api::{GroupVersionKind, Resource, Scope};
use labkit_client::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::work::Failed;

/// A kind and what can be done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub resource: Resource,
    pub verbs: Vec<String>,
}

impl Served {
    pub fn supports(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|own| own == verb))
    }
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: GroupVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// What discovery found.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    /// All kinds in their preferred versions, ordered by group and plural; subresources are left out.
    pub kinds: Vec<Served>,
    /// The groups that another server answers for, which does not, and why: `metrics.k8s.io/v1beta1`.
    pub failing: BTreeMap<String, String>,
}

impl Discovered {
    /// What upstream says of groups that could not be discovered.
    pub fn failure(&self) -> Option<String> {
        if self.failing.is_empty() {
            return None;
        }
        let each: Vec<String> = self.failing.iter().map(|(group, why)| format!("{group}: {why}")).collect();
        Some(format!("unable to retrieve the complete list of server APIs: {}", each.join(", ")))
    }
}

/// Asks for all groups, and each for its kinds.
pub(crate) async fn served(client: &Client) -> Result<Discovered, Failed> {
    let core: Versions = read(client, "/api").await?;
    let groups: Groups = read(client, "/apis").await?;
    let mut roots: Vec<(String, String)> =
        core.versions.into_iter().map(|version| (format!("/api/{version}"), version)).collect();
    for group in groups.groups {
        let version = group.preferred_version.group_version;
        roots.push((format!("/apis/{version}"), version));
    }
    let mut kinds = BTreeMap::new();
    let mut failing = BTreeMap::new();
    for (path, api_version) in roots {
        let (code, body) = client.raw(Method::GET, &path, None).await?;
        if code == 503 {
            failing.insert(api_version.clone(), format!("stale GroupVersion discovery: {api_version}"));
            continue;
        }
        let list: Resources = parse(&path, code, &body)?;
        for entry in list.resources.into_iter().filter(|entry| !entry.name.contains('/')) {
            let gvk = GroupVersionKind::parse(&api_version, &entry.kind);
            let scope = if entry.namespaced { Scope::Namespaced } else { Scope::Cluster };
            let resource = Resource { gvk, plural: entry.name, scope };
            let order = (resource.gvk.group.clone(), resource.plural.clone());
            kinds.entry(order).or_insert(Served { resource, verbs: entry.verbs });
        }
    }
    Ok(Discovered { kinds: kinds.into_values().collect(), failing })
}

async fn read<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failed> {
    let (code, body) = client.raw(Method::GET, path, None).await?;
    parse(path, code, &body)
}

fn parse<T: DeserializeOwned>(path: &str, code: u16, body: &[u8]) -> Result<T, Failed> {
    if code != 200 {
        return Err(Failed::Because(format!("discovery of {path} answered {code}")));
    }
    serde_json::from_slice(body).map_err(|error| Failed::Because(format!("discovery of {path}: {error}")))
}
