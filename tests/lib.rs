//! What the end-to-end tests share: random faults, a checker of histories, live clusters with the real clients, the course's labs.

pub mod chaos;
pub mod course;
pub mod linearizability;
pub mod live;
