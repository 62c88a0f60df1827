//! Objects of the cluster, as lab files name them.

use std::collections::BTreeSet;

use labkit_api::{GroupVersionKind, Resource};
use labkit_cluster::client::{Client, Error, ListParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::document::{list_of, suggestion};
use crate::text::{Text, text};

const DEFINITION: &str = "CustomResourceDefinition";

/// An object, or with selectors instead of a name the list of those that they select.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its kind, such as Pod, or a custom one.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// Its API version, such as apps/v1; needed only where two groups have the kind, and for a custom kind that the lab
    /// itself does not define.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace; `default` for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels that are asked for, such as app=web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    /// Fields that are asked for, such as spec.nodeName=worker1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_selector: Option<String>,
    /// All namespaces instead of one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_namespaces: bool,
}

impl ObjectRef {
    async fn resource(&self, client: &Client) -> Result<Resource, String> {
        discover(client, &self.kind, self.api_version.as_deref()).await
    }

    fn namespace_in(&self, resource: &Resource) -> String {
        namespace(resource, self.namespace.as_deref())
    }

    /// `Pod default/web`, for messages.
    pub(crate) fn described(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        match (&self.name, namespace) {
            (Some(name), "") => format!("{} {name}", self.kind),
            (Some(name), namespace) => format!("{} {namespace}/{name}", self.kind),
            (None, _) => {
                let selectors = [("-l", &self.label_selector), ("--field-selector", &self.field_selector)];
                let selectors = selectors
                    .iter()
                    .filter_map(|(flag, text)| text.as_ref().map(|text| format!(" {flag} {text}")));
                format!("{}s{}", self.kind, selectors.collect::<String>())
            }
        }
    }

    /// The object, `None` where there is none.
    pub(crate) async fn get(&self, client: &Client) -> Result<Option<Value>, String> {
        let resource = self.resource(client).await?;
        let name = self.name.as_deref().unwrap_or_default();
        match client.get(&resource, &self.namespace_in(&resource), name).await {
            Ok(object) => Ok(Some(object.to_value())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What the selectors select.
    pub(crate) async fn list(&self, client: &Client) -> Result<Vec<Value>, String> {
        let resource = self.resource(client).await?;
        let params = ListParams {
            namespace: if self.all_namespaces { String::new() } else { self.namespace_in(&resource) },
            label_selector: self.label_selector.clone().unwrap_or_default(),
            field_selector: self.field_selector.clone().unwrap_or_default(),
            ..ListParams::default()
        };
        let list = client.list(&resource, &params).await.map_err(|error: Error| error.to_string())?;
        let gvk = &resource.gvk;
        let with_kind = |object: &labkit_api::Object| {
            let mut value = object.to_value();
            value["apiVersion"] = json!(gvk.api_version());
            value["kind"] = json!(gvk.kind);
            value
        };
        Ok(list.items.iter().map(with_kind).collect())
    }

    /// What a name in an expression is bound to: the object or null, or a list.
    pub(crate) async fn bound(&self, client: &Client) -> Result<Value, String> {
        match self.name {
            Some(_) => self.get(client).await.map(|object| object.unwrap_or(Value::Null)),
            None => self.list(client).await.map(Value::Array),
        }
    }
}

/// The resource of a built-in kind.
pub(crate) fn resource(kind: &str, api_version: Option<&str>) -> Result<Resource, Text> {
    let wanted = api_version.map(|version| GroupVersionKind::parse(version, kind));
    let served = labkit_cluster::resources();
    let found = served.iter().find(|resource| match &wanted {
        Some(gvk) => resource.gvk == *gvk,
        None => resource.gvk.kind == kind,
    });
    found.cloned().ok_or_else(|| {
        let (mut kinds, mut versions) = (BTreeSet::new(), Vec::new());
        for resource in &served {
            kinds.insert(resource.gvk.kind.as_str());
            versions.extend((resource.gvk.kind == kind).then(|| resource.gvk.api_version()));
        }
        if versions.is_empty() {
            let help = suggestion(kind, kinds);
            return text!("no kind `{kind}`; {help}", "종류 `{kind}` 은(는) 없습니다. {help}", help);
        }
        let version = api_version.unwrap_or_default();
        let served = list_of(versions.iter().map(String::as_str));
        text!(
            "no kind `{kind}` of `{version}`; it is served as {served}",
            "`{version}` 의 종류 `{kind}` 은(는) 없습니다. 제공하는 버전: {served}",
            served
        )
    })
}

/// The resource of a kind: of a built-in one at once, of any other as the API server tells it.
pub(crate) async fn discover(
    client: &Client,
    kind: &str,
    api_version: Option<&str>,
) -> Result<Resource, String> {
    let refusal = match resource(kind, api_version) {
        Ok(resource) => return Ok(resource),
        Err(refusal) => String::from(refusal),
    };
    let versions = match api_version {
        Some(version) => vec![version.to_owned()],
        None => custom_versions(client).await?,
    };
    for version in versions.iter().filter(|version| version.contains('/')) {
        let list = told(client, &format!("/apis/{version}")).await?;
        let own = |entry: &&Value| {
            entry["kind"] == kind && !entry["name"].as_str().unwrap_or_default().contains('/')
        };
        if let Some(entry) = list["resources"].as_array().into_iter().flatten().find(own) {
            let scope = match entry["namespaced"] == true {
                true => labkit_api::Scope::Namespaced,
                false => labkit_api::Scope::Cluster,
            };
            let plural = entry["name"].as_str().unwrap_or_default().to_owned();
            return Ok(Resource { gvk: GroupVersionKind::parse(version, kind), plural, scope });
        }
    }
    match api_version {
        Some(version) => Err(format!("no matches for kind {kind:?} in version {version:?}")),
        None => Err(refusal),
    }
}

/// The preferred version of each group that is not built in.
async fn custom_versions(client: &Client) -> Result<Vec<String>, String> {
    let groups = told(client, "/apis").await?;
    let names = groups["groups"].as_array().into_iter().flatten();
    let preferred = names.filter_map(|group| group["preferredVersion"]["groupVersion"].as_str());
    Ok(preferred.filter(|version| !is_built_in(version)).map(str::to_owned).collect())
}

/// What discovery says at a path; null where nothing is served.
async fn told(client: &Client, path: &str) -> Result<Value, String> {
    let (code, body) = client.raw(http::Method::GET, path, None).await.map_err(|error| error.to_string())?;
    if code != 200 {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| format!("{path}: {error}"))
}

/// Whether the group of an API version has built-in kinds.
pub(crate) fn is_built_in(api_version: &str) -> bool {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    labkit_cluster::resources().iter().any(|resource| resource.gvk.group == group)
}

/// The custom kinds that CustomResourceDefinitions anywhere in a value define.
pub(crate) fn defined_in(value: &Value, kinds: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if fields.get("kind").is_some_and(|kind| kind == DEFINITION)
                && let Some(kind) = value["spec"]["names"]["kind"].as_str()
            {
                kinds.insert(kind.to_owned());
            }
            fields.values().for_each(|value| defined_in(value, kinds));
        }
        Value::Array(items) => items.iter().for_each(|value| defined_in(value, kinds)),
        Value::String(text) if text.contains(DEFINITION) => {
            let documents = crate::steps::manifest_documents(text).unwrap_or_default();
            documents
                .iter()
                .filter(|document| document.is_object())
                .for_each(|value| defined_in(value, kinds));
        }
        _ => {}
    }
}

/// The namespace that is meant: none for kinds without, `default` where none is named.
pub(crate) fn namespace(resource: &Resource, named: Option<&str>) -> String {
    match resource.scope {
        labkit_api::Scope::Cluster => String::new(),
        labkit_api::Scope::Namespaced => {
            named.filter(|name| !name.is_empty()).unwrap_or("default").to_owned()
        }
    }
}
