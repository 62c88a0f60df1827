//! The server in process, in virtual time, on a store of one member.

mod access;
mod aggregation;
mod custom;
mod custom_versions;
mod deletion;
mod every_kind;
mod hostile;
mod kinds;
#[cfg(feature = "edge")]
mod kubectl;
#[cfg(feature = "edge")]
mod kubectl_kinds;
mod lists;
mod node_access;
mod objects;
mod patches;
mod protocol;
mod reads;
mod replicas;
mod streams;
mod watches;
mod wording;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use labkit_api::{Status, UserInfo};
use labkit_client::{Body, Chunk, Input, Output, PortRequest, Request, Response, Session};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_sim::{Component, Pace, World};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{Backends, KubeletError, Kubelets, LogRequest, Server, ServerConfig, SessionRequest};

/// Kubelets whose every container has said one line.
#[derive(Debug)]
struct OneLiners;

impl Kubelets for OneLiners {
    fn container_logs(&self, node: &str, request: LogRequest) -> BoxFuture<'static, Result<Body, Status>> {
        let line = format!("{} on {node}\n", request.container);
        async move { Ok(Body::Full(line.into())) }.boxed()
    }

    /// A process that says its command and then what it hears.
    fn open_session(
        &self,
        node: &str,
        request: SessionRequest,
    ) -> BoxFuture<'static, Result<Session, KubeletError>> {
        if node != "worker1" {
            let why = "connect: connection refused";
            return async move { Err(KubeletError::Dial { address: "10.0.0.12:10250".to_owned(), why }) }
                .boxed();
        }
        async move {
            let (session, mut process) = Session::pair();
            labkit_sim::spawn(async move {
                let words = request.command.unwrap_or_default().join(" ");
                let _gone = process.output.send(Output::Stdout(words.into())).await;
                while let Some(Input::Stdin(heard)) = process.input.recv().await {
                    let _gone = process.output.send(Output::Stdout(heard)).await;
                }
                let _gone = process.output.send(Output::End(Ok(3))).await;
            });
            Ok(session)
        }
        .boxed()
    }

    fn pod_ports(
        &self,
        node: &str,
        _: &str,
        _: &str,
    ) -> BoxFuture<'static, Result<mpsc::Sender<PortRequest>, KubeletError>> {
        let message = format!("pod not found on {node}");
        async move { Err(KubeletError::Refused { code: 404, message }) }.boxed()
    }
}

/// One pod, which lists one resource and echoes the path and the user of everything else.
impl Backends for OneLiners {
    fn request(
        &self,
        address: IpAddr,
        port: u16,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, String>> {
        let answer = match (address.to_string().as_str(), request.uri().path()) {
            ("10.244.1.9", "/apis/metrics.k8s.io/v1beta1") => json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
                "resources": [{"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]}],
            }),
            ("10.244.1.9", path) => {
                let user = request.extensions().get::<UserInfo>().map(|user| user.name.clone());
                json!({"path": path, "user": user})
            }
            _ => {
                let refused = format!("dial tcp {address}:{port}: connect: connection refused");
                return async move { Err(refused) }.boxed();
            }
        };
        let response = http::Response::builder().header("content-type", "application/json");
        let response = response.body(Body::Full(answer.to_string().into())).unwrap();
        async move { Ok(response) }.boxed()
    }

    fn healthz(&self, component: &str) -> BoxFuture<'static, Result<(), String>> {
        let health = if component == "scheduler" { Ok(()) } else { Err("connection refused".to_owned()) };
        async move { health }.boxed()
    }
}

/// A server and its store.
pub(crate) struct Lab {
    pub world: World,
    pub etcd: Etcd,
    pub component: Component,
    pub server: Server,
}

pub(crate) fn config(etcd: &Etcd) -> ServerConfig {
    ServerConfig {
        etcd: etcd.client("apiserver").into(),
        kubelets: Arc::new(OneLiners),
        backends: Arc::new(OneLiners),
        service_cluster_ip_range: "10.96.0.0/12".to_owned(),
        event_ttl: Duration::from_secs(3600),
        etcd_compaction_interval: Duration::from_secs(300),
        public_address: None,
        access: crate::Access::default(),
    }
}

/// Boots, runs the test, and fails it if any component panicked.
pub(crate) fn lab<F, Fut>(body: F)
where
    F: FnOnce(Arc<Lab>) -> Fut,
    Fut: Future<Output = ()>,
{
    lab_of(1, body);
}

pub(crate) fn lab_of<F, Fut>(members: u8, body: F)
where
    F: FnOnce(Arc<Lab>) -> Fut,
    Fut: Future<Output = ()>,
{
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members, ..EtcdConfig::default() }).await;
        let (component, server) = start(&world, &etcd).await;
        body(Arc::new(Lab { world: world.clone(), etcd, component, server })).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
}

pub(crate) async fn start(world: &World, etcd: &Etcd) -> (Component, Server) {
    let component = world.component("apiserver");
    let (inner, config) = (world.clone(), config(etcd));
    let server = component.spawn(async move { Server::start(&inner, config).await }).await.unwrap().unwrap();
    (component, server)
}

impl Lab {
    /// Sends any request as the administrator.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(UserInfo::new("kubernetes-admin", &["system:masters"]));
        let server = self.server.clone();
        self.component.spawn(async move { server.handle(request).await }).await.unwrap()
    }

    /// The code and the JSON of an answer.
    pub async fn json(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let content_type = match method {
            "PATCH" => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        let response = self.send(method, target, &[("content-type", content_type)], body).await;
        let code = response.status().as_u16();
        (code, serde_json::from_slice(&whole(response)).unwrap())
    }

    pub async fn get(&self, target: &str) -> Value {
        let (code, value) = self.json("GET", target, Value::Null).await;
        assert_eq!(code, 200, "{value}");
        value
    }

    pub async fn post(&self, target: &str, body: Value) -> Value {
        let (code, value) = self.json("POST", target, body).await;
        assert_eq!(code, 201, "{value}");
        value
    }

    pub async fn patch(&self, target: &str, body: Value) -> Value {
        let (code, value) = self.json("PATCH", target, body).await;
        assert_eq!(code, 200, "{value}");
        value
    }

    /// Checks that a request is refused with that code and message.
    #[track_caller]
    pub fn refused<'a>(
        &'a self,
        method: &'a str,
        target: &'a str,
        body: Value,
        code: u16,
        message: &'a str,
    ) -> impl Future<Output = Value> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let (found, status) = self.json(method, target, body).await;
            assert_eq!((found, status["message"].as_str()), (code, Some(message)), "at {at}: {status}");
            status
        }
    }

    /// Opens a watch.
    pub async fn watch(&self, target: &str) -> Events {
        let response = self.send("GET", target, &[("accept", "application/json")], "").await;
        assert_eq!(response.status(), 200);
        match response.into_body() {
            Body::Stream(chunks) => Events { chunks },
            Body::Full(bytes) => panic!("no stream: {}", String::from_utf8_lossy(&bytes)),
            body => panic!("no stream, but {body:?}"),
        }
    }
}

/// The events of a watch.
pub(crate) struct Events {
    chunks: std::pin::Pin<Box<dyn futures::Stream<Item = Chunk> + Send>>,
}

impl Events {
    pub async fn chunk(&mut self) -> Option<Chunk> {
        self.chunks.next().await
    }

    pub async fn next(&mut self) -> Option<Value> {
        let chunk = self.chunk().await?;
        assert!(chunk.bytes.ends_with(b"}\n"));
        Some(serde_json::from_slice(&chunk.bytes).unwrap())
    }

    /// `ADDED default/web`
    pub async fn line(&mut self) -> String {
        let Some(event) = self.next().await else { return "END".to_owned() };
        let meta = &event["object"]["metadata"];
        let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", event["type"].as_str().unwrap(), text("name")).trim().to_owned()
    }

    /// Whether nothing comes within a second.
    pub async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(1), self.chunk()).await.is_err()
    }
}

pub(crate) fn whole(response: Response) -> Bytes {
    match response.into_body().put_together() {
        Body::Full(bytes) => bytes,
        body => panic!("not whole: {body:?}"),
    }
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

pub(crate) fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}})
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}}})
}

pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
