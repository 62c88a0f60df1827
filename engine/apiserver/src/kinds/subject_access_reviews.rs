//! SubjectAccessReviews: may this user do that? Counterpart: `pkg/registry/authorization/subjectaccessreview`.

use std::collections::BTreeMap;
use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use labkit_api::{Object, Status, StatusCause, UserInfo};
use serde_json::{Value, json};

use crate::authz::{Attributes, Decision, equalities};
use crate::field::{self, Shown};
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::{list, text};
use crate::verbs::Call;

pub(crate) static KIND: Kind =
    Kind { review: Some(answer), ..Kind::of::<SubjectAccessReview>(&SubjectAccessReviews) };

struct SubjectAccessReviews;

impl Strategy for SubjectAccessReviews {}

fn answer(call: &Call, review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    ready(judge_named(call, review)).boxed()
}

/// Judges the user that the question names.
pub(crate) fn judge_named(call: &Call, review: Object) -> Result<Object, Status> {
    let none = Value::Null;
    let spec = review.rest.get("spec").unwrap_or(&none);
    let mut errors = validate(spec);
    let groups: Vec<&str> = list(spec, "groups").iter().filter_map(Value::as_str).collect();
    if text(spec, "user").is_empty() && groups.is_empty() {
        errors.push(field::required("spec.user", "at least one of user or group must be specified"));
    }
    let extra = spec.get("extra").and_then(Value::as_object).into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra
        .map(|(key, values)| {
            let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
            (key.clone(), values.map(str::to_owned).collect())
        })
        .collect();
    let user =
        UserInfo { uid: text(spec, "uid").to_owned(), extra, ..UserInfo::new(text(spec, "user"), &groups) };
    judge(call, review, errors, &user)
}

/// Puts the verdict on `user` into the question's status.
pub(crate) fn judge(
    call: &Call,
    mut review: Object,
    errors: Vec<StatusCause>,
    user: &UserInfo,
) -> Result<Object, Status> {
    if !errors.is_empty() {
        return Err(Status::invalid(&call.info.kind.gvk(), "", errors));
    }
    let attributes = attributes(review.rest.get("spec").unwrap_or(&Value::Null), user);
    let status = match call.guard.decide(&attributes) {
        Decision::Allow(reason) if reason.is_empty() => json!({"allowed": true}),
        Decision::Allow(reason) => json!({"allowed": true, "reason": reason}),
        Decision::NoOpinion(reason) if reason.is_empty() => json!({"allowed": false}),
        Decision::NoOpinion(reason) => json!({"allowed": false, "reason": reason}),
    };
    review.set_at(&["status"], status);
    Ok(review)
}

/// What is asked about: a resource or a path, one of them.
pub(crate) fn validate(spec: &Value) -> Vec<StatusCause> {
    match (spec.get("resourceAttributes"), spec.get("nonResourceAttributes")) {
        (Some(_), Some(_)) => {
            let shown = Shown::literal(spec["nonResourceAttributes"].to_string());
            let why = "cannot be specified in combination with resourceAttributes";
            vec![field::invalid("spec.nonResourceAttributes", shown, why)]
        }
        (None, None) => {
            let shown = Shown::literal("null");
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![field::invalid("spec.resourceAttributes", shown, why)]
        }
        _ => Vec::new(),
    }
}

fn attributes(spec: &Value, user: &UserInfo) -> Attributes {
    let path = spec.get("nonResourceAttributes");
    let of = path.or_else(|| spec.get("resourceAttributes")).unwrap_or(&Value::Null);
    let field = |name: &str| text(of, name).to_owned();
    Attributes {
        user: user.clone(),
        verb: field("verb"),
        group: field("group"),
        resource: field("resource"),
        subresource: field("subresource"),
        namespace: field("namespace"),
        name: field("name"),
        selected: selected(of),
        path: path.map(|path| text(path, "path").to_owned()),
    }
}

/// What the field selector in the question demands.
fn selected(of: &Value) -> Vec<(String, String)> {
    let Some(selector) = of.get("fieldSelector") else { return Vec::new() };
    let required = list(selector, "requirements").iter().filter_map(|one| match list(one, "values") {
        [value] if text(one, "operator") == "In" => {
            Some((text(one, "key").to_owned(), value.as_str()?.to_owned()))
        }
        _ => None,
    });
    equalities(text(selector, "rawSelector")).into_iter().chain(required).collect()
}
