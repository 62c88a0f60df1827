//! The client on k8s-openapi's types, for the brains: controllers, scheduler, kubelet.

use std::any::TypeId;
use std::fmt::Debug;
use std::marker::PhantomData;

use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use labkit_api::{GroupVersionKind, Resource, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Client, DeleteOptions, Error, PatchKind, encoded, parse};

/// A kind with a type of its own.
pub trait Kind:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    fn resource() -> Resource;
}

impl<K> Kind for K
where
    K: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    K::Scope: 'static,
{
    fn resource() -> Resource {
        let namespaced = TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>();
        Resource {
            gvk: GroupVersionKind::new(K::GROUP, K::VERSION, K::KIND),
            plural: K::URL_PATH_SEGMENT.to_owned(),
            scope: if namespaced { Scope::Namespaced } else { Scope::Cluster },
        }
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
        parse(&self.client.bytes(Method::GET, &path, None, "").await?)
    }

    pub async fn create(&self, object: &K) -> Result<K, Error> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
        let path = self.resource.path(namespace, None);
        parse(&self.client.bytes(Method::POST, &path, Some(encoded(object)), "application/json").await?)
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
        parse(&self.client.patched(&self.resource, namespace, name, subresource, kind, patch).await?)
    }

    pub async fn delete(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        self.client.delete(&self.resource, namespace, name, options).await.map(drop)
    }

    async fn put(&self, object: &K, suffix: &str) -> Result<K, Error> {
        let metadata = object.metadata();
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let path = format!("{}{suffix}", self.resource.path(namespace, Some(name)));
        parse(&self.client.bytes(Method::PUT, &path, Some(encoded(object)), "application/json").await?)
    }
}
