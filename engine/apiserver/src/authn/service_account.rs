//! Tokens of service accounts: JSON web tokens, signed (ES256) with a key from the world's seed, so that every
//! server of a cluster knows those of the others. Counterpart: `pkg/serviceaccount`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use labkit_api::UserInfo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::authn::CREDENTIAL_ID;
use crate::guard::Guard;
use crate::kinds::{Kind, nodes, pods, secrets, service_accounts};

/// `--service-account-issuer`, which is the one audience of the API server, too.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub aud: Vec<String>,
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub private: Private,
    pub nbf: i64,
    pub sub: String,
}

/// Whose a token is, and what it ends with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Private {
    pub namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Bound>,
    pub serviceaccount: Bound,
}

/// An object by name and uid.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub name: String,
    pub uid: String,
}

/// `system:serviceaccount:NAMESPACE:NAME`
pub(crate) fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The groups that every service account of a namespace is in.
pub(crate) fn groups(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Namespace and name of a service account's user name.
pub(crate) fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// Writes the claims down and signs them.
pub(crate) fn sign(guard: &Guard, claims: &Claims) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "ES256", "kid": key_id(guard)});
    let signed = format!("{}.{}", part(header), part(json!(claims)));
    let signature = URL_SAFE_NO_PAD.encode(guard.signing_key().sign_es256(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn key_id(guard: &Guard) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(guard.signing_key().public()))
}

/// `/openid/v1/jwks`: the key with which tokens are verified.
pub(crate) fn key_set(guard: &Guard) -> serde_json::Value {
    let point = &guard.signing_key().public()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"keys": [{
        "use": "sig", "kty": "EC", "kid": key_id(guard), "crv": "P-256", "alg": "ES256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }]})
}

/// The user of a token, if it is ours, of this time, for one of these audiences (the server's own where none is
/// named), and what it is bound to is still there.
pub(super) async fn authenticate(
    guard: &Guard,
    token: &str,
    audiences: &[String],
) -> Result<(UserInfo, Vec<String>), String> {
    let claims = verified(guard, token)?;
    let now = guard.registry.world.clock().now().as_second();
    if now >= claims.exp {
        return Err("service account token has expired".to_owned());
    }
    if now < claims.nbf || claims.iss != ISSUER {
        return Err("service account token is not valid yet, or not of this issuer".to_owned());
    }
    let wanted = guard.own_audiences(audiences);
    let fitting: Vec<String> = wanted.iter().filter(|one| claims.aud.contains(one)).cloned().collect();
    if fitting.is_empty() {
        return Err(format!(
            "token audiences {:?} is invalid for the target audiences {wanted:?}",
            claims.aud
        ));
    }
    let Private { namespace, serviceaccount, pod, secret, node } = &claims.private;
    is_there(guard, &service_accounts::KIND, namespace, serviceaccount).await?;
    let bound: [(&'static Kind, &Option<Bound>); 2] = [(&pods::KIND, pod), (&secrets::KIND, secret)];
    for (kind, bound) in bound {
        if let Some(bound) = bound {
            is_there(guard, kind, namespace, bound).await?;
        }
    }
    if let (Some(node), None) = (node, pod) {
        is_there(guard, &nodes::KIND, "", node).await?;
    }
    let mut extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.jti)])]);
    for (bound, name, uid) in [(pod, POD_NAME, POD_UID), (node, NODE_NAME, NODE_UID)] {
        if let Some(bound) = bound {
            extra.insert(name.to_owned(), vec![bound.name.clone()]);
            extra.insert(uid.to_owned(), vec![bound.uid.clone()]);
        }
    }
    let user = UserInfo {
        name: user_name(namespace, &serviceaccount.name),
        uid: serviceaccount.uid.clone(),
        groups: groups(namespace).to_vec(),
        extra,
    };
    Ok((user, fitting))
}

fn verified(guard: &Guard, token: &str) -> Result<Claims, String> {
    let malformed = || "invalid bearer token".to_owned();
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    if !guard.signing_key().verifies_es256(signed.as_bytes(), &signature) {
        return Err(malformed());
    }
    let (_, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| malformed())?;
    serde_json::from_slice(&claims).map_err(|_| malformed())
}

async fn is_there(guard: &Guard, kind: &Kind, namespace: &str, bound: &Bound) -> Result<(), String> {
    let found = guard.registry.get(kind, namespace, &bound.name, 0).await;
    match found {
        Ok(entry) if entry.object().metadata.uid == bound.uid => Ok(()),
        _ => Err(format!("{} {namespace}/{} has been deleted", kind.singular(), bound.name)),
    }
}
