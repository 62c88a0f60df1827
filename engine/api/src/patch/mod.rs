//! Patches of objects: how a change is merged in, and how kubectl finds the change to send.

mod apply;
mod keys;
mod list;
mod merge;
mod strategic;

pub use apply::{LAST_APPLIED, apply_patch, last_applied, with_last_applied};
pub use keys::{Schema as PatchSchema, Strategy as PatchStrategy};
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

#[cfg(test)]
mod tests;
