//! `Impersonate-User` and its siblings: who may, acts as another. Counterpart:
//! `k8s.io/apiserver/pkg/endpoints/filters/impersonation.go`.

use http::HeaderMap;
use labkit_api::{Status, UserInfo};

use crate::authn::service_account::{groups, split_user_name};
use crate::authn::{ANONYMOUS, AUTHENTICATED};
use crate::authz::Attributes;
use crate::guard::Guard;

const EXTRA: &str = "impersonate-extra-";

/// The user that the headers ask for, if `user` may impersonate it; without them `user` itself.
pub(super) fn impersonate(guard: &Guard, headers: &HeaderMap, user: UserInfo) -> Result<UserInfo, Status> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = text("impersonate-user");
    let asked_groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let extras: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(header, value)| Some((header.as_str().strip_prefix(EXTRA)?, value.to_str().ok()?)))
        .map(|(key, value)| (decoded(key), value.to_owned()))
        .collect();
    if name.is_empty() {
        return match asked_groups.is_empty() && extras.is_empty() && text("impersonate-uid").is_empty() {
            true => Ok(user),
            false => {
                Err(Status::internal(format!("requested {asked_groups:?} without impersonating a user")))
            }
        };
    }
    let ask = |group: &str, resource: &str, namespace: &str, name: &str| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes {
            user: user.clone(),
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            selected: Vec::new(),
            path: None,
        }
    };
    const GROUP: &str = "authentication.k8s.io";
    let mut asked = vec![match split_user_name(name) {
        Some((namespace, account)) => ask("", "serviceaccounts", namespace, account),
        None => ask("", "users", "", name),
    }];
    asked.extend(asked_groups.iter().map(|group| ask("", "groups", "", group)));
    asked.extend(extras.iter().map(|(key, value)| ask(GROUP, &format!("userextras/{key}"), "", value)));
    let uid = text("impersonate-uid");
    if !uid.is_empty() {
        asked.push(ask(GROUP, "uids", "", uid));
    }
    for attributes in asked {
        guard.authorize(|| attributes)?;
    }
    let mut acting = UserInfo { uid: uid.to_owned(), groups: asked_groups, ..UserInfo::new(name, &[]) };
    if let Some((namespace, _)) = split_user_name(name).filter(|_| acting.groups.is_empty()) {
        acting.groups = groups(namespace).to_vec();
    }
    let everyone = if name == ANONYMOUS { "system:unauthenticated" } else { AUTHENTICATED };
    if !acting.groups.iter().any(|group| group == everyone) {
        acting.groups.push(everyone.to_owned());
    }
    for (key, value) in extras {
        acting.extra.entry(key).or_default().push(value);
    }
    Ok(acting)
}

fn decoded(key: &str) -> String {
    percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned()
}
