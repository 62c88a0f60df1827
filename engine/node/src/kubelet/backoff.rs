//! Waits that double: restarts of a container, pulls of an image. Counterpart: `flowcontrol.Backoff`, as the
//! kubelet uses it.

use std::time::Duration;

use jiff::Timestamp;

const FIRST: Duration = Duration::from_secs(10);
const MAX: Duration = Duration::from_secs(300);
/// A wait is forgotten when so long nothing went wrong.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The wait of one container or image. Starts with none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    entry: Option<(Duration, Timestamp)>,
}

impl Backoff {
    /// Notes another try at `now`, after what went wrong at `event`.
    pub fn next(&mut self, event: Timestamp, now: Timestamp) {
        let wait = self.valid(event).map_or(FIRST, |(wait, _)| (wait * 2).min(MAX));
        self.entry = Some((wait, now));
    }

    /// The wait, counted from `event`, and its end.
    pub fn since_event(&self, event: Timestamp) -> Option<(Duration, Timestamp)> {
        self.valid(event).map(|(wait, _)| (wait, later(event, wait)))
    }

    /// The wait, counted from the last try, and its end.
    pub fn since_try(&self, now: Timestamp) -> Option<(Duration, Timestamp)> {
        self.valid(now).map(|(wait, tried)| (wait, later(tried, wait)))
    }

    fn valid(&self, event: Timestamp) -> Option<(Duration, Timestamp)> {
        self.entry.filter(|(_, updated)| event <= later(*updated, FORGOTTEN_AFTER))
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn waits_double_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.next(now, now);
            let (wait, until) = backoff.since_event(now).unwrap();
            waits.push(wait.as_secs());
            now = until;
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_forget_the_wait() {
        let mut backoff = Backoff::default();
        backoff.next(at(0), at(0));
        backoff.next(at(10), at(20));
        assert_eq!(backoff.since_event(at(620)).map(|(wait, _)| wait.as_secs()), Some(20));
        assert_eq!(backoff.since_event(at(621)), None);
        backoff.next(at(621), at(621));
        assert_eq!(backoff.since_try(at(621)), Some((FIRST, at(631))));
    }
}
