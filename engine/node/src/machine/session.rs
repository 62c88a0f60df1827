//! Sessions: a command that starts in a container, or the process that runs there. Counterpart: the CRI's
//! streaming server, `ExecSync`.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use labkit_client::{Output, Served, Session};
use labkit_sim::Component;
use tokio::sync::{mpsc, watch};

use super::process::KILLED;
use super::runtime::{Container, ContainerState, Settings, Signal, raise};
use super::{Machine, hex_id};
use crate::userland::{self, Files, Io, Sink, Stdin, Surroundings};

/// What a session is to be. Counterpart: `PodExecOptions`, `PodAttachOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// `None`: the container's own process.
    pub command: Option<Vec<String>>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// Why there is no session. Texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("pod does not exist")]
    NoPod,
    #[error("container not found ({0:?})")]
    NoContainer(String),
    #[error("pod not found ({0:?})")]
    NoSandbox(String),
}

impl SessionError {
    /// The code of the kubelet's answer.
    pub fn code(&self) -> u16 {
        if *self == SessionError::NoPod { 404 } else { 500 }
    }
}

/// A container that runs.
struct Place {
    uid: String,
    id: String,
    component: Component,
    settings: Settings,
    ended: watch::Receiver<bool>,
}

impl Machine {
    /// Opens a session with a container that runs.
    pub fn open_session(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: SessionOptions,
    ) -> Result<Session, SessionError> {
        let place = self.place(namespace, pod, container)?;
        let verb = if options.command.is_some() { "Exec" } else { "Attach" };
        self.record(verb, &format!("{namespace}/{pod}"), container, "");
        let (session, served) = Session::pair();
        let (machine, component) = (self.clone(), place.component.clone());
        match options.command.clone() {
            Some(command) => drop(component.spawn(exec(machine, place, command, options, served))),
            None => drop(component.spawn(attach(machine, place, options, served))),
        }
        Ok(session)
    }

    /// Runs a command to its end and returns its code and what it printed. `Err`: it did not run, or it took
    /// too long.
    pub(crate) async fn exec_sync(
        &self,
        (uid, id): (&str, &str),
        command: &[String],
        timeout: Duration,
    ) -> Result<(i32, String), String> {
        let gone = || "container not running".to_owned();
        let (component, settings) = {
            let mut state = self.locked();
            let component = state.component.clone();
            let container = state.container(uid, id).ok_or_else(gone)?;
            (component, container.settings.clone())
        };
        let (output, kept) = Sink::kept();
        let io = Io { stdin: Stdin::of(b""), stdout: output.clone(), stderr: output };
        let at = self.surroundings(uid, id, &settings, false, watch::channel(()).1).ok_or_else(gone)?;
        let command = command.to_vec();
        let exec_id = hex_id(&component);
        let running = component
            .spawn(async move { tokio::time::timeout(timeout, userland::run(&command, at, io)).await });
        match running.await {
            Ok(Ok(Ok(code))) => {
                let kept = kept.lock().expect("no panic happens under this lock");
                Ok((code, String::from_utf8_lossy(&kept).into_owned()))
            }
            Ok(Ok(Err(why))) => Err(format!("failed to exec in container: {}", start_failed(&exec_id, &why))),
            Ok(Err(_)) => Err(format!("command timed out after {}s", timeout.as_secs())),
            Err(_) => Err(gone()),
        }
    }

    fn place(&self, namespace: &str, pod: &str, container: &str) -> Result<Place, SessionError> {
        let state = self.locked();
        let named = |key: &labkit_api::ObjectKey| key.namespace == namespace && key.name == pod;
        let mut pods = state.pods.iter().filter(|(_, known)| named(&known.id.key)).peekable();
        if pods.peek().is_none() && !state.reported.values().any(|(key, _)| named(key)) {
            return Err(SessionError::NoPod);
        }
        let runs =
            |run: &&Container| run.name == container && matches!(run.state, ContainerState::Running { .. });
        let found = pods.find_map(|(uid, pod)| Some((uid, pod.containers.iter().find(runs)?)));
        let (uid, run) = found.ok_or_else(|| SessionError::NoContainer(container.to_owned()))?;
        Ok(Place {
            uid: uid.clone(),
            id: run.id.clone(),
            component: state.component.clone(),
            settings: run.settings.clone(),
            ended: run.ended.subscribe(),
        })
    }

    /// What a process finds around it in that container.
    fn surroundings(
        &self,
        uid: &str,
        id: &str,
        settings: &Settings,
        is_terminal: bool,
        interrupts: watch::Receiver<()>,
    ) -> Option<Surroundings> {
        let mut environment = settings.environment.clone();
        if is_terminal {
            environment.insert("TERM".to_owned(), "xterm".to_owned());
        }
        let now = self.world().clock().now();
        let mut state = self.locked();
        let address = state.pods.get(uid)?.address();
        let container = state.container(uid, id)?;
        let host = environment.get("HOSTNAME").map_or("", String::as_str);
        let files = container.files.get_or_init(|| fresh_files(host, address, now)).clone();
        let signal = container.signal.clone();
        Some(Surroundings {
            world: self.world().clone(),
            files,
            environment,
            working_directory: settings.working_directory.clone(),
            ids: settings.ids,
            is_terminal,
            interrupts,
            terminate: Arc::new(move || raise(&signal, Signal::Terminate)),
        })
    }

    /// The first process of a container that reads its stdin: its words, its place, its streams.
    pub(super) fn listening(&self, uid: &str, id: &str) -> Option<(Vec<String>, Surroundings, Io)> {
        let (settings, heard, interrupts) = {
            let mut state = self.locked();
            let container = state.container(uid, id)?;
            let heard = container.console.heard.take()?;
            (container.settings.clone(), heard, container.console.interrupts.subscribe())
        };
        let at = self.surroundings(uid, id, &settings, settings.tty, interrupts)?;
        let output = self.output(uid, id);
        let io = Io { stdin: Stdin::new(heard, settings.tty), stdout: output.clone(), stderr: output };
        Some((settings.listens?, at, io))
    }

    /// Where the first process writes.
    fn output(&self, uid: &str, id: &str) -> Sink {
        let (machine, uid, id) = (self.clone(), uid.to_owned(), id.to_owned());
        Sink::Log(Arc::new(move |bytes| {
            let now = machine.world().clock().now();
            if let Some(container) = machine.locked().container(&uid, &id) {
                container.log.write(now, bytes);
            }
        }))
    }

    fn close_stdin(&self, uid: &str, id: &str) {
        if let Some(container) = self.locked().container(uid, id) {
            container.console.stdin = None;
        }
    }
}

/// The files of a container that nobody has looked at: those that the kubelet makes.
fn fresh_files(host: &str, address: Option<Ipv4Addr>, now: Timestamp) -> Files {
    let files = Files::new(now);
    let mut hosts =
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            .to_owned();
    if let Some(address) = address {
        hosts.push_str(&format!("{address}\t{host}\n"));
    }
    files.seed("/etc/hosts", hosts.as_bytes(), now);
    files.seed("/etc/hostname", format!("{host}\n").as_bytes(), now);
    files.seed("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", now);
    files
}

fn start_failed(exec_id: &str, why: &str) -> String {
    format!("failed to start exec {exec_id:?}: {why}")
}

async fn exec(
    machine: Machine,
    mut place: Place,
    command: Vec<String>,
    options: SessionOptions,
    served: Served,
) {
    let Served { mut input, output } = served;
    let sink = |wanted: bool, is_stderr: bool| match wanted {
        true => Sink::Session { to: output.clone(), is_stderr, is_terminal: options.tty },
        false => Sink::Null,
    };
    let stdout = sink(options.stdout, false);
    let stderr = if options.tty { stdout.clone() } else { sink(options.stderr, true) };
    let (keys, stdin) = mpsc::channel::<Bytes>(64);
    let stdin = if options.stdin { Stdin::new(stdin, options.tty) } else { Stdin::of(b"") };
    let echo = options.tty.then(|| stdout.clone());
    let io = Io { stdin, stdout, stderr };
    let (interrupt, interrupts) = watch::channel(());
    let at = machine.surroundings(&place.uid, &place.id, &place.settings, options.tty, interrupts);
    let Some(at) = at else { return };
    let listening = async {
        if options.stdin {
            userland::listen(&mut input, keys, echo, &interrupt).await;
        }
        // What a client says beyond is not for this process.
        while input.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        biased;
        Ok(_) = place.ended.wait_for(|ended| *ended) => Ok(KILLED),
        ended = userland::run(&command, at, io) => ended,
        () = output.closed() => return,
        () = listening => return,
    };
    let end = end.map_err(|why| {
        let failed = start_failed(&hex_id(&place.component), &why);
        format!("error executing command in container: failed to exec in container: {failed}")
    });
    let _the_client_may_be_gone = output.send(Output::End(end)).await;
}

async fn attach(machine: Machine, place: Place, options: SessionOptions, served: Served) {
    let Served { mut input, output } = served;
    let (heard, stdin, interrupts) = {
        let mut state = machine.locked();
        let Some(container) = state.container(&place.uid, &place.id) else { return };
        let console = &container.console;
        (container.log.listen(), console.stdin.clone(), console.interrupts.clone())
    };
    let tty = place.settings.tty;
    let mut heard = heard;
    let listening = async {
        if let Some(stdin) = stdin.filter(|_| options.stdin) {
            let echo = tty.then(|| machine.output(&place.uid, &place.id));
            userland::listen(&mut input, stdin, echo, &interrupts).await;
            if place.settings.stdin_once {
                machine.close_stdin(&place.uid, &place.id);
            }
        }
        while input.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    let telling = async {
        while let Some(bytes) = heard.recv().await {
            let bytes = if tty { userland::for_terminal(&bytes) } else { bytes };
            if options.stdout && output.send(Output::Stdout(bytes)).await.is_err() {
                break;
            }
        }
    };
    let has_ended = tokio::select! {
        biased;
        () = telling => true,
        () = output.closed() => false,
        () = listening => false,
    };
    if options.stdin && place.settings.stdin_once {
        machine.close_stdin(&place.uid, &place.id);
    }
    if has_ended {
        let _the_client_may_be_gone = output.send(Output::End(Ok(0))).await;
    }
}
