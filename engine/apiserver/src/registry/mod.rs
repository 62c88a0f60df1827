//! The generic registry: how objects of any kind come into being, change and go.
//! Counterpart: `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.

pub(crate) mod bind;
pub(crate) mod continuation;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deletion;
pub(crate) mod list;
pub(crate) mod scale;
pub(crate) mod update;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use labkit_api::{Object, Status};
use labkit_sim::{Component, World};
use rand::RngCore;
use serde_json::json;

use crate::aggregation::Aggregation;
use crate::allocate::Addresses;
use crate::custom::served::Customs;
use crate::kinds::{KINDS, Kind, pods, priority_classes, service_accounts};
use crate::storage::cache::Cache;
use crate::storage::lease::Leases;
use crate::storage::{Entry, Store, prefix, relative_key};

/// Everything that is behind the HTTP of one server.
#[derive(Debug)]
pub(crate) struct Registry {
    pub world: World,
    /// The server's own component: its randomness, and where its tasks live.
    pub component: Component,
    pub store: Store,
    caches: BTreeMap<&'static str, Arc<Cache>>,
    /// Those of custom kinds, which come and go.
    custom_caches: Mutex<BTreeMap<&'static str, Arc<Cache>>>,
    pub customs: Customs,
    pub aggregation: Aggregation,
    pub addresses: Addresses,
    event_leases: Leases,
    /// Held by the one eviction that is weighed.
    pub evictions: tokio::sync::Mutex<()>,
    /// Held by the one creation that is counted against quotas.
    pub quotas: tokio::sync::Mutex<()>,
    /// Runs [`crate::standing`], from the first request on.
    pub standing: std::sync::Once,
}

impl Registry {
    pub fn new(
        world: &World,
        component: Component,
        store: Store,
        addresses: Addresses,
        event_leases: Leases,
        aggregation: Aggregation,
    ) -> Registry {
        let cache =
            |kind: &&'static Kind| (kind.prefix, Arc::new(Cache::new(prefix(kind), world.clock().clone())));
        let caches = KINDS.iter().filter(|kind| kind.is_stored()).map(cache).collect();
        Registry {
            world: world.clone(),
            component,
            store,
            caches,
            custom_caches: Mutex::default(),
            customs: Customs::default(),
            aggregation,
            addresses,
            event_leases,
            evictions: tokio::sync::Mutex::default(),
            quotas: tokio::sync::Mutex::default(),
            standing: std::sync::Once::new(),
        }
    }

    pub fn cache(&self, kind: &Kind) -> Arc<Cache> {
        if kind.custom.is_none() {
            return self.caches[kind.prefix].clone();
        }
        let made = || Arc::new(Cache::new(prefix(kind), self.world.clock().clone()));
        self.custom_caches().entry(kind.prefix).or_insert_with(made).clone()
    }

    fn custom_caches(&self) -> MutexGuard<'_, BTreeMap<&'static str, Arc<Cache>>> {
        self.custom_caches.lock().expect("no panic happens under this lock")
    }

    /// Drops the cache of a custom kind; its watches end.
    pub fn forget(&self, prefix: &str) {
        if let Some(cache) = self.custom_caches().remove(prefix) {
            cache.close();
        }
    }

    /// The cache of the kind, which from now on is kept up to date.
    pub fn start(&self, kind: &Kind) -> Arc<Cache> {
        let cache = self.cache(kind);
        if cache.starts() {
            let (running, store) = (cache.clone(), self.store.clone());
            self.component.spawn(async move { running.run(store).await });
        }
        cache
    }

    /// The cache of the kind when it has listed; the first to ask starts it.
    pub async fn followed(&self, kind: &Kind) -> Arc<Cache> {
        let cache = self.start(kind);
        cache.synced().await;
        cache
    }

    /// Starts the caches of the kinds that every control plane reads, and waits for them.
    pub async fn follow_eager_kinds(&self) {
        let eager: BTreeMap<&str, &&Kind> =
            KINDS.iter().filter(|kind| kind.is_eager).map(|kind| (kind.prefix, kind)).collect();
        for kind in eager.values() {
            self.start(kind);
        }
        for kind in eager.values() {
            self.followed(kind).await;
        }
    }

    /// The object as of now (a negative version), as the cache has it (0), or at least as new as `version`.
    pub async fn get(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        version: i64,
    ) -> Result<Arc<Entry>, Status> {
        let key = relative_key(kind, namespace, name);
        let cache = self.cache(kind);
        let is_new_enough = version == 0 || version > 0 && cache.revision() >= version;
        let cached = cache.get(&key).filter(|_| is_new_enough);
        let entry = if cached.is_some() { cached } else { self.not_older_than(kind, &key, version).await? };
        entry.ok_or_else(|| Status::not_found(&kind.resource(), name))
    }

    /// The object as etcd has it now; decoded only where the cache does not have that version.
    pub async fn fresh(&self, kind: &Kind, key: &str) -> Result<Option<Arc<Entry>>, Status> {
        self.not_older_than(kind, key, 0).await
    }

    async fn not_older_than(
        &self,
        kind: &Kind,
        key: &str,
        version: i64,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let request = labkit_etcd::RangeRequest::key(format!("{}{key}", prefix(kind)));
        let response = self.store.range(request).await.map_err(crate::storage::error::status)?;
        if response.header.revision < version {
            let cache = self.followed(kind).await;
            cache.reached(version).await?;
            return Ok(cache.get(key));
        }
        response.kvs.first().map(|kv| self.cache(kind).decode(kv)).transpose()
    }

    /// A version-4 UUID from the server's own randomness.
    pub fn uid(&self) -> String {
        let mut bytes = [0; 16];
        self.component.random(|rng| rng.fill_bytes(&mut bytes));
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// The etcd lease under which a new object is written; 0 for those that stay.
    pub async fn lease(&self, kind: &Kind) -> Result<i64, Status> {
        if kind.strategy.expires() { self.event_leases.lease(self.store.etcd()).await } else { Ok(0) }
    }

    /// What admission wants to know of other objects when a pod is made.
    pub async fn pod_needs(&self, kind: &Kind, object: &Object) -> Result<PodNeeds, Status> {
        if !std::ptr::eq(kind, &pods::KIND) {
            return Ok(PodNeeds::default());
        }
        let is_account_missing = self.is_account_missing(object).await?;
        Ok(PodNeeds { priority_class: self.priority_class(object).await?, is_account_missing })
    }

    async fn is_account_missing(&self, pod: &Object) -> Result<bool, Status> {
        let account = pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default();
        if matches!(account, "" | "default") {
            return Ok(false);
        }
        let key = relative_key(&service_accounts::KIND, &pod.metadata.namespace, account);
        let is_known = self.cache(&service_accounts::KIND).get(&key).is_some();
        Ok(!is_known && self.fresh(&service_accounts::KIND, &key).await?.is_none())
    }

    /// The class of a new pod that names one or, if this server has seen any class, the default of the others.
    async fn priority_class(&self, object: &Object) -> Result<Option<Arc<Entry>>, Status> {
        let classes = &priority_classes::KIND;
        match object.str_at(&["spec", "priorityClassName"]).unwrap_or_default() {
            "" if self.cache(classes).is_running() => {
                let (all, ..) = self.followed(classes).await.snapshot("");
                let defaults = all
                    .into_iter()
                    .filter(|class| class.object().at(&["globalDefault"]) == Some(&json!(true)));
                Ok(defaults.min_by_key(|class| class.object().i64_at(&["value"])))
            }
            "" => Ok(None),
            name => self.fresh(classes, name).await,
        }
    }

    /// How things stand with the namespace that an object is to be made in.
    pub async fn namespace_state(&self, kind: &Kind, namespace: &str) -> Result<NamespaceState, Status> {
        if !kind.is_namespaced() {
            return Ok(NamespaceState::Active);
        }
        let namespaces = &crate::kinds::namespaces::KIND;
        let mut found = self.cache(namespaces).get(namespace);
        if found.is_none() {
            found = self.fresh(namespaces, namespace).await?;
        }
        Ok(match found {
            None => NamespaceState::Absent,
            Some(entry) if is_terminating(&entry.object()) => NamespaceState::Terminating,
            Some(_) => NamespaceState::Active,
        })
    }
}

/// What admission wants to know of other objects when a pod is made.
#[derive(Debug, Default)]
pub(crate) struct PodNeeds {
    /// The class that gives it its priority.
    pub priority_class: Option<Arc<Entry>>,
    /// Whether the service account that it names is not there.
    pub is_account_missing: bool,
}

/// What admission wants to know of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamespaceState {
    Absent,
    Active,
    Terminating,
}

fn is_terminating(namespace: &Object) -> bool {
    namespace.str_at(&["status", "phase"]) == Some("Terminating")
}
