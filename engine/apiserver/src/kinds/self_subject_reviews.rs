//! SelfSubjectReviews: who am I? Counterpart: `pkg/registry/authentication/selfsubjectreview`.

use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use labkit_api::{Object, Status, Time};
use serde_json::json;

use crate::kinds::{Kind, Strategy, token_reviews};
use crate::verbs::Call;

pub(crate) static KIND: Kind =
    Kind { review: Some(answer), ..Kind::of::<SelfSubjectReview>(&SelfSubjectReviews) };

struct SelfSubjectReviews;

impl Strategy for SelfSubjectReviews {}

fn answer(call: &Call, mut review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    review.metadata.creation_timestamp = Some(Time(call.registry.world.clock().now()));
    review.set_at(&["status"], json!({"userInfo": token_reviews::shown(&call.user)}));
    ready(Ok(review)).boxed()
}
