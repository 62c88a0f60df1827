//! The door of the server: who asks, and whether they may.

use std::sync::{Arc, OnceLock};

use labkit_api::{Status, UserInfo};
use labkit_client::Request;
use labkit_pki::Key;
use serde_json::Value;

use crate::authn::{self, service_account};
use crate::authz::{self, Attributes, Decision};
use crate::flags::{Access, AuthorizationMode};
use crate::registry::Registry;

/// Authentication and authorization of one server.
#[derive(Debug)]
pub(crate) struct Guard {
    pub access: Access,
    pub registry: Arc<Registry>,
    key: OnceLock<Key>,
    node_rules: OnceLock<Vec<Value>>,
}

impl Guard {
    pub fn new(access: Access, registry: Arc<Registry>) -> Guard {
        Guard { access, registry, key: OnceLock::new(), node_rules: OnceLock::new() }
    }

    /// Whether every request is let through unseen.
    pub fn is_open(&self) -> bool {
        self.access.authorization_modes.first() == Some(&AuthorizationMode::AlwaysAllow)
    }

    pub fn has_rbac(&self) -> bool {
        self.access.authorization_modes.contains(&AuthorizationMode::Rbac)
    }

    pub async fn authenticate(&self, request: &Request) -> Result<UserInfo, Status> {
        authn::authenticate(self, request).await
    }

    /// What the modes decide, one after the other.
    pub fn decide(&self, attributes: &Attributes) -> Decision {
        let mut reasons = Vec::new();
        for mode in &self.access.authorization_modes {
            let decision = match mode {
                AuthorizationMode::AlwaysAllow => return Decision::Allow(String::new()),
                AuthorizationMode::AlwaysDeny => Decision::NoOpinion("Everything is forbidden.".to_owned()),
                AuthorizationMode::Node => {
                    let rules = self.node_rules.get_or_init(authz::bootstrap::node_rules);
                    authz::node::authorize(&self.registry, rules, attributes)
                }
                AuthorizationMode::Rbac => authz::rbac::authorize(&self.registry, attributes),
            };
            match decision {
                Decision::Allow(_) => return decision,
                Decision::NoOpinion(reason) => reasons.push(reason),
            }
        }
        reasons.retain(|reason| !reason.is_empty());
        Decision::NoOpinion(reasons.join("\n"))
    }

    /// Refuses what the user may not do.
    pub fn authorize(&self, attributes: impl FnOnce() -> Attributes) -> Result<(), Status> {
        if self.is_open() {
            return Ok(());
        }
        let attributes = attributes();
        match self.decide(&attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(attributes.forbidden(&reason)),
        }
    }

    /// The key of service accounts' tokens: the same on every server of the world. Made when it is first needed.
    pub fn signing_key(&self) -> &Key {
        self.key.get_or_init(|| Key::generate(&mut self.registry.world.seed().stream("pki/service-account")))
    }

    /// The audiences that were asked for, or the server's own.
    pub fn own_audiences(&self, audiences: &[String]) -> Vec<String> {
        if audiences.is_empty() { vec![service_account::ISSUER.to_owned()] } else { audiences.to_vec() }
    }
}
