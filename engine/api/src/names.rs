//! Made-up parts of names: suffixes, hashes. Counterparts: `k8s.io/apimachinery/pkg/util/rand`,
//! `k8s.io/apiserver/pkg/storage/names`, `controller.ComputeHash`.

use serde_json::Value;

use crate::canonical::sorted;

/// No vowels, nor what looks like one: no name spells a bad word by chance.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const BITS_PER_LETTER: u32 = 5;
const LETTERS_PER_DRAW: u32 = u32::BITS / BITS_PER_LETTER;
const GENERATED_SUFFIX_LENGTH: usize = 5;
const GENERATED_NAME_LENGTH_MAX: usize = 63;

/// Spells any text with the alphabet of generated names, letter by letter.
pub fn safe_encode_string(text: &str) -> String {
    text.chars().map(|letter| char::from(ALPHABET[letter as usize % ALPHABET.len()])).collect()
}

/// `length` random letters, drawn from the caller's source of randomness.
pub fn random_suffix(mut rand_u32s: impl FnMut() -> u32, length: usize) -> String {
    let mut suffix = String::with_capacity(length);
    while suffix.len() < length {
        let mut bits = rand_u32s();
        for _ in 0..LETTERS_PER_DRAW {
            let index = bits as usize & ((1 << BITS_PER_LETTER) - 1);
            bits >>= BITS_PER_LETTER;
            if index < ALPHABET.len() && suffix.len() < length {
                suffix.push(char::from(ALPHABET[index]));
            }
        }
    }
    suffix
}

/// The name that `metadata.generateName` asks for: the base, cut to fit a label, and five random letters.
pub fn generated_name(base: &str, rand_u32s: impl FnMut() -> u32) -> String {
    let base_length = base.floor_char_boundary(GENERATED_NAME_LENGTH_MAX - GENERATED_SUFFIX_LENGTH);
    format!("{}{}", &base[..base_length], random_suffix(rand_u32s, GENERATED_SUFFIX_LENGTH))
}

/// FNV-1a over 32 bits.
pub fn fnv32a(bytes: &[u8]) -> u32 {
    fnv32a_from(0x811c_9dc5, bytes)
}

fn fnv32a_from(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The label `pod-template-hash`: equal for equal templates, whatever the order of their fields.
///
/// Upstream hashes a dump of the Go value, so a real cluster has another hash for the same template.
pub fn pod_template_hash(template: &Value, collision_count: Option<i32>) -> String {
    let mut hash = fnv32a(sorted(template).to_string().as_bytes());
    if let Some(count) = collision_count {
        hash = fnv32a_from(hash, &i64::from(count).to_le_bytes());
    }
    safe_encode_string(&hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn safe_encoding_keeps_the_length() {
        assert_eq!(safe_encode_string("0123456789"), "456789bcdf");
        assert_eq!(safe_encode_string(""), "");
    }

    #[test]
    fn fnv32a_gives_the_published_hashes() {
        assert_eq!(fnv32a(b""), 0x811c_9dc5);
        assert_eq!(fnv32a(b"a"), 0xe40c_292c);
        assert_eq!(fnv32a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_random_suffix_has_its_length_and_alphabet() {
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let suffix = random_suffix(&mut next, 40);
        assert_eq!(suffix.len(), 40);
        assert!(suffix.bytes().all(|letter| ALPHABET.contains(&letter)), "{suffix}");
        assert_eq!(random_suffix(|| 0, 5), "bbbbb");
    }

    #[test]
    fn a_generated_name_fits_a_label() {
        assert_eq!(generated_name("web-", || 0), "web-bbbbb");
        assert_eq!(generated_name(&"x".repeat(80), || 0).len(), 63);
    }

    #[test]
    fn the_template_hash_ignores_field_order_and_heeds_the_collision_count() {
        let one = json!({"spec": {"containers": [{"name": "c", "image": "nginx"}]}, "metadata": {}});
        let two = json!({"metadata": {}, "spec": {"containers": [{"image": "nginx", "name": "c"}]}});
        let other = json!({"metadata": {}, "spec": {"containers": [{"image": "nginx:2", "name": "c"}]}});
        assert_eq!(pod_template_hash(&one, None), pod_template_hash(&two, None));
        assert_ne!(pod_template_hash(&one, None), pod_template_hash(&other, None));
        assert_ne!(pod_template_hash(&one, None), pod_template_hash(&one, Some(1)));
    }
}
