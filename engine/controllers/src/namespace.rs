//! namespace-controller: empties a namespace that is to be deleted, then lets it go.
//! Counterpart: `pkg/controller/namespace`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use labkit_api::{Object, Scope};
use labkit_client::{DeleteOptions, ListParams, Store, WorkQueue};

use crate::context::Context;
use crate::discovery::{self, Discovered, Served};
use crate::objects::is_being_deleted;
use crate::work::{Failed, each, work};

/// A deletion is acted on that much later, so that every API server has seen it.
const GRACE: Duration = Duration::from_secs(5);
const FINALIZER: &str = "kubernetes";
/// How long what has finalizers is given before the next look.
const FINALIZER_ESTIMATE_SECONDS: i64 = 15;

pub(crate) async fn run(context: Context) {
    let namespaces = context.informers.namespaces().clone();
    let (queue, store) = (WorkQueue::default(), namespaces.store());
    let changes = each(namespaces.subscribe(), |change| {
        if change.new.as_deref().is_some_and(is_being_deleted) {
            queue.add_after(change.key.name, GRACE);
        }
    });
    let reconciles = async {
        namespaces.synced().await;
        let workers = context.config.concurrent_namespace_syncs;
        work(&queue, workers, |name| reconcile(&context, &store, &queue, name)).await
    };
    futures::join!(changes, reconciles);
}

/// What is still in the namespace.
#[derive(Debug, Default, PartialEq)]
struct Remaining {
    /// Objects by kind, as `pods.` or `deployments.apps`.
    objects: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// After how many seconds another look is worth it.
    estimate_seconds: i64,
}

impl Remaining {
    fn count(&mut self, kind: &Served, objects: &[Object]) {
        if objects.is_empty() {
            return;
        }
        let gvk = &kind.resource.gvk;
        self.objects.insert(format!("{}.{}", kind.resource.plural, gvk.group), objects.len());
        for finalizer in objects.iter().flat_map(|object| &object.metadata.finalizers) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        let is_pod = gvk.group.is_empty() && gvk.kind == "Pod";
        let grace = |pod: &Object| pod.i64_at(&["spec", "terminationGracePeriodSeconds"]);
        let estimate = if is_pod {
            objects.iter().filter_map(grace).max().unwrap_or_default()
        } else {
            FINALIZER_ESTIMATE_SECONDS
        };
        self.estimate_seconds = self.estimate_seconds.max(estimate).max(1);
    }
}

async fn reconcile(
    context: &Context,
    store: &Store<Namespace>,
    queue: &WorkQueue<String>,
    name: String,
) -> Result<(), Failed> {
    if store.get(&labkit_api::ObjectKey::new("", &name)).is_none() {
        return Ok(());
    }
    let namespace = match context.client.api::<Namespace>().get("", &name).await {
        Ok(namespace) if is_being_deleted(&namespace) => namespace,
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => return Ok(()),
    };
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if finalizers.is_empty() {
        return Ok(());
    }
    let discovered = discovery::served(&context.client).await?;
    let (remaining, failure) = delete_content(context, &discovered, &name).await?;
    let status = next_status(&namespace, &discovered, &remaining, failure.as_deref(), context.now());
    let mut namespace = namespace;
    if namespace.status.as_ref() != Some(&status) {
        namespace.status = Some(status);
        namespace = context.client.api::<Namespace>().replace_status(&namespace).await?;
    }
    if let Some(failure) = failure.or_else(|| discovered.failure()) {
        return Err(Failed::Because(failure));
    }
    if remaining.estimate_seconds > 0 {
        let seconds = u64::try_from(remaining.estimate_seconds / 2 + 1).unwrap_or(1);
        queue.add_after(name, Duration::from_secs(seconds));
        return Ok(());
    }
    finalize(context, namespace).await
}

/// Deletes all that is in the namespace. Returns what is still there, and the first failure.
async fn delete_content(
    context: &Context,
    discovered: &Discovered,
    namespace: &str,
) -> Result<(Remaining, Option<String>), Failed> {
    let mut remaining = Remaining::default();
    let mut failure = None;
    let options = DeleteOptions { propagation_policy: Some("Background".to_owned()), ..Default::default() };
    let params = ListParams { namespace: namespace.to_owned(), ..Default::default() };
    for kind in &discovered.kinds {
        if kind.resource.scope != Scope::Namespaced || !kind.supports(&["list", "deletecollection"]) {
            continue;
        }
        let outcome = async {
            context.client.delete_collection(&kind.resource, &params, &options).await?;
            context.client.list(&kind.resource, &params).await
        };
        match outcome.await {
            Ok(left) => remaining.count(kind, &left.items),
            Err(error) => failure = failure.or(Some(error.to_string())),
        }
    }
    Ok((remaining, failure))
}

async fn finalize(context: &Context, mut namespace: Namespace) -> Result<(), Failed> {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    let body = serde_json::to_value(&namespace).expect("k8s-openapi's types are JSON");
    let target = format!("/api/v1/namespaces/{name}/finalize");
    let (code, answer) = context.client.raw(Method::PUT, &target, Some(body)).await?;
    match code {
        200 | 201 | 404 => Ok(()),
        _ => Err(Failed::Because(String::from_utf8_lossy(&answer).into_owned())),
    }
}

fn next_status(
    namespace: &Namespace,
    discovered: &Discovered,
    remaining: &Remaining,
    failure: Option<&str>,
    now: Timestamp,
) -> NamespaceStatus {
    let listed = |counts: &BTreeMap<String, usize>, words: &str| {
        let parts: Vec<String> =
            counts.iter().map(|(what, count)| format!("{what}{words}{count} resource instances")).collect();
        parts.join(", ")
    };
    let content = match failure {
        Some(why) => (
            true,
            "ContentDeletionFailed",
            format!("Failed to delete all resource types, 1 remaining: {why}"),
        ),
        None => (
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
    };
    let objects = if remaining.objects.is_empty() {
        (false, "ContentRemoved", "All content successfully removed".to_owned())
    } else {
        let listed = listed(&remaining.objects, " has ");
        (true, "SomeResourcesRemain", format!("Some resources are remaining: {listed}"))
    };
    let finalizers = if remaining.finalizers.is_empty() {
        (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
    } else {
        let listed = listed(&remaining.finalizers, " in ");
        (
            true,
            "SomeFinalizersRemain",
            format!("Some content in the namespace has finalizers remaining: {listed}"),
        )
    };
    let discovered = match discovered.failure() {
        None => (false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
        Some(why) => {
            let groups = discovered.failing.len();
            let message = format!("Discovery failed for some groups, {groups} failing: {why}");
            (true, "DiscoveryFailed", message)
        }
    };
    let parsed = (false, "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned());
    let mut status = namespace.status.clone().unwrap_or_default();
    status.phase = Some("Terminating".to_owned());
    let next = [
        ("NamespaceDeletionDiscoveryFailure", discovered),
        ("NamespaceDeletionGroupVersionParsingFailure", parsed),
        ("NamespaceDeletionContentFailure", content),
        ("NamespaceContentRemaining", objects),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    for (type_, (is_true, reason, message)) in next {
        set_condition(&mut status, type_, is_true, reason, message, now);
    }
    status
}

fn set_condition(
    status: &mut NamespaceStatus,
    type_: &str,
    is_true: bool,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    let next = NamespaceCondition {
        type_: type_.to_owned(),
        status: if is_true { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(present) if present.status == next.status && present.message == next.message => {}
        Some(present) => *present = next,
        None => conditions.push(next),
    }
}

#[cfg(test)]
mod tests {
    use labkit_api::{GroupVersionKind, Resource};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_remains_is_told_in_upstream_words() {
        let mut remaining = Remaining::default();
        let resource = Resource {
            gvk: GroupVersionKind::new("", "v1", "Pod"),
            plural: "pods".into(),
            scope: Scope::Namespaced,
        };
        let pods = Served { resource, verbs: Vec::new() };
        let pod = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}, "spec": {"terminationGracePeriodSeconds": 30}});
        remaining.count(&pods, &[Object::from_value(pod).unwrap()]);
        assert_eq!(remaining.estimate_seconds, 30);
        let now = Timestamp::from_second(0).unwrap();
        let group = "metrics.k8s.io/v1beta1";
        let why = format!("stale GroupVersion discovery: {group}");
        let discovered = Discovered { failing: [(group.to_owned(), why)].into(), ..Discovered::default() };
        let status = next_status(&Namespace::default(), &discovered, &remaining, None, now);
        let message = |type_: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions
                .find(|condition| condition.type_ == type_)
                .and_then(|found| found.message.clone())
                .unwrap()
        };
        assert_eq!(
            message("NamespaceContentRemaining"),
            "Some resources are remaining: pods. has 1 resource instances"
        );
        assert_eq!(
            message("NamespaceFinalizersRemaining"),
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
        assert_eq!(
            message("NamespaceDeletionDiscoveryFailure"),
            "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
             metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1"
        );
        assert_eq!(status.phase.as_deref(), Some("Terminating"));
    }
}
