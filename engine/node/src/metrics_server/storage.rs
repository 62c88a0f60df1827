//! The last two answers of each kubelet, and the rates between them. Pure. Counterpart:
//! `metrics-server/pkg/storage`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::usage::{ResourceMetrics, Usage};

/// A container is measured against its start when it is at least this old at its first measurement.
const FRESH_MIN: Duration = Duration::from_secs(10);

/// A usage at a moment.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: Timestamp,
    usage: Usage,
}

/// Two moments, of which the later one counts.
#[derive(Debug, Clone, Copy)]
struct Points {
    last: Point,
    previous: Option<Point>,
}

/// What something used between two moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rate {
    pub at: Timestamp,
    pub window: Duration,
    /// In units of 10⁻⁹ CPUs.
    pub cpu_nano: i128,
    pub memory_bytes: i128,
}

#[derive(Debug)]
pub(super) struct Storage {
    resolution: Duration,
    nodes: BTreeMap<String, Points>,
    /// By namespace and pod, then by container.
    pods: BTreeMap<(String, String), BTreeMap<String, Points>>,
}

impl Storage {
    pub fn new(resolution: Duration) -> Storage {
        Storage { resolution, nodes: BTreeMap::new(), pods: BTreeMap::new() }
    }

    /// Takes in what the kubelets said now; whoever said nothing is forgotten.
    pub fn note(&mut self, answers: BTreeMap<String, ResourceMetrics>) {
        let (nodes, pods) = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.pods));
        for (node, metrics) in answers {
            let last = Point { at: metrics.at, usage: metrics.node };
            self.nodes.insert(node.clone(), Points::new(last, nodes.get(&node)));
            for own in metrics.containers {
                let last = Point { at: metrics.at, usage: own.usage };
                let key = (own.namespace, own.pod);
                let before = pods.get(&key).and_then(|pod| pod.get(&own.container));
                let points = Points::new(last, before).or_since_start(self.resolution);
                self.pods.entry(key).or_default().insert(own.container, points);
            }
        }
    }

    /// Whether there are rates.
    pub fn is_ready(&self) -> bool {
        self.nodes.values().any(|points| points.previous.is_some())
    }

    pub fn node(&self, name: &str) -> Option<Rate> {
        self.nodes.get(name)?.rate()
    }

    /// The rates of a pod's containers; `None` unless all of them have one.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<BTreeMap<&str, Rate>> {
        let containers = self.pods.get(&(namespace.to_owned(), name.to_owned()))?;
        containers.iter().map(|(name, points)| Some((name.as_str(), points.rate()?))).collect()
    }
}

impl Points {
    /// The measurement before counts if it is of the same start.
    fn new(last: Point, before: Option<&Points>) -> Points {
        let of_same_start = |point: &Point| point.usage.started == last.usage.started && point.at < last.at;
        Points { last, previous: before.map(|points| points.last).filter(of_same_start) }
    }

    /// A container that started since the last measurement is measured against its start.
    fn or_since_start(self, resolution: Duration) -> Points {
        let started = self.last.usage.started;
        let age = Duration::try_from(self.last.at.duration_since(started)).unwrap_or_default();
        if self.previous.is_some() || age < FRESH_MIN || age >= resolution {
            return self;
        }
        let usage = Usage { cpu_nanoseconds: 0, ..self.last.usage };
        Points { previous: Some(Point { at: started, usage }), ..self }
    }

    fn rate(&self) -> Option<Rate> {
        let (last, previous) = (self.last, self.previous?);
        let window = Duration::try_from(last.at.duration_since(previous.at))
            .ok()
            .filter(|window| !window.is_zero())?;
        let used = (last.usage.cpu_nanoseconds - previous.usage.cpu_nanoseconds).max(0);
        let nanoseconds = i128::try_from(window.as_nanos()).unwrap_or(i128::MAX);
        Some(Rate {
            at: last.at,
            window,
            cpu_nano: used * 1_000_000_000 / nanoseconds,
            memory_bytes: last.usage.memory_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{ContainerUsage, Uses};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A kubelet's answer at that second, with one container that started then.
    fn answer(now: i64, started: i64) -> BTreeMap<String, ResourceMetrics> {
        let usage = Uses::new(250, 64 << 20).usage(at(started), at(now));
        let own = ["default", "web", "c"].map(str::to_owned);
        let [namespace, pod, container] = own;
        let containers = vec![ContainerUsage { namespace, pod, container, usage }];
        let node = Uses::new(500, 1 << 30).usage(at(0), at(now));
        BTreeMap::from([("worker1".to_owned(), ResourceMetrics { at: at(now), node, containers })])
    }

    #[track_caller]
    fn check(answers: &[(i64, i64)], node: Option<u64>, pod: Option<u64>) {
        let mut storage = Storage::new(Duration::from_secs(15));
        answers.iter().for_each(|(now, started)| storage.note(answer(*now, *started)));
        let window = |rate: Rate| rate.window.as_secs();
        assert_eq!(storage.node("worker1").map(window), node);
        let pod_rate = storage.pod("default", "web").and_then(|mut rates| rates.remove("c"));
        assert_eq!(pod_rate.clone().map(window), pod);
        if let Some(rate) = pod_rate {
            assert_eq!((rate.cpu_nano, rate.memory_bytes), (250_000_000, 64 << 20));
        }
    }

    #[test]
    fn a_rate_needs_two_measurements_or_a_fresh_start() {
        check(&[], None, None);
        check(&[(100, 1)], None, None);
        check(&[(100, 1), (115, 1)], Some(15), Some(15));
        check(&[(100, 88)], None, Some(12));
        check(&[(100, 95)], None, None);
        check(&[(100, 95), (115, 95)], Some(15), Some(15));
        check(&[(100, 1), (115, 110)], Some(15), None);
    }

    #[test]
    fn a_kubelet_that_is_silent_is_forgotten() {
        let mut storage = Storage::new(Duration::from_secs(15));
        storage.note(answer(100, 1));
        storage.note(answer(115, 1));
        assert!(storage.is_ready());
        storage.note(BTreeMap::new());
        assert!(!storage.is_ready());
        assert_eq!(storage.node("worker1"), None);
    }
}
