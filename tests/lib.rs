//! What the end-to-end tests share: random faults, a checker of histories, an HTTPS client, live clusters with the real
//! clients, a real etcd, the course's labs.

pub mod chaos;
pub mod course;
pub mod https;
pub mod linearizability;
pub mod live;
pub mod real_etcd;
