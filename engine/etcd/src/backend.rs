//! The store as etcd's backend would hold it: the keys and values of its buckets, as `HashKV` hashes them and as
//! a snapshot carries them in a bbolt file, which etcdctl and etcd read.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::api::{EventKind, KeyValue};
use crate::mvcc::Store;
use crate::mvcc::store::Change;

const PAGE_BYTES: usize = 4096;
const PAGE_HEADER_BYTES: usize = 16;
const ELEMENT_BYTES: usize = 16;
/// A bucket that fits stands within its parent's value.
const INLINE_BYTES_MAX: usize = PAGE_BYTES / 4;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREELIST: u16 = 0x10;
/// A leaf's element that is a bucket.
const IS_BUCKET: u32 = 0x01;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// A key of a bucket and its value.
type Item = (Vec<u8>, Vec<u8>);

/// The hash over all versions up to `revision`.
pub(crate) fn hash_kv(store: &Store, revision: i64) -> u32 {
    let mut hash = crc32c::crc32c(b"key");
    for change in store.versions().iter().filter(|change| change.revision.main <= revision) {
        let (key, value) = version(change);
        hash = crc32c::crc32c_append(hash, &key);
        hash = crc32c::crc32c_append(hash, &value);
    }
    hash
}

/// The store as a bbolt file with its SHA-256 behind it. `index` is that of the last applied entry. Users and
/// roles are left out: their passwords' hashes are not etcd's.
pub(crate) fn snapshot(store: &Store, index: u64) -> Bytes {
    let mut meta = vec![(b"consistent_index".to_vec(), index.to_be_bytes().to_vec())];
    if store.compact_revision() > 0 {
        let at = revision_bytes(store.compact_revision(), 0);
        meta.push((b"finishedCompactRev".to_vec(), at.clone()));
        meta.push((b"scheduledCompactRev".to_vec(), at));
    }
    let lease = |(id, lease): (i64, &crate::lease::Lease)| {
        let mut value = Vec::new();
        number(&mut value, 1, id);
        number(&mut value, 2, lease.ttl);
        (id.to_be_bytes().to_vec(), value)
    };
    // In the order of their names.
    let buckets: [(&str, Vec<Item>); 10] = [
        ("alarm", Vec::new()),
        ("auth", Vec::new()),
        ("authRoles", Vec::new()),
        ("authUsers", Vec::new()),
        ("cluster", Vec::new()),
        ("key", store.versions().iter().map(version).collect()),
        ("lease", store.leases.iter().map(lease).collect()),
        ("members", Vec::new()),
        ("members_removed", Vec::new()),
        ("meta", meta),
    ];
    let mut file = file(&buckets);
    let hash = Sha256::digest(&file);
    file.extend_from_slice(&hash);
    file.into()
}

fn revision_bytes(main: i64, sub: i64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat()
}

fn version(change: &Change) -> Item {
    let mut key = revision_bytes(change.revision.main, change.revision.sub);
    let value = match change.kind {
        EventKind::Put => key_value(&change.kv),
        EventKind::Delete => {
            key.push(b't');
            key_value(&KeyValue { key: change.kv.key.clone(), ..KeyValue::default() })
        }
    };
    (key, value)
}

/// `mvccpb.KeyValue` in protobuf.
fn key_value(kv: &KeyValue) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, &kv.key);
    number(&mut out, 2, kv.create_revision);
    number(&mut out, 3, kv.mod_revision);
    number(&mut out, 4, kv.version);
    text(&mut out, 5, &kv.value);
    number(&mut out, 6, kv.lease);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn number(out: &mut Vec<u8>, field: u8, value: i64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value.cast_unsigned());
    }
}

fn text(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(field << 3 | 2);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

/// A bbolt file: two meta pages, an empty freelist, and the buckets' trees.
fn file(buckets: &[(&str, Vec<Item>)]) -> Vec<u8> {
    let mut pages = Pages { bytes: vec![0; 2 * PAGE_BYTES] };
    let freelist = pages.push(FREELIST, 0, &[]);
    let elements: Vec<Element> = buckets
        .iter()
        .map(|(name, items)| Element {
            flags: IS_BUCKET,
            key: name.as_bytes().to_vec(),
            value: pages.bucket(items),
        })
        .collect();
    let root = pages.tree(&elements);
    let count = pages.count();
    for id in 0..2_u64 {
        let meta = meta(root, freelist, count, id);
        let at = usize::from(id == 1) * PAGE_BYTES;
        let page = page(id, META, 0, &meta);
        pages.bytes[at..at + page.len()].copy_from_slice(&page);
    }
    pages.bytes
}

fn meta(root: u64, freelist: u64, pages: u64, transaction: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [MAGIC, VERSION, PAGE_BYTES as u32, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in [root, 0, freelist, pages, transaction] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // FNV-1a of 64 bits.
    let hash = out.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    out.extend_from_slice(&hash.to_le_bytes());
    out
}

fn page(id: u64, flags: u16, count: usize, content: &[u8]) -> Vec<u8> {
    let overflow = (PAGE_HEADER_BYTES + content.len()).div_ceil(PAGE_BYTES) - 1;
    let mut out = id.to_le_bytes().to_vec();
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&u16::try_from(count).expect("pages are cut when full").to_le_bytes());
    out.extend_from_slice(&u32::try_from(overflow).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(content);
    out
}

struct Element {
    flags: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Element {
    fn bytes(&self) -> usize {
        ELEMENT_BYTES + self.key.len() + self.value.len()
    }
}

fn length(of: usize) -> [u8; 4] {
    u32::try_from(of).expect("requests are smaller than that").to_le_bytes()
}

/// The content of a leaf page: the elements, then their keys and values. Each element says how far from its own
/// beginning its key is.
fn leaf(elements: &[Element]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (at, element) in elements.iter().enumerate() {
        heads.extend_from_slice(&element.flags.to_le_bytes());
        heads.extend_from_slice(&length((elements.len() - at) * ELEMENT_BYTES + data.len()));
        heads.extend_from_slice(&length(element.key.len()));
        heads.extend_from_slice(&length(element.value.len()));
        data.extend_from_slice(&element.key);
        data.extend_from_slice(&element.value);
    }
    heads.extend_from_slice(&data);
    heads
}

/// The content of a branch page: the first key of each child, and its page.
fn branch(children: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (at, (key, page)) in children.iter().enumerate() {
        heads.extend_from_slice(&length((children.len() - at) * ELEMENT_BYTES + data.len()));
        heads.extend_from_slice(&length(key.len()));
        heads.extend_from_slice(&page.to_le_bytes());
        data.extend_from_slice(key);
    }
    heads.extend_from_slice(&data);
    heads
}

/// Cuts a list into runs that fit a page each; what is too large for one stands alone.
fn fill<T>(list: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut runs, mut begin, mut filled) = (Vec::new(), 0, PAGE_HEADER_BYTES);
    for (at, one) in list.iter().enumerate() {
        if at > begin && filled + bytes(one) > PAGE_BYTES {
            runs.push(&list[begin..at]);
            (begin, filled) = (at, PAGE_HEADER_BYTES);
        }
        filled += bytes(one);
    }
    runs.push(&list[begin..]);
    runs
}

struct Pages {
    bytes: Vec<u8>,
}

impl Pages {
    fn count(&self) -> u64 {
        (self.bytes.len() / PAGE_BYTES) as u64
    }

    /// Appends a page and returns its number.
    fn push(&mut self, flags: u16, count: usize, content: &[u8]) -> u64 {
        let id = self.count();
        self.bytes.extend_from_slice(&page(id, flags, count, content));
        self.bytes.resize(self.bytes.len().next_multiple_of(PAGE_BYTES), 0);
        id
    }

    /// Appends a bucket's tree, unless it is small, and returns the value that stands for it.
    fn bucket(&mut self, items: &[Item]) -> Vec<u8> {
        let element = |(key, value): &Item| Element { flags: 0, key: key.clone(), value: value.clone() };
        let elements: Vec<Element> = items.iter().map(element).collect();
        let inline = page(0, LEAF, elements.len().min(usize::from(u16::MAX)), &leaf(&elements));
        let is_inline = inline.len() <= INLINE_BYTES_MAX;
        let root = if is_inline { 0 } else { self.tree(&elements) };
        let mut value = [root.to_le_bytes(), 0_u64.to_le_bytes()].concat();
        if is_inline {
            value.extend_from_slice(&inline);
        }
        value
    }

    /// Appends a tree, leaves first, and returns its root.
    fn tree(&mut self, elements: &[Element]) -> u64 {
        let mut level: Vec<(Vec<u8>, u64)> = fill(elements, Element::bytes)
            .into_iter()
            .map(|run| {
                let first = run.first().map(|element| element.key.clone()).unwrap_or_default();
                (first, self.push(LEAF, run.len(), &leaf(run)))
            })
            .collect();
        while level.len() > 1 {
            level = fill(&level, |(key, _)| ELEMENT_BYTES + key.len())
                .into_iter()
                .map(|run| (run[0].0.clone(), self.push(BRANCH, run.len(), &branch(run))))
                .collect();
        }
        level[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PutRequest;

    #[test]
    fn a_key_value_is_written_as_protobuf_has_it() {
        let kv = KeyValue {
            key: "foo".into(),
            create_revision: 2,
            mod_revision: 300,
            version: 1,
            value: "bar".into(),
            lease: 0,
        };
        assert_eq!(key_value(&kv), b"\x0a\x03foo\x10\x02\x18\xac\x02\x20\x01\x2a\x03bar");
    }

    #[test]
    fn a_snapshot_is_whole_pages_and_a_hash() {
        let mut store = Store::new(2);
        for n in 0..2000 {
            let mut write = store.write(None);
            write.put_request(PutRequest::new(format!("key{n}"), vec![b'v'; n])).unwrap();
            write.end();
        }
        let file = snapshot(&store, 7);
        let (pages, hash) = file.split_at(file.len() - 32);
        assert_eq!(pages.len() % PAGE_BYTES, 0);
        assert_eq!(hash, &Sha256::digest(pages)[..]);
        assert_eq!(pages[16..20], MAGIC.to_le_bytes());
    }

    /// What a real etcd 3.4.23 says after the same commands.
    #[test]
    fn a_hash_is_the_one_of_a_real_etcd() {
        let mut store = Store::new(2);
        for value in ["bar", "baz"] {
            let mut write = store.write(None);
            write.put_request(PutRequest::new("foo", value)).unwrap();
            write.end();
        }
        assert_eq!(hash_kv(&store, 2), 3_305_255_506);
        store.compact(3).unwrap();
        assert_eq!(hash_kv(&store, 3), 536_172_655);
    }
}
