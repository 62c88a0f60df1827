//! Faults: one file each, one line in the list. A fault acts on links, components, disks and machines; the
//! components do not know of it.

mod clock;
mod disk;
mod kill;
mod link;
mod pause;
mod power;

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::SignedDuration;
use labkit_sim::{Disk, RuleId};

use crate::cluster::{BootError, Cluster};
use crate::process;
use crate::target::Target;

/// What a fault does, and to whom. Targets are names or roles (`etcd/leader`), links are `a | b, c`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Ends a process as SIGKILL does; what is on its disk stays.
    Kill(String),
    /// Stops a process as SIGSTOP does.
    Pause(String),
    /// Cuts a machine's power: its kubelet and every container.
    PowerOff(String),
    /// Kills a member of the store and loses what it had not synced to its disk.
    PowerLoss(String),
    /// Lets nothing pass between the groups.
    Partition(String),
    /// Makes each message between the groups take that much longer.
    Delay { link: String, by: Duration },
    /// Loses messages between the groups with that probability.
    Drop { link: String, probability: f64 },
    /// Makes each sync of a member's disk take that long.
    SlowDisk { target: String, by: Duration },
    /// Lets a member's disk take no more.
    FullDisk(String),
    /// Flips a byte in the midst of a member's log on its disk, which shows at its next start.
    CorruptByte(String),
    /// Sets the date of a component that far ahead of everybody else's, or behind.
    ClockSkew { target: String, by: SignedDuration },
}

/// Why a fault, or a stop or start, did not happen. The text says what to name instead.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("there is no {target} here; there are {}", known.join(", "))]
    UnknownTarget { target: String, known: Vec<String> },
    #[error("etcd has no leader now")]
    NoLeader,
    #[error("{0} is not running")]
    NotRunning(Target),
    #[error("{0} is running already")]
    AlreadyRunning(Target),
    #[error("{verb} goes for {wants}, not for {target}")]
    WrongKind { verb: &'static str, wants: &'static str, target: Target },
    #[error("a link is written `etcd1 | etcd2, etcd3`: two or more groups, not {0:?}")]
    BadLink(String),
    #[error("a probability is from 0 to 1, not {0}")]
    BadProbability(f64),
    #[error("{0} did not start again: {1}")]
    Restart(Target, BootError),
    #[error("{0} ended as soon as it was started: {1}")]
    EndedAtOnce(Target, String),
}

/// A fault that was injected. Healing takes it back.
#[derive(Debug)]
#[must_use = "a fault stays until it is healed"]
pub struct Injected {
    /// Whom it met: a resolved target, or the link.
    pub target: String,
    /// When, since the world began.
    pub at: Duration,
    cluster: Cluster,
    remedy: Remedy,
}

/// What heals a fault.
#[derive(Debug)]
enum Remedy {
    Start(Target),
    Resume(Target),
    RemoveRules(Vec<RuleId>),
    FastDisk(Disk),
    FreeDisk(Disk),
    MendByte { disk: Disk, file: String, offset: usize },
    SetClock(String),
}

impl Cluster {
    /// Injects a fault; roles are resolved now.
    pub fn inject<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async move {
            let at = self.world().clock().elapsed();
            let (target, remedy) = match fault {
                Fault::Kill(target) => kill::inject(self, target).await?,
                Fault::Pause(target) => pause::inject(self, target)?,
                Fault::PowerOff(target) => power::inject_off(self, target).await?,
                Fault::PowerLoss(target) => power::inject_loss(self, target).await?,
                Fault::Partition(link) => link::inject_partition(self, link)?,
                Fault::Delay { link, by } => link::inject_delay(self, link, *by)?,
                Fault::Drop { link, probability } => link::inject_drop(self, link, *probability)?,
                Fault::SlowDisk { target, by } => disk::inject_slow(self, target, *by)?,
                Fault::FullDisk(target) => disk::inject_full(self, target)?,
                Fault::CorruptByte(target) => disk::inject_corrupt(self, target)?,
                Fault::ClockSkew { target, by } => clock::inject(self, target, *by)?,
            };
            Ok(Injected { target, at, cluster: self.clone(), remedy })
        })
    }

    /// Stops a component until it is started again. Returns its full name.
    pub fn stop<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Target, FaultError>> {
        Box::pin(async move {
            let target = self.running(target)?;
            process::end(self, &target).await;
            Ok(target)
        })
    }

    /// Starts a component that was stopped or killed. Returns its full name.
    pub fn start<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Target, FaultError>> {
        Box::pin(async move {
            let target = self.resolve(target)?;
            if process::is_up(self, &target) {
                return Err(FaultError::AlreadyRunning(target));
            }
            process::start(self, &target)
                .await
                .map_err(|error| FaultError::Restart(target.clone(), error))?;
            let failure = match &target {
                Target::Etcd(member) => self.etcd().why_not_started(member),
                _ => None,
            };
            failure.map_or(Ok(target.clone()), |reason| Err(FaultError::EndedAtOnce(target, reason)))
        })
    }

    /// The component that a name or a role stands for now.
    pub fn resolve(&self, text: &str) -> Result<Target, FaultError> {
        if text == "etcd/leader"
            && let Some(etcd) = &self.inner.etcd
        {
            return etcd.leader().map(Target::Etcd).ok_or(FaultError::NoLeader);
        }
        let targets = self.targets();
        let found = targets.iter().find(|target| target.is_called(text));
        found.cloned().ok_or_else(|| {
            let roles = self.inner.etcd.iter().map(|_| "etcd/leader".to_owned());
            let known = roles.chain(targets.iter().map(Target::to_string)).collect();
            FaultError::UnknownTarget { target: text.to_owned(), known }
        })
    }

    fn running(&self, text: &str) -> Result<Target, FaultError> {
        let target = self.resolve(text)?;
        if process::is_up(self, &target) { Ok(target) } else { Err(FaultError::NotRunning(target)) }
    }

    /// A running member of the store, and its name.
    fn member(&self, verb: &'static str, text: &str) -> Result<(Target, String), FaultError> {
        match self.running(text)? {
            Target::Etcd(member) => Ok((Target::Etcd(member.clone()), member)),
            target => Err(FaultError::WrongKind { verb, wants: "a member of the store (etcd/...)", target }),
        }
    }
}

impl Injected {
    /// Takes the fault back: restarts what was killed, resumes, reconnects. What is up already stays up.
    pub fn heal(self) -> BoxFuture<'static, Result<(), FaultError>> {
        Box::pin(async move {
            let Injected { cluster, remedy, .. } = self;
            match remedy {
                Remedy::Start(target) => {
                    if process::is_up(&cluster, &target) {
                        return Ok(());
                    }
                    process::start(&cluster, &target)
                        .await
                        .map_err(|error| FaultError::Restart(target, error))?;
                }
                Remedy::Resume(Target::Etcd(member)) => {
                    cluster.etcd().resume(&member).expect("targets are members")
                }
                Remedy::Resume(target) => {
                    if let Some(component) = cluster.world().find(&target.component()) {
                        component.resume();
                    }
                }
                Remedy::RemoveRules(rules) => {
                    for rule in rules {
                        cluster.world().network().remove(rule);
                    }
                }
                Remedy::FastDisk(disk) => disk.set_sync_delay(Duration::ZERO),
                Remedy::FreeDisk(disk) => disk.set_full(false),
                // A segment that was removed since took the byte along.
                Remedy::SetClock(component) => {
                    cluster.world().clock().set_skew(&component, SignedDuration::ZERO)
                }
                Remedy::MendByte { disk, file, offset } => drop(disk.corrupt(&file, offset)),
            }
            Ok(())
        })
    }
}
