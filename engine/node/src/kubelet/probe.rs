//! Probes of one running container. Counterpart: `pkg/kubelet/prober`.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use labkit_client::EventType;
use tokio::sync::mpsc;

use super::event_sink::{ContainerRef, EventSink};
use crate::machine::{Connection, Machine};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

/// What a probe has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The startup probe succeeded, or there is none.
    Started,
    Ready(bool),
    /// The container is to be stopped, for this reason.
    Unhealthy(String),
}

/// One container that is probed.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub machine: Machine,
    pub events: EventSink,
    pub pod: Arc<Pod>,
    pub container: Container,
    /// The container's id.
    pub id: String,
    pub address: Option<Ipv4Addr>,
    pub started: Timestamp,
    /// Where verdicts go, each with the container's id.
    pub verdicts: mpsc::UnboundedSender<(String, Verdict)>,
}

impl Probed {
    /// Probes until the container is given up. The caller ends it with the container.
    pub async fn run(self) {
        if let Some(probe) = &self.container.startup_probe
            && !self.keep_probing(ProbeKind::Startup, probe).await
        {
            return;
        }
        self.say(Verdict::Started);
        let readiness = async {
            match &self.container.readiness_probe {
                Some(probe) => drop(self.keep_probing(ProbeKind::Readiness, probe).await),
                None => self.say(Verdict::Ready(true)),
            }
        };
        let liveness = async {
            if let Some(probe) = &self.container.liveness_probe {
                self.keep_probing(ProbeKind::Liveness, probe).await;
            }
        };
        futures::join!(readiness, liveness);
    }

    /// Returns true when a startup probe succeeded, false when the container is given up.
    async fn keep_probing(&self, kind: ProbeKind, probe: &Probe) -> bool {
        let or = |value: Option<i32>, default: i32| value.filter(|value| *value > 0).unwrap_or(default);
        self.sleep_until(or(probe.initial_delay_seconds, 0)).await;
        let period = Duration::from_secs(u64::try_from(or(probe.period_seconds, 10)).unwrap_or(10));
        let (mut in_a_row, mut last) = (0, None);
        let mut ready = false;
        loop {
            let answer = self.probe_once(probe).await;
            if let Answer::Failed(why) | Answer::Unknown(why) = &answer {
                self.unhealthy(kind, &answer, why);
            }
            let good = matches!(answer, Answer::Good);
            in_a_row = if last == Some(good) { in_a_row + 1 } else { 1 };
            last = Some(good);
            let threshold =
                if good { or(probe.success_threshold, 1) } else { or(probe.failure_threshold, 3) };
            if in_a_row >= threshold && !matches!(answer, Answer::Unknown(_)) {
                match (kind, good) {
                    (ProbeKind::Startup, true) => return true,
                    (ProbeKind::Startup | ProbeKind::Liveness, false) => {
                        let name = &self.container.name;
                        let probe = if kind == ProbeKind::Startup { "startup" } else { "liveness" };
                        self.say(Verdict::Unhealthy(format!(
                            "Container {name} failed {probe} probe, will be restarted"
                        )));
                        return false;
                    }
                    (ProbeKind::Liveness, true) => {}
                    (ProbeKind::Readiness, now) if now != ready => {
                        ready = now;
                        self.say(Verdict::Ready(now));
                    }
                    (ProbeKind::Readiness, _) => {}
                }
            }
            tokio::time::sleep(period).await;
        }
    }

    async fn sleep_until(&self, delay_seconds: i32) {
        let age = self.machine.world().clock().now().duration_since(self.started);
        let age = Duration::try_from(age).unwrap_or_default();
        let delay = Duration::from_secs(u64::try_from(delay_seconds).unwrap_or_default());
        tokio::time::sleep(delay.saturating_sub(age)).await;
    }

    async fn probe_once(&self, probe: &Probe) -> Answer {
        if let Some(exec) = &probe.exec {
            return self.exec(exec.command.as_deref().unwrap_or_default(), probe.timeout_seconds).await;
        }
        let Some(address) = self.address else { return Answer::Unknown("the pod has no address".to_owned()) };
        if let Some(get) = &probe.http_get {
            let Some(port) = self.port(&get.port) else { return no_port(&get.port) };
            let path = get.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            return match self.machine.http_get(address, port, &path) {
                Some((200..400, _)) => Answer::Good,
                Some((code, _)) => Answer::Failed(format!("HTTP probe failed with statuscode: {code}")),
                None => Answer::Failed(format!(
                    "Get \"http://{address}:{port}{path}\": {}",
                    refused(address, port)
                )),
            };
        }
        if let Some(socket) = &probe.tcp_socket {
            let Some(port) = self.port(&socket.port) else { return no_port(&socket.port) };
            return match self.machine.dial(address, port) {
                Connection::Open => Answer::Good,
                Connection::Refused => Answer::Failed(refused(address, port)),
            };
        }
        Answer::Unknown("gRPC is not spoken on this simulated node".to_owned())
    }

    /// Runs a command in the container; what it prints is why it failed.
    async fn exec(&self, command: &[String], timeout_seconds: Option<i32>) -> Answer {
        let seconds = timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1).max(1);
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let timeout = Duration::from_secs(seconds);
        match self.machine.exec_sync((uid, &self.id), command, timeout).await {
            Ok((0, _)) => Answer::Good,
            Ok((_, printed)) => Answer::Failed(printed),
            Err(why) if why.starts_with("command timed out") => Answer::Failed(why),
            Err(why) => Answer::Unknown(format!("rpc error: code = Unknown desc = {why}")),
        }
    }

    /// A port by its number, or by the name that the container gives it.
    fn port(&self, port: &IntOrString) -> Option<u16> {
        let number = match port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let named =
                    self.container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
                named.map_or_else(|| name.parse().ok(), |port| Some(port.container_port))?
            }
        };
        u16::try_from(number).ok()
    }

    fn unhealthy(&self, kind: ProbeKind, answer: &Answer, why: &str) {
        let failed = if matches!(answer, Answer::Unknown(_)) {
            "errored and resulted in unknown state"
        } else {
            "failed"
        };
        let container = ContainerRef { name: &self.container.name, list: "containers" };
        let message = format!("{kind:?} probe {failed}: {why}");
        self.events.container(&self.pod, container, EventType::Warning, "Unhealthy", message);
    }

    fn say(&self, verdict: Verdict) {
        let _the_worker_is_ending = self.verdicts.send((self.id.clone(), verdict));
    }
}

enum Answer {
    Good,
    Failed(String),
    Unknown(String),
}

fn refused(address: Ipv4Addr, port: u16) -> String {
    format!("dial tcp {address}:{port}: connect: connection refused")
}

fn no_port(port: &IntOrString) -> Answer {
    let port = match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    Answer::Unknown(format!("couldn't find port: {port}"))
}
