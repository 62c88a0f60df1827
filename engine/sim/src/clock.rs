//! The only clock. Durations come from Tokio's timer, dates from an epoch that is added to it, so that
//! pausing Tokio's time pauses both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
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
    /// By component: how far its date is ahead of the world's.
    skews: std::sync::Mutex<BTreeMap<String, SignedDuration>>,
    /// Whether any is.
    skewed: AtomicBool,
    edge_requests: AtomicUsize,
    edge_idle: Notify,
    forwarding: Mutex<()>,
    /// Time jumps already, for the work of [`Clock::hurry`].
    hurrying: AtomicBool,
    frozen: std::sync::Mutex<Option<Stop>>,
    froze: Notify,
}

/// What keeps a frozen clock from running on by itself: Tokio does not jump to the next timer while a blocking
/// task is under way.
#[derive(Debug)]
struct Stop {
    release: mpsc::Sender<()>,
    parked: JoinHandle<()>,
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
                skews: std::sync::Mutex::default(),
                skewed: AtomicBool::new(false),
                edge_requests: AtomicUsize::new(0),
                edge_idle: Notify::new(),
                forwarding: Mutex::new(()),
                hurrying: AtomicBool::new(false),
                frozen: std::sync::Mutex::new(None),
                froze: Notify::new(),
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

    /// The world's date: what `date` would print on its machines. A component whose clock is skewed
    /// ([`Clock::set_skew`]) is told the date of that clock.
    pub fn now(&self) -> Timestamp {
        let now = self.date_at(self.elapsed());
        if !self.inner.skewed.load(Ordering::Relaxed) {
            return now;
        }
        let own = crate::tasks::current_component();
        let skew = own.map_or(SignedDuration::ZERO, |component| self.skew(component.name()));
        now.saturating_add(skew).expect("spans are absolute")
    }

    /// The fault: the date of a component is that far ahead of the world's, or behind. Its timers run as before. Zero
    /// heals. It outlives the component's process, as a machine's clock does.
    pub fn set_skew(&self, component: &str, skew: SignedDuration) {
        let mut skews = self.skews();
        match skew.is_zero() {
            true => skews.remove(component),
            false => skews.insert(component.to_owned(), skew),
        };
        self.inner.skewed.store(!skews.is_empty(), Ordering::Relaxed);
    }

    /// How far the date of a component is ahead of the world's.
    pub fn skew(&self, component: &str) -> SignedDuration {
        self.skews().get(component).copied().unwrap_or_default()
    }

    /// Whether the clock of any component is skewed.
    pub fn is_skewed(&self) -> bool {
        self.inner.skewed.load(Ordering::Relaxed)
    }

    fn skews(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, SignedDuration>> {
        self.inner.skews.lock().expect("no panic happens under this lock")
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
    /// no request from outside is in flight, so that nobody's time-out is cut short in mid-request. A frozen
    /// clock is frozen again afterwards.
    pub async fn fast_forward(&self, by: Duration) {
        if self.inner.hurrying.load(Ordering::Relaxed) {
            return tokio::time::sleep(by).await;
        }
        let _one_at_a_time = self.inner.forwarding.lock().await;
        let stop = self.stop().take();
        match (self.inner.pace, stop) {
            (_, Some(stop)) => {
                let _frozen_again_even_if_dropped = FreezeOnDrop(self);
                // The timer is set before the clock may run, or the clock would jump past it.
                tokio::join!(biased; tokio::time::sleep(by), stop.release());
            }
            (Pace::Virtual, None) => tokio::time::sleep(by).await,
            (Pace::Wall, None) => {
                self.edge_quiet().await;
                tokio::time::pause();
                let _resumed_even_if_dropped = ResumeOnDrop;
                tokio::time::sleep(by).await;
            }
        }
    }

    /// Does work for which nobody wants to wait, such as a lab's setup: in wall pace, too, time jumps to the next
    /// timer as soon as nothing can run, until the work is done.
    pub async fn hurry<T>(&self, work: impl Future<Output = T>) -> T {
        let _one_at_a_time = self.inner.forwarding.lock().await;
        if self.inner.pace == Pace::Virtual || self.is_frozen() {
            return work.await;
        }
        self.edge_quiet().await;
        self.inner.hurrying.store(true, Ordering::Relaxed);
        tokio::time::pause();
        let _resumed_even_if_dropped = ResumeOnDrop;
        let _calm_even_if_dropped = CalmOnDrop(self);
        work.await
    }

    /// Stops time for all components, in wall pace: what is asked is still answered, but no timer fires.
    /// `false` where it cannot be stopped, or has been.
    pub async fn freeze(&self) -> bool {
        let _not_while_forwarding = self.inner.forwarding.lock().await;
        if self.inner.pace == Pace::Virtual || self.is_frozen() {
            return false;
        }
        self.edge_quiet().await;
        tokio::time::pause();
        *self.stop() = Some(Stop::park());
        self.inner.froze.notify_waiters();
        true
    }

    /// Lets a frozen clock run again. `false` where it was not frozen.
    pub async fn thaw(&self) -> bool {
        let _not_while_forwarding = self.inner.forwarding.lock().await;
        let Some(stop) = self.stop().take() else { return false };
        tokio::time::resume();
        stop.release().await;
        true
    }

    pub fn is_frozen(&self) -> bool {
        self.stop().is_some()
    }

    /// Waits until the clock is frozen: for whoever waits for a short time that may now never pass.
    pub async fn frozen(&self) {
        loop {
            let froze = self.inner.froze.notified();
            if self.is_frozen() {
                return;
            }
            froze.await;
        }
    }

    fn stop(&self) -> std::sync::MutexGuard<'_, Option<Stop>> {
        self.inner.frozen.lock().expect("no panic happens under this lock")
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

impl Stop {
    fn park() -> Stop {
        let (release, released) = mpsc::channel();
        let parked = tokio::task::spawn_blocking(move || {
            // Ends when the sender goes, in whatever way.
            let _ = released.recv();
        });
        Stop { release, parked }
    }

    async fn release(self) {
        drop(self.release);
        // It only waited.
        let _ = self.parked.await;
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

struct FreezeOnDrop<'a>(&'a Clock);

impl Drop for FreezeOnDrop<'_> {
    fn drop(&mut self) {
        *self.0.stop() = Some(Stop::park());
    }
}

struct CalmOnDrop<'a>(&'a Clock);

impl Drop for CalmOnDrop<'_> {
    fn drop(&mut self) {
        self.0.inner.hurrying.store(false, Ordering::Relaxed);
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
    fn a_frozen_clock_answers_and_is_stepped() {
        run(Pace::Wall, 1, |world| async move {
            let (sender, mut ticks) = tokio::sync::mpsc::unbounded_channel();
            let clock = world.clock().clone();
            assert!(clock.freeze().await && !clock.freeze().await && clock.is_frozen());
            let began = clock.elapsed();
            let of_task = clock.clone();
            crate::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    let _ = sender.send((of_task.elapsed() - began).as_secs());
                }
            });
            let (mut one, mut other) = tokio::net::UnixStream::pair().unwrap();
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            for byte in 0..20 {
                one.write_u8(byte).await.unwrap();
                assert_eq!(other.read_u8().await.unwrap(), byte);
            }
            assert_eq!(clock.elapsed(), began, "what comes in from outside takes no time");
            clock.fast_forward(Duration::from_secs(25)).await;
            assert_eq!((clock.elapsed() - began).as_secs(), 25);
            clock.fast_forward(Duration::from_secs(1)).await;
            assert!(clock.is_frozen());
            assert_eq!((clock.elapsed() - began).as_secs(), 26);
            assert_eq!([ticks.try_recv(), ticks.try_recv()], [Ok(10), Ok(20)]);
            assert!(ticks.try_recv().is_err());
            assert!(clock.thaw().await && !clock.thaw().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!((clock.elapsed() - began).as_millis() < 27_000, "it runs on from where it stood");
        });
    }

    #[test]
    fn hurried_work_takes_no_real_time_and_may_fast_forward() {
        run(Pace::Wall, 1, |world| async move {
            let clock = world.clock().clone();
            let work = async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                clock.fast_forward(Duration::from_secs(60)).await;
                clock.elapsed().as_secs()
            };
            assert_eq!(clock.hurry(work).await, 3660);
            assert!(clock.freeze().await && clock.thaw().await, "time is as it was");
        });
    }

    #[test]
    fn virtual_time_does_not_freeze() {
        run(Pace::Virtual, 1, |world| async move {
            assert!(!world.clock().freeze().await && !world.clock().thaw().await);
        });
    }

    #[test]
    fn a_skewed_component_sees_another_date_and_the_same_timers() {
        run(Pace::Virtual, 1, |world| async move {
            let clock = world.clock().clone();
            clock.set_skew("etcd2", SignedDuration::from_mins(-10));
            let date = |name: &'static str| {
                let (component, clock) = (world.component(name), clock.clone());
                async move {
                    let asked = async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        clock.now().to_string()
                    };
                    component.spawn(asked).await.unwrap()
                }
            };
            assert_eq!(date("etcd1").await, "2026-01-01T00:00:01Z");
            assert_eq!(date("etcd2").await, "2025-12-31T23:50:02Z");
            clock.set_skew("etcd2", SignedDuration::ZERO);
            assert_eq!(date("etcd2").await, "2026-01-01T00:00:03Z");
            assert!(!clock.is_skewed());
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
