//! Lists: from the cache, from etcd, or page by page at one revision.
//! Counterpart: `storage/etcd3/store.go` (GetList), `storage/util.go` (ValidateListOptions).

use std::sync::Arc;

use bytes::Bytes;
use labkit_api::{GroupVersionKind, Status, StatusCause};
use labkit_etcd::{EtcdError, RangeRequest};

use crate::field;
use crate::kinds::Kind;
use crate::query::{Query, Selection};
use crate::registry::Registry;
use crate::registry::continuation::{self, Continuation};
use crate::storage::cache::is_compacted;
use crate::storage::{Entry, error, prefix};

/// The largest page that is read of etcd where few objects match.
const PAGE_MAX: i64 = 10_000;

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

impl ListOptions {
    pub fn parse(query: &Query) -> Result<ListOptions, Status> {
        refuse(check(query))?;
        let resource_version = match query.get("resourceVersion") {
            "" => None,
            text => Some(parse_version(text)?),
        };
        let continuation = query.get("continue").to_owned();
        if !continuation.is_empty() && resource_version.is_some_and(|version| version > 0) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Status::bad_request(message));
        }
        let limit = query.number("limit")?.unwrap_or_default().max(0);
        let exact = match query.get("resourceVersionMatch") {
            "" => limit > 0 && resource_version.is_some_and(|version| version > 0),
            rule => rule == "Exact",
        };
        Ok(ListOptions { limit, continuation, resource_version, exact })
    }
}

/// How `resourceVersionMatch` goes together with the other options of a list.
fn check(query: &Query) -> Vec<StatusCause> {
    const FIELD: &str = "resourceVersionMatch";
    let (rule, version) = (query.get(FIELD), query.get("resourceVersion"));
    let mut errors = Vec::new();
    if !rule.is_empty() {
        let mut forbid = |is_so: bool, why: &str| errors.extend(is_so.then(|| field::forbidden(FIELD, why)));
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        forbid(version.is_empty(), why);
        let why = "resourceVersionMatch is forbidden when continue is provided";
        forbid(!query.get("continue").is_empty(), why);
        if !["Exact", "NotOlderThan"].contains(&rule) {
            errors.push(field::not_supported(FIELD, rule, &["Exact", "NotOlderThan", ""]));
        }
        if rule == "Exact" && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(field::forbidden(FIELD, why));
        }
    }
    if query.has("sendInitialEvents") {
        let why = "sendInitialEvents is forbidden for list";
        errors.push(field::forbidden("sendInitialEvents", why));
    }
    errors
}

/// 422 about the options of a list or watch, if there is anything to say.
pub(crate) fn refuse(errors: Vec<StatusCause>) -> Result<(), Status> {
    let gvk = GroupVersionKind::new("meta.k8s.io", "v1", "ListOptions");
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&gvk, "", errors)) }
}

/// A resourceVersion is opaque to clients; to us it is etcd's revision.
pub(crate) fn parse_version(text: &str) -> Result<i64, Status> {
    let invalid = |why: &str| {
        Err(Status::bad_request(format!(
            "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}"
        )))
    };
    match text.parse::<u64>() {
        Ok(version) => Ok(i64::try_from(version).unwrap_or(i64::MAX)),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => invalid("value out of range"),
        Err(_) => invalid("invalid syntax"),
    }
}

impl Registry {
    pub async fn list(
        &self,
        kind: &'static Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        let pages = options.limit > 0 && options.resource_version != Some(0);
        let mut list = match options.resource_version {
            _ if pages || options.exact || !options.continuation.is_empty() => {
                return self.page(kind, namespace, selection, options).await;
            }
            Some(0) => self.list_cached(kind, namespace).await,
            Some(version) => self.list_not_older_than(kind, namespace, version).await?,
            None => self.list_now(kind, namespace).await?,
        };
        if !selection.is_everything() {
            list.entries.retain(|entry| selection.selects(entry));
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
        Ok(List {
            entries: self.cache(kind).decode_all(&response.kvs)?,
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

    /// At most `limit` objects; further pages are true at the revision of the first.
    async fn page(
        &self,
        kind: &'static Kind,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        let base = format!("{}{}", prefix(kind), within(namespace));
        let whole = RangeRequest::prefix(base.clone());
        let exact = options.resource_version.filter(|_| options.exact).unwrap_or_default();
        let (mut start, mut revision) = match options.continuation.as_str() {
            "" => (whole.key.clone(), exact),
            token => {
                let token = Continuation::decode(token)?;
                (Bytes::from(format!("{base}{}", token.start)), token.rv.max(0))
            }
        };
        let not_older_than = options.resource_version.unwrap_or_default();
        let (mut entries, mut wanted) = (Vec::new(), options.limit);
        loop {
            let request = RangeRequest { key: start.clone(), limit: wanted, revision, ..whole.clone() };
            let response =
                self.store.range(request).await.map_err(|error| match options.continuation.is_empty() {
                    true => expired(error),
                    false => continuation_expired(error, &String::from_utf8_lossy(&start[base.len()..])),
                })?;
            if response.header.revision < not_older_than {
                self.followed(kind).await.reached(not_older_than).await?;
            }
            revision = if revision == 0 { response.header.revision } else { revision };
            for (index, entry) in self.cache(kind).decode_all(&response.kvs)?.into_iter().enumerate() {
                if selection.selects(&entry) {
                    entries.push(entry);
                }
                let read = index + 1;
                let is_more = response.more || read < response.kvs.len();
                if is_more && options.limit > 0 && entries.len() as i64 >= options.limit {
                    let next = String::from_utf8_lossy(&response.kvs[index].key[base.len()..]) + "\0";
                    let remaining = selection.is_everything().then(|| response.count - read as i64);
                    let continuation = continuation::encode(revision, &next);
                    return Ok(List { entries, revision, continuation, remaining });
                }
            }
            let Some(last) = response.kvs.last().filter(|_| response.more) else {
                return Ok(List { entries, revision, continuation: String::new(), remaining: None });
            };
            start = Bytes::from([&last.key[..], b"\0"].concat());
            wanted = (wanted * 2).min(PAGE_MAX);
        }
    }
}

/// The keys of a namespace begin with it; without one, all keys of the kind are meant.
pub(crate) fn within(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}

fn expired(error: EtcdError) -> Status {
    if !is_compacted(&error) {
        return error::status(error);
    }
    Status::expired("The resourceVersion for the provided list is too old.")
}

/// The pages' revision is compacted away: the answer carries a token with which the rest can be had as of now.
fn continuation_expired(error: EtcdError, start: &str) -> Status {
    if !is_compacted(&error) {
        return error::status(error);
    }
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of \
         the results. Continuing with the provided token results in an inconsistent list - objects that were \
         created, modified, or deleted between the time the first chunk was returned and now may show up in the \
         list.",
    );
    let token = continuation::encode(continuation::INCONSISTENT, start);
    status.metadata.insert("continue".to_owned(), token.into());
    status
}
