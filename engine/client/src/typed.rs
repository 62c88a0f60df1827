//! The client on k8s-openapi's types, for the brains: controllers, scheduler, kubelet.

use std::any::TypeId;
use std::fmt::Debug;
use std::marker::PhantomData;

use bytes::Bytes;
use http::Method;
use k8s_openapi::api::{apps, certificates, coordination, core, discovery, rbac};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use labkit_api::{GroupVersionKind, Object, Resource, Scope};
use serde_json::Value;

use crate::client::{Client, DeleteOptions, Error, PatchKind, encoded, parse};

/// What can be read from JSON here, in this crate: where a generic caller read it, the compiler would make the readers
/// of a pod and of all that is in it once more in each crate that does.
pub trait Decode: Sized + Send + Sync + 'static {
    fn decode(json: &[u8]) -> Result<Self, Error>;

    fn from_value(value: &Value) -> Result<Self, Error> {
        Self::decode(value.to_string().as_bytes())
    }
}

impl Decode for Object {
    fn decode(json: &[u8]) -> Result<Object, Error> {
        parse(json)
    }
}

/// A kind with a type of its own.
pub trait Kind: Decode + Metadata<Ty = ObjectMeta> + Clone + Debug {
    fn resource() -> Resource;

    fn encode(&self) -> Bytes;
}

macro_rules! kinds {
    ($($kind:ty),* $(,)?) => {$(
        impl Decode for $kind {
            fn decode(json: &[u8]) -> Result<$kind, Error> {
                parse(json)
            }
        }

        impl Kind for $kind {
            fn resource() -> Resource {
                resource_of::<$kind>()
            }

            fn encode(&self) -> Bytes {
                encoded(self)
            }
        }
    )*};
}

kinds! {
    apps::v1::Deployment,
    apps::v1::ReplicaSet,
    certificates::v1::CertificateSigningRequest,
    coordination::v1::Lease,
    core::v1::ConfigMap,
    core::v1::Event,
    core::v1::Namespace,
    core::v1::Node,
    core::v1::Pod,
    core::v1::Secret,
    core::v1::Service,
    core::v1::ServiceAccount,
    discovery::v1::EndpointSlice,
    rbac::v1::ClusterRole,
}

fn resource_of<K>() -> Resource
where
    K: k8s_openapi::Resource,
    K::Scope: 'static,
{
    let namespaced = TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>();
    Resource {
        gvk: GroupVersionKind::new(K::GROUP, K::VERSION, K::KIND),
        plural: K::URL_PATH_SEGMENT.to_owned(),
        scope: if namespaced { Scope::Namespaced } else { Scope::Cluster },
    }
}

/// Verbs on one typed kind. Made by [`Client::api`].
#[derive(Debug, Clone)]
pub struct Api<K> {
    client: Client,
    resource: Resource,
    kind: PhantomData<fn() -> K>,
}

impl Client {
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api { client: self.clone(), resource: K::resource(), kind: PhantomData }
    }
}

impl<K: Kind> Api<K> {
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub async fn get(&self, namespace: &str, name: &str) -> Result<K, Error> {
        let path = self.resource.path(namespace, Some(name));
        K::decode(&self.client.bytes(Method::GET, &path, None, "").await?)
    }

    pub async fn create(&self, object: &K) -> Result<K, Error> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
        let path = self.resource.path(namespace, None);
        K::decode(&self.client.bytes(Method::POST, &path, Some(object.encode()), "application/json").await?)
    }

    pub async fn replace(&self, object: &K) -> Result<K, Error> {
        self.put(object, "").await
    }

    pub async fn replace_status(&self, object: &K) -> Result<K, Error> {
        self.put(object, "/status").await
    }

    /// A strategic merge patch of the object, or of a subresource such as `status`.
    pub async fn patch(
        &self,
        namespace: &str,
        name: &str,
        subresource: Option<&str>,
        patch: Value,
    ) -> Result<K, Error> {
        let kind = PatchKind::Strategic;
        K::decode(&self.client.patched(&self.resource, namespace, name, subresource, kind, patch).await?)
    }

    pub async fn delete(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        self.client.delete(&self.resource, namespace, name, options).await.map(drop)
    }

    async fn put(&self, object: &K, suffix: &str) -> Result<K, Error> {
        let metadata = object.metadata();
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let path = format!("{}{suffix}", self.resource.path(namespace, Some(name)));
        K::decode(&self.client.bytes(Method::PUT, &path, Some(object.encode()), "application/json").await?)
    }
}
