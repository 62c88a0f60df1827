//! Create, and the binding of a pod.

use http::StatusCode;
use labkit_api::{Object, Status, StatusDetails, Time, Verb};
use labkit_client::Response;

use crate::admission::resource_quota;
use crate::decode::{self, FieldValidation};
use crate::kinds::kind::Review;
use crate::kinds::{Subresource, pods};
use crate::registry::bind;
use crate::registry::update::UpdateOptions;
use crate::respond;
use crate::verbs::field_manager::FieldManager;
use crate::verbs::{Call, read};

pub(super) async fn create(call: Call) -> Result<Response, Status> {
    let kind = call.info.kind;
    if let Some(review) = kind.review {
        return answer(&call, review).await;
    }
    let dry_run = call.query.dry_run("CreateOptions")?;
    let validation = FieldValidation::parse(&call.query, "CreateOptions")?;
    let field_manager = FieldManager::of(&call, "CreateOptions")?;
    let (mut object, warnings) =
        decode::object(&call.headers, &call.body, &kind.gvk(), kind.strategy, validation)?;
    call.check_names(&mut object)?;
    let mut object = kind.strategy.to_stored(object);
    let kind = kind.stored();
    kind.strategy.set_requester(&mut object, &call.user);
    kind.strategy.set_defaults(&mut object);
    field_manager.note(None, &mut object);
    let namespace_state = call.namespace_state().await?;
    let needs = call.registry.pod_needs(kind, &object).await?;
    call.admit_with(Verb::Create, Some(&mut object), namespace_state, needs)?;
    let _turn = resource_quota::check(&call, kind, &object).await?;
    let entry = call.registry.create(kind, object, dry_run).await?;
    read::written(&call, StatusCode::CREATED, &entry, &warnings)
}

/// A question: answered, not stored.
async fn answer(call: &Call, review: Review) -> Result<Response, Status> {
    let validation = FieldValidation::parse(&call.query, "CreateOptions")?;
    let kind = call.info.kind;
    let (mut question, warnings) =
        decode::object(&call.headers, &call.body, &kind.gvk(), kind.strategy, validation)?;
    call.check_names(&mut question)?;
    let answer = review(call, question).await?;
    Ok(respond::warn(respond::value(StatusCode::CREATED, &answer), &warnings))
}

/// `POST pods/NAME/binding`: what the scheduler decided.
pub(super) async fn bind(call: Call) -> Result<Response, Status> {
    let mut binding = body(&call, Subresource::Binding)?;
    call.check_names(&mut binding)?;
    bind_pod(&call, &call.info.name, &binding).await?;
    Ok(created(&call))
}

/// Puts a pod of the request's namespace on the node that the Binding names.
pub(crate) async fn bind_pod(call: &Call, name: &str, binding: &Object) -> Result<(), Status> {
    let options = UpdateOptions {
        subresource: Some(Subresource::Binding),
        dry_run: call.query.dry_run("CreateOptions")?,
    };
    let now = Time::new(call.registry.world.clock().now());
    let change = |pod: &Object| bind::bind(pod, binding, now);
    call.registry.update(&pods::KIND, &call.info.namespace, name, options, change).await?;
    Ok(())
}

pub(super) fn body(call: &Call, subresource: Subresource) -> Result<Object, Status> {
    let gvk = subresource.gvk(call.info.kind);
    let strategy = call.info.kind.strategy;
    decode::object(&call.headers, &call.body, &gvk, strategy, FieldValidation::Ignore)
        .map(|(object, _)| object)
}

/// `Success`, code 201.
pub(super) fn created(call: &Call) -> Response {
    let mut status = Status::success(StatusDetails::default());
    status.details = None;
    status.code = 201;
    respond::status(call.encoding(), &status)
}
