//! Patches of objects: how a change is merged in, and how kubectl finds the change to send.

mod apply;
mod keys;
mod merge;
mod strategic;

pub use apply::apply_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;
