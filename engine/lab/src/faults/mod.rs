//! Faults as lab files write them; what they do is `labkit_cluster`'s. One file each, one line in the list.

mod clock_skew;
mod corrupt_byte;
mod delay;
mod drop;
mod full_disk;
mod kill;
mod partition;
mod pause;
mod power_loss;
mod power_off;
mod slow_disk;

use labkit_cluster::Fault;

use crate::cel::Condition;
use crate::span::Span;
use crate::template::plain_text;
use crate::verbs::verbs;

/// Something that a fault does.
pub(crate) trait FaultVerb: Send + Sync {
    fn fault(&self) -> Fault;
}

verbs! {
    /// A fault: exactly one verb, and when. Whatever is left at the end of a run is healed then.
    pub struct FaultSpec ("fault") does FaultVerb {
        /// A name, for `heal` and for expressions: `faults.crash.target`.
        #[schemars(regex(pattern = "^[a-z][a-z0-9-]*$"))]
        pub id: String,
        /// How long after the task began it strikes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub at: Option<Span>,
        /// The condition at which it strikes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub when: Option<Condition>,
        /// How long after it struck it is healed.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        pub lasts: Option<Span>,
        /// How long after the task began it is healed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub heal_at: Option<Span>,
    }
    verbs {
        /// Ends a process as SIGKILL does; what is on its disk stays. Healing starts it again.
        "kill" kill: kill::Kill,
        /// Stops a process as SIGSTOP does: it holds its connections and says nothing.
        "pause" pause: pause::Pause,
        /// Cuts a machine's power: its kubelet and every container.
        "powerOff" power_off: power_off::PowerOff,
        /// Kills a member of the store and loses what it had not synced to its disk.
        "powerLoss" power_loss: power_loss::PowerLoss,
        /// Lets nothing pass between groups: etcd1 | etcd2, etcd3.
        "partition" partition: partition::Partition,
        /// Makes each message between groups take longer.
        "delay" delay: delay::Delay,
        /// Loses messages between groups with a probability.
        "drop" drop: drop::Drop,
        /// Makes each sync of a member's disk take longer.
        "slowDisk" slow_disk: slow_disk::SlowDisk,
        /// Lets a member's disk take no more.
        "fullDisk" full_disk: full_disk::FullDisk,
        /// Flips a byte in the midst of a member's log on its disk. It shows when the member reads the log, at its next
        /// start: it refuses. Healing flips the byte back.
        "corruptByte" corrupt_byte: corrupt_byte::CorruptByte,
        /// Sets the clock of a component's machine ahead or behind. Its timers run as before, so that no lease and no
        /// election comes sooner: only the dates that it writes are wrong, and etcd's members warn of it.
        "clockSkew" clock_skew: clock_skew::ClockSkew,
    }
}

impl FaultSpec {
    /// `kill etcd/leader`, for messages.
    pub fn described(&self) -> String {
        let (verb, _) = self.verb();
        let value = serde_json::to_value(self).expect("a fault is plain data");
        match &value[verb] {
            serde_json::Value::Object(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={}", plain_text(value))).collect();
                format!("{verb} {}", fields.join(" "))
            }
            text => format!("{verb} {}", plain_text(text)),
        }
    }
}
