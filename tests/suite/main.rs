//! The end-to-end suite, one file per subject; one binary, because each links a whole control plane.

mod architecture;
mod book;
mod etcdctl;
mod invariant_acknowledged_writes_survive;
mod invariant_histories_are_linearizable;
mod invariant_revisions_only_grow;
mod invariant_watchers_miss_nothing;
mod kubectl;
mod kubectl_kinds;
mod kubectl_streams;
mod kubectl_writes;
mod labs;
mod timed_out_write;
