//! Who a write is by, as `metadata.managedFields` names them. Counterpart: `managerOrUserAgent`,
//! `ValidateFieldManager`.

use labkit_api::managed_fields::{self, FieldSchema, Writer};
use labkit_api::{GroupVersionKind, ManagedFields, Object, Status, StatusCause, Time};

use crate::field;
use crate::kinds::{Kind, Subresource};
use crate::verbs::Call;

/// The longest name of a manager, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The manager that a request writes as.
#[derive(Debug)]
pub(crate) struct FieldManager {
    name: String,
    subresource: &'static str,
    has_status: bool,
    schema: Option<FieldSchema>,
    now: Time,
}

impl FieldManager {
    /// Reads `fieldManager`, or else the user agent. `options` is what messages call the query's parameters.
    pub fn of(call: &Call, options: &str) -> Result<FieldManager, Status> {
        let errors = validate(call.query.get("fieldManager"));
        if !errors.is_empty() {
            return Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", options), "", errors));
        }
        let name = match call.query.get("fieldManager") {
            "" => agent(call),
            name => name.to_owned(),
        };
        Ok(FieldManager {
            name,
            subresource: call.info.subresource.map_or("", Subresource::name),
            has_status: has_status(call.info.kind),
            schema: call.info.kind.strategy.field_schema(),
            now: Time::new(call.registry.world.clock().now()),
        })
    }

    pub fn writer(&self) -> Writer<'_> {
        Writer {
            manager: &self.name,
            subresource: self.subresource,
            has_status: self.has_status,
            schema: self.schema,
            now: self.now,
        }
    }

    /// Notes in `new` what this manager has changed.
    pub fn note(&self, live: Option<&Object>, new: &mut Object) {
        new.metadata.managed_fields = managed_fields::update(live, new, self.writer());
    }
}

/// The managers of what the server makes of its own accord.
pub(crate) fn own(kind: &Kind, object: &Object, now: Time) -> ManagedFields {
    let schema = kind.strategy.field_schema();
    let writer =
        Writer { manager: "kube-apiserver", subresource: "", has_status: has_status(kind), schema, now };
    managed_fields::update(None, object, writer)
}

fn has_status(kind: &Kind) -> bool {
    kind.subresources.contains(&Subresource::Status)
}

/// The program that asks. The controllers of one process have user agents of their own; upstream's begin with the
/// name of the program.
fn agent(call: &Call) -> String {
    let program = call.user.name.strip_prefix("system:");
    if let Some(program @ ("kube-controller-manager" | "kube-scheduler")) = program {
        return program.to_owned();
    }
    let agent = call.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default();
    if call.user.name.starts_with("system:serviceaccount:kube-system:") && agent.ends_with("-controller") {
        return "kube-controller-manager".to_owned();
    }
    let program = agent.split('/').next().unwrap_or_default();
    program.chars().filter(|letter| !letter.is_control()).take(NAME_BYTES_MAX).collect()
}

fn validate(name: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    if name.len() > NAME_BYTES_MAX {
        errors.push(field::too_long("fieldManager", NAME_BYTES_MAX));
    }
    for (at, letter) in name.char_indices().filter(|(_, letter)| letter.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
        errors.push(field::invalid("fieldManager", name, &detail));
    }
    errors
}
