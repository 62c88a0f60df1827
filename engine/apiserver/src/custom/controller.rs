//! What becomes of definitions: their names are accepted, they are established, and before they go so do their objects.
//! Counterparts: `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`.
//!
//! Every server runs it, as upstream's do; compare-and-swap keeps them out of each other's way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use labkit_api::{Object, Status, Time};
use serde_json::{Value, json};

use super::kind::kind_of;
use super::schema::texts;
use super::status::{self, Condition};
use super::structural::{flag, list, text};
use crate::kinds::custom_resource_definitions::{CLEANUP, KIND};
use crate::query::{DeleteOptions, Query, Selection};
use crate::registry::Registry;

/// When to look again at what could not be finished.
const RETRY: Duration = Duration::from_secs(5);

/// Whether a definition needs another look later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Settled,
    Unfinished,
}

/// Looks after the definitions for as long as it is polled.
pub(crate) async fn run(registry: Arc<Registry>) {
    let cache = registry.followed(&KIND).await;
    loop {
        let moved = cache.moved();
        registry.refresh_customs();
        let mut outcome = Outcome::Settled;
        for entry in cache.snapshot("").0 {
            match sync(&registry, &entry.object()).await {
                Ok(Outcome::Settled) => {}
                Err(status) if status.is_not_found() || status.is_conflict() => {}
                Ok(Outcome::Unfinished) | Err(_) => outcome = Outcome::Unfinished,
            }
        }
        match outcome {
            Outcome::Settled => moved.await,
            Outcome::Unfinished => {
                let _either_is_a_reason_to_look = tokio::time::timeout(RETRY, moved).await;
            }
        }
    }
}

async fn sync(registry: &Registry, definition: &Object) -> Result<Outcome, Status> {
    let meta = &definition.metadata;
    if meta.is_being_deleted() {
        let is_held = meta.finalizers.iter().any(|finalizer| finalizer == CLEANUP);
        return if is_held { clean_up(registry, definition).await } else { Ok(Outcome::Settled) };
    }
    if definition.at(&["spec", "names"]) != definition.at(&["status", "acceptedNames"])
        || !status::is_true(definition, "NamesAccepted")
    {
        let taken = taken_names(registry, definition);
        if name(definition, &taken, now(registry)).rest.get("status") != definition.rest.get("status") {
            write(registry, definition, |live| name(live, &taken, now(registry))).await?;
        }
    }
    let is_accepted =
        |live: &Object| status::is_true(live, "NamesAccepted") && !status::is_true(live, "Established");
    if is_accepted(definition) {
        write(registry, definition, |live| {
            let mut live = live.clone();
            if is_accepted(&live) {
                let message = "the initial names have been accepted";
                let condition =
                    Condition { name: "Established", is_true: true, reason: "InitialNamesAccepted", message };
                status::set(&mut live, condition, now(registry));
            }
            live
        })
        .await?;
    }
    Ok(Outcome::Settled)
}

fn now(registry: &Registry) -> Time {
    Time(registry.world.clock().now())
}

/// Writes the status of a definition.
async fn write(
    registry: &Registry,
    definition: &Object,
    change: impl FnMut(&Object) -> Object + Send,
) -> Result<(), Status> {
    status::write(registry, &KIND, &definition.metadata.name, change).await
}

/// The names that other definitions of the group have.
#[derive(Debug, Default)]
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

fn taken_names(registry: &Registry, definition: &Object) -> Taken {
    let mut taken = Taken::default();
    let none = Value::Null;
    for entry in registry.cache(&KIND).snapshot("").0 {
        let other = entry.object();
        let is_of_group = other.at(&["spec", "group"]) == definition.at(&["spec", "group"]);
        if !is_of_group || other.metadata.name == definition.metadata.name {
            continue;
        }
        let names = other.at(&["status", "acceptedNames"]).unwrap_or(&none);
        taken.resources.extend(["plural", "singular"].map(|name| text(names, name).to_owned()));
        taken.resources.extend(texts(names, "shortNames"));
        taken.kinds.extend(["kind", "listKind"].map(|name| text(names, name).to_owned()));
    }
    taken
}

/// The definition with the names that it can have.
fn name(definition: &Object, taken: &Taken, now: Time) -> Object {
    let none = Value::Null;
    let asked = definition.at(&["spec", "names"]).unwrap_or(&none);
    let mut accepted = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_else(|| json!({}));
    let mut conflict: Option<(&str, String)> = None;
    let fresh = |wanted: &str, own: &str, used: &BTreeSet<String>| wanted == own || !used.contains(wanted);
    for (field, reason, used) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        let in_use: Vec<String> = if field == "shortNames" {
            let own = texts(&accepted, field);
            let wanted = texts(asked, field).into_iter();
            wanted.filter(|wanted| !own.contains(wanted) && used.contains(wanted)).collect()
        } else {
            let wanted = text(asked, field);
            if fresh(wanted, text(&accepted, field), used) { Vec::new() } else { vec![wanted.to_owned()] }
        };
        if in_use.is_empty() {
            match asked.get(field) {
                Some(value) => accepted[field] = value.clone(),
                None => drop(accepted.as_object_mut().and_then(|names| names.shift_remove(field))),
            }
            continue;
        }
        let each: Vec<String> = in_use.iter().map(|name| format!("{name:?} is already in use")).collect();
        let message = match each.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        conflict = Some((reason, message));
    }
    match asked.get("categories") {
        Some(categories) => accepted["categories"] = categories.clone(),
        None => drop(accepted.as_object_mut().and_then(|names| names.shift_remove("categories"))),
    }
    let mut next = definition.clone();
    next.set_at(&["status", "acceptedNames"], accepted);
    let is_accepted = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    let condition = Condition { name: "NamesAccepted", is_true: is_accepted, reason, message: &message };
    status::set(&mut next, condition, now);
    if !status::is_true(&next, "Established") {
        let (reason, message) = match is_accepted {
            true => ("Installing", "the initial names have been accepted"),
            false => ("NotAccepted", "not all names are accepted"),
        };
        status::set(&mut next, Condition { name: "Established", is_true: false, reason, message }, now);
    }
    next
}

/// Deletes the objects of a definition that is being deleted, then lets it go.
async fn clean_up(registry: &Registry, definition: &Object) -> Result<Outcome, Status> {
    let terminating = |is_true: bool, reason: &'static str, message: &'static str| {
        let now = now(registry);
        move |live: &Object| {
            let mut live = live.clone();
            status::set(&mut live, Condition { name: "Terminating", is_true, reason, message }, now);
            live
        }
    };
    let begun = status::find(definition, "Terminating")
        .is_some_and(|condition| condition["reason"] == "InstanceDeletionInProgress");
    if !begun {
        let begin = terminating(true, "InstanceDeletionInProgress", "CustomResource deletion is in progress");
        write(registry, definition, begin).await?;
    }
    let (reason, message) = if status::is_true(definition, "Established") {
        if delete_objects(registry, definition).await? > 0 {
            return Ok(Outcome::Unfinished);
        }
        ("InstanceDeletionCompleted", "removed all instances")
    } else {
        ("NeverEstablished", "resource was never established")
    };
    let done = terminating(false, reason, message);
    write(registry, definition, |live| {
        let mut live = done(live);
        live.metadata.finalizers.retain(|finalizer| finalizer != CLEANUP);
        live
    })
    .await?;
    Ok(Outcome::Settled)
}

/// Deletes what is there. Returns how many objects something else still holds.
async fn delete_objects(registry: &Registry, definition: &Object) -> Result<usize, Status> {
    let none = Value::Null;
    let spec = definition.rest.get("spec").unwrap_or(&none);
    let Some(version) = list(spec, "versions").iter().find(|version| flag(version, "storage")) else {
        return Ok(0);
    };
    let kind = kind_of(definition, version);
    let everything = Selection::parse(kind, &Query::default())?;
    registry.delete_collection(kind, "", &everything, &DeleteOptions::default()).await?;
    Ok(registry.list_now(kind, "").await?.entries.len())
}
