//! Lists: from the cache, from etcd, or page by page at one revision.
//! Counterpart: `storage/etcd3/store.go` (GetList), `storage/continue.go`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use labkit_api::Status;
use labkit_etcd::{EtcdError, RangeRequest};
use serde::{Deserialize, Serialize};

use crate::kinds::Kind;
use crate::query::{Query, Selection};
use crate::registry::Registry;
use crate::storage::cache::is_compacted;
use crate::storage::{Entry, error, prefix};

/// What a list asks for, beside what it selects.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub limit: i64,
    pub continuation: String,
    /// `None`: the newest. 0: what the cache has. N: at least as new, or exactly that old.
    pub resource_version: Option<i64>,
    pub exact: bool,
}

/// Objects as of one revision.
#[derive(Debug)]
pub(crate) struct List {
    pub entries: Vec<Arc<Entry>>,
    pub revision: i64,
    pub continuation: String,
    pub remaining: Option<i64>,
}

/// Where the next page begins, and at which revision all pages are true.
#[derive(Debug, Serialize, Deserialize)]
struct Continuation {
    v: String,
    rv: i64,
    start: String,
}

const CONTINUATION_VERSION: &str = "meta.k8s.io/v1";

impl ListOptions {
    pub fn parse(query: &Query) -> Result<ListOptions, Status> {
        let version = query.get("resourceVersion");
        let resource_version = match version {
            "" => None,
            text => Some(parse_version(text)?),
        };
        Ok(ListOptions {
            limit: query.number("limit")?.unwrap_or_default(),
            continuation: query.get("continue").to_owned(),
            resource_version,
            exact: query.get("resourceVersionMatch") == "Exact",
        })
    }
}

/// A resourceVersion is opaque to clients; to us it is etcd's revision.
pub(crate) fn parse_version(text: &str) -> Result<i64, Status> {
    let invalid = |_| {
        Status::bad_request(format!(
            "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    };
    text.parse::<u64>().map(|version| version as i64).map_err(invalid)
}

impl Registry {
    pub async fn list(
        &self,
        kind: &'static Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        let mut list = match options.resource_version {
            _ if !options.continuation.is_empty() => {
                return self.page(kind, namespace, selection, options).await;
            }
            Some(version) if version > 0 && options.exact => {
                return self.page(kind, namespace, selection, options).await;
            }
            Some(0) => self.list_cached(kind, namespace).await,
            Some(version) => self.list_not_older_than(kind, namespace, version).await?,
            None if options.limit > 0 => return self.page(kind, namespace, selection, options).await,
            None => self.list_now(kind, namespace).await?,
        };
        if !selection.is_everything() {
            list.entries.retain(|entry| selection.matches(&entry.object));
        }
        Ok(list)
    }

    /// What the cache has.
    pub async fn list_cached(&self, kind: &Kind, namespace: &str) -> List {
        let (entries, revision, _) = self.followed(kind).await.snapshot(&within(namespace));
        List { entries, revision, continuation: String::new(), remaining: None }
    }

    /// As of now: from etcd, decoded only where the cache lags behind.
    pub async fn list_now(&self, kind: &Kind, namespace: &str) -> Result<List, Status> {
        let request = RangeRequest::prefix(format!("{}{}", prefix(kind), within(namespace)));
        let response = self.store.range(request).await.map_err(error::status)?;
        let cache = self.cache(kind);
        let entries: Result<Vec<Arc<Entry>>, Status> =
            response.kvs.iter().map(|kv| cache.decode(kv)).collect();
        Ok(List {
            entries: entries?,
            revision: response.header.revision,
            continuation: String::new(),
            remaining: None,
        })
    }

    /// At least as new as `version`; 0 is the newest.
    pub async fn list_not_older_than(
        &self,
        kind: &Kind,
        namespace: &str,
        version: i64,
    ) -> Result<List, Status> {
        if version > 0 && self.cache(kind).revision() >= version {
            return Ok(self.list_cached(kind, namespace).await);
        }
        let list = self.list_now(kind, namespace).await?;
        if list.revision >= version {
            return Ok(list);
        }
        self.followed(kind).await.reached(version).await?;
        Ok(self.list_cached(kind, namespace).await)
    }

    async fn page(
        &self,
        kind: &'static Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        let base = prefix(kind);
        let whole = RangeRequest::prefix(format!("{base}{}", within(namespace)));
        let exact = options.resource_version.filter(|_| options.exact).unwrap_or_default();
        let (mut start, mut revision) = match options.continuation.as_str() {
            "" => (whole.key.clone(), exact),
            token => {
                let token = decode_continuation(token)?;
                (Bytes::from(format!("{base}{}", token.start)), token.rv)
            }
        };
        let limit = options.limit;
        let mut entries = Vec::new();
        loop {
            let wanted = if limit > 0 { limit - entries.len() as i64 } else { 0 };
            let request = RangeRequest { key: start.clone(), limit: wanted, revision, ..whole.clone() };
            let response = self.store.range(request).await.map_err(|error| expired(error, options))?;
            revision = if revision == 0 { response.header.revision } else { revision };
            for kv in &response.kvs {
                let entry = self.cache(kind).decode(kv)?;
                if selection.matches(&entry.object) {
                    entries.push(entry);
                }
            }
            let Some(last) = response.kvs.last().filter(|_| response.more) else {
                return Ok(List { entries, revision, continuation: String::new(), remaining: None });
            };
            start = Bytes::from([&last.key[..], b"\0"].concat());
            if entries.len() as i64 >= limit {
                let relative = String::from_utf8_lossy(&start[base.len()..]).into_owned();
                let continuation = encode_continuation(revision, relative);
                let remaining = selection.is_everything().then(|| response.count - response.kvs.len() as i64);
                return Ok(List { entries, revision, continuation, remaining });
            }
        }
    }
}

/// The keys of a namespace begin with it; without one, all keys of the kind are meant.
pub(crate) fn within(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}

fn encode_continuation(revision: i64, start: String) -> String {
    let token = Continuation { v: CONTINUATION_VERSION.to_owned(), rv: revision, start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token is strings and a number"))
}

fn decode_continuation(token: &str) -> Result<Continuation, Status> {
    let invalid = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| invalid(&error.to_string()))?;
    let token: Continuation = serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
    match token.v.as_str() {
        CONTINUATION_VERSION if token.rv > 0 => Ok(token),
        CONTINUATION_VERSION => {
            Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))
        }
        other => Err(invalid(&format!("server does not recognize this encoded version {other:?}"))),
    }
}

fn expired(error: EtcdError, options: &ListOptions) -> Status {
    if !is_compacted(&error) {
        return error::status(error);
    }
    if options.continuation.is_empty() {
        return Status::expired("The resourceVersion for the provided list is too old.");
    }
    Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You must start a new list \
         without the continue parameter.",
    )
}
