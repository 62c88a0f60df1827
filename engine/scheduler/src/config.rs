//! How the scheduler is started. Counterpart: kube-scheduler's flags.

use std::collections::BTreeMap;

/// The scheduler's settings. `Default` is kube-scheduler 1.32's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Who holds the lease: `master_<uuid>`. Empty: drawn from the component's random stream.
    pub identity: String,
    /// Whether only the holder of the Lease kube-system/kube-scheduler schedules.
    pub leader_elect: bool,
    /// Only pods that name this scheduler are its business.
    pub scheduler_name: String,
}

impl Default for SchedulerConfig {
    fn default() -> SchedulerConfig {
        SchedulerConfig {
            identity: String::new(),
            leader_elect: true,
            scheduler_name: "default-scheduler".to_owned(),
        }
    }
}

impl SchedulerConfig {
    /// Reads flags by their upstream names, without dashes: `leader-elect`. The error names every wrong one.
    ///
    /// `scheduler-name` is no flag upstream any more but a profile's field; labs that run two schedulers want it.
    pub fn from_flags(flags: &BTreeMap<String, String>) -> Result<SchedulerConfig, String> {
        let mut config = SchedulerConfig::default();
        let mut wrong = Vec::new();
        for (name, value) in flags {
            match name.as_str() {
                "leader-elect" => match value.parse() {
                    Ok(on) => config.leader_elect = on,
                    Err(_) => wrong.push(format!("--{name}={value}: want true or false")),
                },
                "scheduler-name" => config.scheduler_name = value.clone(),
                _ => wrong.push(format!("--{name}: unknown flag; known are leader-elect, scheduler-name")),
            }
        }
        if wrong.is_empty() { Ok(config) } else { Err(wrong.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_every_wrong_one_is_named() {
        let flags =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config =
            SchedulerConfig::from_flags(&flags(&[("leader-elect", "false"), ("scheduler-name", "mine")]));
        assert_eq!(config.map(|c| (c.leader_elect, c.scheduler_name)), Ok((false, "mine".to_owned())));
        let error =
            SchedulerConfig::from_flags(&flags(&[("leader-elect", "maybe"), ("v", "4")])).unwrap_err();
        assert!(error.contains("--leader-elect=maybe: want true or false; --v: unknown flag"), "{error}");
    }
}
