//! A version of a definition as a kind.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, OnceLock};

use labkit_api::managed_fields::FieldSchema;
use labkit_api::{Object, Scope};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::columns::{self, CustomColumn};
use super::schema::{Schema, texts};
use super::structural::{flag, list, text};
use super::{fields, rules};
use crate::kinds::{Kind, Subresource};

/// What is particular to one version of a custom kind.
#[derive(Debug)]
pub(crate) struct Custom {
    pub api_version: String,
    pub kind: String,
    pub list_kind: String,
    pub singular: String,
    /// In which version objects are stored.
    pub storage_version: String,
    pub schema: Schema,
    /// The schema as it stands in the definition.
    pub schema_source: Value,
    pub columns: Vec<CustomColumn>,
    pub has_status: bool,
    pub scale: Option<ScalePaths>,
    pub has_rules: bool,
    /// Whether what is stored must be made anew for whoever reads it.
    pub is_converted: bool,
    /// What everyone is told who uses a deprecated version.
    pub warning: Option<String>,
    field_schema: OnceLock<FieldSchema>,
}

/// Where a custom resource has what a Scale shows.
#[derive(Debug)]
pub(crate) struct ScalePaths {
    pub spec_replicas: Vec<String>,
    pub status_replicas: Vec<String>,
    pub selector: Option<Vec<String>>,
}

impl Custom {
    /// The shape by which managers own fields; made when it is first needed.
    pub fn field_schema(&self) -> FieldSchema {
        *self.field_schema.get_or_init(|| fields::of(&self.schema))
    }
}

/// Every version of a definition that was served so far, by the digest of all that it depends on.
static KNOWN: LazyLock<Mutex<BTreeMap<[u8; 32], &'static Kind>>> = LazyLock::new(Mutex::default);

/// A version of a definition as a kind; equal ones are one.
pub(crate) fn kind_of(definition: &Object, version: &Value) -> &'static Kind {
    let none = Value::Null;
    let spec = definition.rest.get("spec").unwrap_or(&none);
    let names = definition.at(&["status", "acceptedNames"]).unwrap_or(&none);
    let stored = list(spec, "versions").iter().find(|version| flag(version, "storage")).unwrap_or(version);
    let source = json!([
        spec["group"],
        spec["scope"],
        names,
        version,
        text(stored, "name"),
        list(spec, "versions").len()
    ]);
    let digest: [u8; 32] = Sha256::digest(source.to_string()).into();
    let mut known = KNOWN.lock().expect("no panic happens under this lock");
    known.entry(digest).or_insert_with(|| made(spec, names, version, text(stored, "name")))
}

fn made(spec: &Value, names: &Value, version: &Value, storage_version: &str) -> &'static Kind {
    let fixed = |text: &str| -> &'static str { text.to_owned().leak() };
    let all_fixed = |texts: Vec<String>| -> &'static [&'static str] {
        texts.into_iter().map(|text| fixed(&text)).collect::<Vec<&'static str>>().leak()
    };
    let (group, name) = (text(spec, "group"), text(version, "name"));
    let (kind, plural) = (text(names, "kind"), text(names, "plural"));
    let api_version = format!("{group}/{name}");
    let schema_source = version["schema"]["openAPIV3Schema"].clone();
    let schema = Schema::parse(&schema_source);
    let subresources = &version["subresources"];
    let scale = subresources.get("scale").filter(|scale| scale.is_object()).map(ScalePaths::parse);
    let has_status = subresources["status"].is_object();
    let both = [(scale.is_some(), Subresource::Scale), (has_status, Subresource::Status)];
    let served = both.into_iter().filter_map(|(is_served, subresource)| is_served.then_some(subresource));
    let warning = flag(version, "deprecated").then(|| match text(version, "deprecationWarning") {
        "" => format!("{api_version} {kind} is deprecated"),
        warning => warning.to_owned(),
    });
    let has_defaults = schema.any(&mut |schema| schema.default.is_some());
    let custom: &'static Custom = Box::leak(Box::new(Custom {
        is_converted: has_defaults || name != storage_version || list(spec, "versions").len() > 1,
        api_version,
        kind: kind.to_owned(),
        list_kind: text(names, "listKind").to_owned(),
        singular: text(names, "singular").to_owned(),
        storage_version: format!("{group}/{storage_version}"),
        columns: columns::parse(version),
        has_status,
        scale,
        has_rules: rules::has_rules(&schema),
        schema,
        schema_source,
        warning,
        field_schema: OnceLock::new(),
    }));
    let paths = list(version, "selectableFields").iter().map(|field| text(field, "jsonPath"));
    let selectable = paths.map(|path| path.trim_start_matches('.').to_owned()).collect();
    Box::leak(Box::new(Kind {
        review: None,
        computed: None,
        group: fixed(group),
        version: fixed(name),
        kind: fixed(kind),
        plural: fixed(plural),
        scope: if text(spec, "scope") == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        short_names: all_fixed(texts(names, "shortNames")),
        categories: all_fixed(texts(names, "categories")),
        prefix: fixed(&format!("{group}/{plural}")),
        columns: &[],
        subresources: served.collect::<Vec<Subresource>>().leak(),
        selectable_fields: all_fixed(selectable),
        is_eager: false,
        schema: |_| String::new(),
        strategy: custom,
        custom: Some(custom),
    }))
}

impl ScalePaths {
    fn parse(scale: &Value) -> ScalePaths {
        let steps = |name: &str| -> Vec<String> {
            text(scale, name).trim_start_matches('.').split('.').map(str::to_owned).collect()
        };
        let selector = (!text(scale, "labelSelectorPath").is_empty()).then(|| steps("labelSelectorPath"));
        ScalePaths {
            spec_replicas: steps("specReplicasPath"),
            status_replicas: steps("statusReplicasPath"),
            selector,
        }
    }
}
