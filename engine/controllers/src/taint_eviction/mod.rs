//! taint-eviction-controller: deletes pods from nodes with NoExecute taints, once they tolerated them long
//! enough. Counterpart: `pkg/controller/tainteviction`.

mod schedule;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, PodCondition, Taint};
use labkit_api::ObjectKey;
use labkit_client::{Change, DeleteOptions, EventType, Store, WorkQueue};
use labkit_sim::RecordId;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::schedule::{Schedule, Stay, stay};
use crate::context::Context;
use crate::pods::{condition_patch, node_name};
use crate::taints::{self, NO_EXECUTE};
use crate::work::{Failed, each, work};

/// At most so many deletions at a time.
const WORKERS: usize = 8;

pub(crate) async fn run(context: Context) {
    let (nodes, pods) = (context.informers.nodes().clone(), context.informers.pods().clone());
    let controller = TaintEviction {
        pods: pods.store(),
        state: Mutex::default(),
        scheduled: Notify::new(),
        due: WorkQueue::default(),
        context,
    };
    let (node_changes, pod_changes) = (nodes.subscribe(), pods.subscribe());
    nodes.synced().await;
    pods.synced().await;
    let node_changes = each(node_changes, |change| controller.node_changed(&change));
    let pod_changes = each(pod_changes, |change| controller.pod_changed(&change));
    let deletions = work(&controller.due, WORKERS, |pod| controller.delete(pod));
    futures::join!(node_changes, pod_changes, controller.fire(), deletions);
}

struct TaintEviction {
    context: Context,
    pods: Store<Pod>,
    state: Mutex<State>,
    scheduled: Notify,
    due: WorkQueue<ObjectKey>,
}

#[derive(Default)]
struct State {
    /// NoExecute taints by node; only nodes that have some.
    tainted: BTreeMap<String, Vec<Taint>>,
    schedule: Schedule,
}

impl TaintEviction {
    fn node_changed(&self, change: &Change<Node>) {
        let node = &change.key.name;
        let no_execute = |node: &Node| -> Vec<Taint> {
            taints::of(node).iter().filter(|taint| taint.effect == NO_EXECUTE).cloned().collect()
        };
        let before = change.old.as_deref().map(no_execute).unwrap_or_default();
        let taints = change.new.as_deref().map(no_execute).unwrap_or_default();
        if before == taints {
            return;
        }
        if taints.is_empty() {
            self.state().tainted.remove(node);
        } else {
            self.state().tainted.insert(node.clone(), taints.clone());
        }
        for pod in self.pods.list().iter().filter(|pod| node_name(pod) == node) {
            self.judge(pod, &taints, change.cause);
        }
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let Some(pod) = &change.new else {
            if self.state().schedule.cancel(&change.key) {
                self.called_off(&change.key);
            }
            return;
        };
        let placement = |pod: &Pod| (node_name(pod).to_owned(), tolerations(pod).to_vec());
        if node_name(pod).is_empty()
            || change.old.as_deref().is_some_and(|old| placement(old) == placement(pod))
        {
            return;
        }
        let taints = self.state().tainted.get(node_name(pod)).cloned();
        if let Some(taints) = taints {
            self.judge(pod, &taints, change.cause);
        }
    }

    fn judge(&self, pod: &Pod, taints: &[Taint], cause: Option<RecordId>) {
        let key = crate::objects::key(pod);
        let stay = if taints.is_empty() { Stay::Forever } else { stay(taints, tolerations(pod)) };
        let called_off = self.state().schedule.judge(&key, stay, Instant::now(), cause);
        if called_off {
            self.called_off(&key);
        }
        self.scheduled.notify_one();
    }

    fn called_off(&self, pod: &ObjectKey) {
        self.event(pod, format!("Cancelling deletion of Pod {pod}"));
    }

    fn event(&self, pod: &ObjectKey, message: String) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..Default::default()
        };
        self.context.event(about, EventType::Normal, "TaintManagerEviction", message);
    }

    /// Moves pods to the queue as they become due.
    async fn fire(&self) -> Infallible {
        loop {
            let next = {
                let mut state = self.state();
                for (pod, cause) in state.schedule.take(Instant::now()) {
                    self.due.add(pod, cause);
                }
                state.schedule.next()
            };
            match next {
                None => self.scheduled.notified().await,
                Some(at) => tokio::select! {
                    biased;
                    () = self.scheduled.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    async fn delete(&self, key: ObjectKey) -> Result<(), Failed> {
        if self.due.failures(&key) == 0 {
            self.event(&key, format!("Marking for deletion Pod {key}"));
        }
        match self.mark_and_delete(&key).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn mark_and_delete(&self, key: &ObjectKey) -> Result<(), labkit_client::Error> {
        let api = self.context.client.api::<Pod>();
        let pod = api.get(&key.namespace, &key.name).await?;
        let target = PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByTaintManager".to_owned()),
            message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
            ..Default::default()
        };
        if let Some(patch) = condition_patch(&pod, target, self.context.now()) {
            api.patch(&key.namespace, &key.name, Some("status"), patch).await?;
        }
        api.delete(&key.namespace, &key.name, &DeleteOptions::default()).await
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

fn tolerations(pod: &Pod) -> &[k8s_openapi::api::core::v1::Toleration] {
    pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
}
