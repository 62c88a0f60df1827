//! kube-apiserver's flags, as far as they are served: names without dashes in front, values as on a command line.
//! Counterpart: `pkg/kubeapiserver/options`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use labkit_api::duration::parse_duration;

use crate::admission::Plugins;
use crate::allocate::Addresses;
use crate::authn::StaticTokens;

/// How requests are judged that no one was asked about yet. The first mode with an opinion decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationMode {
    AlwaysAllow,
    AlwaysDeny,
    Node,
    Rbac,
}

/// Who may come in and what they may do.
#[derive(Debug, Clone)]
pub struct Access {
    /// `--authorization-mode`
    pub authorization_modes: Vec<AuthorizationMode>,
    /// `--anonymous-auth`: whether requests without credentials are those of `system:anonymous`.
    pub anonymous_auth: bool,
    /// `--token-auth-file`
    pub static_tokens: StaticTokens,
    /// `--enable-admission-plugins` and `--disable-admission-plugins`
    pub plugins: Plugins,
}

impl Access {
    /// Whether no kubelet gets anywhere: their rights come from the Node authorizer.
    pub fn refuses_kubelets(&self) -> bool {
        let may_let_them = [AuthorizationMode::AlwaysAllow, AuthorizationMode::Node];
        !self.authorization_modes.iter().any(|mode| may_let_them.contains(mode))
    }
}

impl Default for Access {
    fn default() -> Access {
        Access {
            authorization_modes: vec![AuthorizationMode::AlwaysAllow],
            anonymous_auth: true,
            static_tokens: StaticTokens::default(),
            plugins: Plugins::default(),
        }
    }
}

/// What flags say of a server.
#[derive(Debug, Clone)]
pub struct Flags {
    pub service_cluster_ip_range: String,
    pub event_ttl: Duration,
    pub etcd_compaction_interval: Duration,
    pub access: Access,
}

impl Default for Flags {
    fn default() -> Flags {
        Flags {
            service_cluster_ip_range: "10.96.0.0/12".to_owned(),
            event_ttl: Duration::from_secs(3600),
            etcd_compaction_interval: crate::compaction::INTERVAL,
            access: Access::default(),
        }
    }
}

impl Flags {
    /// The address of the service `default/kubernetes`: the first of the range.
    pub fn kubernetes_service_ip(&self) -> Option<Ipv4Addr> {
        Addresses::parse(&self.service_cluster_ip_range).map(|addresses| addresses.first())
    }

    /// The defaults, changed by flags.
    pub fn parse(flags: &BTreeMap<String, String>) -> Result<Flags, String> {
        let mut parsed = Flags::default();
        let mut plugins = (String::new(), String::new());
        for (name, value) in flags {
            let invalid = |why: String| format!("invalid argument {value:?} for \"--{name}\" flag: {why}");
            match name.as_str() {
                "service-cluster-ip-range" => {
                    Addresses::parse(value)
                        .ok_or_else(|| invalid("want an IPv4 range such as 10.96.0.0/12".to_owned()))?;
                    parsed.service_cluster_ip_range.clone_from(value);
                }
                "event-ttl" => parsed.event_ttl = parse_duration(value).map_err(invalid)?,
                "etcd-compaction-interval" => {
                    parsed.etcd_compaction_interval = parse_duration(value).map_err(invalid)?;
                }
                "anonymous-auth" => {
                    parsed.access.anonymous_auth =
                        value.parse().map_err(|_| invalid("must be true or false".to_owned()))?;
                }
                "authorization-mode" => {
                    parsed.access.authorization_modes = modes(value).map_err(invalid)?;
                }
                "enable-admission-plugins" => plugins.0.clone_from(value),
                "disable-admission-plugins" => plugins.1.clone_from(value),
                _ => return Err(format!("unknown flag: --{name}")),
            }
        }
        parsed.access.plugins = Plugins::parse(&plugins.0, &plugins.1)?;
        // Where nothing decides, nobody without credentials comes in, whatever `--anonymous-auth` says.
        if parsed.access.authorization_modes.contains(&AuthorizationMode::AlwaysAllow) {
            parsed.access.anonymous_auth = false;
        }
        Ok(parsed)
    }
}

fn modes(value: &str) -> Result<Vec<AuthorizationMode>, String> {
    let mode = |name: &str| match name {
        "AlwaysAllow" => Ok(AuthorizationMode::AlwaysAllow),
        "AlwaysDeny" => Ok(AuthorizationMode::AlwaysDeny),
        "Node" => Ok(AuthorizationMode::Node),
        "RBAC" => Ok(AuthorizationMode::Rbac),
        "ABAC" | "Webhook" => Err(format!(
            "labkit does not have the mode {name}; it has Node, RBAC, AlwaysAllow and AlwaysDeny"
        )),
        other => Err(format!("{other:?} is not a valid mode; Node, RBAC, AlwaysAllow and AlwaysDeny are")),
    };
    let modes = value.split(',').map(|name| mode(name.trim())).collect::<Result<Vec<_>, _>>()?;
    match modes.iter().enumerate().find(|(index, mode)| modes[..*index].contains(mode)) {
        Some((_, twice)) => Err(format!("{twice:?} is named more than once")),
        None => Ok(modes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<Flags, String> {
        Flags::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[track_caller]
    fn check_error(name: &str, value: &str, part: &str) {
        let error = parse(name, value).unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn flags_have_upstream_names() {
        let modes = parse("authorization-mode", "RBAC,AlwaysDeny").unwrap().access.authorization_modes;
        assert_eq!(modes, [AuthorizationMode::Rbac, AuthorizationMode::AlwaysDeny]);
        let range = parse("service-cluster-ip-range", "10.0.0.0/24").unwrap().service_cluster_ip_range;
        assert_eq!(range, "10.0.0.0/24");
        assert!(!parse("anonymous-auth", "false").unwrap().access.anonymous_auth);
        assert!(!parse("anonymous-auth", "true").unwrap().access.anonymous_auth, "everything is allowed");
        assert!(parse("authorization-mode", "Node,RBAC").unwrap().access.anonymous_auth);
    }

    #[test]
    fn a_wrong_flag_says_what_is_wrong() {
        let all = "invalid argument \"ABBA\" for \"--authorization-mode\" flag: \"ABBA\" is not a valid mode";
        check_error("authorization-mode", "ABBA", all);
        check_error("authorization-mode", "ABAC,RBAC", "labkit does not have the mode ABAC");
        check_error("authorization-mode", "RBAC,RBAC", "more than once");
        check_error("service-cluster-ip-range", "ten", "want an IPv4 range");
        check_error("event-ttl", "1", "time: missing unit");
        check_error("enable-admission-plugins", "Nope", "unknown");
        check_error("etcd-servers", "x", "unknown flag: --etcd-servers");
    }
}
