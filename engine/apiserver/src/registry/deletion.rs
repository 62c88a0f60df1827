//! What a deletion does to an object: decided here, carried out in [`super::delete`].
//! Counterpart: `rest.BeforeDelete`, `deletionFinalizersForGarbageCollection`.

use jiff::{SignedDuration, Timestamp};
use labkit_api::{Object, Status, Time};

use crate::kinds::Kind;
use crate::query::{DeleteOptions, Propagation};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// The next step.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing is left to do before someone lets go of the object.
    Wait,
    /// The object is written as being deleted, and stays.
    Mark(Box<Object>),
    /// The same, and then it goes at once.
    MarkAndRemove(Box<Object>),
    Remove,
}

/// Decides the next step of a deletion at `now`.
pub(crate) fn decide(kind: &Kind, object: &Object, options: &DeleteOptions, now: Timestamp) -> Step {
    if kind.strategy.is_held(object) && object.metadata.is_being_deleted() {
        return Step::Wait;
    }
    let (mut marked, grace) = match begin(kind, object, options, now) {
        Some(begun) => begun,
        None => return Step::Wait,
    };
    if !object.metadata.is_being_deleted() {
        kind.strategy.hold_deletion(&mut marked);
    }
    let finalizers_changed = set_finalizers(&mut marked, options.propagation);
    let is_held = !marked.metadata.finalizers.is_empty() || kind.strategy.is_held(&marked);
    match grace {
        Grace::Seconds(0) if !is_held => Step::MarkAndRemove(Box::new(marked)),
        Grace::Seconds(_) => Step::Mark(Box::new(marked)),
        Grace::None if !is_held => Step::Remove,
        Grace::None => {
            let begins = mark(kind, &mut marked, now);
            if begins || finalizers_changed { Step::Mark(Box::new(marked)) } else { Step::Wait }
        }
    }
}

/// Whether the kind winds up its objects, and how long this one gets.
enum Grace {
    None,
    Seconds(i64),
}

/// The object with its deletion time, for kinds with a grace period. `None` if a deletion is under way already.
fn begin(kind: &Kind, object: &Object, options: &DeleteOptions, now: Timestamp) -> Option<(Object, Grace)> {
    let mut marked = object.clone();
    let requested = options.grace_period_seconds;
    let Some(seconds) = kind.strategy.grace_period_seconds(object, requested) else {
        return Some((marked, Grace::None));
    };
    let meta = &mut marked.metadata;
    let Some(Time(due)) = meta.deletion_timestamp else {
        meta.deletion_timestamp = Some(Time::new(later(now, seconds)));
        meta.deletion_grace_period_seconds = Some(seconds);
        if meta.generation > 0 {
            meta.generation += 1;
        }
        return Some((marked, Grace::Seconds(seconds)));
    };
    // A deletion under way can only be hastened.
    let Some(before) = meta.deletion_grace_period_seconds else { return Some((marked, Grace::None)) };
    if before == 0 && meta.finalizers.is_empty() {
        return Some((marked, Grace::None));
    }
    let seconds = requested.filter(|seconds| *seconds < before)?;
    meta.deletion_timestamp = Some(Time::new(later(due, seconds - before)));
    meta.deletion_grace_period_seconds = Some(seconds);
    Some((marked, Grace::Seconds(seconds)))
}

/// Writes the time of deletion, unless it is there.
fn mark(kind: &Kind, object: &mut Object, now: Timestamp) -> bool {
    if object.metadata.is_being_deleted() {
        return false;
    }
    // What a kind's own finalizers hold has no grace period.
    let grace = (!kind.strategy.is_held(object)).then_some(0);
    let meta = &mut object.metadata;
    meta.deletion_timestamp = Some(Time::new(now));
    meta.deletion_grace_period_seconds = grace;
    if meta.generation > 0 {
        meta.generation += 1;
    }
    kind.strategy.begin_deletion(object);
    true
}

/// The propagation policy lives in finalizers, for the garbage collector to find.
fn set_finalizers(object: &mut Object, propagation: Option<Propagation>) -> bool {
    let Some(propagation) = propagation else { return false };
    let before = object.metadata.finalizers.clone();
    let finalizers = &mut object.metadata.finalizers;
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
    }
    *finalizers != before
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(whole)
}

/// A deletion that means another object, or another state of it, is a conflict.
pub(crate) fn check_preconditions(
    kind: &Kind,
    object: &Object,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let meta = &object.metadata;
    let conflict = |why: String| Err(Status::conflict(&kind.resource(), &meta.name, &why));
    if let Some(uid) = options.uid.as_ref().filter(|uid| **uid != meta.uid) {
        return conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta.uid
        ));
    }
    if let Some(version) =
        options.resource_version.as_ref().filter(|version| **version != meta.resource_version)
    {
        return conflict(format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            meta.resource_version
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{config_maps, namespaces, pods};
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    fn deleted(step: Step) -> Value {
        match step {
            Step::Mark(object) => object.to_value(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_object_goes_at_once_unless_a_finalizer_holds_it() {
        let plain = object(json!({"metadata": {"name": "a"}}));
        assert_eq!(decide(&config_maps::KIND, &plain, &DeleteOptions::default(), now()), Step::Remove);
        let held = object(json!({"metadata": {"name": "a", "finalizers": ["example.com/x"]}}));
        let marked = deleted(decide(&config_maps::KIND, &held, &DeleteOptions::default(), now()));
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
        let again = decide(&config_maps::KIND, &object(marked), &DeleteOptions::default(), now());
        assert_eq!(again, Step::Wait);
    }

    #[test]
    fn a_running_pod_gets_its_grace_period_which_can_only_shrink() {
        let pod = object(
            json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n1", "terminationGracePeriodSeconds": 30}}),
        );
        let marked = deleted(decide(&pods::KIND, &pod, &DeleteOptions::default(), now()));
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        let marked = object(marked);
        let with = |seconds| DeleteOptions { grace_period_seconds: Some(seconds), ..Default::default() };
        assert_eq!(decide(&pods::KIND, &marked, &with(60), now()), Step::Wait);
        let sooner = deleted(decide(&pods::KIND, &marked, &with(5), now()));
        assert_eq!(sooner["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
        assert!(matches!(decide(&pods::KIND, &marked, &with(0), now()), Step::MarkAndRemove(_)));
    }

    #[test]
    fn a_pod_on_no_node_goes_at_once() {
        let pod = object(json!({"metadata": {"name": "a"}, "spec": {"terminationGracePeriodSeconds": 30}}));
        assert!(matches!(
            decide(&pods::KIND, &pod, &DeleteOptions::default(), now()),
            Step::MarkAndRemove(_)
        ));
    }

    #[test]
    fn a_namespace_is_terminating_until_it_is_finalized() {
        let held = object(
            json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        );
        let marked = deleted(decide(&namespaces::KIND, &held, &DeleteOptions::default(), now()));
        assert_eq!(marked["status"]["phase"], "Terminating");
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(decide(&namespaces::KIND, &object(marked), &DeleteOptions::default(), now()), Step::Wait);
    }

    #[test]
    fn the_propagation_policy_becomes_a_finalizer() {
        let plain = object(json!({"metadata": {"name": "a"}}));
        let policy = |propagation| DeleteOptions { propagation: Some(propagation), ..Default::default() };
        let marked = deleted(decide(&config_maps::KIND, &plain, &policy(Propagation::Foreground), now()));
        assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
        let marked = deleted(decide(&config_maps::KIND, &plain, &policy(Propagation::Orphan), now()));
        assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
        assert_eq!(decide(&config_maps::KIND, &plain, &policy(Propagation::Background), now()), Step::Remove);
    }
}
