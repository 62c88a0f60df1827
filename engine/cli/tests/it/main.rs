//! `labkit` as its users meet it: the binary itself, with a home folder of its own.

mod attacks;
#[cfg(feature = "book")]
mod book;
mod class;
mod editor;
mod elsewhere;
mod etcd;
mod follow;
mod grade;
mod home;
#[path = "../../../../tests/linearizability.rs"]
mod linearizability;
mod live;
mod pack;
mod places;
mod play;
mod raft;
mod scripts;
mod up;
mod usage;
