//! Grading a class: submissions are data from strangers, so each is read and played in a process that may not
//! hurt anything but itself.
//!
//! - [`class`]: which folders are submissions, and whose.
//! - [`pool`]: worker processes over all cores; what each of them costs is bounded, and so is what it can harm.
//! - [`worker`]: the process's side; [`protocol`]: what the two say to each other; [`limits`]: of a process.
//! - [`sandbox`]: where the scripts of submissions run, if they may.
//! - [`results`]: reports in a folder, each written whole or not at all.
//!
//! Invariants: a submission that ends its process costs itself only. What a fresh process makes of a submission
//! is its grade: one that dies in a process that has graded others is graded once more, in a fresh one.

pub mod class;
mod limits;
pub mod pool;
mod protocol;
pub mod results;
pub mod sandbox;
pub mod worker;
