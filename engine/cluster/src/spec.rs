//! What a lab's `cluster:` says. Only what is named is booted.

use std::collections::BTreeMap;
use std::time::Duration;

use labkit_api::duration::parse_duration;
use labkit_etcd::grpc::{ClientTls, Endpoints};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The control plane that a lab wants. A component that is not named is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClusterSpec {
    /// The store. Everything else needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdSpec>,
    /// The API server. Controllers, scheduler and nodes need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server: Option<ApiServerSpec>,
    /// The controllers, in one process as upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_manager: Option<ControllerManagerSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerSpec>,
    /// Worker nodes with their kubelets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesSpec>,
    /// The metrics server, for `kubectl top`: a deployment in kube-system, and the APIService that leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_server: Option<MetricsServerSpec>,
    /// Container images and what their containers do, beyond the built-in ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, labkit_node::Image>,
}

/// `etcd: {members: 3}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EtcdSpec {
    /// How many members: 1, 3 or 5. They are named etcd1, etcd2, and so on.
    pub members: u8,
    /// How often the leader says that it lives; etcd's default is 100ms.
    pub heartbeat_interval: String,
    /// How long a follower waits before it stands for election; etcd's default is 1s.
    pub election_timeout: String,
    /// A store elsewhere, in place of members of this world. It keeps real time and can be broken by nobody here,
    /// so that it is no part of a lab file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub external: Option<ExternalEtcd>,
}

/// `external: {endpoints: [http://10.0.0.1:2379]}`: any etcd v3 cluster, as kubeadm names one. Certificates and keys
/// are given as PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ExternalEtcd {
    /// The members' client URLs.
    pub endpoints: Vec<String>,
    /// The authority of the members' certificates, for `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The API server's certificate, where the members ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// The key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl ExternalEtcd {
    pub(crate) fn endpoints(&self) -> Endpoints {
        let identity = self.cert.clone().zip(self.key.clone());
        let tls = self.ca.clone().map(|ca_pem| ClientTls { ca_pem, identity });
        Endpoints { urls: self.endpoints.clone(), tls }
    }
}

/// `apiServer: {}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ApiServerSpec {
    /// How many API servers share the store, behind a load balancer.
    pub replicas: u8,
    /// Flags of kube-apiserver, without the dashes: `authorization-mode: RBAC`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, String>,
    /// The users of `--token-auth-file`, which no lab has.
    #[serde(skip)]
    pub static_tokens: labkit_apiserver::StaticTokens,
}

/// `controllerManager: {flags: {node-monitor-grace-period: 40s}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ControllerManagerSpec {
    /// How many processes stand for leader; one acts.
    pub replicas: u8,
    /// Flags of kube-controller-manager, without the dashes.
    pub flags: BTreeMap<String, String>,
}

/// `scheduler: {}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SchedulerSpec {
    /// How many processes stand for leader; one acts.
    pub replicas: u8,
    /// Flags of kube-scheduler, without the dashes.
    pub flags: BTreeMap<String, String>,
}

/// `nodes: {count: 3}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct NodesSpec {
    /// How many workers. They are named worker1, worker2, and so on.
    pub count: u8,
    /// CPU of each, as a Kubernetes quantity.
    pub cpu: String,
    /// Memory of each, as a Kubernetes quantity.
    pub memory: String,
}

/// `metricsServer: {}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MetricsServerSpec {}

impl Default for EtcdSpec {
    fn default() -> EtcdSpec {
        EtcdSpec {
            members: 1,
            heartbeat_interval: "100ms".to_owned(),
            election_timeout: "1s".to_owned(),
            external: None,
        }
    }
}

impl Default for ApiServerSpec {
    fn default() -> ApiServerSpec {
        ApiServerSpec { replicas: 1, flags: BTreeMap::new(), static_tokens: Default::default() }
    }
}

impl Default for ControllerManagerSpec {
    fn default() -> ControllerManagerSpec {
        ControllerManagerSpec { replicas: 1, flags: BTreeMap::new() }
    }
}

impl Default for SchedulerSpec {
    fn default() -> SchedulerSpec {
        SchedulerSpec { replicas: 1, flags: BTreeMap::new() }
    }
}

impl Default for NodesSpec {
    fn default() -> NodesSpec {
        NodesSpec { count: 1, cpu: "4".to_owned(), memory: "8Gi".to_owned() }
    }
}

/// Something in a spec that types cannot refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// Where, as a JSON pointer into the spec: `/etcd/members`.
    pub pointer: String,
    pub message: String,
    /// The message in Korean; what is in Kubernetes' own words stays in them.
    pub korean: String,
}

impl SpecProblem {
    pub(crate) fn new(pointer: &str, message: &str, korean: &str) -> SpecProblem {
        let (pointer, message, korean) = (pointer.to_owned(), message.to_owned(), korean.to_owned());
        SpecProblem { pointer, message, korean }
    }
}

impl ClusterSpec {
    /// A whole small cluster, for `labkit tour`, benches and tests.
    pub fn whole(etcd_members: u8, nodes: u8) -> ClusterSpec {
        ClusterSpec {
            etcd: Some(EtcdSpec { members: etcd_members, ..Default::default() }),
            api_server: Some(ApiServerSpec::default()),
            controller_manager: Some(ControllerManagerSpec::default()),
            scheduler: Some(SchedulerSpec::default()),
            nodes: Some(NodesSpec { count: nodes, ..Default::default() }),
            metrics_server: None,
            images: BTreeMap::new(),
        }
    }

    /// Every problem of the spec, in the order of its fields.
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut problems = Vec::new();
        let mut say = |pointer: &str, message: &str, korean: &str| {
            problems.push(SpecProblem::new(pointer, message, korean));
        };
        match &self.etcd {
            None => say(
                "",
                "a cluster needs etcd: add `etcd: {members: 1}`",
                "클러스터에는 etcd가 필요합니다: `etcd: {members: 1}` 을 더하세요",
            ),
            Some(etcd) => {
                let members = etcd.members;
                if ![1, 3, 5].contains(&members) {
                    say(
                        "/etcd/members",
                        &format!("etcd runs here with 1, 3 or 5 members, not {members}"),
                        &format!(
                            "여기서 etcd의 멤버 수는 1, 3, 5 가운데 하나입니다. {members} 은(는) 안 됩니다"
                        ),
                    );
                }
                for (pointer, text) in [
                    ("/etcd/heartbeatInterval", &etcd.heartbeat_interval),
                    ("/etcd/electionTimeout", &etcd.election_timeout),
                ] {
                    match parse_duration(text) {
                        Err(message) => say(
                            pointer,
                            &message,
                            &format!("`{text}`: 시간 길이가 아닙니다. `500ms`, `40s`, `1m30s` 처럼 씁니다"),
                        ),
                        Ok(duration) if duration < Duration::from_millis(1) => {
                            say(pointer, "at least 1ms", "적어도 1ms")
                        }
                        Ok(_) => {}
                    }
                }
                if let Some(external) = &etcd.external {
                    if let Err(error) = external.endpoints().check() {
                        say("/etcd/external", &error.to_string(), &error.to_string());
                    }
                    if external.cert.is_some() != external.key.is_some() {
                        say(
                            "/etcd/external",
                            "a certificate goes with its key",
                            "인증서와 키는 함께 있어야 합니다",
                        );
                    }
                }
            }
        }
        let needs = [
            (
                "/controllerManager",
                self.controller_manager.is_some(),
                "the controller manager",
                "컨트롤러 매니저는",
            ),
            ("/scheduler", self.scheduler.is_some(), "the scheduler", "스케줄러는"),
            ("/nodes", self.nodes.is_some(), "a node", "노드는"),
        ];
        for (pointer, named, who, korean) in needs {
            if named && self.api_server.is_none() {
                say(
                    pointer,
                    &format!("{who} talks to the API server: add `apiServer: {{}}`"),
                    &format!("{korean} API 서버와 이야기합니다: `apiServer: {{}}` 를 더하세요"),
                );
            }
        }
        match self.api_server.as_ref().map(|server| labkit_apiserver::Flags::parse(&server.flags)) {
            Some(Ok(flags)) if self.nodes.is_some() && flags.access.refuses_kubelets() => say(
                "/apiServer/flags",
                "with this --authorization-mode no kubelet may do anything: put Node before it, as in Node,RBAC",
                "이 --authorization-mode 로는 kubelet이 아무것도 할 수 없습니다: Node,RBAC 처럼 앞에 Node를 두세요",
            ),
            Some(Err(message)) => say("/apiServer/flags", &message, &message),
            _ => {}
        }
        if let Some(manager) = &self.controller_manager
            && let Err(message) = labkit_controllers::ControllerManagerConfig::from_flags(&manager.flags)
        {
            say("/controllerManager/flags", &message, &message);
        }
        if let Some(scheduler) = &self.scheduler
            && let Err(message) = labkit_scheduler::SchedulerConfig::from_flags(&scheduler.flags)
        {
            say("/scheduler/flags", &message, &message);
        }
        let missing = [
            (self.controller_manager.is_none(), "controllerManager"),
            (self.scheduler.is_none(), "scheduler"),
            (self.nodes.is_none(), "nodes"),
        ];
        if self.metrics_server.is_some() {
            for (_, name) in missing.iter().filter(|(is_missing, _)| *is_missing) {
                say(
                    "/metricsServer",
                    &format!(
                        "the metrics server is a deployment, which needs a pod that runs: add `{name}: {{}}`"
                    ),
                    &format!(
                        "메트릭 서버는 Deployment이므로 Pod이 실행되어야 합니다: `{name}: {{}}` 를 더하세요"
                    ),
                );
            }
        }
        let replicas = [
            ("/apiServer/replicas", self.api_server.as_ref().map(|spec| spec.replicas), 5),
            ("/controllerManager/replicas", self.controller_manager.as_ref().map(|spec| spec.replicas), 5),
            ("/scheduler/replicas", self.scheduler.as_ref().map(|spec| spec.replicas), 5),
            ("/nodes/count", self.nodes.as_ref().map(|spec| spec.count), 100),
        ];
        for (pointer, count, max) in replicas {
            if count.is_some_and(|count| count == 0 || count > max) {
                say(
                    pointer,
                    &format!("from 1 to {max}; leave the component out for none"),
                    &format!("1부터 {max}까지입니다. 없어야 하면 컴포넌트를 빼세요"),
                );
            }
        }
        if let Some(nodes) = &self.nodes {
            for (pointer, quantity) in [("/nodes/cpu", &nodes.cpu), ("/nodes/memory", &nodes.memory)] {
                if let Err(message) = labkit_api::quantity::Quantity::parse(quantity) {
                    say(
                        pointer,
                        &message,
                        &format!("`{quantity}`: 수량이 아닙니다. `500m`, `4`, `8Gi` 처럼 씁니다"),
                    );
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(yaml: serde_json::Value, expected: &[&str]) {
        let spec: ClusterSpec = serde_json::from_value(yaml).unwrap();
        let problems: Vec<String> = spec
            .problems()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.pointer, problem.message))
            .collect();
        assert_eq!(problems, expected);
    }

    /// Apart from flags, which are told in Kubernetes' own words.
    #[test]
    fn every_problem_is_told_in_korean_too() {
        use serde_json::json;
        for yaml in [
            json!({"scheduler": {}, "nodes": {"count": 0, "cpu": "much"}, "controllerManager": {}}),
            json!({"etcd": {"members": 2, "heartbeatInterval": "soon", "electionTimeout": "0s"}}),
            json!({"etcd": {"external": {"endpoints": ["http://10.0.0.1:2379"], "key": "k"}}}),
            json!({"etcd": {}, "apiServer": {"flags": {"authorization-mode": "RBAC"}}, "nodes": {}, "metricsServer": {}}),
        ] {
            let spec: ClusterSpec = serde_json::from_value(yaml).unwrap();
            assert!(!spec.problems().is_empty());
            for problem in spec.problems() {
                assert!(problem.korean.contains(|letter| ('가'..='힣').contains(&letter)), "{problem:?}");
            }
        }
    }

    #[test]
    fn problems_are_named_all_at_once() {
        use serde_json::json;
        check(json!({"etcd": {"members": 3}}), &[]);
        let external = |external| json!({"etcd": {"external": external}});
        check(external(json!({"endpoints": ["http://10.0.0.1:2379"]})), &[]);
        check(external(json!({})), &["/etcd/external: no endpoint is named"]);
        check(
            external(json!({"endpoints": ["10.0.0.1"], "key": "k"})),
            &[
                "/etcd/external: \"10.0.0.1\" is no URL of an endpoint: want http://HOST:PORT or https://HOST:PORT",
                "/etcd/external: a certificate goes with its key",
            ],
        );
        check(
            external(json!({"endpoints": ["https://10.0.0.1:2379"]})),
            &["/etcd/external: \"https://10.0.0.1:2379\" needs the certificate of its authority"],
        );
        check(json!({}), &[": a cluster needs etcd: add `etcd: {members: 1}`"]);
        check(
            json!({"etcd": {"members": 1}, "apiServer": {"flags": {"authorization-mode": "ABAC"}}}),
            &[
                "/apiServer/flags: invalid argument \"ABAC\" for \"--authorization-mode\" flag: labkit does not have the mode \
                 ABAC; it has Node, RBAC, AlwaysAllow and AlwaysDeny",
            ],
        );
        check(
            json!({"etcd": {"members": 1}, "apiServer": {"flags": {"authorization-mode": "RBAC"}}, "nodes": {}}),
            &[
                "/apiServer/flags: with this --authorization-mode no kubelet may do anything: put Node before it, as in Node,RBAC",
            ],
        );
        check(
            json!({"etcd": {"members": 2}, "scheduler": {}, "nodes": {"count": 0}}),
            &[
                "/etcd/members: etcd runs here with 1, 3 or 5 members, not 2",
                "/scheduler: the scheduler talks to the API server: add `apiServer: {}`",
                "/nodes: a node talks to the API server: add `apiServer: {}`",
                "/nodes/count: from 1 to 100; leave the component out for none",
            ],
        );
        check(
            json!({"etcd": {"members": 1}, "apiServer": {}, "scheduler": {}, "nodes": {}, "metricsServer": {}}),
            &[
                "/metricsServer: the metrics server is a deployment, which needs a pod that runs: add `controllerManager: {}`",
            ],
        );
    }
}
