//! Request bodies: JSON, YAML and protobuf become objects; fields that no one knows are refused or dropped.
//! Counterpart: `endpoints/handlers/create.go`, `patch.go` (what concerns bodies).

use bytes::Bytes;
use http::HeaderMap;
use labkit_api::{GroupVersionKind, Object, Status};
use serde_json::Value;

use crate::duplicates::{self, Remarks};
use crate::go_json;
use crate::kinds::Strategy;
use crate::query::Query;

/// The largest body that is read: 3 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

const BODY_TYPES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// What a client wants to be done about fields that are not in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    /// `fieldValidation`; without it the server warns. `options` is what messages call the query's parameters.
    pub fn parse(query: &Query, options: &str) -> Result<FieldValidation, Status> {
        match query.get("fieldValidation") {
            "Ignore" => Ok(FieldValidation::Ignore),
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let cause =
                    crate::field::not_supported("fieldValidation", other, &["Ignore", "Warn", "Strict"]);
                let gvk = GroupVersionKind::new("meta.k8s.io", "v1", options);
                Err(Status::invalid(&gvk, "", vec![cause]))
            }
        }
    }
}

/// Refuses a body beyond the limit.
pub(crate) fn check_size(body: &Bytes) -> Result<(), Status> {
    if body.len() <= BODY_BYTES_MAX { Ok(()) } else { Err(too_large()) }
}

pub(crate) fn too_large() -> Status {
    let message = format!("Request entity too large: limit is {BODY_BYTES_MAX}");
    Status::failure(413, "RequestEntityTooLarge", message)
}

/// The media type of the body, without parameters; JSON where none is named.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let header =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match header.split(';').next().unwrap_or_default().trim() {
        "" => "application/json",
        name => name,
    }
}

/// 415 with the types that would do.
pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Status {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    Status::failure(415, "UnsupportedMediaType", message)
}

/// The body as JSON, with what is to be said of it. `expected` is the kind that the path asks for, which messages name.
fn parse(headers: &HeaderMap, body: &Bytes, expected: &GroupVersionKind) -> Result<(Value, Remarks), Status> {
    let unrecognized = |error: String| {
        let kind = &expected.kind;
        let message = format!(
            "the object provided is unrecognized (must be of type {kind}): {error} ({})",
            summary(body)
        );
        Status::bad_request(message)
    };
    parse_as(headers, body, unrecognized)
}

/// The same; `unrecognized` makes a refusal of what Go says of a body that is none.
fn parse_as(
    headers: &HeaderMap,
    body: &Bytes,
    unrecognized: impl Fn(String) -> Status,
) -> Result<(Value, Remarks), Status> {
    check_size(body)?;
    match content_type(headers) {
        "application/vnd.kubernetes.protobuf" => {
            labkit_api::protobuf::decode(body).map(|value| (value, Remarks::default()))
        }
        "application/yaml" => {
            duplicates::from_yaml(body).map_err(|error| unrecognized(format!("yaml: {error}")))
        }
        "application/json" => duplicates::from_json(body)
            .and_then(|parsed| check_head(&parsed.0).map(|()| parsed))
            .map_err(|error| unrecognized(format!("couldn't get version/kind; json parse error: {error}"))),
        _ => Err(unsupported_media_type(BODY_TYPES)),
    }
}

/// Upstream reads version and kind before all else, and refuses in Go's words what has no place for them.
fn check_head(value: &Value) -> Result<(), String> {
    let go = labkit_api::protobuf::go_name(value);
    match value {
        Value::Null => Ok(()),
        Value::Object(fields) => match ["apiVersion", "kind"].iter().find_map(|name| {
            let value = fields.get(*name).filter(|value| !value.is_string() && !value.is_null())?;
            Some((name, value))
        }) {
            None => Ok(()),
            Some((name, value)) => Err(format!(
                "json: cannot unmarshal {} into Go struct field .{name} of type string",
                labkit_api::protobuf::go_name(value)
            )),
        },
        _ => Err(format!(
            "json: cannot unmarshal {go} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )),
    }
}

/// DeleteOptions: JSON, or nothing where there is no body.
pub(crate) fn delete_options(headers: &HeaderMap, body: &Bytes) -> Result<Value, Status> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let (mut options, _) = parse_as(headers, body, Status::bad_request)?;
    let kind = options.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(Status::bad_request("decoded object cannot be converted to DeleteOptions"));
    }
    let gvk = GroupVersionKind::new("", "v1", "DeleteOptions");
    labkit_api::protobuf::prune_unknown(&gvk, &mut options).map_err(Status::bad_request)?;
    Ok(options)
}

/// The start of a body in hexadecimal, as upstream's messages have it.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let hex: String = body.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if body.len() > SHOWN {
        format!("{hex} ...")
    } else if body.is_empty() {
        "empty".to_owned()
    } else {
        hex
    }
}

/// A body as an object of the kind that the path asks for, with the warnings about it.
pub(crate) fn object(
    headers: &HeaderMap,
    body: &Bytes,
    expected: &GroupVersionKind,
    strategy: &dyn Strategy,
    validation: FieldValidation,
) -> Result<(Object, Vec<String>), Status> {
    let (value, remarks) = parse(headers, body, expected)?;
    typed(value, remarks, expected, strategy, validation)
}

/// JSON as an object of the expected kind: its names are checked, unknown fields refused, warned of or dropped.
fn typed(
    value: Value,
    remarks: Remarks,
    expected: &GroupVersionKind,
    strategy: &dyn Strategy,
    validation: FieldValidation,
) -> Result<(Object, Vec<String>), Status> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if !api_version.is_empty() && api_version != expected.api_version() {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        )));
    }
    let cannot = |why: &str| {
        let version = &expected.version;
        Status::bad_request(format!(
            "{0} in version {version:?} cannot be handled as a {0}: {why}",
            expected.kind
        ))
    };
    if !kind.is_empty() && kind != expected.kind {
        let message =
            format!("{kind} in version {:?} cannot be handled as a {}", expected.version, expected.kind);
        return Err(Status::bad_request(message));
    }
    fields(value, remarks, expected, strategy, validation).map_err(|error| cannot(&error))
}

/// The fields of an object of the expected kind. The error is Go's text, or that of strict decoding.
pub(crate) fn fields(
    mut value: Value,
    remarks: Remarks,
    expected: &GroupVersionKind,
    strategy: &dyn Strategy,
    validation: FieldValidation,
) -> Result<(Object, Vec<String>), String> {
    let mut warnings = remarks.duplicates;
    warnings.extend(strategy.coerce(expected, &mut value)?);
    if remarks.is_cut && go_json::is_cut(&value) {
        return Err("exceeded max depth".to_owned());
    }
    match validation {
        FieldValidation::Strict if !warnings.is_empty() => {
            return Err(format!("strict decoding error: {}", warnings.join(", ")));
        }
        FieldValidation::Ignore => warnings.clear(),
        _ => {}
    }
    let mut object = Object::from_value(value).map_err(|error| format!("json: {error}"))?;
    object.api_version = expected.api_version();
    object.kind = expected.kind.clone();
    object.metadata.other.shift_remove("selfLink");
    Ok((object, warnings))
}

/// [`Strategy::coerce`] for kinds that are known by their protobuf messages.
pub(crate) fn coerce_built_in(gvk: &GroupVersionKind, value: &mut Value) -> Result<Vec<String>, String> {
    drop_nulls(value);
    let unknown = labkit_api::protobuf::prune_unknown(gvk, value)?;
    // Go's structs have their spec even where nobody wrote one.
    if let Value::Object(fields) = value
        && !fields.contains_key("spec")
        && labkit_api::protobuf::has_spec(gvk)
    {
        fields.insert("spec".to_owned(), Value::Object(serde_json::Map::new()));
    }
    Ok(unknown)
}

/// Drops from `metadata` what no object has there. It is the same for every kind.
pub(crate) fn coerce_metadata(value: &mut Value) -> Result<Vec<String>, String> {
    let Some(metadata) = value.get_mut("metadata") else { return Ok(Vec::new()) };
    let mut alone = serde_json::json!({"metadata": metadata.take()});
    let unknown = coerce_built_in(&GroupVersionKind::new("", "v1", "ConfigMap"), &mut alone)?;
    *metadata = alone["metadata"].take();
    Ok(unknown)
}

/// A field that is null is a field that is not set.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
