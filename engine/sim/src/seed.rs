//! The only source of randomness. Every consumer draws from a stream of its own, named after it, so that
//! one more draw in one component changes nothing in another.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator of a stream: rand 0.8's `RngCore`, which openraft asks for too.
pub type Rng = ChaCha8Rng;

/// A world's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of that name: the same name and seed always give the same numbers.
    pub fn stream(self, name: &str) -> Rng {
        ChaCha8Rng::seed_from_u64(self.0 ^ fnv1a(name.as_bytes()))
    }

    /// A seed derived from this one: for what needs a world, or a choice, of its own.
    pub fn derive(self, name: &str) -> Seed {
        Seed(self.0.rotate_left(17) ^ fnv1a(name.as_bytes()))
    }
}

/// FNV-1a, 64 bits: stable over builds and platforms, which std's hashers do not promise.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn streams_are_reproducible_and_apart() {
        let draw = |seed, name| Seed(seed).stream(name).next_u64();
        assert_eq!(draw(1, "etcd1"), draw(1, "etcd1"));
        assert_ne!(draw(1, "etcd1"), draw(1, "etcd2"));
        assert_ne!(draw(1, "etcd1"), draw(2, "etcd1"));
    }
}
