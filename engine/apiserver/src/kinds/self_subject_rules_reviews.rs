//! SelfSubjectRulesReviews: what may I do here? Counterpart: `pkg/registry/authorization/selfsubjectrulesreview`.

use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use labkit_api::{Object, Status};
use serde_json::{Value, json};

use crate::authz::rbac;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::list;
use crate::verbs::Call;

pub(crate) static KIND: Kind =
    Kind { review: Some(answer), ..Kind::of::<SelfSubjectRulesReview>(&SelfSubjectRulesReviews) };

struct SelfSubjectRulesReviews;

impl Strategy for SelfSubjectRulesReviews {}

fn answer(call: &Call, mut review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    let namespace = review.str_at(&["spec", "namespace"]).unwrap_or_default();
    if namespace.is_empty() {
        return ready(Err(Status::bad_request("no namespace on request"))).boxed();
    }
    let is_master = call.user.groups.iter().any(|group| group == "system:masters");
    let (rules, errors) = match call.guard.is_open() || (is_master && call.guard.has_rbac()) {
        true => (everything(), Vec::new()),
        false if call.guard.has_rbac() => rbac::rules_of(&call.registry, &call.user, namespace),
        false => (Vec::new(), Vec::new()),
    };
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| !list(rule, "nonResourceURLs").is_empty());
    let mut status =
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": !errors.is_empty()});
    if !errors.is_empty() {
        status["evaluationError"] = json!(errors.join(", "));
    }
    review.set_at(&["status"], status);
    ready(Ok(review)).boxed()
}

fn everything() -> Vec<Value> {
    vec![
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ]
}
