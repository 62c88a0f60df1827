//! The end-to-end suite, one file per subject; one binary, because each links a whole control plane.

mod architecture;
mod book;
mod etcdctl;
mod fuzz_corpora;
mod hostile;
mod invariant_acknowledged_writes_survive;
mod invariant_histories_are_linearizable;
mod invariant_replicas_lose_nothing;
mod invariant_revisions_only_grow;
mod invariant_watchers_miss_nothing;
mod kube_client;
mod kubectl;
mod kubectl_custom;
mod kubectl_kinds;
mod kubectl_streams;
mod kubectl_table;
mod kubectl_writes;
mod labs;
mod python_client;
mod replicas_live;
mod short_runs;
mod stores;
mod timed_out_write;
