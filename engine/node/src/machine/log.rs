//! What containers printed, and the kubelet's answers to `kubectl logs`.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodStatus;
use labkit_client::{Body, Chunk};
use tokio::sync::watch;

use super::Machine;

/// The oldest lines go first, as log rotation has it.
const LINES_MAX: usize = 10_000;

/// What of a log is wanted. Counterpart: `PodLogOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    /// The log of the container before the last restart.
    pub previous: bool,
    pub tail_lines: Option<i64>,
    pub since_seconds: Option<i64>,
    pub timestamps: bool,
}

/// Why there is no log. Texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("pod does not exist")]
    NoPod,
    #[error("container \"{container}\" in pod \"{pod}\" is not available")]
    NoContainer { container: String, pod: String },
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}")]
    Waiting { container: String, pod: String, reason: String },
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious { container: String, pod: String },
}

/// The log of one run of a container.
#[derive(Debug, Clone)]
pub(super) struct Log {
    lines: VecDeque<(Timestamp, String)>,
    /// How many lines were dropped at the front.
    dropped: usize,
    /// Changes with each line and with the end of the container.
    changed: watch::Sender<()>,
    ended: bool,
}

impl Default for Log {
    fn default() -> Log {
        Log { lines: VecDeque::new(), dropped: 0, changed: watch::Sender::new(()), ended: false }
    }
}

impl Log {
    pub fn push(&mut self, at: Timestamp, line: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back((at, line));
        self.changed.send_replace(());
    }

    pub fn end(&mut self) {
        self.ended = true;
        self.changed.send_replace(());
    }

    /// The lines from number `from` on that are young enough, and the number of the next one.
    fn read(&self, from: usize, oldest: Option<Timestamp>, timestamps: bool) -> (String, usize) {
        let mut text = String::new();
        for (at, line) in self.lines.iter().skip(from.saturating_sub(self.dropped)) {
            if oldest.is_some_and(|oldest| *at < oldest) {
                continue;
            }
            if timestamps {
                let _a_string_takes_everything = write!(text, "{at:.9} ");
            }
            text.push_str(line);
            text.push('\n');
        }
        (text, self.dropped + self.lines.len())
    }
}

impl Machine {
    /// A container's log, as the kubelet's port serves it.
    pub fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: &LogOptions,
    ) -> Result<Body, LogError> {
        let (uid, id) = self.find_log(namespace, pod, container, options.previous)?;
        let now = self.world().clock().now();
        let oldest = options
            .since_seconds
            .and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        let missing = || LogError::NoContainer { container: container.to_owned(), pod: pod.to_owned() };
        let (text, next) = self
            .with_log(&uid, &id, |log| {
                let tail = options.tail_lines.and_then(|lines| usize::try_from(lines).ok());
                let skipped = tail.map_or(0, |tail| log.lines.len().saturating_sub(tail));
                log.read(log.dropped + skipped, oldest, options.timestamps)
            })
            .ok_or_else(missing)?;
        if !options.follow {
            return Ok(Body::Full(Bytes::from(text)));
        }
        Ok(Body::Stream(Box::pin(self.follow(uid, id, text, next, options.timestamps))))
    }

    fn follow(
        &self,
        uid: String,
        id: String,
        first: String,
        next: usize,
        timestamps: bool,
    ) -> impl futures::Stream<Item = Chunk> + Send + use<> {
        let machine = self.clone();
        futures::stream::unfold((first, next), move |(text, next)| {
            let (machine, uid, id) = (machine.clone(), uid.clone(), id.clone());
            async move {
                let (mut text, mut next) = (text, next);
                while text.is_empty() {
                    let (fresh, after, ended, mut changed) = machine.with_log(&uid, &id, |log| {
                        let (fresh, after) = log.read(next, None, timestamps);
                        (fresh, after, log.ended, log.changed.subscribe())
                    })?;
                    if fresh.is_empty() {
                        if ended {
                            return None;
                        }
                        changed.changed().await.ok()?;
                    }
                    (text, next) = (fresh, after);
                }
                Some((Chunk::from(Bytes::from(text)), (String::new(), next)))
            }
        })
    }

    fn with_log<T>(&self, uid: &str, id: &str, read: impl FnOnce(&Log) -> T) -> Option<T> {
        let state = self.locked();
        let container = state.pods.get(uid)?.containers.iter().find(|container| container.id == id)?;
        Some(read(&container.log))
    }

    /// The uid of the pod and the id of the run whose log is wanted.
    fn find_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<(String, String), LogError> {
        let state = self.locked();
        let named = |key: &labkit_api::ObjectKey| key.namespace == namespace && key.name == pod;
        let reported = state.reported.iter().find(|(_, (key, _))| named(key));
        let running = state.pods.iter().find(|(_, known)| named(&known.id.key));
        let uid = reported.map(|(uid, _)| uid).or(running.map(|(uid, _)| uid)).ok_or(LogError::NoPod)?;
        let known = state.pods.get(uid).into_iter().flat_map(|pod| &pod.containers);
        let mut runs = known.filter(|run| run.name == container && run.has_run()).rev();
        let run = if previous { runs.nth(1) } else { runs.next() };
        let (container, pod) = (container.to_owned(), pod.to_owned());
        match run {
            Some(run) => Ok((uid.clone(), run.id.clone())),
            None if previous => Err(LogError::NoPrevious { container, pod }),
            None => match reported.and_then(|(_, (_, status))| waiting_reason(status, &container)) {
                Some(reason) => Err(LogError::Waiting { container, pod, reason }),
                None => Err(LogError::NoContainer { container, pod }),
            },
        }
    }
}

fn waiting_reason(status: &PodStatus, container: &str) -> Option<String> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let own = all.into_iter().find(|status| status.name == container)?;
    own.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

/// As `date` prints it.
pub(super) fn date(now: Timestamp) -> String {
    jiff::fmt::strtime::format("%a %b %e %H:%M:%S UTC %Y", now).unwrap_or_else(|_| now.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let mut log = Log::default();
        for second in 0..3 {
            let at = Timestamp::from_second(second).unwrap();
            log.push(at, format!("line {second}"));
        }
        log
    }

    #[test]
    fn lines_are_read_from_a_number_and_an_age() {
        assert_eq!(log().read(1, None, false), ("line 1\nline 2\n".to_owned(), 3));
        let oldest = Timestamp::from_second(2).unwrap();
        assert_eq!(log().read(0, Some(oldest), true).0, "1970-01-01T00:00:02.000000000Z line 2\n");
        assert_eq!(date(oldest), "Thu Jan  1 00:00:02 UTC 1970");
    }

    #[test]
    fn old_lines_are_dropped_without_renumbering_the_rest() {
        let mut log = log();
        for _ in 0..LINES_MAX {
            log.push(Timestamp::UNIX_EPOCH, "new".to_owned());
        }
        assert_eq!(log.read(LINES_MAX + 2, None, false), ("new\n".to_owned(), LINES_MAX + 3));
    }

    #[test]
    fn errors_read_as_upstream() {
        let waiting =
            LogError::Waiting { container: "c".into(), pod: "p".into(), reason: "ContainerCreating".into() };
        assert_eq!(
            waiting.to_string(),
            "container \"c\" in pod \"p\" is waiting to start: ContainerCreating"
        );
    }
}
