//! The client: verbs on dynamic objects. Counterpart: client-go's dynamic client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method};
use labkit_api::{Object, ObjectList, Resource, Status, UserInfo};
use labkit_sim::World;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::link::{ApiServers, Link};
use crate::service::{Body, Response};
use crate::session::Pipe;
use crate::watch::WatchStream;

/// Why a request gave no object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The API server's answer.
    #[error("{0}")]
    Api(Box<Status>),
    /// No server listens, or the connection broke: the request may or may not have been carried out.
    #[error("{0}")]
    Unreachable(String),
    #[error("context deadline exceeded: no answer within {after:?}")]
    Timeout { after: Duration },
    /// The answer is not what the protocol promises: a bug on the other side.
    #[error("unexpected answer: {0}")]
    Malformed(String),
}

impl Error {
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Api(status) => Some(status),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    pub fn is_expired(&self) -> bool {
        self.status().is_some_and(Status::is_expired)
    }
}

/// What to list or watch. Selectors in their text form; empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListParams {
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
    /// Empty: the newest. `0`: what the cache has.
    pub resource_version: String,
}

/// How a patch's body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Merge,
    Strategic,
}

impl PatchKind {
    fn content_type(self) -> &'static str {
        match self {
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// Options of a delete. `None` leaves the server's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    /// `Background`, `Foreground`, `Orphan`.
    pub propagation_policy: Option<String>,
    /// Refuse if the object has another uid.
    pub uid: Option<String>,
    /// Refuse if the object has another resourceVersion.
    pub resource_version: Option<String>,
}

/// A client of the API server, as one user from one component. Clones share nothing mutable.
#[derive(Debug, Clone)]
pub struct Client {
    link: Link,
    managed_fields: bool,
}

/// With this header objects come without `metadata.managedFields`. Not upstream's; components keep no such list, and
/// reading it would take as long as reading the rest.
pub const OMIT_MANAGED_FIELDS: &str = "x-labkit-omit-managed-fields";

impl Client {
    /// `from` is the component's name in the trace, `user_agent` what it calls itself.
    pub fn new(
        world: &World,
        from: &str,
        user: UserInfo,
        user_agent: &str,
        servers: Arc<dyn ApiServers>,
    ) -> Client {
        let link = Link {
            world: world.clone(),
            from: from.into(),
            user: Arc::new(user),
            user_agent: user_agent.into(),
            servers,
            timeout: Duration::from_secs(60),
        };
        Client { link, managed_fields: false }
    }

    /// The same client under another user agent: one per controller of a process.
    pub fn with_user_agent(&self, user_agent: &str) -> Client {
        Client {
            link: Link { user_agent: user_agent.into(), ..self.link.clone() },
            managed_fields: self.managed_fields,
        }
    }

    /// The same client as another user.
    pub fn with_user(&self, user: UserInfo) -> Client {
        Client {
            link: Link { user: Arc::new(user), ..self.link.clone() },
            managed_fields: self.managed_fields,
        }
    }

    /// The same client with another deadline for each request that is no watch.
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client { link: Link { timeout, ..self.link.clone() }, managed_fields: self.managed_fields }
    }

    /// The same client, which gets objects with `metadata.managedFields`.
    pub fn with_managed_fields(&self) -> Client {
        Client { managed_fields: true, ..self.clone() }
    }

    pub fn world(&self) -> &World {
        &self.link.world
    }

    /// The component that this client belongs to.
    pub fn from(&self) -> &str {
        &self.link.from
    }

    pub fn user_agent(&self) -> &str {
        &self.link.user_agent
    }

    pub async fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Object, Error> {
        let path = resource.path(namespace, Some(name));
        self.object(Method::GET, &path, None, "").await
    }

    pub async fn list(&self, resource: &Resource, params: &ListParams) -> Result<ObjectList, Error> {
        #[derive(Deserialize)]
        struct List {
            metadata: ListMeta,
            #[serde(default)]
            items: Vec<Object>,
        }
        let bytes = self.list_bytes(resource, params).await?;
        let list: List = parse(&bytes)?;
        Ok(ObjectList { items: list.items, resource_version: list.metadata.resource_version })
    }

    pub(crate) async fn list_bytes(&self, resource: &Resource, params: &ListParams) -> Result<Bytes, Error> {
        let path = format!("{}{}", resource.path(&params.namespace, None), params.query(&[]));
        self.bytes(Method::GET, &path, None, "").await
    }

    /// Watches from `resource_version` on (empty or `0`: the present state first).
    pub async fn watch(
        &self,
        resource: &Resource,
        params: &ListParams,
        resource_version: &str,
    ) -> Result<WatchStream, Error> {
        let extra =
            [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", resource_version)];
        let path = format!("{}{}", resource.path(&params.namespace, None), params.query(&extra));
        let response = self.link.send(self.request(Method::GET, &path, None, "")).await?;
        if !response.status().is_success() {
            return Err(failure(response).await);
        }
        match response.into_body() {
            Body::Stream(chunks) => Ok(WatchStream::new(chunks)),
            Body::Full(bytes) => Err(Error::Malformed(String::from_utf8_lossy(&bytes).into_owned())),
            Body::Pieces(_) => Err(Error::Malformed("a list that nobody asked for".to_owned())),
            Body::Upgraded(_) => Err(Error::Malformed("an upgrade that nobody asked for".to_owned())),
        }
    }

    pub async fn create(&self, resource: &Resource, object: &Object) -> Result<Object, Error> {
        let path = resource.path(&object.metadata.namespace, None);
        self.object(Method::POST, &path, Some(object.to_value()), JSON).await
    }

    /// Posts to a subresource, such as a pod's `binding` or `eviction`.
    pub async fn create_subresource(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: Value,
    ) -> Result<Value, Error> {
        let path = format!("{}/{subresource}", resource.path(namespace, Some(name)));
        parse(&self.bytes(Method::POST, &path, Some(encoded(&body)), JSON).await?)
    }

    /// Replaces an object; with a resourceVersion in it, only if that is still the newest.
    pub async fn replace(&self, resource: &Resource, object: &Object) -> Result<Object, Error> {
        let path = resource.path(&object.metadata.namespace, Some(&object.metadata.name));
        self.object(Method::PUT, &path, Some(object.to_value()), JSON).await
    }

    pub async fn replace_subresource(
        &self,
        resource: &Resource,
        subresource: &str,
        object: &Object,
    ) -> Result<Object, Error> {
        let path = resource.path(&object.metadata.namespace, Some(&object.metadata.name));
        self.object(Method::PUT, &format!("{path}/{subresource}"), Some(object.to_value()), JSON).await
    }

    /// Patches an object, or one of its subresources.
    pub async fn patch(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Object, Error> {
        parse(&self.patched(resource, namespace, name, subresource, kind, patch).await?)
    }

    pub(crate) async fn patched(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        kind: PatchKind,
        patch: Value,
    ) -> Result<Bytes, Error> {
        let mut path = resource.path(namespace, Some(name));
        if let Some(subresource) = subresource {
            path = format!("{path}/{subresource}");
        }
        self.bytes(Method::PATCH, &path, Some(encoded(&patch)), kind.content_type()).await
    }

    /// Deletes an object. Returns what the server answered: the object, or a Status.
    pub async fn delete(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Value, Error> {
        let path = resource.path(namespace, Some(name));
        parse(&self.bytes(Method::DELETE, &path, Some(encoded(&options.to_value())), JSON).await?)
    }

    pub async fn delete_collection(
        &self,
        resource: &Resource,
        params: &ListParams,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        let path = format!("{}{}", resource.path(&params.namespace, None), params.query(&[]));
        self.bytes(Method::DELETE, &path, Some(encoded(&options.to_value())), JSON).await.map(drop)
    }

    /// Any request; the answer's code and its whole body.
    pub async fn raw(
        &self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> Result<(u16, Bytes), Error> {
        let body = body.map(|body| encoded(&body));
        let response = self.link.send(self.request(method, target, body, JSON)).await?;
        let code = response.status().as_u16();
        Ok((code, whole(response.into_body()).await))
    }

    /// Asks for a connection that speaks `protocol` in WebSocket's messages, such as a pod's `exec`. Its
    /// messages are not records, and the link's rules do not hold them up.
    pub async fn upgrade(&self, target: &str, protocol: &str) -> Result<Pipe, Error> {
        let mut request = self.request(Method::GET, target, None, "");
        let headers = request.headers_mut();
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        let protocol =
            HeaderValue::from_str(protocol).map_err(|error| Error::Malformed(error.to_string()))?;
        headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
        let response = self.link.send(request).await?;
        let code = response.status();
        match response.into_body() {
            Body::Upgraded(pipe) => Ok(pipe),
            body => {
                Err(failure(http::Response::builder().status(code).body(body).expect("a valid code")).await)
            }
        }
    }

    async fn object(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        content_type: &str,
    ) -> Result<Object, Error> {
        parse(&self.bytes(method, path, body.map(|body| encoded(&body)), content_type).await?)
    }

    pub(crate) async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        content_type: &str,
    ) -> Result<Bytes, Error> {
        let response = self.link.send(self.request(method, path, body, content_type)).await?;
        if !response.status().is_success() {
            return Err(failure(response).await);
        }
        Ok(whole(response.into_body()).await)
    }

    fn request(&self, method: Method, path: &str, body: Option<Bytes>, content_type: &str) -> crate::Request {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, JSON)
            .header(http::header::USER_AGENT, &*self.link.user_agent);
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        if !self.managed_fields {
            request = request.header(OMIT_MANAGED_FIELDS, "true");
        }
        request.body(body.unwrap_or_default()).expect("paths are made of valid names and escaped queries")
    }
}

const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta {
    #[serde(default)]
    pub resource_version: String,
}

impl ListParams {
    pub(crate) fn query(&self, extra: &[(&str, &str)]) -> String {
        let own = [
            ("labelSelector", self.label_selector.as_str()),
            ("fieldSelector", self.field_selector.as_str()),
            ("resourceVersion", self.resource_version.as_str()),
        ];
        let overridden = |name: &str| extra.iter().any(|(extra, _)| *extra == name);
        let own = own.into_iter().filter(|(name, _)| !overridden(name));
        let pairs = own.chain(extra.iter().copied()).filter(|(_, value)| !value.is_empty());
        let escape = |text| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", escape(value))).collect();
        if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
    }
}

impl DeleteOptions {
    fn to_value(&self) -> Value {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(policy) = &self.propagation_policy {
            options["propagationPolicy"] = json!(policy);
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = json!(uid);
        }
        if let Some(resource_version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = json!(resource_version);
        }
        options
    }
}

async fn whole(body: Body) -> Bytes {
    match body.put_together() {
        Body::Full(bytes) => bytes,
        Body::Stream(chunks) => {
            let parts: Vec<Bytes> = chunks.map(|chunk| chunk.bytes).collect().await;
            parts.concat().into()
        }
        Body::Upgraded(_) | Body::Pieces(_) => Bytes::new(),
    }
}

async fn failure(response: Response) -> Error {
    let code = response.status().as_u16();
    let bytes = whole(response.into_body()).await;
    let status = serde_json::from_slice::<Status>(&bytes);
    Error::Api(Box::new(
        status.unwrap_or_else(|_| Status::failure(code, "", String::from_utf8_lossy(&bytes))),
    ))
}

pub(crate) fn encoded(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("objects are made of JSON values and strings").into()
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed(error.to_string()))
}
