//! The only clock. Durations come from Tokio's timer, dates from an epoch that is added to it, so that
//! pausing Tokio's time pauses both.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

/// How time passes in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Time jumps to the next timer as soon as nothing can run. No sockets, no subprocesses.
    Virtual,
    /// Real time, for real clients.
    Wall,
}

/// The date at which every virtual world begins: 2026-01-01T00:00:00Z, in seconds.
pub const VIRTUAL_EPOCH_SECONDS: i64 = 1_767_225_600;

/// A handle to the world's time. Clones share it.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pace: Pace,
    started: Instant,
    epoch: Timestamp,
    shift_seconds: AtomicI64,
    edge_requests: AtomicUsize,
    edge_idle: Notify,
    forwarding: Mutex<()>,
}

impl Clock {
    /// Starts a clock. Must be called on the runtime on which the world will live.
    pub(crate) fn start(pace: Pace) -> Clock {
        let epoch = match pace {
            Pace::Virtual => {
                Timestamp::from_second(VIRTUAL_EPOCH_SECONDS).expect("the epoch is a valid date")
            }
            Pace::Wall => host_date(),
        };
        Clock {
            inner: Arc::new(Inner {
                pace,
                started: Instant::now(),
                epoch,
                shift_seconds: AtomicI64::new(0),
                edge_requests: AtomicUsize::new(0),
                edge_idle: Notify::new(),
                forwarding: Mutex::new(()),
            }),
        }
    }

    pub fn pace(&self) -> Pace {
        self.inner.pace
    }

    /// Time since the world began. Never affected by [`Clock::shift_date`].
    pub fn elapsed(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// The world's date: what `date` would print on its machines.
    pub fn now(&self) -> Timestamp {
        self.date_at(self.elapsed())
    }

    /// The date that the world shows at `elapsed` since its start, with today's shift.
    pub fn date_at(&self, elapsed: Duration) -> Timestamp {
        let shift = SignedDuration::from_secs(self.inner.shift_seconds.load(Ordering::Relaxed));
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.inner
            .epoch
            .saturating_add(elapsed)
            .and_then(|t| t.saturating_add(shift))
            .expect("spans are absolute")
    }

    /// Lets `by` pass at once, firing every timer on the way in its order. In wall pace it first waits until
    /// no request from outside is in flight, so that nobody's time-out is cut short in mid-request.
    pub async fn fast_forward(&self, by: Duration) {
        let _one_at_a_time = self.inner.forwarding.lock().await;
        match self.inner.pace {
            Pace::Virtual => tokio::time::sleep(by).await,
            Pace::Wall => {
                self.edge_quiet().await;
                tokio::time::pause();
                let _resumed_even_if_dropped = ResumeOnDrop;
                tokio::time::sleep(by).await;
            }
        }
    }

    /// Moves dates, not timers, as `date -s` would: for spans beyond a day, such as a certificate's year.
    pub fn shift_date(&self, by: SignedDuration) {
        self.inner.shift_seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Marks a request from outside as in flight until the guard is dropped. Long-lived streams (watches)
    /// do not hold one.
    pub fn edge_request(&self) -> EdgeRequest {
        self.inner.edge_requests.fetch_add(1, Ordering::SeqCst);
        EdgeRequest { clock: self.clone() }
    }

    async fn edge_quiet(&self) {
        loop {
            let idle = self.inner.edge_idle.notified();
            if self.inner.edge_requests.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// See [`Clock::edge_request`].
#[derive(Debug)]
pub struct EdgeRequest {
    clock: Clock,
}

impl Drop for EdgeRequest {
    fn drop(&mut self) {
        if self.clock.inner.edge_requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.clock.inner.edge_idle.notify_waiters();
        }
    }
}

struct ResumeOnDrop;

impl Drop for ResumeOnDrop {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the host's date enters: wall pace begins at it"
)]
fn host_date() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::run;

    #[test]
    fn virtual_time_starts_at_the_epoch_and_passes_at_once() {
        run(Pace::Virtual, 1, |world| async move {
            assert_eq!(world.clock().now().to_string(), "2026-01-01T00:00:00Z");
            tokio::time::sleep(Duration::from_secs(40)).await;
            assert_eq!(world.clock().now().to_string(), "2026-01-01T00:00:40Z");
        });
    }

    #[test]
    fn fast_forward_fires_each_timer_on_the_way_in_wall_pace() {
        run(Pace::Wall, 1, |world| async move {
            let (sender, mut ticks) = tokio::sync::mpsc::unbounded_channel();
            let clock = world.clock().clone();
            crate::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    let _ = sender.send(clock.elapsed().as_secs());
                }
            });
            world.clock().fast_forward(Duration::from_secs(45)).await;
            let mut seen = Vec::new();
            while let Ok(tick) = ticks.try_recv() {
                seen.push(tick);
            }
            assert_eq!(seen, [10, 20, 30, 40]);
        });
    }

    #[test]
    fn a_date_shift_moves_dates_but_no_timer() {
        run(Pace::Virtual, 1, |world| async move {
            world.clock().shift_date(SignedDuration::from_hours(24 * 366));
            assert_eq!(world.clock().now().to_string(), "2027-01-02T00:00:00Z");
            assert_eq!(world.clock().elapsed(), Duration::ZERO);
        });
    }
}
