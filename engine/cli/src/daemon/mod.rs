//! A lab that is played live: the cluster in wall pace with its sockets, and the control socket beside it.
//! Everything runs on one thread and ends together. A reset ends the world and makes another one, with the same
//! seed, ports and files; the control socket stays open in between.

mod control;
mod idle;
mod targets;
mod verbs;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use labkit_cluster::{Cluster, ServeOptions, Served};
use labkit_lab::{LabFolder, Language, Query, Session, Snapshot, Text};
use labkit_sim::{Pace, World};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::control::Reply;
use crate::failure::{Exit, Failure, Outcome};
use crate::last_run;
use crate::screen::say;
use crate::state::{LabState, Running};

/// What the terminal that starts a lab is told. One JSON document a line, where a process tells another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Announcement {
    Ready(Ready),
    Failed { exit: Exit, message: String, next: Option<String> },
}

/// A lab that can be played.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    pub lab: String,
    pub title: Text,
    pub pid: u32,
    /// From the first component to the last open port.
    pub boot_ms: u64,
    /// `etcd × 3`
    pub components: Vec<String>,
    /// Variables for a shell.
    pub env: Vec<(String, String)>,
    /// A file with them.
    pub env_file: String,
    /// What went otherwise when a snapshot was restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
}

/// Which lab to run, and where it is recorded.
#[derive(Debug, Clone)]
pub struct Order {
    pub lab: LabFolder,
    /// The course's name in the record of progress.
    pub course: String,
    pub place: LabState,
    /// In the foreground the terminal's end ends the lab.
    pub foreground: bool,
    /// The seed of the lab's variants. All other chance is the machine's.
    pub variants: u64,
    /// Whose they are, where somebody was named.
    pub student: Option<String>,
    /// Where it begins, if not at the beginning.
    pub snapshot: Option<Snapshot>,
    /// Of the person who started it.
    pub language: Language,
}

/// What every request needs.
struct Live {
    order: Order,
    world: World,
    cluster: Cluster,
    session: Session,
    served: Served,
    env: Vec<(String, String)>,
    stop: Notify,
    reset: Notify,
    memory: Mutex<Memory>,
}

/// What was said so far.
#[derive(Debug, Default)]
struct Memory {
    /// Counts requests, for the idle watch.
    requests: u64,
    points: Option<u32>,
    /// The task whose text was shown last.
    current_task: usize,
    /// Counts faults that were injected by hand.
    faults: u32,
    /// The terminal that asked for a reset.
    reset_for: Option<UnixStream>,
    /// Where the next world begins.
    restore: Option<Snapshot>,
}

/// How a world ended.
enum End {
    Over(Exit),
    /// Another one follows.
    Reset(Before),
}

/// What stays when a lab is reset.
struct Before {
    listener: UnixListener,
    served: Served,
    /// Who waits for the new lab.
    caller: Option<UnixStream>,
    /// Where it begins.
    snapshot: Option<Snapshot>,
}

/// Runs a lab until it is told to end. `announce` is told when it can be played; if that fails, nobody waits
/// for the lab any more and it ends.
pub fn run(order: Order, running: Running, announce: impl FnOnce(&Ready) -> std::io::Result<()>) -> Outcome {
    // Keys are drawn from the seed: it must not be guessed.
    let seed = RandomState::new().hash_one(std::process::id());
    let (mut announce, mut before) = (Some(announce), None);
    let outcome = loop {
        let caller = before.as_ref().and_then(|before: &Before| before.caller.as_ref()?.try_clone().ok());
        let tell = |ready: &Ready| match (announce.take(), &caller) {
            (Some(announce), _) => announce(ready),
            (None, Some(caller)) => {
                // The lab is there, whether or not its caller still waits.
                let _ = reply(caller, &Reply::Done(serde_json::to_value(ready)?));
                Ok(())
            }
            (None, None) => Ok(()),
        };
        let before_it: Option<Before> = before.take();
        let snapshot = before_it.as_ref().map_or(&order.snapshot, |before| &before.snapshot).clone();
        let order = Order { snapshot, ..order.clone() };
        match labkit_sim::run(Pace::Wall, seed, |world| live(world, order, before_it, tell)) {
            Ok(End::Over(exit)) => break Ok(exit),
            Ok(End::Reset(then)) => before = Some(then),
            Err(failure) => {
                if let Some(caller) = caller {
                    let _ = reply(&caller, &Reply::from(failure.clone()));
                }
                break Err(failure);
            }
        }
    };
    drop(running);
    outcome
}

fn reply(mut caller: &UnixStream, reply: &Reply) -> std::io::Result<()> {
    caller.set_nonblocking(false)?;
    writeln!(caller, "{}", serde_json::to_string(reply)?)
}

async fn live(
    world: World,
    order: Order,
    before: Option<Before>,
    announce: impl FnOnce(&Ready) -> std::io::Result<()>,
) -> Result<End, Failure> {
    let mut ends = Ends::listen(order.foreground)?;
    let booted = async {
        let cluster = boot(&world, &order).await?;
        let (served, env) = serve(&cluster, &order, before.as_ref().map(|before| &before.served)).await?;
        let listener = control::listen(&order.place, before.map(|before| before.listener))?;
        let boot_ms = u64::try_from(world.clock().elapsed().as_millis()).unwrap_or(u64::MAX);
        let variants = order.snapshot.as_ref().map_or(order.variants, |snapshot| snapshot.seed);
        let session = Session::start(order.lab.clone(), cluster.clone(), variants).await;
        let trouble = match &order.snapshot {
            Some(snapshot) => session.restore(snapshot).await,
            None => Vec::new(),
        };
        Ok((cluster, served, env, listener, boot_ms, session, trouble))
    };
    let (cluster, served, env, listener, boot_ms, session, trouble) = tokio::select! {
        biased;
        () = ends.wait() => return Ok(End::Over(Exit::Passed)),
        booted = booted => booted?,
    };
    let ready = Ready {
        lab: order.place.name.clone(),
        title: order.lab.lab.title.clone(),
        pid: std::process::id(),
        boot_ms,
        components: components(&cluster),
        env: env.clone(),
        env_file: order.place.env().display().to_string(),
        trouble,
    };
    let memory = Mutex::default();
    let (stop, reset) = (Notify::new(), Notify::new());
    let live = Live { order, world, cluster, session, served, env, stop, reset, memory };
    let live = Arc::new(live);
    if announce(&ready).is_err() {
        return Ok(End::Over(Exit::Failed));
    }
    let is_reset = tokio::select! {
        biased;
        () = ends.wait() => false,
        () = live.stop.notified() => false,
        () = live.reset.notified() => true,
        () = idle::too_long(&live) => false,
        () = control::accept(&live, &listener) => false,
    };
    let history = live.session.history().await;
    last_run::keep(&live.session.told(&Query::default()), history.as_ref());
    if is_reset {
        let listener = listener.into_std();
        let listener =
            listener.map_err(|error| Failure::failed(format!("the lab's socket is lost: {error}")))?;
        let (caller, snapshot) = {
            let mut memory = live.memory();
            (memory.reset_for.take(), memory.restore.take())
        };
        return Ok(End::Reset(Before { listener, served: live.served.clone(), caller, snapshot }));
    }
    Ok(End::Over(if live.world.bugs().is_empty() { Exit::Passed } else { Exit::Bug }))
}

/// Reads a snapshot of a lab as it is now.
pub fn read_snapshot(language: Language, file: &Path, lab: &LabFolder) -> Result<Snapshot, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read the snapshot", file, &error))?;
    let snapshot: Snapshot = serde_json::from_slice(&bytes).map_err(|error| {
        let file = file.display();
        Failure::usage(say!(
            language,
            "{file} is no snapshot: {error}",
            "{file} 은(는) 스냅숏이 아닙니다: {error}"
        ))
    })?;
    if snapshot.lab != lab.name() || snapshot.digest != lab.digest() {
        let (own, name) = (&snapshot.lab, lab.name());
        let failure = Failure::usage(say!(
            language,
            "the snapshot was taken in another {own}: the files of {name} have changed since",
            "이 스냅숏은 다른 {own} 에서 떴습니다. 그 뒤로 {name} 의 파일이 바뀌었습니다"
        ));
        return Err(failure.next("labkit reset; labkit snapshot"));
    }
    Ok(snapshot)
}

async fn boot(world: &World, order: &Order) -> Result<Cluster, Failure> {
    let booted = Cluster::boot(world, &order.lab.lab.cluster).await;
    booted.map_err(|error| Failure::bug(format!("the lab's control plane did not start: {error}")))
}

/// Opens the ports and writes the files that clients need. After a reset the ports are those of before, so that
/// what terminals have exported goes on to work.
async fn serve(
    cluster: &Cluster,
    order: &Order,
    before: Option<&Served>,
) -> Result<(Served, Vec<(String, String)>), Failure> {
    let place = &order.place;
    let port = |url: &str| url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let etcd_ports: BTreeMap<String, u16> = before
        .into_iter()
        .flat_map(|served| &served.etcd_endpoints)
        .filter_map(|(member, url)| Some((member.clone(), port(url)?)))
        .collect();
    let options = ServeOptions {
        cluster_name: place.name.clone(),
        secure_port: before.and_then(|served| port(served.api_server_url.as_deref()?)),
        etcd_ports,
        ..ServeOptions::default()
    };
    let served = cluster.serve(&options).await;
    let served = served.map_err(|error| Failure::failed(format!("the lab's ports did not open: {error}")))?;
    let shown = |path: &Path| path.display().to_string();
    let mut env = Vec::new();
    let mut set = |name: &str, value: String| env.push((name.to_owned(), value));
    set("LABKIT_LAB", place.name.clone());
    if let Some(kubeconfig) = &served.kubeconfig {
        LabState::write_private(&place.kubeconfig(), kubeconfig)?;
        set("KUBECONFIG", shown(&place.kubeconfig()));
    }
    let etcd = place.etcd();
    let files = [
        ("ETCDCTL_CACERT", etcd.join("ca.crt"), &served.etcd_ca_pem),
        ("ETCDCTL_CERT", etcd.join("client.crt"), &served.etcd_cert_pem),
        ("ETCDCTL_KEY", etcd.join("client.key"), &served.etcd_key_pem),
    ];
    let endpoints: Vec<&str> = served.etcd_endpoints.iter().map(|(_, url)| url.as_str()).collect();
    set("ETCDCTL_API", "3".to_owned());
    set("ETCDCTL_ENDPOINTS", endpoints.join(","));
    for (name, path, pem) in files {
        LabState::write_private(&path, pem)?;
        set(name, shown(&path));
    }
    let exports = env.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
    LabState::write_private(&place.env(), &exports.collect::<String>())?;
    Ok((served, env))
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,_-=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// `etcd × 3`, `apiServer`: what was booted, in the order of the boot.
pub fn components(cluster: &Cluster) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for target in cluster.targets() {
        let target = target.to_string();
        let kind = target.split('/').next().unwrap_or_default();
        match counts.iter_mut().find(|(name, _)| name == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind.to_owned(), 1)),
        }
    }
    let counts = counts.into_iter().filter(|(kind, _)| kind != "kubelet");
    counts.map(|(kind, count)| if count == 1 { kind } else { format!("{kind} × {count}") }).collect()
}

/// The signals that end a lab, or a member.
pub struct Ends {
    signals: Vec<tokio::signal::unix::Signal>,
}

impl Ends {
    pub fn listen(foreground: bool) -> Result<Ends, Failure> {
        let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt()];
        if foreground {
            kinds.push(SignalKind::hangup());
        }
        let signals = kinds.into_iter().map(signal).collect::<Result<_, _>>();
        let signals =
            signals.map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
        Ok(Ends { signals })
    }

    /// Waits for the first of them.
    pub async fn wait(&mut self) {
        std::future::poll_fn(|context| {
            let came = self.signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

impl Live {
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic happens under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell_only_where_they_must() {
        assert_eq!(quoted("/home/a/.local/state/kubeconfig"), "/home/a/.local/state/kubeconfig");
        assert_eq!(quoted("/home/it's me"), r"'/home/it'\''s me'");
        assert_eq!(quoted(""), "''");
    }
}
