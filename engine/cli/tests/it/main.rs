//! `labkit` as its users meet it: the binary itself, with a home folder of its own.

mod home;
mod live;
mod usage;
