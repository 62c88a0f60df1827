//! CEL expressions as values of a lab file: compiled when the file is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use labkit_expr::{Environment, ExprError, Expression};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::objects::ObjectRef;

static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(Environment::new);

/// A CEL expression.
#[derive(Debug, Clone)]
pub struct Cel(Expression);

impl Cel {
    pub fn compile(source: &str) -> Result<Cel, ExprError> {
        ENVIRONMENT.compile(source).map(Cel)
    }

    pub fn source(&self) -> &str {
        self.0.source()
    }

    pub(crate) fn expression(&self) -> &Expression {
        &self.0
    }
}

impl PartialEq for Cel {
    fn eq(&self, other: &Cel) -> bool {
        self.source() == other.source()
    }
}

impl Serialize for Cel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

impl<'de> Deserialize<'de> for Cel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cel, D::Error> {
        let source = Cow::<'_, str>::deserialize(deserializer)?;
        Cel::compile(&source).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cel {
    fn schema_name() -> Cow<'static, str> {
        "Cel".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "cel"})
    }
}

/// The schema's text for a condition.
const DESCRIPTION: &str = "A CEL expression, alone or with objects of the cluster, or histories of keys, bound to \
    names. It sees: etcd {leader {name, id}, members [{name, id, running, isLeader, term, revision}], term, \
    revision, termAtTaskStart, leaderAtTaskStart}; faults.ID {target, name, at, healedAt}; load.ID {acknowledged, \
    failed, unknown, outageMs, outage}; answers.ID; elapsed. Times are seconds since the task began.";

/// A CEL expression, alone or with objects of the cluster or histories of keys bound to names.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub cel: Cel,
    pub objects: BTreeMap<String, ObjectRef>,
    /// Keys of the store.
    pub history: BTreeMap<String, String>,
}

/// `{cel: "pod.spec.nodeName != ''", objects: {pod: {kind: Pod, name: web}}}`
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WithObjects {
    /// The expression.
    cel: Cel,
    /// Objects that the expression may use, by the name it gives them; null where there is none. Without
    /// `name`, the list of all that the selector selects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    objects: BTreeMap<String, ObjectRef>,
    /// Keys of the store: the expression sees the list of all writes to a key since it was last created, each
    /// with `revision`, `version` and `value`. Empty where there is no such key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    history: BTreeMap<String, String>,
}

impl Condition {
    pub(crate) fn alone(cel: Cel) -> Condition {
        Condition { cel, objects: BTreeMap::new(), history: BTreeMap::new() }
    }

    /// The names that it binds.
    pub(crate) fn bound(&self) -> Vec<&String> {
        self.objects.keys().chain(self.history.keys()).collect()
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.bound().is_empty() {
            true => self.cel.serialize(serializer),
            false => {
                let Condition { cel, objects, history } = self.clone();
                WithObjects { cel, objects, history }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let parsed =
            match value.is_string() {
                true => serde_json::from_value(value).map(Condition::alone),
                false => serde_json::from_value(value)
                    .map(|WithObjects { cel, objects, history }| Condition { cel, objects, history }),
            };
        parsed.map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let cel = generator.subschema_for::<Cel>();
        let with_objects = generator.subschema_for::<WithObjects>();
        json_schema!({
            "description": DESCRIPTION,
            "anyOf": [cel, with_objects]
        })
    }
}
