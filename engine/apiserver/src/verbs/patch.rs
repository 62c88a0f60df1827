//! Patch: merge patches and strategic merge patches, applied to the newest state until none is faster.

use http::StatusCode;
use labkit_api::patch::{merge_patch, strategic_merge_patch};
use labkit_api::{GroupVersionKind, Object, Status, Verb};
use labkit_client::Response;
use serde_json::Value;

use crate::decode::{self, FieldValidation};
use crate::kinds::Subresource;
use crate::registry::update::UpdateOptions;
use crate::verbs::{Call, read, update};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A patch and how it is to be read.
enum Patch {
    Merge(Value),
    Strategic(Value),
}

pub(super) async fn patch(call: Call) -> Result<Response, Status> {
    let (kind, subresource) = (call.info.kind, call.info.subresource);
    let options = UpdateOptions { subresource, dry_run: call.query.dry_run("PatchOptions")? };
    let validation = FieldValidation::parse(&call.query)?;
    let patch = parse(&call)?;
    let gvk = subresource.map_or_else(|| kind.gvk(), |subresource| subresource.gvk(kind));
    let mut warnings = Vec::new();
    if subresource == Some(Subresource::Scale) {
        return update::rescale(&call, options, |scale| {
            patched(&patch, &gvk, scale, validation).map(|(scale, _)| scale)
        })
        .await;
    }
    let state = call.namespace_state().await?;
    let change = |current: &Object| {
        let current = kind.strategy.to_served(current.clone());
        let (mut object, warned) = patched(&patch, &gvk, &current, validation)?;
        warnings = warned;
        call.check_names(&mut object)?;
        let mut object = kind.strategy.to_stored(object);
        kind.stored().strategy.set_defaults(&mut object);
        call.admit(Verb::Update, Some(&mut object), state)?;
        Ok(object)
    };
    let entry =
        call.registry.update(kind.stored(), &call.info.namespace, &call.info.name, options, change).await?;
    read::written(&call, StatusCode::OK, &entry, &warnings)
}

fn parse(call: &Call) -> Result<Patch, Status> {
    decode::check_size(&call.body)?;
    let content_type = decode::content_type(&call.headers);
    if !matches!(content_type, MERGE | STRATEGIC) {
        return Err(decode::unsupported_media_type(&[MERGE, STRATEGIC]));
    }
    let invalid = |error| Status::bad_request(format!("error decoding patch: {error}"));
    let patch: Value = serde_json::from_slice(&call.body).map_err(invalid)?;
    Ok(if content_type == MERGE { Patch::Merge(patch) } else { Patch::Strategic(patch) })
}

fn patched(
    patch: &Patch,
    gvk: &GroupVersionKind,
    current: &Object,
    validation: FieldValidation,
) -> Result<(Object, Vec<String>), Status> {
    let mut value = current.to_value();
    match patch {
        Patch::Merge(patch) => merge_patch(&mut value, patch),
        Patch::Strategic(patch) => strategic_merge_patch(gvk, &mut value, patch)?,
    }
    decode::typed(value, gvk, validation)
}
