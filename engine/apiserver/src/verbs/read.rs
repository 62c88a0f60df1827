//! Get and list.

use std::sync::Arc;

use http::StatusCode;
use labkit_api::{Object, Status, Verb};
use labkit_client::Response;

use crate::kinds::Subresource;
use crate::kinds::kind::Computed;
use crate::negotiate::View;
use crate::pod_spec::warnings;
use crate::query::Selection;
use crate::registry::list::{List, ListOptions, parse_version};
use crate::registry::scale;
use crate::respond;
use crate::storage::Entry;
use crate::verbs::Call;

pub(super) async fn get(call: Call) -> Result<Response, Status> {
    let presentation = call.presentation()?;
    let version = match call.query.get("resourceVersion") {
        "" => -1,
        text => parse_version(text)?,
    };
    let entry =
        call.registry.get(call.info.kind.stored(), &call.info.namespace, &call.info.name, version).await?;
    if call.info.subresource == Some(Subresource::Scale) {
        let scale = scale::shown(call.info.kind, &entry.object())?;
        return Ok(match presentation.view {
            View::Table => respond::value(StatusCode::OK, &scale::table(&scale, presentation.now)),
            _ => respond::object(call.encoding(), StatusCode::OK, &scale),
        });
    }
    Ok(respond::entry(&presentation, StatusCode::OK, &entry))
}

pub(super) async fn list(call: Call) -> Result<Response, Status> {
    let presentation = call.presentation()?;
    let kind = call.info.kind.stored();
    let selection = Selection::parse(call.info.kind, &call.query)?;
    let options = ListOptions::parse(&call.query)?;
    let list = call.registry.list(kind, &call.info.namespace, &selection, &options).await?;
    Ok(respond::list(&presentation, list))
}

/// Get and list of a kind whose objects are made now.
pub(super) async fn computed(call: Call, computed: Computed) -> Result<Response, Status> {
    let presentation = call.presentation()?;
    let entry = |mut object: Object| {
        object.metadata.resource_version.clear();
        Arc::new(Entry::unstored(object))
    };
    let mut objects = computed(&call).await?;
    if call.info.verb == Verb::Get {
        objects.retain(|object| object.metadata.name == call.info.name);
        let found =
            objects.pop().ok_or_else(|| Status::not_found(&call.info.kind.resource(), &call.info.name))?;
        return Ok(respond::entry(&presentation, StatusCode::OK, &entry(found)));
    }
    let selection = Selection::parse(call.info.kind, &call.query)?;
    objects.retain(|object| selection.matches(object));
    let entries = objects.into_iter().map(entry).collect();
    let list = List { entries, revision: 0, continuation: String::new(), remaining: None };
    Ok(respond::list(&presentation, list))
}

/// The stored form of what was just written, as the client sees it.
pub(super) fn written(
    call: &Call,
    code: StatusCode,
    entry: &Arc<Entry>,
    warnings: &[String],
) -> Result<Response, Status> {
    let mut warnings = warnings.to_vec();
    // A component of the cluster reads no warnings.
    if code == StatusCode::CREATED && !call.headers.contains_key(labkit_client::OMIT_MANAGED_FIELDS) {
        warnings.extend(warnings::of_new(call.info.kind.stored(), || entry.object()));
    }
    Ok(respond::warn(respond::entry(&call.presentation()?, code, entry), &warnings))
}
