//! What containers printed, and the kubelet's answers to `kubectl logs`.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodStatus;
use labkit_client::{Body, Chunk};
use tokio::sync::{mpsc, watch};

use super::Machine;

/// A line that goes on beyond is two, as containerd has it.
const LINE_MAX: usize = 16 << 10;
/// Pieces that an attached client may be behind, before it is cut off.
const BEHIND_MAX: usize = 1024;
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
    pub since_time: Option<Timestamp>,
    /// After that many bytes the answer ends.
    pub limit_bytes: Option<i64>,
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
    /// A line whose end has not come.
    begun: Vec<u8>,
    /// Who is attached.
    listeners: Vec<mpsc::Sender<Bytes>>,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            lines: VecDeque::new(),
            dropped: 0,
            changed: watch::Sender::new(()),
            ended: false,
            begun: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

impl Log {
    /// A whole line.
    pub fn push(&mut self, at: Timestamp, line: String) {
        if !self.listeners.is_empty() {
            self.tell(format!("{line}\n").into());
        }
        self.keep(at, line);
    }

    /// What a process writes, in any pieces.
    pub fn write(&mut self, at: Timestamp, bytes: &[u8]) {
        self.tell(Bytes::copy_from_slice(bytes));
        for byte in bytes {
            if *byte != b'\n' {
                self.begun.push(*byte);
            }
            if *byte == b'\n' || self.begun.len() >= LINE_MAX {
                let line = std::mem::take(&mut self.begun);
                self.keep(at, String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    /// What is written from now on, until the container ends.
    pub fn listen(&mut self) -> mpsc::Receiver<Bytes> {
        let (listener, heard) = mpsc::channel(BEHIND_MAX);
        if !self.ended {
            self.listeners.push(listener);
        }
        heard
    }

    fn tell(&mut self, bytes: Bytes) {
        self.listeners.retain(|listener| listener.try_send(bytes.clone()).is_ok());
    }

    fn keep(&mut self, at: Timestamp, line: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back((at, line));
        self.changed.send_replace(());
    }

    pub fn end(&mut self, at: Timestamp) {
        self.ended = true;
        if !self.begun.is_empty() {
            let line = std::mem::take(&mut self.begun);
            self.keep(at, String::from_utf8_lossy(&line).into_owned());
        }
        self.listeners.clear();
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
            .and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok())
            .or(options.since_time);
        let missing = || LogError::NoContainer { container: container.to_owned(), pod: pod.to_owned() };
        let (mut text, next) = self
            .with_log(&uid, &id, |log| {
                let tail = options.tail_lines.and_then(|lines| usize::try_from(lines).ok());
                let skipped = tail.map_or(0, |tail| log.lines.len().saturating_sub(tail));
                log.read(log.dropped + skipped, oldest, options.timestamps)
            })
            .ok_or_else(missing)?;
        let left = options.limit_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        if !options.follow || text.len() >= left {
            // Text is cut anywhere, as upstream cuts it.
            let mut bytes = std::mem::take(&mut text).into_bytes();
            bytes.truncate(left);
            return Ok(Body::Full(Bytes::from(bytes)));
        }
        Ok(Body::Stream(Box::pin(self.follow(uid, id, (text, next, left), options.timestamps))))
    }

    fn follow(
        &self,
        uid: String,
        id: String,
        first: (String, usize, usize),
        timestamps: bool,
    ) -> impl futures::Stream<Item = Chunk> + Send + use<> {
        let machine = self.clone();
        futures::stream::unfold(first, move |(text, next, left)| {
            let (machine, uid, id) = (machine.clone(), uid.clone(), id.clone());
            async move {
                let (mut text, mut next) = (text, next);
                if left == 0 {
                    return None;
                }
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
                let mut bytes = text.into_bytes();
                bytes.truncate(left);
                let left = left - bytes.len();
                Some((Chunk::from(Bytes::from(bytes)), (String::new(), next, left)))
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
    fn pieces_become_lines_and_are_told_as_they_come() {
        let mut log = Log::default();
        let mut heard = log.listen();
        log.write(Timestamp::UNIX_EPOCH, b"/ # l");
        log.write(Timestamp::UNIX_EPOCH, b"s\nbin");
        log.end(Timestamp::UNIX_EPOCH);
        assert_eq!(log.read(0, None, false).0, "/ # ls\nbin\n");
        assert_eq!(heard.try_recv().unwrap(), &b"/ # l"[..]);
        assert_eq!(heard.try_recv().unwrap(), &b"s\nbin"[..]);
        assert!(heard.try_recv().is_err() && log.listen().try_recv().is_err());
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
