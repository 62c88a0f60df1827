//! The contract of a kind of objects: its names, its columns, and the strategy that makes its objects whole and
//! judges them. Counterparts: `rest.RESTCreateStrategy` and its siblings, `registry/*/strategy.go`.

use futures::future::BoxFuture;
use jiff::Timestamp;
use labkit_api::managed_fields::FieldSchema;
use labkit_api::{GroupVersionKind, Object, Resource, Scope, Status, StatusCause, UserInfo, Verb};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::custom::{Custom, ScalePaths};
use crate::kinds::subresource::Subresource;
use crate::table::{self, Column};
use crate::verbs::Call;

/// A kind that is served. Everything that a client can ask about it comes from here. A kind's file names its type,
/// which brings group, version, plural, scope and schema, and what differs from [`Kind::of`].
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub scope: Scope,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    /// The keys are `/registry/PREFIX/NAMESPACE/NAME`.
    pub prefix: &'static str,
    /// After NAME; those of priority 1 are wide.
    pub columns: &'static [Column],
    pub subresources: &'static [Subresource],
    /// Beyond `metadata.name` and `metadata.namespace`.
    pub selectable_fields: &'static [&'static str],
    /// Whether its cache starts with the server, because every control plane reads it. Others start on first use.
    pub is_eager: bool,
    /// Adds its schema to a document of OpenAPI, and says under which name.
    pub schema: fn(&mut SchemaGenerator) -> String,
    pub strategy: &'static dyn Strategy,
    /// For a kind of questions, which are answered and never stored.
    pub review: Option<Review>,
    /// For a kind whose objects are made when somebody asks, and never stored.
    pub computed: Option<Computed>,
    /// Of a kind that a CustomResourceDefinition made.
    pub custom: Option<&'static Custom>,
}

/// Answers a question: the same object, with its status.
pub(crate) type Review = for<'a> fn(&'a Call, Object) -> BoxFuture<'a, Result<Object, Status>>;

/// Makes all objects of a kind.
pub(crate) type Computed = for<'a> fn(&'a Call) -> BoxFuture<'a, Result<Vec<Object>, Status>>;

/// The scope of a type, as a value.
pub trait InScope {
    const SCOPE: Scope;
}

impl InScope for k8s_openapi::NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

impl InScope for k8s_openapi::ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

fn add_schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// What is particular to a kind. The defaults are those of a plain kind without status.
pub trait Strategy: Sync {
    /// Fills in what the client left out.
    fn set_defaults(&self, _object: &mut Object) {}

    /// The status of a new object, where the kind has one; from then on it is written through `status` only.
    fn new_status(&self) -> Option<Value> {
        None
    }

    /// Whether `metadata.generation` counts the changes of `spec`.
    fn counts_generation(&self) -> bool {
        false
    }

    /// Notes who asks for a new object, where the kind keeps that.
    fn set_requester(&self, _object: &mut Object, _user: &UserInfo) {}

    /// Drops from a body of kind `gvk` what it may not have, and names what was unknown: `unknown field "spec.foo"`. Fails
    /// in Go's words where a field is of the wrong type.
    fn coerce(&self, gvk: &GroupVersionKind, value: &mut Value) -> Result<Vec<String>, String> {
        crate::decode::coerce_built_in(gvk, value)
    }

    /// Clears what a client may not choose.
    fn prepare_for_create(&self, object: &mut Object) {
        if let Some(status) = self.new_status() {
            object.rest.insert("status".to_owned(), status);
        }
        if self.counts_generation() {
            object.metadata.generation = 1;
        }
    }

    /// Takes over from `old` what this way of writing may not change.
    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        if self.new_status().is_some() {
            keep(object, old, "status");
        }
        if self.counts_generation() {
            count_generation(object, old);
        }
    }

    /// The same for a write to `status`, where the kind has one: all but the status stays.
    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep_all_but(object, old, "status");
        object.metadata.labels = old.metadata.labels.clone();
        object.metadata.owner_references = old.metadata.owner_references.clone();
    }

    /// The same for a write to `approval`: of the status only the conditions change.
    fn prepare_for_approval(&self, object: &mut Object, old: &Object) {
        let conditions = object.at(&["status", "conditions"]).cloned();
        object.rest = old.rest.clone();
        if let Some(conditions) = conditions {
            object.set_at(&["status", "conditions"], conditions);
        }
    }

    /// The same for a write to `ephemeralcontainers`: nothing else changes.
    fn prepare_for_ephemeral_containers(&self, object: &mut Object, old: &Object) {
        *object = old.clone();
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_dns1123_subdomain(name)
    }

    fn validate(&self, _object: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// Beyond [`Strategy::validate`]: what may not change.
    fn validate_update(&self, _object: &Object, _old: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// What a write to `approval` may not change.
    fn validate_approval(&self, _object: &Object, _old: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// What is judged of new objects beyond [`Strategy::validate`].
    fn validate_create(&self, _object: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// What is judged when `ephemeralcontainers` is written.
    fn validate_ephemeral_containers(&self, _object: &Object, _old: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// All that is judged when an object is replaced.
    fn validate_replacement(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let mut errors = self.validate(object);
        errors.extend(self.validate_update(object, old));
        errors
    }

    /// What is judged when the status is written.
    fn validate_status_update(&self, _object: &Object, _old: &Object) -> Vec<StatusCause> {
        Vec::new()
    }

    /// Whether strategic merge patches are understood: they need to know the kind.
    fn supports_strategic_merge(&self) -> bool {
        true
    }

    /// Which fields have owners of their own, where that is not among the facts about built-in kinds.
    fn field_schema(&self) -> Option<FieldSchema> {
        None
    }

    /// Where a custom resource has what its Scale shows.
    fn scale_paths(&self) -> Option<&ScalePaths> {
        None
    }

    /// Whether all of a collection can be deleted at once.
    fn deletes_collections(&self) -> bool {
        true
    }

    /// Whether a replace may leave out the resourceVersion.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// Whether a deletion answers with the object instead of a Status.
    fn returns_deleted_object(&self) -> bool {
        false
    }

    /// For kinds that are deleted gracefully: the seconds that this deletion leaves the object.
    fn grace_period_seconds(&self, _object: &Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether finalizers of the kind's own (a namespace's `spec.finalizers`) hold the object.
    fn is_held(&self, _object: &Object) -> bool {
        false
    }

    /// Adds what holds the object when it is to be deleted.
    fn hold_deletion(&self, _object: &mut Object) {}

    /// Changes the object when its deletion begins.
    fn begin_deletion(&self, _object: &mut Object) {}

    /// The value of a selectable field.
    fn field(&self, object: &Object, path: &str) -> String {
        field_text(object, path)
    }

    /// The cell NAME.
    fn shown_name(&self, object: &Object) -> String {
        object.metadata.name.clone()
    }

    /// The cells after NAME.
    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        vec![json!(object.metadata.creation_timestamp)]
    }

    /// Turns the object into the form in which it is stored, for a kind that shares another's storage.
    fn to_stored(&self, object: Object) -> Object {
        object
    }

    /// The way back.
    fn to_served(&self, object: Object) -> Object {
        object
    }

    /// Whether stored objects expire after `--event-ttl`.
    fn expires(&self) -> bool {
        false
    }
}

/// The verbs of every collection, in discovery's order.
const VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// The same without deletecollection.
const VERBS_ON_ONE: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

impl Kind {
    /// The plain kind of a type: no short names, NAME and CREATED AT as columns, no subresources.
    pub const fn of<T>(strategy: &'static dyn Strategy) -> Kind
    where
        T: k8s_openapi::Resource + JsonSchema,
        T::Scope: InScope,
    {
        Kind {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural: T::URL_PATH_SEGMENT,
            scope: <T::Scope as InScope>::SCOPE,
            short_names: &[],
            categories: &[],
            prefix: T::URL_PATH_SEGMENT,
            columns: &[table::CREATED_AT],
            subresources: &[],
            selectable_fields: &[],
            is_eager: false,
            schema: add_schema::<T>,
            strategy,
            review: None,
            computed: None,
            custom: None,
        }
    }

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub fn resource(&self) -> Resource {
        Resource { gvk: self.gvk(), plural: self.plural.to_owned(), scope: self.scope }
    }

    /// What can be done to the collection and its objects.
    pub fn verbs(&self) -> &'static [Verb] {
        match (self.review, self.computed) {
            (Some(_), _) => &[Verb::Create],
            (None, Some(_)) => &[Verb::Get, Verb::List],
            (None, None) if self.strategy.deletes_collections() => VERBS,
            (None, None) => VERBS_ON_ONE,
        }
    }

    /// Whether there are objects of it in the store.
    pub fn is_stored(&self) -> bool {
        self.review.is_none() && self.computed.is_none()
    }

    /// The kind in whose form objects are stored: itself, or the one that shares its storage with it.
    pub fn stored(&'static self) -> &'static Kind {
        crate::kinds::KINDS.iter().copied().find(|kind| kind.prefix == self.prefix).unwrap_or(self)
    }

    /// Whether objects are shown otherwise than they are stored.
    pub fn converts(&'static self) -> bool {
        self.custom.map_or_else(|| !std::ptr::eq(self, self.stored()), |custom| custom.is_converted)
    }

    pub fn is_of(&self, group: &str, version: &str) -> bool {
        self.group == group && self.version == version
    }

    pub fn singular(&self) -> String {
        self.custom.map_or_else(|| self.kind.to_lowercase(), |custom| custom.singular.clone())
    }

    pub fn list_kind(&self) -> String {
        self.custom.map_or_else(|| format!("{}List", self.kind), |custom| custom.list_kind.clone())
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|subresource| subresource.name() == name)
    }

    /// The refusal of a field selector that names `path`; `None` where it is served.
    pub fn refuses_field(&self, path: &str) -> Option<String> {
        if matches!(path, "metadata.name" | "metadata.namespace")
            && (path != "metadata.namespace" || self.is_namespaced())
            || self.selectable_fields.contains(&path)
        {
            return None;
        }
        Some(match self.selectable_fields {
            [] if self.custom.is_none() => {
                format!(
                    "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            }
            _ => format!("field label not supported: {path}"),
        })
    }

    /// The value of a field that [`Kind::refuses_field`] lets pass.
    pub fn field(&self, object: &Object, path: &str) -> String {
        match path {
            "metadata.name" => object.metadata.name.clone(),
            "metadata.namespace" => object.metadata.namespace.clone(),
            path => self.strategy.field(object, path),
        }
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}/{}", self.plural, self.group, self.version)
    }
}

/// Keeps of `object` only the field `name`; everything else outside metadata is `old`'s.
pub(crate) fn keep_all_but(object: &mut Object, old: &Object, name: &str) {
    let own = object.rest.remove(name);
    object.rest = old.rest.clone();
    match own {
        Some(value) => object.rest.insert(name.to_owned(), value),
        None => object.rest.shift_remove(name),
    };
}

/// Takes `old`'s value of the field `name`.
pub(crate) fn keep(object: &mut Object, old: &Object, name: &str) {
    match old.rest.get(name) {
        Some(value) => object.rest.insert(name.to_owned(), value.clone()),
        None => object.rest.shift_remove(name),
    };
}

/// `generation` counts the changes of `spec`.
pub(crate) fn count_generation(object: &mut Object, old: &Object) {
    if object.rest.get("spec") != old.rest.get("spec") {
        object.metadata.generation = old.metadata.generation + 1;
    }
}

/// Fills in the fields of the object at a path that the client left out.
pub(crate) fn fill(object: &mut Object, path: &[&str], defaults: Value) {
    let mut place = object.rest.get_mut(path[0]);
    for name in &path[1..] {
        place = place.and_then(|value| value.get_mut(*name));
    }
    let (Some(Value::Object(fields)), Value::Object(defaults)) = (place, defaults) else { return };
    for (name, value) in defaults {
        fields.entry(name).or_insert(value);
    }
}

/// The text of the scalar at a path such as `spec.nodeName`; empty where there is none.
pub(crate) fn field_text(object: &Object, path: &str) -> String {
    let path: Vec<&str> = path.split('.').collect();
    match object.at(&path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}
