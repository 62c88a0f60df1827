//! SelfSubjectAccessReviews: may I do that? Counterpart: `pkg/registry/authorization/selfsubjectaccessreview`.

use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use labkit_api::{Object, Status};
use serde_json::Value;

use crate::kinds::subject_access_reviews::{judge, validate};
use crate::kinds::{Kind, Strategy};
use crate::verbs::Call;

pub(crate) static KIND: Kind =
    Kind { review: Some(answer), ..Kind::of::<SelfSubjectAccessReview>(&SelfSubjectAccessReviews) };

struct SelfSubjectAccessReviews;

impl Strategy for SelfSubjectAccessReviews {}

fn answer(call: &Call, review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    let errors = validate(review.rest.get("spec").unwrap_or(&Value::Null));
    ready(judge(call, review, errors, &call.user)).boxed()
}
