//! Update: a whole object replaces the one that is there.

use http::StatusCode;
use labkit_api::{Object, Status, Verb};
use labkit_client::Response;

use crate::decode::{self, FieldValidation};
use crate::kinds::Subresource;
use crate::registry::scale;
use crate::registry::update::UpdateOptions;
use crate::respond;
use crate::verbs::field_manager::FieldManager;
use crate::verbs::{Call, read};

pub(super) async fn update(call: Call) -> Result<Response, Status> {
    let (kind, subresource) = (call.info.kind, call.info.subresource);
    let options = UpdateOptions { subresource, dry_run: call.query.dry_run("UpdateOptions")? };
    let validation = FieldValidation::parse(&call.query, "UpdateOptions")?;
    let field_manager = FieldManager::of(&call, "UpdateOptions")?;
    let gvk = subresource.map_or_else(|| kind.gvk(), |subresource| subresource.gvk(kind));
    let (mut object, warnings) = decode::object(&call.headers, &call.body, &gvk, kind.strategy, validation)?;
    call.check_names(&mut object)?;
    if subresource == Some(Subresource::Scale) {
        return rescale(&call, options, &field_manager, |_| Ok(object.clone())).await;
    }
    let mut object = kind.strategy.to_stored(object);
    kind.stored().strategy.set_defaults(&mut object);
    let state = call.namespace_state().await?;
    let change = |current: &Object| {
        let mut object = object.clone();
        field_manager.note(Some(current), &mut object);
        call.admit(Verb::Update, Some(&mut object), state)?;
        Ok(object)
    };
    let entry =
        call.registry.update(kind.stored(), &call.info.namespace, &call.info.name, options, change).await?;
    read::written(&call, StatusCode::OK, &entry, &warnings)
}

/// Writes a Scale, made from the present one, as the workload's replicas.
pub(super) async fn rescale(
    call: &Call,
    options: UpdateOptions,
    field_manager: &FieldManager,
    mut change: impl FnMut(&Object) -> Result<Object, Status> + Send,
) -> Result<Response, Status> {
    let kind = call.info.kind;
    let options = UpdateOptions { subresource: None, ..options };
    let apply = |workload: &Object| {
        let mut scaled = scale::apply(kind, workload, &change(&scale::of(kind, workload))?)?;
        field_manager.note(Some(workload), &mut scaled);
        Ok(scaled)
    };
    let entry = call.registry.update(kind, &call.info.namespace, &call.info.name, options, apply).await?;
    Ok(respond::object(call.encoding(), StatusCode::OK, &scale::of(kind, &entry.object())))
}
