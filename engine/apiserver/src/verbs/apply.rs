//! Server-side apply: a patch that says what its manager wants, and makes the object where there is none.
//! Counterpart: `applyPatcher` in `endpoints/handlers/patch.go`, `structuredmerge.go`.

use http::StatusCode;
use labkit_api::managed_fields;
use labkit_api::{GroupVersionKind, Object, Status, Verb};
use labkit_client::Response;
use serde_json::Value;

use crate::admission::resource_quota;
use crate::decode::{self, FieldValidation};
use crate::duplicates;
use crate::field;
use crate::kinds::Subresource;
use crate::registry::update::UpdateOptions;
use crate::registry::{PodNeeds, scale};
use crate::respond;
use crate::verbs::field_manager::FieldManager;
use crate::verbs::{Call, read};

pub(super) const CONTENT_TYPE: &str = "application/apply-patch+yaml";
/// How often the object is looked for anew when it comes or goes meanwhile.
const ATTEMPTS: usize = 5;

pub(super) async fn apply(call: Call) -> Result<Response, Status> {
    if call.query.get("fieldManager").is_empty() {
        let cause = field::required("fieldManager", "is required for apply patch");
        let options = GroupVersionKind::new("meta.k8s.io", "v1", "PatchOptions");
        return Err(Status::invalid(&options, "", vec![cause]));
    }
    let (kind, subresource) = (call.info.kind, call.info.subresource);
    let options = UpdateOptions { subresource, dry_run: call.query.dry_run("PatchOptions")? };
    let field_manager = FieldManager::of(&call, "PatchOptions")?;
    let force = call.query.flag("force");
    let (config, warnings) = configuration(&call)?;
    let state = call.namespace_state().await?;
    if subresource == Some(Subresource::Scale) {
        return rescale(&call, options, &field_manager, &config).await;
    }
    let stored = kind.stored();
    let merged = |live: &Object, verb: Verb, needs: PodNeeds| {
        let applied = managed_fields::apply(live, &config, force, field_manager.writer());
        let mut object = applied.map_err(managed_fields::ApplyError::into_status)?;
        call.check_names(&mut object)?;
        let mut object = kind.strategy.to_stored(settled(&call, object)?);
        stored.strategy.set_defaults(&mut object);
        call.admit_with(verb, Some(&mut object), state, needs)?;
        Ok(object)
    };
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let mut attempt = 1;
    loop {
        let change =
            |live: &Object| merged(&kind.strategy.to_served(live.clone()), Verb::Update, PodNeeds::default());
        match call.registry.update(stored, namespace, name, options, change).await {
            Err(status) if status.is_not_found() && subresource.is_none() && attempt < ATTEMPTS => {}
            written => return read::written(&call, StatusCode::OK, &written?, &warnings),
        }
        let mut asked =
            Object::from_value(config.clone()).map_err(|error| Status::bad_request(error.to_string()))?;
        asked.metadata.namespace.clone_from(namespace);
        let needs = call.registry.pod_needs(stored, &asked).await?;
        let object = merged(&Object::new(&kind.gvk(), namespace, name), Verb::Create, needs)?;
        let _turn = resource_quota::check(&call, stored, &object).await?;
        if !object.metadata.uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                object.metadata.uid
            );
            return Err(Status::conflict(&kind.resource(), name, &why));
        }
        match call.registry.create(stored, object, options.dry_run).await {
            Err(status) if status.is_already_exists() && attempt < ATTEMPTS => attempt += 1,
            created => return read::written(&call, StatusCode::CREATED, &created?, &warnings),
        }
    }
}

/// The object as it is decoded from a body, which writes amounts in their canonical form.
fn settled(call: &Call, object: Object) -> Result<Object, Status> {
    let mut value = object.into_value();
    call.info.kind.strategy.coerce(&call.info.kind.gvk(), &mut value).map_err(Status::bad_request)?;
    Object::from_value(value).map_err(|error| Status::bad_request(error.to_string()))
}

/// Applies a Scale: its replicas are the workload's, and so is the list of who manages them. Counterpart:
/// `scalehandler.go`.
async fn rescale(
    call: &Call,
    options: UpdateOptions,
    field_manager: &FieldManager,
    config: &Value,
) -> Result<Response, Status> {
    let (kind, force) = (call.info.kind, call.query.flag("force"));
    let options = UpdateOptions { subresource: None, ..options };
    let change = |workload: &Object| {
        let config = scale::configuration(kind, config);
        let applied = managed_fields::apply(workload, &config, force, field_manager.writer());
        let mut object = applied.map_err(|error| scale::seen_from_outside(error).into_status())?;
        call.check_names(&mut object)?;
        scale::apply(kind, &object, &scale::of(kind, &object))
    };
    let entry = call.registry.update(kind, &call.info.namespace, &call.info.name, options, change).await?;
    Ok(respond::object(call.encoding(), StatusCode::OK, &scale::of(kind, &entry.object())))
}

/// The configuration, with the warnings about it. All that it says must be in the schema.
fn configuration(call: &Call) -> Result<(Value, Vec<String>), Status> {
    decode::check_size(&call.body)?;
    let validation = FieldValidation::parse(&call.query, "PatchOptions")?;
    let undecodable =
        |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding YAML: {error}"));
    let (config, remarks) = duplicates::from_yaml(&call.body).map_err(|error| undecodable(&error))?;
    let duplicates = remarks.duplicates;
    if !config.is_object() {
        return Err(undecodable(&"json: cannot unmarshal the document into an object"));
    }
    if validation == FieldValidation::Strict && !duplicates.is_empty() {
        return Err(Status::bad_request(format!("error strict decoding YAML: {}", duplicates.join(", "))));
    }
    let gvk = match call.info.subresource {
        Some(Subresource::Scale) => Subresource::Scale.gvk(call.info.kind),
        _ => call.info.kind.gvk(),
    };
    let version = config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if version != gvk.api_version() {
        let message = format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            gvk.api_version()
        );
        return Err(Status::bad_request(message));
    }
    let named = config.get("kind").and_then(Value::as_str).unwrap_or_default();
    if named != gvk.kind {
        let message = format!("{named} in version {:?} cannot be handled as a {}", gvk.version, gvk.kind);
        return Err(Status::bad_request(message));
    }
    if config.get("metadata").is_some_and(|metadata| metadata.get("managedFields").is_some()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    undeclared(call, &gvk, &config)?;
    let warnings = if validation == FieldValidation::Ignore { Vec::new() } else { duplicates };
    Ok((config, warnings))
}

/// 500 in upstream's words, which knows no better code for it.
fn undeclared(call: &Call, gvk: &GroupVersionKind, config: &Value) -> Result<(), Status> {
    let refuse = |why: String| {
        let (namespace, name) = (&call.info.namespace, &call.info.name);
        let what = format!("{namespace}/{name}; {}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
        Err(Status::failure(500, "", format!("failed to create typed patch object ({what}): {why}")))
    };
    let strategy = call.info.kind.strategy;
    let unknown = match strategy.coerce(gvk, &mut config.clone()) {
        Ok(unknown) => unknown,
        Err(error) => return refuse(error),
    };
    let path = |unknown: &String| {
        let path = unknown.trim_start_matches("unknown field ").trim_matches('"');
        let path = managed_fields::path_text(gvk, strategy.field_schema(), config, path);
        format!("{path}: field not declared in schema")
    };
    match unknown.iter().map(path).collect::<Vec<String>>().as_slice() {
        [] => Ok(()),
        [one] => refuse(one.clone()),
        many => refuse(format!("errors:\n  {}", many.join("\n  "))),
    }
}
