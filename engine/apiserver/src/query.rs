//! The query of a request, and the options that it carries.

use labkit_api::selector::{FieldSelector, LabelSelector};
use labkit_api::{Object, Status, StatusCause};
use serde_json::Value;

use crate::field;
use crate::kinds::Kind;
use crate::storage::Entry;

/// The decoded pairs of a query.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub fn parse(query: Option<&str>) -> Query {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        Query { pairs }
    }

    /// The first value of that name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Every value of that name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found == name)
    }

    /// Whether an option is on: it is there, and neither `0` nor `false`. So upstream reads every option of its types.
    pub fn flag(&self, name: &str) -> bool {
        self.has(name) && self.get(name) != "0" && !self.get(name).eq_ignore_ascii_case("false")
    }

    /// Narrows the field selector down to one object.
    pub fn select_name(&mut self, name: &str) {
        let selector = match self.get("fieldSelector") {
            "" => format!("metadata.name={name}"),
            selector => format!("{selector},metadata.name={name}"),
        };
        self.pairs.retain(|(found, _)| found != "fieldSelector");
        self.pairs.push(("fieldSelector".to_owned(), selector));
    }

    /// A number; refused where it is not one.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    }

    /// Whether nothing is to be stored.
    pub fn dry_run(&self, kind: &str) -> Result<bool, Status> {
        let given: Vec<&str> =
            self.pairs.iter().filter(|(name, _)| name == "dryRun").map(|(_, value)| value.as_str()).collect();
        dry_run(&given, kind)
    }
}

/// `dryRun` knows one value.
pub(crate) fn dry_run(given: &[&str], kind: &str) -> Result<bool, Status> {
    let unknown: Vec<StatusCause> = given
        .iter()
        .filter(|value| **value != "All")
        .map(|value| field::not_supported("dryRun", *value, &["All"]))
        .collect();
    if unknown.is_empty() {
        return Ok(!given.is_empty());
    }
    Err(Status::invalid(&labkit_api::GroupVersionKind::new("meta.k8s.io", "v1", kind), "", unknown))
}

/// What a list or watch selects.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Whose fields the field selector names; its strategy reads them off the stored form.
    kind: &'static Kind,
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub fn parse(kind: &'static Kind, query: &Query) -> Result<Selection, Status> {
        let labels = match query.get("labelSelector") {
            "" => LabelSelector::everything(),
            text => LabelSelector::parse(text).map_err(Status::bad_request)?,
        };
        let fields = match query.get("fieldSelector") {
            "" => FieldSelector::everything(),
            text => FieldSelector::parse(text).map_err(Status::bad_request)?,
        };
        match fields.requirements().iter().find_map(|requirement| kind.refuses_field(&requirement.path)) {
            Some(refusal) => Err(Status::bad_request(refusal)),
            None => Ok(Selection { kind, labels, fields }),
        }
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The same of an entry, which is decoded only for what its labels do not tell.
    pub fn selects(&self, entry: &Entry) -> bool {
        if self.fields.is_everything() {
            return self.labels.is_everything() || entry.has_labels(|labels| self.labels.matches(labels));
        }
        self.matches(&entry.object())
    }

    pub fn matches(&self, object: &Object) -> bool {
        self.labels.matches(&object.metadata.labels)
            && self.fields.matches(|path| Some(self.kind.field(object, path)))
    }
}

/// `DeleteOptions`, from the body and the query.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// The deletion asks in the old way that dependents go, too: it is then `202 Accepted` until it is done.
    pub is_accepted: bool,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

/// What becomes of what the object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl DeleteOptions {
    pub fn parse(body: &Value, query: &Query) -> Result<DeleteOptions, Status> {
        let text = |name: &str| match body.get(name).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => query.get(name).to_owned(),
        };
        let orphan = body
            .get("orphanDependents")
            .and_then(Value::as_bool)
            .or_else(|| query.has("orphanDependents").then(|| query.flag("orphanDependents")));
        let propagation = match (text("propagationPolicy").as_str(), orphan) {
            ("", None) => None,
            ("", Some(true)) => Some(Propagation::Orphan),
            ("", Some(false)) | ("Background", _) => Some(Propagation::Background),
            ("Foreground", _) => Some(Propagation::Foreground),
            ("Orphan", _) => Some(Propagation::Orphan),
            (other, _) => {
                let cause = field::not_supported(
                    "propagationPolicy",
                    other,
                    &["Foreground", "Background", "Orphan", "nil"],
                );
                let gvk = labkit_api::GroupVersionKind::new("meta.k8s.io", "v1", "DeleteOptions");
                return Err(Status::invalid(&gvk, "", vec![cause]));
            }
        };
        if orphan.is_some() && !text("propagationPolicy").is_empty() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            let cause = field::invalid("propagationPolicy", text("propagationPolicy").as_str(), detail);
            let gvk = labkit_api::GroupVersionKind::new("meta.k8s.io", "v1", "DeleteOptions");
            return Err(Status::invalid(&gvk, "", vec![cause]));
        }
        let precondition = |name: &str| {
            let value = body.get("preconditions").and_then(|preconditions| preconditions.get(name));
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let given: Vec<&str> = body
            .get("dryRun")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        Ok(DeleteOptions {
            grace_period_seconds: match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
                None => query.number("gracePeriodSeconds")?,
                seconds => seconds,
            },
            propagation,
            is_accepted: orphan == Some(false),
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            dry_run: dry_run(&given, "DeleteOptions")? || query.dry_run("DeleteOptions")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_on_unless_it_says_that_it_is_off() {
        for (query, is_on) in
            [("a", true), ("a=", true), ("a=yes", true), ("a=FALSE", false), ("a=0", false), ("b=1", false)]
        {
            assert_eq!(Query::parse(Some(query)).flag("a"), is_on, "{query}");
        }
    }

    #[test]
    fn a_name_is_added_to_what_is_selected() {
        let mut query = Query::parse(Some("fieldSelector=spec.nodeName%3Da&x=1"));
        query.select_name("b");
        assert_eq!(query.get("fieldSelector"), "spec.nodeName=a,metadata.name=b");
    }
}
