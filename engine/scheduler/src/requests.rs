//! How much a pod asks for. Counterpart: `k8s.io/component-helpers/resource` and the scheduler's `Resource`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource;
use labkit_api::Quantity;

/// What a container without a request counts as when nodes are scored (not when they are filtered), so that
/// pods without requests still spread.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources: CPU in thousandths, the rest in its own unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources and huge pages.
    pub scalar: BTreeMap<String, i64>,
}

/// An amount of CPU and memory, as scores count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuMemory {
    pub milli_cpu: i64,
    pub memory: i64,
}

type List = BTreeMap<String, resource::Quantity>;

impl Resources {
    /// Reads a resource list. A quantity that does not parse counts as none: the API server refuses those.
    pub fn of(list: &List) -> Resources {
        let mut resources = Resources::default();
        for (name, quantity) in list {
            let quantity = Quantity::parse(&quantity.0).unwrap_or_default();
            let value = saturated(quantity.value());
            match name.as_str() {
                "cpu" => resources.milli_cpu = saturated(quantity.milli()),
                "memory" => resources.memory = value,
                "ephemeral-storage" => resources.ephemeral_storage = value,
                "pods" => {}
                other => {
                    resources.scalar.insert(other.to_owned(), value);
                }
            }
        }
        resources
    }

    pub fn add(&mut self, other: &Resources) {
        self.combine(other, |a, b| a.saturating_add(b));
    }

    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, |a, b| a - b);
    }

    fn raise_to(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, operation: fn(i64, i64) -> i64) {
        self.milli_cpu = operation(self.milli_cpu, other.milli_cpu);
        self.memory = operation(self.memory, other.memory);
        self.ephemeral_storage = operation(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let own = self.scalar.entry(name.clone()).or_insert(0);
            *own = operation(*own, *amount);
        }
    }

    pub fn is_nothing(&self) -> bool {
        self.milli_cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.scalar.is_empty()
    }

    pub fn cpu_memory(&self) -> CpuMemory {
        CpuMemory { milli_cpu: self.milli_cpu, memory: self.memory }
    }
}

fn saturated(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// What the pod needs at any one time: the larger of its containers together and each init container in its
/// turn (with the sidecars started before it), plus the overhead.
pub(crate) fn of_pod(pod: &Pod) -> Resources {
    fold(pod, &|container| Resources::of(&requests(container)))
}

/// The same for scores: with the default for each container that names none.
pub(crate) fn of_pod_for_scores(pod: &Pod) -> CpuMemory {
    let with_defaults = |container: &Container| {
        let requests = requests(container);
        let mut resources = Resources::of(&requests);
        if !requests.contains_key("cpu") {
            resources.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !requests.contains_key("memory") {
            resources.memory = DEFAULT_MEMORY;
        }
        resources
    };
    fold(pod, &with_defaults).cpu_memory()
}

fn fold(pod: &Pod, of_container: &dyn Fn(&Container) -> Resources) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&of_container(container));
    }
    let mut sidecars = Resources::default();
    let mut initializing = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            total.add(&own);
            sidecars.add(&own);
            initializing.raise_to(&sidecars);
        } else {
            let mut at_its_turn = sidecars.clone();
            at_its_turn.add(&own);
            initializing.raise_to(&at_its_turn);
        }
    }
    total.raise_to(&initializing);
    total.add(&spec.overhead.as_ref().map(Resources::of).unwrap_or_default());
    total
}

fn requests(container: &Container) -> List {
    container.resources.as_ref().and_then(|resources| resources.requests.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::{Value, json};

    fn container(name: &str, cpu: &str) -> Value {
        json!({"name": name, "resources": {"requests": {"cpu": cpu}}})
    }

    #[track_caller]
    fn check(spec: Value, milli_cpu: i64) {
        assert_eq!(of_pod(&pod("a", spec)).milli_cpu, milli_cpu);
    }

    #[test]
    fn a_pod_asks_for_its_containers_together_or_its_largest_init_container() {
        check(json!({"containers": [container("a", "1"), container("b", "500m")]}), 1500);
        check(json!({"containers": [container("a", "1")], "initContainers": [container("i", "2")]}), 2000);
        check(json!({"containers": [container("a", "1")], "overhead": {"cpu": "250m"}}), 1250);
    }

    #[test]
    fn a_sidecar_counts_beside_the_containers_and_beside_later_init_containers() {
        let sidecar =
            json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "300m"}}});
        check(
            json!({"containers": [container("a", "1")], "initContainers": [sidecar, container("i", "2")]}),
            2300,
        );
    }

    #[test]
    fn a_container_without_requests_counts_only_for_scores() {
        let bare = pod("a", json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        assert!(of_pod(&bare).is_nothing());
        assert_eq!(of_pod_for_scores(&bare), CpuMemory { milli_cpu: 200, memory: 2 * DEFAULT_MEMORY });
    }
}
