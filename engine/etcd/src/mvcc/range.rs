//! Reads. Counterpart of `applierV3backend.Range` with the store's `rangeKeys`.

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;

use crate::api::{KeyValue, RangeRequest, SortOrder, SortTarget};

/// From and to, as an ordered map takes them.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys that a `key` and `range_end` mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    One(Bytes),
    Between(Bytes, Bytes),
    From(Bytes),
}

impl Keys {
    pub fn new(key: &Bytes, range_end: &Bytes) -> Keys {
        match range_end.as_ref() {
            b"" => Keys::One(key.clone()),
            b"\0" => Keys::From(key.clone()),
            _ => Keys::Between(key.clone(), range_end.clone()),
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Between(from, to) => key >= &from[..] && key < &to[..],
            Keys::From(from) => key >= &from[..],
        }
    }

    /// As bounds for an ordered map; `None` when no key can be meant.
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        match self {
            Keys::One(one) => Some((Bound::Included(one), Bound::Included(one))),
            Keys::Between(from, to) => (from < to).then_some((Bound::Included(from), Bound::Excluded(to))),
            Keys::From(from) => Some((Bound::Included(from), Bound::Unbounded)),
        }
    }
}

/// A range as it was found: at most `limit` keys of `count`.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub kvs: Vec<KeyValue>,
    pub count: i64,
    pub more: bool,
}

/// Picks from `live`, the keys of the range in order, what the request asks for.
pub(crate) fn select<'a>(request: &RangeRequest, live: impl Iterator<Item = &'a KeyValue>) -> Found {
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let whole = limit == 0 || request.sort_order != SortOrder::None || filters(request);
    let mut found = Found::default();
    for kv in live {
        found.count += 1;
        if !request.count_only && (whole || found.kvs.len() <= limit) {
            found.kvs.push(kv.clone());
        }
    }
    if filters(request) {
        found.kvs.retain(|kv| wanted(request, kv));
    }
    sort(request, &mut found.kvs);
    if limit > 0 && found.kvs.len() > limit {
        found.kvs.truncate(limit);
        found.more = true;
    }
    if request.keys_only {
        for kv in &mut found.kvs {
            kv.value = Bytes::new();
        }
    }
    found
}

fn filters(request: &RangeRequest) -> bool {
    [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ]
    .iter()
    .any(|bound| *bound != 0)
}

fn wanted(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within =
        |revision: i64, min: i64, max: i64| (min == 0 || revision >= min) && (max == 0 || revision <= max);
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

fn sort(request: &RangeRequest, kvs: &mut [KeyValue]) {
    // Keys come in ascending order; another target without an order means ascending.
    let order: fn(&KeyValue, &KeyValue) -> Ordering = match request.sort_target {
        SortTarget::Key if request.sort_order != SortOrder::Descend => return,
        SortTarget::Key => |a, b| a.key.cmp(&b.key),
        SortTarget::Version => |a, b| a.version.cmp(&b.version),
        SortTarget::Create => |a, b| a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => |a, b| a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => |a, b| a.value.cmp(&b.value),
    };
    match request.sort_order {
        SortOrder::Descend => kvs.sort_by(|a, b| order(b, a)),
        SortOrder::None | SortOrder::Ascend => kvs.sort_by(order),
    }
}
