//! Patch: server-side apply, and JSON, merge and strategic merge patches, applied to the newest state until none is faster.

use http::StatusCode;
use labkit_api::patch::{merge_patch, strategic_merge_patch};
use labkit_api::{GroupVersionKind, ManagedFields, Object, Status, Verb};
use labkit_client::Response;
use serde_json::Value;

use crate::decode::{self, FieldValidation};
use crate::duplicates::{self, Remarks};
use crate::field;
use crate::kinds::{Kind, Subresource};
use crate::registry::update::UpdateOptions;
use crate::verbs::field_manager::FieldManager;
use crate::verbs::{Call, apply, json_patch, read, update};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A patch, how it is to be read, and what is to be said of it.
struct Patch {
    change: Change,
    remarks: Remarks,
}

enum Change {
    Json(::json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

pub(super) async fn patch(call: Call) -> Result<Response, Status> {
    let (kind, subresource) = (call.info.kind, call.info.subresource);
    if decode::content_type(&call.headers) == apply::CONTENT_TYPE {
        return apply::apply(call).await;
    }
    if call.query.has("force") {
        let cause = field::forbidden("force", "may not be specified for non-apply patch");
        let options = GroupVersionKind::new("meta.k8s.io", "v1", "PatchOptions");
        return Err(Status::invalid(&options, "", vec![cause]));
    }
    let options = UpdateOptions { subresource, dry_run: call.query.dry_run("PatchOptions")? };
    let validation = FieldValidation::parse(&call.query, "PatchOptions")?;
    let field_manager = FieldManager::of(&call, "PatchOptions")?;
    let patch = parse(&call, validation)?;
    let gvk = subresource.map_or_else(|| kind.gvk(), |subresource| subresource.gvk(kind));
    let mut warnings = Vec::new();
    if subresource == Some(Subresource::Scale) {
        return update::rescale(&call, options, &field_manager, |scale| {
            patched(&patch, kind, &gvk, scale.clone(), validation).map(|(scale, _)| scale)
        })
        .await;
    }
    let state = call.namespace_state().await?;
    let change = |live: &Object| {
        let current = kind.strategy.to_served(live.clone());
        let (mut object, warned) = patched(&patch, kind, &gvk, current, validation)?;
        warnings = warned;
        call.check_names(&mut object)?;
        let mut object = kind.strategy.to_stored(object);
        kind.stored().strategy.set_defaults(&mut object);
        field_manager.note(Some(live), &mut object);
        call.admit(Verb::Update, Some(&mut object), state)?;
        Ok(object)
    };
    let entry =
        call.registry.update(kind.stored(), &call.info.namespace, &call.info.name, options, change).await?;
    read::written(&call, StatusCode::OK, &entry, &warnings)
}

fn parse(call: &Call, validation: FieldValidation) -> Result<Patch, Status> {
    decode::check_size(&call.body)?;
    let content_type = decode::content_type(&call.headers);
    let is_strategic = call.info.kind.strategy.supports_strategic_merge();
    if !matches!(content_type, JSON | MERGE) && (content_type != STRATEGIC || !is_strategic) {
        let all = [JSON, MERGE, STRATEGIC, apply::CONTENT_TYPE];
        let understood: Vec<&str> =
            all.into_iter().filter(|name| *name != STRATEGIC || is_strategic).collect();
        return Err(decode::unsupported_media_type(&understood));
    }
    // Upstream reads twice where it looks for unknown fields, and this is what the first reading says.
    let undecodable = |error: String| match validation {
        FieldValidation::Ignore => Status::bad_request(error),
        _ => Status::bad_request(format!("error decoding patch: {error}")),
    };
    let (patch, remarks) = duplicates::from_json(&call.body).map_err(undecodable)?;
    if content_type == JSON {
        let change = Change::Json(json_patch::read(patch, undecodable)?);
        return Ok(Patch { change, remarks: Remarks { duplicates: Vec::new(), ..remarks } });
    }
    if !patch.is_object() && !patch.is_null() {
        let kind = labkit_api::protobuf::go_name(&patch);
        let error = format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}");
        return Err(undecodable(error));
    }
    let change = if content_type == MERGE { Change::Merge(patch) } else { Change::Strategic(patch) };
    Ok(Patch { change, remarks })
}

fn patched(
    patch: &Patch,
    kind: &Kind,
    gvk: &GroupVersionKind,
    mut current: Object,
    validation: FieldValidation,
) -> Result<(Object, Vec<String>), Status> {
    // Other patches can only replace the list of managers; the one that is there is left to `FieldManager`.
    if !matches!(patch.change, Change::Json(_)) {
        current.metadata.managed_fields = ManagedFields::default();
    }
    let mut value = current.into_value();
    match &patch.change {
        Change::Json(operations) => json_patch::apply(&mut value, operations)?,
        Change::Merge(patch) => merge_patch(&mut value, patch),
        Change::Strategic(patch) => strategic_merge_patch(gvk, &mut value, patch)?,
    }
    // What the refusal shows: the patch as Go prints it, or all that came of it.
    let shown = match &patch.change {
        Change::Strategic(patch) => labkit_api::canonical::go_text(patch),
        _ => value.to_string(),
    };
    decode::fields(value, patch.remarks.clone(), gvk, kind.strategy, validation).map_err(|error| {
        let cause = field::invalid("patch", shown.as_str(), &error);
        Status::invalid(&GroupVersionKind::new("", "", ""), "", vec![cause])
    })
}
