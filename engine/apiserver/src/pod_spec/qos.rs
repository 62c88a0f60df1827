//! The quality-of-service class of a pod. Counterpart: `pkg/apis/core/helper/qos`.

use std::collections::BTreeMap;

use labkit_api::quantity::Quantity;
use serde_json::Value;

use crate::pod_spec::list;

/// `Guaranteed`, `Burstable` or `BestEffort`, by the requests and limits of CPU and memory.
pub(crate) fn class(spec: &Value) -> &'static str {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut is_guaranteed = true;
    for container in list(spec, "containers").iter().chain(list(spec, "initContainers")) {
        let limited = add(container, "limits", &mut limits);
        add(container, "requests", &mut requests);
        is_guaranteed &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    if is_guaranteed && requests == limits { "Guaranteed" } else { "Burstable" }
}

/// Adds a container's CPU and memory to the sums; returns how many of the two it names.
fn add(container: &Value, field: &str, sums: &mut BTreeMap<&'static str, i128>) -> usize {
    let amounts = container.get("resources").and_then(|resources| resources.get(field));
    let mut named = 0;
    for name in ["cpu", "memory"] {
        let quantity = amounts.and_then(|amounts| amounts.get(name)).map(Quantity::from_value);
        if let Some(Ok(quantity)) = quantity
            && !quantity.is_zero()
        {
            *sums.entry(name).or_default() += quantity.milli();
            named += 1;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(resources: Value, expected: &str) {
        assert_eq!(class(&json!({"containers": [{"resources": resources}]})), expected);
    }

    #[test]
    fn the_class_follows_requests_and_limits() {
        check(json!({}), "BestEffort");
        check(json!({"requests": {"cpu": "100m"}}), "Burstable");
        check(
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}}),
            "Guaranteed",
        );
        check(
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
            "Burstable",
        );
    }
}
