//! `labkit` as its users meet it: the binary itself, with a home folder of its own.

#[cfg(feature = "book")]
mod book;
mod follow;
mod home;
mod live;
mod play;
mod usage;
