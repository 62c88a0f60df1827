//! What containers use of a machine, as its kubelet tells it. Counterpart: the kubelet's `/metrics/resource`.

use std::fmt;

use jiff::Timestamp;
use labkit_api::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::machine::Machine;

/// `{cpu: 250m, memory: 64Mi}`: what a container uses all the time that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Uses {
    /// CPUs, as a Kubernetes quantity.
    pub cpu: Amount,
    /// Bytes of memory, as a Kubernetes quantity.
    pub memory: Amount,
}

/// A Kubernetes quantity that is not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount(Quantity);

/// What everything on a node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceMetrics {
    pub at: Timestamp,
    pub node: Usage,
    /// The containers that run, in the order of their names.
    pub containers: Vec<ContainerUsage>,
}

/// A counter and a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub started: Timestamp,
    /// Nanoseconds of CPU since then.
    pub cpu_nanoseconds: i128,
    pub memory_bytes: i128,
}

/// What one container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUsage {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub usage: Usage,
}

/// What the system of a node uses beside its pods.
const SYSTEM: (i64, i128) = (60, 350 << 20);

impl Uses {
    /// Millicores and bytes.
    pub fn new(cpu_milli: i64, memory_bytes: i64) -> Uses {
        Uses { cpu: Amount(Quantity::from_milli(cpu_milli)), memory: Amount(Quantity::new(memory_bytes)) }
    }

    pub(crate) fn usage(&self, started: Timestamp, until: Timestamp) -> Usage {
        let cpu_nanoseconds = consumed(self.cpu.0.milli(), started, until);
        Usage { started, cpu_nanoseconds, memory_bytes: self.memory.0.value() }
    }
}

impl Default for Uses {
    fn default() -> Uses {
        Uses::new(1, 8 << 20)
    }
}

fn consumed(cpu_milli: i128, from: Timestamp, until: Timestamp) -> i128 {
    until.duration_since(from).as_nanos().max(0) * cpu_milli / 1000
}

impl Machine {
    /// What the containers of the machine use, and the machine as a whole.
    pub fn resource_metrics(&self) -> ResourceMetrics {
        let at = self.world().clock().now();
        let (booted, ended, mut containers) = self.running_uses(at);
        containers
            .sort_by(|a, b| (&a.namespace, &a.pod, &a.container).cmp(&(&b.namespace, &b.pod, &b.container)));
        let (cpu, memory) = SYSTEM;
        let sum = |of: fn(&Usage) -> i128| containers.iter().map(|one| of(&one.usage)).sum::<i128>();
        let node = Usage {
            started: booted,
            cpu_nanoseconds: consumed(cpu.into(), booted, at) + ended + sum(|usage| usage.cpu_nanoseconds),
            memory_bytes: memory + sum(|usage| usage.memory_bytes),
        };
        ResourceMetrics { at, node, containers }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let text = String::deserialize(deserializer)?;
        let amount = Quantity::parse(&text).map_err(serde::de::Error::custom)?;
        if amount < Quantity::default() {
            return Err(serde::de::Error::custom(format!("{text:?} is less than nothing")));
        }
        Ok(Amount(amount))
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A Kubernetes quantity: `250m`, `2`, `64Mi`, `1.5Gi`.",
            "pattern": "^\\+?[0-9.]+([eE][-+]?[0-9]+|[numkKMGTPE]i?)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_with_the_time_that_passes() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let usage = Uses::new(250, 64 << 20).usage(at(10), at(14));
        assert_eq!((usage.cpu_nanoseconds, usage.memory_bytes), (1_000_000_000, 64 << 20));
    }

    #[test]
    fn an_amount_below_nothing_is_refused() {
        let parse = |text: &str| serde_json::from_value::<Uses>(serde_json::json!({"cpu": text}));
        assert_eq!(parse("250m").unwrap().cpu.to_string(), "250m");
        assert!(parse("-1").unwrap_err().to_string().contains("less than nothing"));
        assert!(parse("much").is_err());
    }
}
