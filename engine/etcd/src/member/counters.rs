//! What a member counts and measures, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "metrics are asked for over sockets"))]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long. Each bound is twice the one before, as `ExponentialBuckets` has them.
#[derive(Debug)]
pub(crate) struct Histogram {
    first_bound: Duration,
    /// By bound, each without those below it; the last has no bound.
    counts: Vec<AtomicU64>,
    sum_nanos: AtomicU64,
}

impl Histogram {
    pub fn new(first_bound: Duration, bounds: usize) -> Histogram {
        let counts = (0..=bounds).map(|_| AtomicU64::new(0)).collect();
        Histogram { first_bound, counts, sum_nanos: AtomicU64::new(0) }
    }

    pub fn observe(&self, took: Duration) {
        let bounds = self.counts.len() - 1;
        let bucket = (0..bounds).find(|bucket| took <= self.bound(*bucket)).unwrap_or(bounds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn bound(&self, bucket: usize) -> Duration {
        self.first_bound * (1 << bucket)
    }

    /// Its lines in Prometheus' text format. `labels` is empty, or ends with a comma.
    #[cfg(feature = "grpc")]
    pub fn write(&self, name: &str, labels: &str, out: &mut String) {
        use std::fmt::Write as _;
        let mut count = 0;
        for (bucket, own) in self.counts.iter().enumerate() {
            count += own.load(Ordering::Relaxed);
            let bound = match bucket + 1 == self.counts.len() {
                true => "+Inf".to_owned(),
                false => self.bound(bucket).as_secs_f64().to_string(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name}_bucket{{{labels}le=\"{bound}\"}} {count}");
        }
        let sum = Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)).as_secs_f64();
        let labels = labels.trim_end_matches(',');
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = write!(out, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n");
    }
}

/// How long the syncs of a member's log took; bounds from 1 ms to 8.192 s.
pub(crate) fn of_syncs() -> Histogram {
    Histogram::new(Duration::from_millis(1), 14)
}

/// How long its messages to each peer and back took; bounds from 0.1 ms to 3.2768 s.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips(Mutex<BTreeMap<u64, Arc<Histogram>>>);

impl RoundTrips {
    pub fn observe(&self, peer: u64, took: Duration) {
        let new = || Arc::new(Histogram::new(Duration::from_micros(100), 16));
        self.locked().entry(peer).or_insert_with(new).observe(took);
    }

    #[cfg(feature = "grpc")]
    pub fn write(&self, name: &str, out: &mut String) {
        for (peer, histogram) in self.locked().iter() {
            histogram.write(name, &format!("To=\"{peer:x}\","), out);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Histogram>>> {
        self.0.lock().expect("no panic happens under this lock")
    }
}

/// Since the member started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub round_trips: RoundTrips,
    pub leader_changes_seen: Counter,
    pub proposals_failed: Counter,
    pub health_success: Counter,
    pub health_failures: Counter,
    pub ranges: Counter,
    pub puts: Counter,
    pub deletes: Counter,
    pub txns: Counter,
    /// What clients called over sockets.
    #[cfg(feature = "grpc")]
    pub calls: crate::grpc::Calls,
}

#[cfg(all(test, feature = "grpc"))]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let histogram = Histogram::new(Duration::from_millis(1), 3);
        for millis in [0, 1, 2, 3, 1000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut out = String::new();
        histogram.write("took", "To=\"a\",", &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines,
            [
                "took_bucket{To=\"a\",le=\"0.001\"} 2",
                "took_bucket{To=\"a\",le=\"0.002\"} 3",
                "took_bucket{To=\"a\",le=\"0.004\"} 4",
                "took_bucket{To=\"a\",le=\"+Inf\"} 5",
                "took_sum{To=\"a\"} 1.006",
                "took_count{To=\"a\"} 5",
            ]
        );
    }
}
