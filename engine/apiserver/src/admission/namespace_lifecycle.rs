//! NamespaceLifecycle: nothing is made in a namespace that is not there or is going.

use labkit_api::{Status, StatusCause, Verb};

use crate::admission::Attributes;
use crate::kinds::namespaces;
use crate::registry::NamespaceState;

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    let is_namespace = std::ptr::eq(attributes.kind, &namespaces::KIND);
    if is_namespace && attributes.verb == Verb::Delete && namespaces::IMMORTAL.contains(&attributes.name) {
        return Err(Status::forbidden(
            &attributes.kind.resource(),
            attributes.name,
            "this namespace may not be deleted",
        ));
    }
    if is_namespace || attributes.verb == Verb::Delete {
        return Ok(());
    }
    let namespace = attributes.namespace;
    match attributes.namespace_state {
        NamespaceState::Active => Ok(()),
        NamespaceState::Absent => Err(Status::not_found(&namespaces::KIND.resource(), namespace)),
        NamespaceState::Terminating if attributes.verb != Verb::Create => Ok(()),
        NamespaceState::Terminating => {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut status = Status::forbidden(&attributes.kind.resource(), attributes.name, &why);
            if let Some(details) = &mut status.details {
                details.causes.push(StatusCause {
                    reason: "NamespaceTerminating".to_owned(),
                    message: format!("namespace {namespace} is being terminated"),
                    field: "metadata.namespace".to_owned(),
                });
            }
            Err(status)
        }
    }
}
