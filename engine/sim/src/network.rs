//! Links between components, by name. A message is a record in the trace plus the wait that the link's
//! rules impose; the call itself is a plain async call by whoever sent it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng as _;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::seed::Rng;
use crate::trace::{Payload, RecordId, Trace};

/// Names a rule, to remove it again.
pub type RuleId = u64;

/// What a rule does to the messages that it matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Nothing passes between members of different groups. Names in no group are not affected.
    Partition { groups: Vec<BTreeSet<String>> },
    /// A message from `from` to `to` is lost with that probability (0.0 to 1.0). `None` matches all.
    Drop { from: Option<String>, to: Option<String>, probability: f64 },
    /// A message from `from` to `to` takes that much longer. `None` matches all.
    Delay { from: Option<String>, to: Option<String>, by: Duration },
    /// Messages among these stay on the way until [`Network::deliver_next`] lets one arrive, or the rule is removed.
    Hold { among: BTreeSet<String> },
}

/// A message that a rule holds. One whose sender gives up is held no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its record in the trace.
    pub id: RecordId,
    pub from: String,
    pub to: String,
    pub kind: String,
    pub fields: Value,
}

/// Why a message could not be sent. A lost message gives no error: it just never arrives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("dial {to}: connect: connection refused")]
    Refused { to: String },
}

/// A handle to the world's links. Clones share it.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
    trace: Trace,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    next_rule: RuleId,
    rules: BTreeMap<RuleId, Rule>,
    /// Components that are down: their ports refuse.
    down: BTreeSet<String>,
    /// What is held, oldest first.
    held: BTreeMap<RecordId, (Held, oneshot::Sender<()>)>,
}

/// A sender's end of a message that is held.
struct OnTheWay<'a> {
    network: &'a Network,
    id: RecordId,
    arrives: oneshot::Receiver<()>,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        self.network.locked().held.remove(&self.id);
    }
}

enum Fate {
    Arrives(Duration),
    Lost,
}

impl Network {
    pub(crate) fn new(rng: Rng, trace: Trace) -> Network {
        let inner =
            Inner { rng, next_rule: 0, rules: BTreeMap::new(), down: BTreeSet::new(), held: BTreeMap::new() };
        Network { inner: Arc::new(Mutex::new(inner)), trace }
    }

    pub fn add(&self, rule: Rule) -> RuleId {
        let mut inner = self.locked();
        inner.next_rule += 1;
        let id = inner.next_rule;
        inner.rules.insert(id, rule);
        id
    }

    /// Removes a rule. What it held arrives, in its order.
    pub fn remove(&self, rule: RuleId) {
        let mut inner = self.locked();
        inner.rules.remove(&rule);
        let freed: Vec<RecordId> = inner
            .held
            .iter()
            .filter(|(_, (held, _))| !inner.holds(&held.from, &held.to))
            .map(|(id, _)| *id)
            .collect();
        for id in freed {
            inner.arrive(id);
        }
    }

    /// What is held now, oldest first.
    pub fn held(&self) -> Vec<Held> {
        self.locked().held.values().map(|(held, _)| held.clone()).collect()
    }

    /// Lets the oldest message that is held arrive.
    pub fn deliver_next(&self) -> Option<Held> {
        let mut inner = self.locked();
        let id = *inner.held.keys().next()?;
        inner.arrive(id)
    }

    /// Whether `name` refuses connections because it was killed.
    pub fn is_down(&self, name: &str) -> bool {
        self.locked().down.contains(name)
    }

    /// Says that `name` refuses (`true`) or accepts (`false`) connections.
    pub fn set_down(&self, name: &str, down: bool) {
        let mut inner = self.locked();
        if down {
            inner.down.insert(name.to_owned());
        } else {
            inner.down.remove(name);
        }
    }

    /// Sends a message: records it, then waits as the link's rules say. If a rule loses it, this never
    /// returns, as with a real packet: the caller's own deadline ends the wait.
    ///
    /// Returns the record's id, to be the cause of what the receiver does.
    pub async fn transmit(&self, from: &str, to: &str, payload: impl Payload) -> Result<RecordId, LinkError> {
        if self.is_down(to) {
            return Err(LinkError::Refused { to: to.to_owned() });
        }
        let (fate, is_held) = {
            let mut inner = self.locked();
            (inner.fate(from, to), inner.holds(from, to))
        };
        let shown = is_held.then(|| (payload.kind().to_owned(), payload.fields()));
        let id = self.trace.record(from, to, payload);
        if let (Some((kind, fields)), Fate::Arrives(_)) = (shown, &fate) {
            self.hold(Held { id, from: from.to_owned(), to: to.to_owned(), kind, fields }).await;
        }
        self.suffer(fate).await;
        if self.is_down(to) {
            return Err(LinkError::Refused { to: to.to_owned() });
        }
        Ok(id)
    }

    /// The same without a record, for the way back and for what would only be noise in the trace.
    pub async fn pass(&self, from: &str, to: &str) -> Result<(), LinkError> {
        if self.is_down(to) {
            return Err(LinkError::Refused { to: to.to_owned() });
        }
        let fate = self.locked().fate(from, to);
        self.suffer(fate).await;
        Ok(())
    }

    async fn hold(&self, held: Held) {
        let (sender, arrives) = oneshot::channel();
        let mut on_the_way = OnTheWay { network: self, id: held.id, arrives };
        self.locked().held.insert(held.id, (held, sender));
        // The sender goes only with the network.
        let _ = (&mut on_the_way.arrives).await;
    }

    async fn suffer(&self, fate: Fate) {
        match fate {
            Fate::Arrives(Duration::ZERO) => {}
            Fate::Arrives(delay) => tokio::time::sleep(delay).await,
            Fate::Lost => std::future::pending().await,
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }
}

impl Inner {
    /// Whether a rule holds what is sent so.
    fn holds(&self, from: &str, to: &str) -> bool {
        let holds = |rule: &Rule| match rule {
            Rule::Hold { among } => among.contains(from) && among.contains(to),
            _ => false,
        };
        self.rules.values().any(holds)
    }

    fn arrive(&mut self, id: RecordId) -> Option<Held> {
        let (held, arrives) = self.held.remove(&id)?;
        // Its sender may have given up at this moment.
        let _ = arrives.send(());
        Some(held)
    }

    fn fate(&mut self, from: &str, to: &str) -> Fate {
        let matches = |name: &Option<String>, actual: &str| name.as_deref().is_none_or(|name| name == actual);
        let mut delay = Duration::ZERO;
        for rule in self.rules.values() {
            match rule {
                Rule::Partition { groups } => {
                    let group_of = |name: &str| groups.iter().position(|group| group.contains(name));
                    if let (Some(a), Some(b)) = (group_of(from), group_of(to))
                        && a != b
                    {
                        return Fate::Lost;
                    }
                }
                Rule::Drop { from: f, to: t, probability } => {
                    if matches(f, from) && matches(t, to) && self.rng.gen_bool(probability.clamp(0.0, 1.0)) {
                        return Fate::Lost;
                    }
                }
                Rule::Delay { from: f, to: t, by } => {
                    if matches(f, from) && matches(t, to) {
                        delay += *by;
                    }
                }
                Rule::Hold { .. } => {}
            }
        }
        Fate::Arrives(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pace, run};

    #[derive(Debug)]
    struct Ping;
    impl Payload for Ping {
        fn kind(&self) -> &str {
            "Ping"
        }
        fn fields(&self) -> serde_json::Value {
            serde_json::json!({})
        }
    }

    #[test]
    fn a_partition_loses_messages_until_it_is_healed() {
        run(Pace::Virtual, 1, |world| async move {
            let network = world.network().clone();
            let send = |from, to| {
                let network = network.clone();
                async move {
                    tokio::time::timeout(Duration::from_secs(1), network.transmit(from, to, Ping))
                        .await
                        .is_ok()
                }
            };
            let groups = vec![
                BTreeSet::from(["etcd1".to_owned()]),
                BTreeSet::from(["etcd2".to_owned(), "etcd3".to_owned()]),
            ];
            let rule = network.add(Rule::Partition { groups });
            assert!(!send("etcd1", "etcd2").await);
            assert!(!send("etcd3", "etcd1").await);
            assert!(send("etcd2", "etcd3").await);
            assert!(send("kubectl", "etcd1").await);
            network.remove(rule);
            assert!(send("etcd1", "etcd2").await);
        });
    }

    #[test]
    fn what_is_held_arrives_one_by_one_or_when_the_rule_goes() {
        run(Pace::Virtual, 1, |world| async move {
            let network = world.network().clone();
            let among = BTreeSet::from(["etcd1".to_owned(), "etcd2".to_owned()]);
            let rule = network.add(Rule::Hold { among });
            let sender = world.component("sender");
            let arrived = Arc::new(Mutex::new(Vec::new()));
            for (number, patience) in [(1, 60), (2, 60), (3, 1), (4, 60)] {
                let (network, arrived) = (network.clone(), arrived.clone());
                sender.spawn(async move {
                    let sent = network.transmit("etcd1", "etcd2", Ping);
                    if tokio::time::timeout(Duration::from_secs(patience), sent).await.is_ok() {
                        arrived.lock().unwrap().push(number);
                    }
                });
            }
            world.settle().await;
            network.transmit("kubectl", "etcd1", Ping).await.unwrap();
            assert_eq!(network.held().len(), 4);
            assert_eq!(network.deliver_next().unwrap().kind, "Ping");
            world.settle().await;
            assert_eq!(*arrived.lock().unwrap(), [1]);
            assert_eq!(world.clock().elapsed(), Duration::ZERO, "no time has passed");
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(network.held().len(), 2, "one sender has given up");
            network.remove(rule);
            world.settle().await;
            assert_eq!(*arrived.lock().unwrap(), [1, 2, 4]);
            assert!(network.held().is_empty() && network.deliver_next().is_none());
        });
    }

    #[test]
    fn a_killed_component_refuses() {
        run(Pace::Virtual, 1, |world| async move {
            let component = world.component("etcd1");
            component.kill().await;
            assert!(
                world.network().transmit("etcd2", "etcd1", Ping).await.is_ok(),
                "only who listens can refuse"
            );
            world.network().set_down("etcd1", true);
            let refused = world.network().transmit("etcd2", "etcd1", Ping).await.unwrap_err();
            assert_eq!(refused.to_string(), "dial etcd1: connect: connection refused");
        });
    }

    #[test]
    fn a_delay_is_virtual_time() {
        run(Pace::Virtual, 1, |world| async move {
            world.network().add(Rule::Delay {
                from: None,
                to: Some("etcd2".into()),
                by: Duration::from_millis(200),
            });
            world.network().transmit("etcd1", "etcd2", Ping).await.unwrap();
            assert_eq!(world.clock().elapsed(), Duration::from_millis(200));
        });
    }
}
