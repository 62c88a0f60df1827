//! Judges a CustomResourceDefinition. Counterpart: `apiextensions/validation/validation.go`.
//!
//! Upstream reads what all versions have in common (in a definition of one version: everything) as fields of the
//! spec itself, and its messages name it there: `spec.validation.openAPIV3Schema`.

use labkit_api::validation::{is_dns1035_label, is_dns1123_subdomain};
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use super::rule_prices::Costs;
use super::schema::Schema;
use super::structural::{flag, list, text};
use super::{open_api, prune, rules, structural, validate as values};
use crate::field::{self, Shown};

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// What a schema may say at its root when the status is written by itself.
const ROOT_FIELDS: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];
const SELECTABLE_FIELDS_MAX: usize = 8;
const APPROVAL: &str = "api-approved.kubernetes.io";

/// The complaints about a new definition, or about the new state of one.
pub(crate) fn validate(definition: &Object) -> Vec<StatusCause> {
    let none = Value::Null;
    let spec = definition.rest.get("spec").unwrap_or(&none);
    let mut errors = Vec::new();
    let required = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    if definition.metadata.name != required {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(field::invalid("metadata.name", &definition.metadata.name, detail));
    }
    validate_spec(spec, &mut errors);
    stored_versions(definition, spec, &mut errors);
    let group = text(spec, "group");
    let is_protected = group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
    if is_protected && !definition.metadata.annotations.contains_key(APPROVAL) {
        let detail = format!(
            "protected groups must have approval annotation {APPROVAL:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(field::required(format!("metadata.annotations[{APPROVAL}]"), &detail));
    }
    if flag(spec, "preserveUnknownFields") {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(field::invalid("spec.preserveUnknownFields", true, detail));
    }
    errors
}

/// What may not change of a definition.
pub(crate) fn validate_update(definition: &Object, old: &Object) -> Vec<StatusCause> {
    let established = super::status::is_true(old, "Established");
    let always = [&["spec", "group"][..], &["spec", "names", "plural"]];
    let then = [&["spec", "scope"][..], &["spec", "names", "kind"]];
    let none = Value::Null;
    let changed = |path: &&[&str]| {
        let (new, old) = (definition.at(path).unwrap_or(&none), old.at(path).unwrap_or(&none));
        field::immutable(&path.join("."), new, old)
    };
    then.iter().filter(|_| established).chain(&always).filter_map(changed).collect()
}

fn validate_spec(spec: &Value, errors: &mut Vec<StatusCause>) {
    let group = text(spec, "group");
    let complaints = is_dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(field::required("spec.group", ""));
    } else if !complaints.is_empty() {
        errors.push(field::invalid("spec.group", group, &complaints.join(",")));
    } else if !group.contains('.') {
        errors.push(field::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    match text(spec, "scope") {
        "" => errors.push(field::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(field::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    let versions = list(spec, "versions");
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            errors.push(field::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
        }
    }
    let mut costs = Costs::default();
    let in_common = |name: &str| {
        let first = versions.first().and_then(|version| version.get(name)).filter(|value| !value.is_null());
        first.filter(|first| versions.iter().all(|version| version.get(name) == Some(first)))
    };
    let (schema, subresources, columns, fields) = (
        in_common("schema"),
        in_common("subresources"),
        in_common("additionalPrinterColumns"),
        in_common("selectableFields"),
    );
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, "name");
        let complaints = is_dns1035_label(name);
        if !complaints.is_empty() {
            errors.push(field::invalid(format!("{path}.name"), name, &complaints.join(",")));
        }
        deprecation(version, &path, errors);
        if schema.is_none() {
            validate_schema(version, &version["schema"], &format!("{path}.schema"), &mut costs, errors);
        }
        if subresources.is_none() {
            validate_subresources(&version["subresources"], &format!("{path}.subresources"), errors);
        }
        if columns.is_none() {
            validate_columns(
                list(version, "additionalPrinterColumns"),
                &format!("{path}.additionalPrinterColumns"),
                errors,
            );
        }
        if fields.is_none() {
            validate_selectable(version, &format!("{path}.selectableFields"), errors);
        }
    }
    validate_versions(versions, errors);
    validate_names(&spec["names"], errors);
    if let Some(first) = versions.first() {
        if let Some(schema) = schema {
            validate_schema(first, schema, "spec.validation", &mut costs, errors);
        }
        if let Some(subresources) = subresources {
            validate_subresources(subresources, "spec.subresources", errors);
        }
        if columns.is_some() {
            validate_columns(
                list(first, "additionalPrinterColumns"),
                "spec.additionalPrinterColumns",
                errors,
            );
        }
        if fields.is_some() {
            validate_selectable(first, "spec.selectableFields", errors);
        }
    }
    // Other converters are absent, and so not accepted.
    let strategy = text(&spec["conversion"], "strategy");
    match strategy {
        "" => errors.push(field::required("spec.conversion.strategy", "")),
        "None" => {
            if !spec["conversion"]["webhook"].is_null() {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.push(field::forbidden("spec.conversion.webhookClientConfig", detail));
            }
        }
        other => errors.push(field::not_supported("spec.conversion.strategy", other, &["None"])),
    }
}

fn validate_versions(versions: &[Value], errors: &mut Vec<StatusCause>) {
    let shown = Value::Array(versions.to_vec());
    let mut names: Vec<&str> = versions.iter().map(|version| text(version, "name")).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        errors.push(field::invalid("spec.versions", &shown, "must contain unique version names"));
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(field::invalid("spec.versions", &shown, detail));
    }
}

fn deprecation(version: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else { return };
    let mut complain =
        |detail: &str| errors.push(field::invalid(format!("{path}.deprecationWarning"), warning, detail));
    if !flag(version, "deprecated") {
        return complain("can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        complain("must be <= 256 characters long");
    }
    if warning.is_empty() {
        complain("must not be an empty string");
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, letter)| letter.is_control()) {
        let why = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        );
        complain(&why);
    }
}

fn validate_schema(
    version: &Value,
    of: &Value,
    path: &str,
    costs: &mut Costs,
    errors: &mut Vec<StatusCause>,
) {
    let Some(schema) = of.get("openAPIV3Schema").filter(|schema| schema.is_object()) else { return };
    let path = format!("{path}.openAPIV3Schema");
    if version["subresources"]["status"].is_object() {
        root_fields(schema, &path, errors);
    }
    if flag(schema, "nullable") {
        errors.push(field::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let mut wrong = structural::validate(schema, &path);
    if wrong.is_empty() {
        let parsed = Schema::parse(schema);
        defaults(&parsed, &path, true, &mut wrong);
    }
    let is_structural = wrong.is_empty();
    errors.extend(wrong);
    errors.extend(open_api::validate(schema, &path, is_structural, costs));
    errors.extend(costs.over(&path));
}

fn root_fields(schema: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    for (name, value) in schema.as_object().into_iter().flatten() {
        if name == "type" && value != "object" {
            let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            errors.push(field::invalid(format!("{path}.type"), value, detail));
            return;
        }
        if !ROOT_FIELDS.iter().any(|(_, json)| json == name) {
            let allowed: Vec<&str> = ROOT_FIELDS.iter().map(|(go, _)| *go).collect();
            let detail = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                allowed.join(" ")
            );
            errors.push(field::invalid(path, schema, &detail));
            return;
        }
    }
}

/// Defaults must be what the schema allows.
fn defaults(schema: &Schema, path: &str, is_root: bool, errors: &mut Vec<StatusCause>) {
    if let Some(default) = &schema.default {
        let at = format!("{path}.default");
        let mut pruned = default.clone();
        let dropped = prune::prune_within(&mut pruned, schema);
        if !dropped.is_empty() {
            errors.push(field::invalid(at.as_str(), default, "must not have unknown fields"));
        }
        let wrong = values::validate(schema, default, None, "");
        if wrong.is_empty() {
            let mut budget = rules::BUDGET;
            errors.extend(rules::evaluate(schema, default, None, &at, is_root, &mut budget));
        }
        errors.extend(wrong.into_iter().map(|mut error| {
            error.field = match error.field.as_str() {
                "<nil>" => at.clone(),
                inner => format!("{at}.{inner}"),
            };
            error
        }));
    }
    if let Some(items) = &schema.items {
        defaults(items, &format!("{path}.items"), false, errors);
    }
    for (name, property) in &schema.properties {
        defaults(property, &format!("{path}.properties[{name}]"), false, errors);
    }
}

fn validate_subresources(subresources: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    let Some(scale) = subresources.get("scale").filter(|scale| scale.is_object()) else { return };
    for (name, under) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let (at, value) = (format!("{path}.scale.{name}"), text(scale, name));
        if value.is_empty() {
            errors.push(field::required(at, ""));
        } else if let Some(error) = simple_path(&at, value) {
            errors.push(error);
        } else if !value.starts_with(under) {
            let detail = format!("should be a json path under {}", under.trim_end_matches('.'));
            errors.push(field::invalid(at, value, &detail));
        }
    }
    let selector = text(scale, "labelSelectorPath");
    if !selector.is_empty() {
        let at = format!("{path}.scale.labelSelectorPath");
        if let Some(error) = simple_path(&at, selector) {
            errors.push(error);
        } else if !selector.starts_with(".spec.") && !selector.starts_with(".status.") {
            errors.push(field::invalid(at, selector, "should be a json path under either .spec or .status"));
        }
    }
}

fn simple_path(at: &str, path: &str) -> Option<StatusCause> {
    let detail = "must be a simple json path starting with .";
    (!path.starts_with('.')).then(|| field::invalid(at, path, detail))
}

fn validate_columns(columns: &[Value], path: &str, errors: &mut Vec<StatusCause>) {
    for (index, column) in columns.iter().enumerate() {
        let at = |name: &str| format!("{path}[{index}].{name}");
        if text(column, "name").is_empty() {
            errors.push(field::required(at("name"), ""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(column, "type") {
            "" => errors.push(field::required(at("type"), &types)),
            known if COLUMN_TYPES.contains(&known) => {}
            other => errors.push(field::invalid(at("type"), other, &types)),
        }
        let format = text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(field::invalid(at("format"), format, &detail));
        }
        match text(column, "jsonPath") {
            "" => errors.push(field::required(at("JSONPath"), "")),
            path => errors.extend(simple_path(&at("JSONPath"), path)),
        }
    }
}

fn validate_selectable(version: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    let fields = list(version, "selectableFields");
    let schema = &version["schema"]["openAPIV3Schema"];
    if fields.is_empty() || !schema.is_object() {
        return;
    }
    let schema = Schema::parse(schema);
    let mut seen = Vec::new();
    for (index, selectable) in fields.iter().enumerate() {
        let (at, json_path) = (format!("{path}[{index}].jsonPath"), text(selectable, "jsonPath"));
        if json_path.is_empty() {
            errors.push(field::required(at, ""));
            continue;
        }
        let resolved = if json_path.contains('[') {
            Err("array notation is not allowed".to_owned())
        } else {
            open_api::resolve(&schema, json_path)
        };
        match resolved {
            Err(why) => errors.push(field::invalid(at, json_path, &format!("is an invalid path: {why}"))),
            Ok((resolved, found)) => {
                if resolved.starts_with("metadata") {
                    errors.push(field::invalid(
                        at.as_str(),
                        json_path,
                        "must not point to fields in metadata",
                    ));
                }
                if !matches!(found.kind.as_str(), "string" | "boolean" | "integer") {
                    let detail = "must point to a field of type string, boolean or integer. Enum string fields and \
                                  strings with formats are allowed.";
                    errors.push(field::invalid(at.as_str(), json_path, detail));
                }
                if seen.contains(&resolved) {
                    errors.push(field::duplicate(at, json_path));
                } else {
                    seen.push(resolved);
                }
            }
        }
    }
    if seen.len() > SELECTABLE_FIELDS_MAX {
        errors.push(field::too_many(path, seen.len(), SELECTABLE_FIELDS_MAX as u64));
    }
}

fn validate_names(names: &Value, errors: &mut Vec<StatusCause>) {
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(names, name).is_empty() {
            errors.push(field::required(format!("spec.names.{name}"), ""));
        }
    }
    for (name, is_kind) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let value = text(names, name);
        let complaints = is_dns1035_label(&if is_kind { value.to_lowercase() } else { value.to_owned() });
        if !value.is_empty() && !complaints.is_empty() {
            let case = if is_kind { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(field::invalid(
                format!("spec.names.{name}"),
                value,
                &format!("{case}{}", complaints.join(",")),
            ));
        }
    }
    let mut each = |name: &str| {
        for (index, value) in super::schema::texts(names, name).iter().enumerate() {
            let complaints = is_dns1035_label(value);
            if !complaints.is_empty() {
                errors.push(field::invalid(
                    format!("spec.names.{name}[{index}]"),
                    value,
                    &complaints.join(","),
                ));
            }
        }
    };
    each("shortNames");
    each("categories");
    if !text(names, "kind").is_empty() && text(names, "kind") == text(names, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(field::invalid("spec.names.listKind", text(names, "listKind"), detail));
    }
}

fn stored_versions(definition: &Object, spec: &Value, errors: &mut Vec<StatusCause>) {
    let stored = super::schema::texts(definition.rest.get("status").unwrap_or(&json!({})), "storedVersions");
    let quoted: Vec<String> = stored.iter().map(|name| field::quoted(name)).collect();
    let shown = || Shown::literal(format!("[]string{{{}}}", quoted.join(", ")));
    let path = "status.storedVersions";
    if stored.is_empty() {
        errors.push(field::invalid(path, shown(), "must have at least one stored version"));
        return;
    }
    let versions = list(spec, "versions");
    for version in versions.iter().filter(|version| flag(version, "storage")) {
        let name = text(version, "name");
        if !stored.iter().any(|stored| stored == name) {
            errors.push(field::invalid(path, shown(), &format!("must have the storage version {name}")));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| text(version, "name") == name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(field::invalid(format!("{path}[{index}]"), name, &detail));
        }
    }
}
