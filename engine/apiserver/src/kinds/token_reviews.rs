//! TokenReviews: whose is this token? Counterpart: `pkg/registry/authentication/tokenreview`.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::TokenReview;
use labkit_api::{Object, Status, UserInfo};
use serde_json::{Value, json};

use crate::authn;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::list;
use crate::verbs::Call;

pub(crate) static KIND: Kind = Kind { review: Some(answer), ..Kind::of::<TokenReview>(&TokenReviews) };

struct TokenReviews;

impl Strategy for TokenReviews {}

fn answer(call: &Call, mut review: Object) -> BoxFuture<'_, Result<Object, Status>> {
    async move {
        let token = review.str_at(&["spec", "token"]).unwrap_or_default().to_owned();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let spec = review.rest.get("spec").unwrap_or(&Value::Null);
        let audiences: Vec<String> =
            list(spec, "audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let status = match authn::authenticate_token(&call.guard, &token, &audiences).await {
            Ok((user, audiences)) => {
                json!({"authenticated": true, "user": shown(&user), "audiences": audiences})
            }
            Err(error) => json!({"user": {}, "error": error}),
        };
        review.set_at(&["status"], status);
        Ok(review)
    }
    .boxed()
}

/// A user as reviews show it.
pub(crate) fn shown(user: &UserInfo) -> Value {
    let mut shown = json!({"username": user.name});
    let rest = [
        ("uid", json!(user.uid), user.uid.is_empty()),
        ("groups", json!(user.groups), user.groups.is_empty()),
        ("extra", json!(user.extra), user.extra.is_empty()),
    ];
    for (name, value, is_empty) in rest {
        if !is_empty {
            shown[name] = value;
        }
    }
    shown
}
