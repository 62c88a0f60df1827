//! LocalSubjectAccessReviews: may this user do that in this namespace? Counterpart:
//! `pkg/registry/authorization/localsubjectaccessreview`.

use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::LocalSubjectAccessReview;
use labkit_api::{Object, Status};

use crate::field;
use crate::kinds::subject_access_reviews::judge_named;
use crate::kinds::{Kind, Strategy};
use crate::verbs::Call;

pub(crate) static KIND: Kind =
    Kind { review: Some(answer), ..Kind::of::<LocalSubjectAccessReview>(&LocalSubjectAccessReviews) };

struct LocalSubjectAccessReviews;

impl Strategy for LocalSubjectAccessReviews {}

fn answer(call: &Call, review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    let asked = review.str_at(&["spec", "resourceAttributes", "namespace"]).unwrap_or_default();
    let verdict = if review.at(&["spec", "nonResourceAttributes"]).is_some() {
        let why = "disallowed on this kind of request";
        let shown = field::Shown::literal("null");
        let cause = field::invalid("spec.nonResourceAttributes", shown, why);
        Err(Status::invalid(&call.info.kind.gvk(), "", vec![cause]))
    } else if asked != call.info.namespace {
        let cause =
            field::invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace");
        Err(Status::invalid(&call.info.kind.gvk(), "", vec![cause]))
    } else {
        judge_named(call, review)
    };
    ready(verdict).boxed()
}
