//! `labkit` as its users meet it: the binary itself, with a home folder of its own.

mod attacks;
#[cfg(feature = "book")]
mod book;
mod class;
mod follow;
mod grade;
mod home;
mod live;
mod play;
mod up;
mod usage;
