//! The quality of service that a pod's requests and limits earn it. Counterpart: `v1qos.ComputePodQOS`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn qos_class(pod: &Pod) -> &'static str {
    let Some(spec) = &pod.spec else { return "BestEffort" };
    let containers: Vec<_> = spec.init_containers.iter().flatten().chain(&spec.containers).collect();
    let amount = |list: Option<&BTreeMap<String, Quantity>>, resource: &str| {
        let quantity = labkit_api::Quantity::parse(&list?.get(resource)?.0).ok()?;
        (!quantity.is_zero()).then_some(quantity)
    };
    let mut names_none = true;
    let mut guaranteed = true;
    for container in containers {
        let resources = container.resources.as_ref();
        for resource in ["cpu", "memory"] {
            let limit = amount(resources.and_then(|resources| resources.limits.as_ref()), resource);
            let request = amount(resources.and_then(|resources| resources.requests.as_ref()), resource);
            names_none &= limit.is_none() && request.is_none();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (names_none, guaranteed) {
        (true, _) => "BestEffort",
        (false, true) => "Guaranteed",
        (false, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(resources: Value, expected: &str) {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        assert_eq!(qos_class(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[test]
    fn requests_and_limits_earn_a_class() {
        check(json!({}), "BestEffort");
        check(json!({"requests": {"cpu": "1"}}), "Burstable");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}), "Guaranteed");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable");
        check(json!({"limits": {"cpu": "1"}}), "Burstable");
    }
}
