//! The fields that a definition may have; others are dropped and told, as strict decoding does it upstream.

use serde_json::Value;

/// What may stand at one place.
#[derive(Clone, Copy)]
enum Shape {
    /// Anything.
    Any,
    Of(&'static [(&'static str, Shape)]),
    Each(&'static Shape),
    Values(&'static Shape),
    Schema,
    /// A schema, or something else in its place: upstream drops unknown fields in there without a word.
    Choice,
}

use Shape::{Any, Choice, Each, Of, Schema, Values};

const DEFINITION: Shape = Of(&[("spec", Of(SPEC)), ("status", Any)]);

const SPEC: &[(&str, Shape)] = &[
    ("group", Any),
    (
        "names",
        Of(&[
            ("plural", Any),
            ("singular", Any),
            ("shortNames", Any),
            ("kind", Any),
            ("listKind", Any),
            ("categories", Any),
        ]),
    ),
    ("scope", Any),
    ("versions", Each(&Of(VERSION))),
    ("conversion", Of(&[("strategy", Any), ("webhook", Any)])),
    ("preserveUnknownFields", Any),
];

const VERSION: &[(&str, Shape)] = &[
    ("name", Any),
    ("served", Any),
    ("storage", Any),
    ("deprecated", Any),
    ("deprecationWarning", Any),
    ("schema", Of(&[("openAPIV3Schema", Schema)])),
    (
        "subresources",
        Of(&[
            ("status", Of(&[])),
            (
                "scale",
                Of(&[("specReplicasPath", Any), ("statusReplicasPath", Any), ("labelSelectorPath", Any)]),
            ),
        ]),
    ),
    (
        "additionalPrinterColumns",
        Each(&Of(&[
            ("name", Any),
            ("type", Any),
            ("format", Any),
            ("description", Any),
            ("priority", Any),
            ("jsonPath", Any),
        ])),
    ),
    ("selectableFields", Each(&Of(&[("jsonPath", Any)]))),
];

const RULE: &[(&str, Shape)] = &[
    ("rule", Any),
    ("message", Any),
    ("messageExpression", Any),
    ("reason", Any),
    ("fieldPath", Any),
    ("optionalOldSelf", Any),
];

const SCHEMA: &[(&str, Shape)] = &[
    ("id", Any),
    ("$schema", Any),
    ("$ref", Any),
    ("description", Any),
    ("type", Any),
    ("format", Any),
    ("title", Any),
    ("default", Any),
    ("maximum", Any),
    ("exclusiveMaximum", Any),
    ("minimum", Any),
    ("exclusiveMinimum", Any),
    ("maxLength", Any),
    ("minLength", Any),
    ("pattern", Any),
    ("maxItems", Any),
    ("minItems", Any),
    ("uniqueItems", Any),
    ("multipleOf", Any),
    ("enum", Any),
    ("maxProperties", Any),
    ("minProperties", Any),
    ("required", Any),
    ("items", Choice),
    ("allOf", Each(&Schema)),
    ("oneOf", Each(&Schema)),
    ("anyOf", Each(&Schema)),
    ("not", Schema),
    ("properties", Values(&Schema)),
    ("additionalProperties", Choice),
    ("patternProperties", Values(&Schema)),
    ("dependencies", Any),
    ("additionalItems", Choice),
    ("definitions", Values(&Schema)),
    ("externalDocs", Of(&[("description", Any), ("url", Any)])),
    ("example", Any),
    ("nullable", Any),
    ("x-kubernetes-preserve-unknown-fields", Any),
    ("x-kubernetes-embedded-resource", Any),
    ("x-kubernetes-int-or-string", Any),
    ("x-kubernetes-list-map-keys", Any),
    ("x-kubernetes-list-type", Any),
    ("x-kubernetes-map-type", Any),
    ("x-kubernetes-validations", Each(&Of(RULE))),
];

/// Drops what a definition may not have, and tells it: `unknown field "spec.versions[0].schema.openAPIV3Scheme"`.
pub(crate) fn prune(definition: &mut Value) -> Vec<String> {
    let mut told = Vec::new();
    let fields = definition.as_object_mut();
    let meta = super::schema::META_FIELDS;
    if let Some(fields) = fields {
        let mut rest: Value = std::mem::take(fields).into();
        let kept: Vec<(String, Value)> = meta
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), rest.as_object_mut()?.shift_remove(*name)?)))
            .collect();
        walk(&mut rest, DEFINITION, "", Some(&mut told));
        fields.extend(kept);
        if let Value::Object(rest) = rest {
            fields.extend(rest);
        }
    }
    told
}

fn walk(value: &mut Value, shape: Shape, path: &str, mut told: Option<&mut Vec<String>>) {
    let known = match shape {
        Any => return,
        Choice => {
            walk(value, Schema, path, None);
            return;
        }
        Each(inner) => {
            for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                walk(item, *inner, &format!("{path}[{index}]"), told.as_deref_mut());
            }
            return;
        }
        Values(inner) => {
            for (name, field) in value.as_object_mut().into_iter().flatten() {
                walk(field, *inner, &format!("{path}.{name}"), told.as_deref_mut());
            }
            return;
        }
        Of(known) => known,
        Schema => SCHEMA,
    };
    let Some(fields) = value.as_object_mut() else { return };
    fields.retain(|name, field| {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match known.iter().find(|(own, _)| own == name) {
            Some((_, inner)) => walk(field, *inner, &at, told.as_deref_mut()),
            None => {
                told.as_deref_mut().into_iter().for_each(|told| told.push(format!("unknown field {at:?}")))
            }
        }
        known.iter().any(|(own, _)| own == name)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_of_a_definition_are_told_with_their_place() {
        let schema = json!({"type": "object", "typo": 1, "properties": {"a": {"type": "array", "items": {"type": "string", "lost": 1}, "minItem": 1}}});
        let mut definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "a"},
            "spec": {"group": "a.b", "name": {}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema, "openAPIV3Scheme": {}}}]}});
        let expected = [
            "unknown field \"spec.name\"",
            "unknown field \"spec.versions[0].schema.openAPIV3Schema.typo\"",
            "unknown field \"spec.versions[0].schema.openAPIV3Schema.properties.a.minItem\"",
            "unknown field \"spec.versions[0].schema.openAPIV3Scheme\"",
        ];
        assert_eq!(prune(&mut definition), expected);
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(
            *schema,
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}})
        );
    }
}
