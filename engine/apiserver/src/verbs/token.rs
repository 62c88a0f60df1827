//! `POST serviceaccounts/NAME/token`: a token for a service account. Counterpart:
//! `pkg/registry/core/serviceaccount/storage/token.go`.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use labkit_api::{Object, Status, StatusCause, Time, Verb};
use labkit_client::Response;
use serde_json::{Value, json};

use crate::authn::service_account::{self, Bound, Claims, Private};
use crate::decode::{self, FieldValidation};
use crate::field;
use crate::kinds::{Kind, Subresource, nodes, pods, secrets, service_accounts};
use crate::pod_spec::list;
use crate::respond;
use crate::verbs::Call;

/// The shortest life of a token, and what it is without a wish.
const SECONDS_MIN: i64 = 600;
const SECONDS_DEFAULT: i64 = 3600;

pub(super) async fn request(call: Call) -> Result<Response, Status> {
    let gvk = Subresource::Token.gvk(call.info.kind);
    let validation = FieldValidation::parse(&call.query, "CreateOptions")?;
    let (mut request, warnings) =
        decode::object(&call.headers, &call.body, &gvk, call.info.kind.strategy, validation)?;
    call.check_names(&mut request)?;
    let seconds = request.i64_at(&["spec", "expirationSeconds"]).unwrap_or(SECONDS_DEFAULT);
    let causes = validate(seconds);
    if !causes.is_empty() {
        return Err(Status::invalid(&gvk, &request.metadata.name, causes));
    }
    call.guard.access.plugins.restrict_node(&call, Verb::Create, Some(&request))?;
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let account = call.registry.get(&service_accounts::KIND, namespace, name, -1).await?;
    let private = Private {
        namespace: namespace.clone(),
        serviceaccount: Bound { name: name.clone(), uid: account.object().metadata.uid.clone() },
        ..bound(&call, &request).await?
    };
    let now = call.registry.world.clock().now();
    let audiences: Vec<String> = list(request.rest.get("spec").unwrap_or(&Value::Null), "audiences")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let claims = Claims {
        aud: call.guard.own_audiences(&audiences),
        exp: now.as_second() + seconds,
        iat: now.as_second(),
        iss: service_account::ISSUER.to_owned(),
        jti: call.registry.uid(),
        private,
        nbf: now.as_second(),
        sub: service_account::user_name(namespace, name),
    };
    let expires: Timestamp = now
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|_| Status::bad_request("the token would never expire"))?;
    request.metadata.creation_timestamp = Some(Time(now));
    request.set_at(&["spec", "expirationSeconds"], json!(seconds));
    request.set_at(&["spec", "audiences"], json!(claims.aud));
    request.set_at(
        &["status"],
        json!({
            "token": service_account::sign(&call.guard, &claims), "expirationTimestamp": Time(expires),
        }),
    );
    Ok(respond::warn(respond::value(StatusCode::CREATED, &request), &warnings))
}

fn validate(seconds: i64) -> Vec<StatusCause> {
    let field = "spec.expirationSeconds";
    if seconds < SECONDS_MIN {
        vec![field::invalid(field, seconds, "may not specify a duration less than 10 minutes")]
    } else if seconds > 1 << 32 {
        vec![field::invalid(field, seconds, "may not specify a duration larger than 2^32 seconds")]
    } else {
        Vec::new()
    }
}

/// What the token shall end with: a pod with its node, a secret or a node.
async fn bound(call: &Call, request: &Object) -> Result<Private, Status> {
    let reference = |field: &str| request.str_at(&["spec", "boundObjectRef", field]).unwrap_or_default();
    let (kind, name, uid) = (reference("kind"), reference("name"), reference("uid"));
    let mut private = Private::default();
    let find = async |of: &'static Kind, namespace: &str| -> Result<(Bound, Object), Status> {
        let entry = call.registry.get(of, namespace, name, -1).await?;
        let object = entry.object();
        let own = &object.metadata.uid;
        if !uid.is_empty() && uid != own {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&of.resource(), name, &why));
        }
        Ok((Bound { name: name.to_owned(), uid: own.clone() }, Object::clone(&object)))
    };
    match kind {
        "" => {}
        "Pod" => {
            let (bound, pod) = find(&pods::KIND, &call.info.namespace).await?;
            if pod.str_at(&["spec", "serviceAccountName"]) != Some(&call.info.name) {
                let (pod, wanted) = (&pod.metadata.name, &call.info.name);
                let why = format!(
                    "cannot bind token for serviceaccount {wanted:?} to pod {pod:?} running with different serviceaccount name."
                );
                return Err(Status::bad_request(why));
            }
            if let Some(node) = pod.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty()) {
                let found = call.registry.get(&nodes::KIND, "", node, -1).await.ok();
                let uid = found.map(|entry| entry.object().metadata.uid.clone()).unwrap_or_default();
                private.node = Some(Bound { name: node.to_owned(), uid });
            }
            private.pod = Some(bound);
        }
        "Secret" => private.secret = Some(find(&secrets::KIND, &call.info.namespace).await?.0),
        "Node" => private.node = Some(find(&nodes::KIND, "").await?.0),
        other => {
            let cause = field::not_supported("spec.boundObjectRef.kind", other, &["Pod", "Secret", "Node"]);
            return Err(Status::invalid(
                &Subresource::Token.gvk(call.info.kind),
                &call.info.name,
                vec![cause],
            ));
        }
    }
    Ok(private)
}
