//! Ids of members and clusters, as `etcdserver/api/membership` derives them: the first eight bytes of a SHA-1. They are
//! names; nothing rests on its strength.

use ring::digest;

/// A founder's id: from its peer URLs and the cluster's token. A member that is added has no token, but a date, in
/// seconds since 1970: so that one that comes back is another.
pub(crate) fn member_id(peer_urls: &[String], token: &str, added_at: Option<i64>) -> u64 {
    let added_at = added_at.map(|seconds| seconds.to_string()).unwrap_or_default();
    hash(format!("{}{token}{added_at}", urls_text(peer_urls)).as_bytes())
}

/// A cluster's id: from its founders' ids, in their order.
pub(crate) fn cluster_id(founders: impl IntoIterator<Item = u64>) -> u64 {
    let mut ids: Vec<u64> = founders.into_iter().collect();
    ids.sort_unstable();
    hash(&ids.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<u8>>())
}

pub(crate) fn urls_text(urls: &[String]) -> String {
    let mut urls = urls.to_vec();
    urls.sort();
    urls.concat()
}

fn hash(bytes: &[u8]) -> u64 {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let first = hash.as_ref().first_chunk().expect("a SHA-1 has 20 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids that etcd 3.4 shows for a member that is started without any flag.
    #[test]
    fn a_member_without_flags_has_the_ids_that_everybody_knows() {
        let id = member_id(&["http://localhost:2380".to_owned()], "etcd-cluster", None);
        assert_eq!(format!("{id:x}"), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster_id([id])), "cdf818194e3a8c32");
    }

    #[test]
    fn one_that_is_added_again_is_another() {
        let urls = ["http://b:1".to_owned(), "http://a:1".to_owned()];
        let turned = ["http://a:1".to_owned(), "http://b:1".to_owned()];
        assert_eq!(member_id(&urls, "", Some(1)), member_id(&turned, "", Some(1)));
        assert_ne!(member_id(&urls, "", Some(1)), member_id(&urls, "", Some(2)));
    }
}
