//! Starting a pod's containers: back-off, image, creation, start. Counterpart: `startContainer`,
//! `images.EnsureImageExists`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use labkit_api::duration::format_duration;
use labkit_client::EventType::{self, Normal, Warning};
use tokio::time::Instant;

use super::event_sink::ContainerRef;
use super::plan::{Plan, as_container, last_run};
use super::pod_status::Waiting;
use super::pod_worker::{PodWorker, RELIST};
use crate::image_name::ImageName;
use crate::machine::{ContainerState, Settings};
use crate::program::{listening, program};
use crate::userland::PATH_DEFAULT;

/// A container that could not be started now; look again then.
struct Later(Instant);

impl PodWorker {
    /// Starts what the plan names. Returns when to look again at what could not be started.
    pub(super) async fn start_containers(&mut self, plan: &Plan) -> Option<Instant> {
        let spec = self.pod.spec.clone()?;
        let ephemeral: Vec<Container> =
            spec.ephemeral_containers.iter().flatten().map(as_container).collect();
        let ephemeral = plan.start_ephemeral.iter().filter_map(|index| ephemeral.get(*index));
        let init = plan.start_init.and_then(|index| spec.init_containers.as_ref()?.get(index));
        let main = plan.start.iter().filter_map(|index| spec.containers.get(*index));
        let all = ephemeral
            .map(|container| (container, "ephemeralContainers"))
            .chain(init.map(|container| (container, "initContainers")))
            .chain(main.map(|container| (container, "containers")));
        let mut again = None;
        for (container, list) in all {
            match self.start(container, list).await {
                Ok(()) => drop(self.waiting.remove(&container.name)),
                Err(Later(at)) => again = Some(again.map_or(at, |before: Instant| before.min(at))),
            }
        }
        again
    }

    async fn start(&mut self, container: &Container, list: &'static str) -> Result<(), Later> {
        let own = ContainerRef { name: &container.name, list };
        self.respect_restart_backoff(own)?;
        let image = self.ensure_image(container, own).await?;
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        let (command, arguments) = (words(&container.command), words(&container.args));
        let machine = self.kubelet.machine.clone();
        let declared = machine.image(&image);
        let mut settings = self.settings(container);
        let program = program(&declared, &command, &arguments, &settings.environment);
        if container.stdin == Some(true) {
            settings.listens = listening(&declared, &command, &arguments);
        }
        let made = machine.create_container(&self.id, &container.name, &image, (program, settings)).await;
        let Some(id) = made else { return Err(Later(Instant::now() + RELIST)) };
        self.tell(own, Normal, "Created", format!("Created container: {}", container.name));
        machine.start_container(&self.id, &id).await;
        self.tell(own, Normal, "Started", format!("Started container {}", container.name));
        Ok(())
    }

    /// What the container's processes find.
    fn settings(&self, container: &Container) -> Settings {
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        environment.insert("PATH".to_owned(), PATH_DEFAULT.to_owned());
        environment.insert("HOSTNAME".to_owned(), self.id.key.name.clone());
        environment.insert("HOME".to_owned(), "/root".to_owned());
        let declared = container.env.iter().flatten();
        environment
            .extend(declared.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))));
        let of_pod = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
        let group = own.and_then(|own| own.run_as_group).or(of_pod.and_then(|pod| pod.run_as_group));
        let spec = self.pod.spec.as_ref();
        let of_service_account = spec.and_then(|spec| spec.service_account_name.clone());
        Settings {
            environment,
            working_directory: container.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            ids: (user.unwrap_or_default(), group.unwrap_or_default()),
            tty: container.tty == Some(true),
            listens: None,
            stdin_once: container.stdin_once == Some(true),
            service_account: of_service_account.unwrap_or_else(|| "default".to_owned()),
        }
    }

    /// A container that ended waits longer each time before it is started again.
    fn respect_restart_backoff(&mut self, own: ContainerRef<'_>) -> Result<(), Later> {
        let view = self.kubelet.machine.pod(&self.id.uid);
        let Some(ContainerState::Exited { finished, .. }) = last_run(&view, own.name).map(|run| run.state)
        else {
            return Ok(());
        };
        let now = self.kubelet.now();
        let backoff = self.restarts.entry(own.name.to_owned()).or_default();
        match backoff.since_event(finished).filter(|(_, until)| *until > now) {
            None => {
                backoff.next(finished, now);
                Ok(())
            }
            Some((wait, until)) => {
                let pod = format!("{}_{}({})", self.id.key.name, self.id.key.namespace, self.id.uid);
                let wait = format_duration(wait);
                let message = format!("back-off {wait} restarting failed container={} pod={pod}", own.name);
                let waiting = Waiting { reason: "CrashLoopBackOff", message };
                Err(self.wait_for(own, waiting, until, |worker| {
                    let event = format!("Back-off restarting failed container {} in pod {pod}", own.name);
                    worker.tell(own, Warning, "BackOff", event);
                }))
            }
        }
    }

    async fn ensure_image(
        &mut self,
        container: &Container,
        own: ContainerRef<'_>,
    ) -> Result<ImageName, Later> {
        let text = container.image.clone().unwrap_or_default();
        let image = match ImageName::parse(&text) {
            Ok(image) => image,
            Err(error) => {
                let message = format!(
                    "Failed to apply default image tag \"{text}\": couldn't parse image name \"{text}\": {error}"
                );
                let waiting = Waiting { reason: "InvalidImageName", message: message.clone() };
                return Err(self.wait_for(own, waiting, Timestamp::MAX, |worker| {
                    worker.tell(own, Warning, "InspectFailed", message);
                    worker.tell(own, Warning, "Failed", "Error: InvalidImageName".to_owned());
                }));
            }
        };
        let machine = self.kubelet.machine.clone();
        let is_there = machine.images().contains_key(&image.to_string());
        let policy = container.image_pull_policy.as_deref();
        let is_latest = image.to_string().ends_with(":latest");
        let policy = policy.unwrap_or(if is_latest { "Always" } else { "IfNotPresent" });
        match (policy, is_there) {
            ("Never", false) => {
                let message = format!("Container image \"{text}\" is not present with pull policy of Never");
                let waiting = Waiting { reason: "ErrImageNeverPull", message: message.clone() };
                Err(self.wait_for(own, waiting, Timestamp::MAX, |worker| {
                    worker.tell(own, Warning, "ErrImageNeverPull", message);
                    worker.tell(own, Warning, "Failed", "Error: ErrImageNeverPull".to_owned());
                }))
            }
            ("Never" | "IfNotPresent", true) => {
                self.tell(
                    own,
                    Normal,
                    "Pulled",
                    format!("Container image \"{text}\" already present on machine"),
                );
                Ok(image)
            }
            _ => self.pull(own, &text, &image).await.map(|()| image),
        }
    }

    async fn pull(&mut self, own: ContainerRef<'_>, text: &str, image: &ImageName) -> Result<(), Later> {
        let now = self.kubelet.now();
        if let Some((backoff, error)) = self.pulls.get(text)
            && let Some((_, until)) = backoff.since_try(now).filter(|(_, until)| *until > now)
        {
            let event = format!("Back-off pulling image \"{text}\"");
            let waiting =
                Waiting { reason: "ImagePullBackOff", message: format!("{event}: ErrImagePull: {error}") };
            return Err(self.wait_for(own, waiting, until, |worker| {
                worker.tell(own, Normal, "BackOff", event);
                worker.tell(own, Warning, "Failed", "Error: ImagePullBackOff".to_owned());
            }));
        }
        self.tell(own, Normal, "Pulling", format!("Pulling image \"{text}\""));
        let began = Instant::now();
        match self.kubelet.machine.clone().pull_image(image).await {
            Ok(size) => {
                let took = format_duration(Duration::from_millis(began.elapsed().as_millis() as u64));
                let message = format!(
                    "Successfully pulled image \"{text}\" in {took} ({took} including waiting). Image size: {size} bytes."
                );
                self.tell(own, Normal, "Pulled", message);
                self.pulls.remove(text);
                Ok(())
            }
            Err(error) => {
                self.tell(own, Warning, "Failed", format!("Failed to pull image \"{text}\": {error}"));
                self.tell(own, Warning, "Failed", "Error: ErrImagePull".to_owned());
                let now = self.kubelet.now();
                let (backoff, last) = self.pulls.entry(text.to_owned()).or_default();
                backoff.next(now, now);
                last.clone_from(&error);
                self.waiting.insert(own.name.to_owned(), Waiting { reason: "ErrImagePull", message: error });
                Err(Later(Instant::now() + RELIST))
            }
        }
    }

    /// Notes why a container waits and until when. What is new is told, and reported at the next look.
    fn wait_for(
        &mut self,
        own: ContainerRef<'_>,
        waiting: Waiting,
        until: Timestamp,
        tell: impl FnOnce(&mut PodWorker),
    ) -> Later {
        let now = self.kubelet.now();
        let is_new = self.waiting.get(own.name) != Some(&waiting);
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        // A year is as good as never, and within what a timer can count.
        let left = left.min(Duration::from_secs(365 * 24 * 3600));
        if !is_new {
            return Later(Instant::now() + left);
        }
        self.waiting.insert(own.name.to_owned(), waiting);
        tell(self);
        Later(Instant::now() + left.min(RELIST))
    }

    fn tell(&self, own: ContainerRef<'_>, event_type: EventType, reason: &'static str, message: String) {
        self.kubelet.events.container(&self.pod, own, event_type, reason, message);
    }
}
