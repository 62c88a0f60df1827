//! Which objects belong to a controller: by owner reference first, by selector for those without one.
//! Counterpart: `controller.BaseControllerRefManager`.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, ObjectMeta, OwnerReference};
use labkit_api::LabelSelector;
use labkit_client::{Client, Kind};
use serde_json::{Value, json};

use crate::objects::{is_being_deleted, key, name, uid};
use crate::work::Failed;

/// The owner that manages the object, if it has one.
pub(crate) fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// A reference to `owner` as the one that manages.
pub(crate) fn controller_reference<K: Kind>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: name(owner).to_owned(),
        uid: uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A typed selector, ready to match. An invalid one matches nothing: the API server refuses those.
pub(crate) fn selector(selector: &meta::LabelSelector) -> LabelSelector {
    let value = serde_json::to_value(selector).expect("k8s-openapi's types are JSON");
    LabelSelector::from_value(&value).unwrap_or_else(|_| LabelSelector::nothing())
}

pub(crate) fn matches(selector: &LabelSelector, metadata: &ObjectMeta) -> bool {
    match &metadata.labels {
        Some(labels) => selector.matches(labels),
        None => selector.matches(&Default::default()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Claim {
    Keep,
    Adopt,
    Release,
    Ignore,
}

fn claim(controller: &ObjectMeta, object: &ObjectMeta, matches: bool) -> Claim {
    let deleting = controller.deletion_timestamp.is_some();
    match controller_of(object) {
        Some(owner) if Some(&owner.uid) != controller.uid.as_ref() => Claim::Ignore,
        Some(_) if matches => Claim::Keep,
        Some(_) if deleting => Claim::Ignore,
        Some(_) => Claim::Release,
        None if deleting || !matches || object.deletion_timestamp.is_some() => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// The objects that belong to `controller`, after adopting orphans that match and releasing its own that
/// no longer do.
pub(crate) async fn claim_all<C: Kind, K: Kind>(
    client: &Client,
    controller: &C,
    selector: &LabelSelector,
    objects: Vec<Arc<K>>,
) -> Result<Vec<Arc<K>>, Failed> {
    let mut claimed = Vec::new();
    let mut failed = None;
    let mut may_adopt = None;
    for object in objects {
        let claim = claim(controller.metadata(), object.metadata(), matches(selector, object.metadata()));
        let patch = match claim {
            Claim::Ignore => continue,
            Claim::Keep => {
                claimed.push(object);
                continue;
            }
            Claim::Adopt => {
                if may_adopt.is_none() {
                    may_adopt = Some(still_there(client, controller).await);
                }
                if let Some(Err(why)) = &may_adopt {
                    failed.get_or_insert_with(|| Failed::Because(why.clone()));
                    continue;
                }
                json!([controller_reference(controller)])
            }
            Claim::Release => json!([{"$patch": "delete", "uid": uid(controller)}]),
        };
        match patch_owners(client, &*object, patch).await {
            Ok(()) if claim == Claim::Adopt => claimed.push(object),
            Ok(()) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => failed = failed.or(Some(error.into())),
        }
    }
    failed.map_or(Ok(claimed), Err)
}

async fn patch_owners<K: Kind>(
    client: &Client,
    object: &K,
    owners: Value,
) -> Result<(), labkit_client::Error> {
    let key = key(object);
    let patch = json!({"metadata": {"ownerReferences": owners, "uid": uid(object)}});
    client.api::<K>().patch(&key.namespace, &key.name, None, patch).await.map(drop)
}

/// Asks the API server itself: a cache may still show an owner that is gone, and adopting for it would
/// doom the orphan.
async fn still_there<C: Kind>(client: &Client, controller: &C) -> Result<(), String> {
    let key = key(controller);
    let fresh = client.api::<C>().get(&key.namespace, &key.name).await.map_err(|error| error.to_string())?;
    if uid(&fresh) != uid(controller) {
        let (got, wanted) = (uid(&fresh), uid(controller));
        return Err(format!("original {} {key} is gone: got uid {got}, wanted {wanted}", C::KIND));
    }
    if is_being_deleted(&fresh) {
        return Err(format!("{key} has just been deleted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn membership_is_owner_reference_first_and_selector_second() {
        let controller = metadata(json!({"uid": "rs"}));
        let going = metadata(json!({"uid": "rs", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let owned_by = |uid: &str| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": uid, "controller": true});
            metadata(json!({"ownerReferences": [owner]}))
        };
        let orphan = metadata(json!({}));
        assert_eq!(claim(&controller, &owned_by("rs"), true), Claim::Keep);
        assert_eq!(claim(&controller, &owned_by("rs"), false), Claim::Release);
        assert_eq!(claim(&controller, &owned_by("other"), true), Claim::Ignore);
        assert_eq!(claim(&controller, &orphan, true), Claim::Adopt);
        assert_eq!(claim(&controller, &orphan, false), Claim::Ignore);
        assert_eq!(claim(&going, &orphan, true), Claim::Ignore);
        assert_eq!(claim(&going, &owned_by("rs"), false), Claim::Ignore);
    }
}
