//! A local copy of a collection, kept by list and watch. Counterpart: client-go's reflector and shared
//! informer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_api::{Object, ObjectKey, Resource};
use labkit_sim::{RecordId, caused_by};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use crate::client::{Client, Error, ListMeta, ListParams, parse};
use crate::typed::{Decode, Kind};
use crate::watch::{WatchEventKind, WatchStream};

/// First and longest wait before a failed list or watch is tried again (client-go's reflector; its jitter
/// is left out, since there is no thundering herd here).
const BACKOFF_FIRST: Duration = Duration::from_millis(800);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A change of one object. `old` is `None` when it is new, `new` when it is gone.
#[derive(Debug)]
pub struct Change<K> {
    pub key: ObjectKey,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
    /// The record that brought it.
    pub cause: Option<RecordId>,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Change<K> {
        Change { key: self.key.clone(), old: self.old.clone(), new: self.new.clone(), cause: self.cause }
    }
}

/// A read-only handle to an informer's copy. It lags behind the API server, as every cache does.
#[derive(Debug)]
pub struct Store<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Store<K> {
        Store { shared: self.shared.clone() }
    }
}

/// An informer: its task, its copy, and those who want to hear of changes. Clones share it. Once nobody has a
/// handle to it or hears of its changes any more, its task ends with the next change.
#[derive(Debug)]
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Informer<K> {
        Informer { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    synced: watch::Sender<bool>,
}

#[derive(Debug)]
struct State<K> {
    objects: BTreeMap<ObjectKey, Entry<K>>,
    subscribers: Vec<mpsc::UnboundedSender<Change<K>>>,
}

#[derive(Debug)]
struct Entry<K> {
    object: Arc<K>,
    resource_version: String,
}

/// What the informer itself needs of an object.
#[derive(Deserialize)]
struct Head {
    metadata: HeadMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    resource_version: String,
}

impl<K: Kind> Informer<K> {
    /// Starts an informer of a typed kind in the caller's component.
    pub fn start(client: &Client, params: ListParams) -> Informer<K> {
        Informer::start_as(client, K::resource(), params)
    }
}

impl Informer<Object> {
    /// Starts an informer of any kind in the caller's component.
    pub fn start_dynamic(client: &Client, resource: Resource, params: ListParams) -> Informer<Object> {
        Informer::start_as(client, resource, params)
    }
}

impl<K: Decode> Informer<K> {
    fn start_as(client: &Client, resource: Resource, params: ListParams) -> Informer<K> {
        let state = State { objects: BTreeMap::new(), subscribers: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), synced: watch::Sender::new(false) });
        let reflector = Reflector { client: client.clone(), resource, params, shared: shared.clone() };
        labkit_sim::spawn(reflector.run());
        Informer { shared }
    }

    pub fn store(&self) -> Store<K> {
        Store { shared: self.shared.clone() }
    }

    /// Every change from now on, after one synthetic addition for each object already there.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Change<K>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.shared.locked();
        for (key, entry) in &state.objects {
            let new = Some(entry.object.clone());
            let _receiver_is_here = sender.send(Change { key: key.clone(), old: None, new, cause: None });
        }
        state.subscribers.push(sender);
        receiver
    }

    /// Returns when the first list is in the copy.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        synced.wait_for(|synced| *synced).await.expect("the informer holds the sender");
    }
}

impl<K> Store<K> {
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.locked().objects.get(key).map(|entry| entry.object.clone())
    }

    /// All objects, in the order of their keys.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.locked().objects.values().map(|entry| entry.object.clone()).collect()
    }

    /// The objects of one namespace, in the order of their names.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.shared.locked();
        let from = ObjectKey::new(namespace, "");
        let of_namespace = state.objects.range(from..).take_while(|(key, _)| key.namespace == namespace);
        of_namespace.map(|(_, entry)| entry.object.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.shared.locked().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K> Shared<K> {
    fn locked(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

impl<K> State<K> {
    fn put(&mut self, key: ObjectKey, object: K, resource_version: String, cause: Option<RecordId>) {
        let new = Arc::new(object);
        let entry = Entry { object: new.clone(), resource_version };
        let old = self.objects.insert(key.clone(), entry).map(|entry| entry.object);
        self.tell(Change { key, old, new: Some(new), cause });
    }

    fn remove(&mut self, key: ObjectKey, cause: Option<RecordId>) {
        if let Some(entry) = self.objects.remove(&key) {
            self.tell(Change { key, old: Some(entry.object), new: None, cause });
        }
    }

    fn tell(&mut self, change: Change<K>) {
        self.subscribers.retain(|subscriber| subscriber.send(change.clone()).is_ok());
    }
}

struct Reflector<K> {
    client: Client,
    resource: Resource,
    params: ListParams,
    shared: Arc<Shared<K>>,
}

impl<K: Decode> Reflector<K> {
    async fn run(self) {
        let mut backoff = BACKOFF_FIRST;
        let mut version: Option<String> = None;
        while !self.is_abandoned() {
            let attempt = self.attempt(&mut version).await;
            match attempt {
                // The server ended the watch in good order: go on from where it stopped.
                Ok(()) => backoff = BACKOFF_FIRST,
                Err(error) => {
                    if error.is_expired() {
                        version = None;
                    }
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
            && self.shared.locked().subscribers.iter().all(|one| one.is_closed())
    }

    /// Lists if there is no version to go on from, then watches until the stream ends.
    async fn attempt(&self, version: &mut Option<String>) -> Result<(), Error> {
        let from = match version.clone() {
            Some(from) => from,
            None => self.relist().await?,
        };
        *version = Some(from.clone());
        let mut stream = self.client.watch(&self.resource, &self.params, &from).await?;
        let progressed = self.follow(&mut stream, version).await?;
        if progressed {
            return Ok(());
        }
        Err(Error::Unreachable("the watch ended without an event".to_owned()))
    }

    async fn relist(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct List {
            metadata: ListMeta,
            #[serde(default = "Vec::new")]
            items: Vec<Box<RawValue>>,
        }
        let bytes = self.client.list_bytes(&self.resource, &self.params).await?;
        let list: List = parse(&bytes)?;
        let mut fresh = BTreeMap::new();
        for raw in list.items {
            let (key, version) = head(&raw)?;
            fresh.insert(key, (version, K::decode(raw.get().as_bytes())?));
        }
        let mut state = self.shared.locked();
        let gone: Vec<ObjectKey> =
            state.objects.keys().filter(|key| !fresh.contains_key(key)).cloned().collect();
        for key in gone {
            state.remove(key, None);
        }
        for (key, (version, object)) in fresh {
            if state.objects.get(&key).is_none_or(|entry| entry.resource_version != version) {
                state.put(key, object, version, None);
            }
        }
        drop(state);
        self.shared.synced.send_replace(true);
        Ok(list.metadata.resource_version)
    }

    /// Returns whether there was an event.
    async fn follow(&self, stream: &mut WatchStream, version: &mut Option<String>) -> Result<bool, Error> {
        let mut progressed = false;
        while let Some(event) = stream.next_raw().await
            && !self.is_abandoned()
        {
            let event = event?;
            progressed = true;
            let (key, at) = head(&event.object)?;
            *version = Some(at.clone());
            match event.kind {
                WatchEventKind::Bookmark => {}
                WatchEventKind::Deleted => self.shared.locked().remove(key, event.cause),
                WatchEventKind::Added | WatchEventKind::Modified => {
                    let object = K::decode(event.object.get().as_bytes())?;
                    self.shared.locked().put(key, object, at, event.cause);
                }
            }
        }
        Ok(progressed)
    }
}

fn head(raw: &RawValue) -> Result<(ObjectKey, String), Error> {
    let Head { metadata } = parse(raw.get().as_bytes())?;
    Ok((ObjectKey { namespace: metadata.namespace, name: metadata.name }, metadata.resource_version))
}

/// Runs `future` as caused by `change`: what a subscriber does about it.
pub async fn because_of<K, F: Future>(change: &Change<K>, future: F) -> F::Output {
    caused_by(change.cause, future).await
}
