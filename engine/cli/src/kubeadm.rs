//! kubeadm's file, as far as `labkit up --config` serves it: `ClusterConfiguration` of `kubeadm.k8s.io/v1beta3` and
//! `v1beta4`. What kubeadm knows and labkit does not serve is named in a warning; what kubeadm does not know is an error.

use std::collections::BTreeMap;
use std::path::Path;

use labkit_cluster::ClusterSpec;
use labkit_cluster::spec::{ApiServerSpec, ControllerManagerSpec, EtcdSpec, ExternalEtcd, SchedulerSpec};
use labkit_lab::Language;
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use crate::screen::say;

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub struct Kubeadm {
    pub cluster_name: Option<String>,
    /// Etcd and the flags of the components.
    pub etcd: EtcdSpec,
    pub api_server: BTreeMap<String, String>,
    pub controller_manager: BTreeMap<String, String>,
    pub scheduler: BTreeMap<String, String>,
    /// What the file asks for and labkit does not serve.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1Beta3,
    V1Beta4,
}

/// Whether labkit does what a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Served,
    NotServed,
    /// Not served, and known by one version only.
    NotServedIn(Version),
}

use Field::{NotServed, NotServedIn, Served};
use Version::{V1Beta3, V1Beta4};

/// Every field of a ClusterConfiguration.
const FIELDS: &[(&str, Field)] = &[
    ("apiVersion", Served),
    ("kind", Served),
    ("clusterName", Served),
    ("kubernetesVersion", Served),
    ("networking.serviceSubnet", Served),
    ("networking.podSubnet", Served),
    ("networking.dnsDomain", Served),
    ("etcd.external.endpoints", Served),
    ("etcd.external.caFile", Served),
    ("etcd.external.certFile", Served),
    ("etcd.external.keyFile", Served),
    ("etcd.local.extraArgs", Served),
    ("etcd.local.dataDir", NotServed),
    ("etcd.local.imageRepository", NotServed),
    ("etcd.local.imageTag", NotServed),
    ("etcd.local.serverCertSANs", NotServed),
    ("etcd.local.peerCertSANs", NotServed),
    ("etcd.local.extraEnvs", NotServedIn(V1Beta4)),
    ("apiServer.extraArgs", Served),
    ("apiServer.extraVolumes", NotServed),
    ("apiServer.certSANs", NotServed),
    ("apiServer.timeoutForControlPlane", NotServedIn(V1Beta3)),
    ("apiServer.extraEnvs", NotServedIn(V1Beta4)),
    ("controllerManager.extraArgs", Served),
    ("controllerManager.extraVolumes", NotServed),
    ("controllerManager.extraEnvs", NotServedIn(V1Beta4)),
    ("scheduler.extraArgs", Served),
    ("scheduler.extraVolumes", NotServed),
    ("scheduler.extraEnvs", NotServedIn(V1Beta4)),
    ("controlPlaneEndpoint", NotServed),
    ("certificatesDir", NotServed),
    ("imageRepository", NotServed),
    ("featureGates", NotServed),
    ("dns.imageRepository", NotServed),
    ("dns.imageTag", NotServed),
    ("dns.disabled", NotServedIn(V1Beta4)),
    ("proxy.disabled", NotServedIn(V1Beta4)),
    ("encryptionAlgorithm", NotServedIn(V1Beta4)),
    ("caCertificateValidityPeriod", NotServedIn(V1Beta4)),
    ("certificateValidityPeriod", NotServedIn(V1Beta4)),
];

/// The other kinds that such a file may have.
const OTHER_KINDS: &[&str] = &[
    "InitConfiguration",
    "JoinConfiguration",
    "ResetConfiguration",
    "UpgradeConfiguration",
    "KubeProxyConfiguration",
    "KubeletConfiguration",
];

/// What labkit serves of it.
const SERVED_VERSION: &str = "1.32";
const POD_SUBNET: &str = "10.244.0.0/16";
const DNS_DOMAIN: &str = "cluster.local";

/// Reads a file. `Err` has all its problems; `read` gives the files that it names.
pub fn parse(
    text: &str,
    language: Language,
    read: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<Kubeadm, Vec<String>> {
    let mut warnings = Vec::new();
    let mut found = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        let document = Value::deserialize(document).map_err(|error| vec![error.to_string()])?;
        if document.is_null() {
            continue;
        }
        let field = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (field("kind"), field("apiVersion"));
        match (kind.as_str(), version.as_str()) {
            ("ClusterConfiguration", _) if found.is_some() => {
                return Err(vec![say!(
                    language,
                    "there are several documents of the kind ClusterConfiguration",
                    "ClusterConfiguration 문서가 여러 개입니다"
                )]);
            }
            ("ClusterConfiguration", "kubeadm.k8s.io/v1beta3") => found = Some((document, V1Beta3)),
            ("ClusterConfiguration", "kubeadm.k8s.io/v1beta4") => found = Some((document, V1Beta4)),
            ("ClusterConfiguration", version) => {
                return Err(vec![say!(
                    language,
                    "apiVersion {version:?} is not served; kubeadm.k8s.io/v1beta3 and kubeadm.k8s.io/v1beta4 are",
                    "apiVersion {version:?} 은(는) 지원하지 않습니다. kubeadm.k8s.io/v1beta3, kubeadm.k8s.io/v1beta4 를 지원합니다"
                )]);
            }
            (other, _) if OTHER_KINDS.contains(&other) => {
                warnings.push(say!(language, "{other} is not served", "{other} 은(는) 쓰이지 않습니다"));
            }
            (other, _) => {
                return Err(vec![say!(
                    language,
                    "{other:?} is no kind of kubeadm's; want ClusterConfiguration",
                    "{other:?} 은(는) kubeadm의 종류가 아닙니다. ClusterConfiguration 이 필요합니다"
                )]);
            }
        }
    }
    let Some((document, version)) = found else {
        return Err(vec![say!(
            language,
            "there is no document of the kind ClusterConfiguration",
            "ClusterConfiguration 문서가 없습니다"
        )]);
    };
    let mut reader = Reader { document, version, language, warnings, problems: Vec::new() };
    let kubeadm = reader.read(read);
    if reader.problems.is_empty() { Ok(kubeadm) } else { Err(reader.problems) }
}

struct Reader {
    document: Value,
    version: Version,
    language: Language,
    warnings: Vec<String>,
    problems: Vec<String>,
}

impl Reader {
    fn read(&mut self, read: impl Fn(&Path) -> std::io::Result<String>) -> Kubeadm {
        let document = self.document.clone();
        self.know_fields(document.as_mapping().unwrap_or(&Mapping::new()), "");
        let mut kubeadm = Kubeadm { cluster_name: self.text("clusterName"), ..Kubeadm::default() };
        self.etcd(&mut kubeadm.etcd, read);
        for (component, flags) in [
            ("apiServer", &mut kubeadm.api_server),
            ("controllerManager", &mut kubeadm.controller_manager),
            ("scheduler", &mut kubeadm.scheduler),
        ] {
            for (name, value) in self.arguments(&format!("{component}.extraArgs")) {
                self.flag(component, name, value, flags);
            }
        }
        if let Some(subnet) = self.text("networking.serviceSubnet") {
            self.flag("apiServer", "service-cluster-ip-range".to_owned(), subnet, &mut kubeadm.api_server);
        }
        let version = self.text("kubernetesVersion");
        let other = version.filter(|version| {
            let version = version.trim_start_matches('v');
            version != SERVED_VERSION && !version.starts_with(&format!("{SERVED_VERSION}."))
        });
        self.differs("kubernetesVersion", other, SERVED_VERSION);
        let pods = self.text("networking.podSubnet");
        self.differs("networking.podSubnet", pods.filter(|subnet| subnet != POD_SUBNET), POD_SUBNET);
        let domain = self.text("networking.dnsDomain");
        self.differs("networking.dnsDomain", domain.filter(|domain| domain != DNS_DOMAIN), DNS_DOMAIN);
        kubeadm.warnings = std::mem::take(&mut self.warnings);
        kubeadm
    }

    /// Names the fields that nobody knows, and those that labkit does not serve.
    fn know_fields(&mut self, fields: &Mapping, above: &str) {
        for (name, value) in fields {
            let path = format!("{above}{}", name.as_str().unwrap_or("?"));
            let known = FIELDS.iter().find(|(known, _)| *known == path).map(|(_, field)| *field);
            let within = format!("{path}.");
            let has_fields = FIELDS.iter().any(|(known, _)| known.starts_with(&within));
            match (known, value) {
                (Some(Served), _) => {}
                (Some(NotServedIn(version)), _) if version != self.version => self.unknown(&path),
                (Some(_), _) => self.not_served(&path),
                (None, Value::Mapping(fields)) if has_fields => self.know_fields(fields, &within),
                (None, Value::Null) if has_fields => {}
                (None, _) if has_fields => self.wrong(&path, say!(self.language, "a map", "맵")),
                (None, _) => self.unknown(&path),
            }
        }
    }

    fn unknown(&mut self, path: &str) {
        let problem = say!(self.language, "unknown field {path}", "모르는 필드 {path}");
        self.problems.push(problem);
    }

    fn not_served(&mut self, path: &str) {
        self.warnings.push(say!(self.language, "{path} is not served", "{path} 은(는) 쓰이지 않습니다"));
    }

    fn wrong(&mut self, path: &str, wanted: String) {
        self.problems.push(say!(
            self.language,
            "{path} must be {wanted}",
            "{path} 에는 {wanted}이(가) 와야 합니다"
        ));
    }

    fn differs(&mut self, path: &str, asked: Option<String>, served: &str) {
        let Some(asked) = asked else { return };
        self.warnings.push(say!(
            self.language,
            "{path}: {asked} is not served; it is {served}",
            "{path}: {asked} 은(는) 쓰이지 않고 {served} 입니다"
        ));
    }

    fn at(&self, path: &str) -> Option<Value> {
        let found = path.split('.').try_fold(&self.document, |value, name| value.get(name))?;
        Some(found.clone()).filter(|value| !value.is_null())
    }

    fn text(&mut self, path: &str) -> Option<String> {
        match self.at(path)? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            _ => {
                self.wrong(path, say!(self.language, "a text", "문자열"));
                None
            }
        }
    }

    /// `extraArgs`: a map in v1beta3, a list of names and values in v1beta4.
    fn arguments(&mut self, path: &str) -> Vec<(String, String)> {
        let read: Option<Vec<(String, String)>> = match (self.version, self.at(path)) {
            (_, None) => Some(Vec::new()),
            (V1Beta3, Some(value)) => serde_yaml::from_value::<BTreeMap<String, String>>(value)
                .ok()
                .map(|map| map.into_iter().collect()),
            (V1Beta4, Some(value)) => serde_yaml::from_value::<Vec<Argument>>(value)
                .ok()
                .map(|list| list.into_iter().map(|argument| (argument.name, argument.value)).collect()),
        };
        read.unwrap_or_else(|| {
            let wanted = match self.version {
                V1Beta3 => say!(self.language, "a map of texts in v1beta3", "(v1beta3에서는) 문자열의 맵"),
                V1Beta4 => {
                    say!(
                        self.language,
                        "a list of {{name, value}} in v1beta4",
                        "(v1beta4에서는) {{name, value}} 의 목록"
                    )
                }
            };
            self.wrong(path, wanted);
            Vec::new()
        })
    }

    /// Takes a flag of a component if the component has it here.
    fn flag(&mut self, component: &str, name: String, value: String, flags: &mut BTreeMap<String, String>) {
        let alone = BTreeMap::from([(name.clone(), value.clone())]);
        let mut spec = ClusterSpec { etcd: Some(EtcdSpec::default()), ..ClusterSpec::default() };
        spec.api_server = Some(ApiServerSpec::default());
        match component {
            "apiServer" => spec.api_server = Some(ApiServerSpec { flags: alone, ..Default::default() }),
            "scheduler" => spec.scheduler = Some(SchedulerSpec { flags: alone, ..Default::default() }),
            _ => spec.controller_manager = Some(ControllerManagerSpec { flags: alone, ..Default::default() }),
        }
        match spec.problems().into_iter().next().map(|problem| problem.message) {
            None => drop(flags.insert(name, value)),
            Some(message) if message.contains("unknown flag") => {
                self.not_served(&format!("{component}.extraArgs: {name}"));
            }
            Some(message) => self.problems.push(format!("{component}: {message}")),
        }
    }

    fn etcd(&mut self, etcd: &mut EtcdSpec, read: impl Fn(&Path) -> std::io::Result<String>) {
        for (name, value) in self.arguments("etcd.local.extraArgs") {
            let field = match name.as_str() {
                "heartbeat-interval" => &mut etcd.heartbeat_interval,
                "election-timeout" => &mut etcd.election_timeout,
                _ => {
                    self.not_served(&format!("etcd.local.extraArgs: {name}"));
                    continue;
                }
            };
            match value.parse::<u32>() {
                Ok(millis) => *field = format!("{millis}ms"),
                Err(_) => {
                    let wanted = say!(self.language, "a number of milliseconds", "밀리초 수");
                    self.wrong(&format!("etcd.local.extraArgs: {name}"), wanted);
                }
            }
        }
        if self.at("etcd.external").is_none() {
            return;
        }
        if self.at("etcd.local").is_some() {
            self.problems.push(say!(
                self.language,
                "etcd.local and etcd.external exclude each other",
                "etcd.local 과 etcd.external 은 함께 쓸 수 없습니다"
            ));
        }
        let endpoints = match self.at("etcd.external.endpoints").map(serde_yaml::from_value::<Vec<String>>) {
            Some(Ok(endpoints)) if !endpoints.is_empty() => endpoints,
            _ => {
                self.wrong("etcd.external.endpoints", say!(self.language, "a list of URLs", "URL 목록"));
                return;
            }
        };
        let mut file = |name: &str| {
            let path = format!("etcd.external.{name}");
            let named = self.text(&path)?;
            if !Path::new(&named).is_absolute() {
                self.wrong(&path, say!(self.language, "an absolute path", "절대 경로"));
                return None;
            }
            let read = read(Path::new(&named));
            read.map_err(|error| self.problems.push(format!("{path}: {named}: {error}"))).ok()
        };
        let (ca, cert, key) = (file("caFile"), file("certFile"), file("keyFile"));
        let names = |name: &str| self.at(&format!("etcd.external.{name}")).is_some();
        if names("certFile") != names("keyFile") {
            self.problems.push(say!(
                self.language,
                "etcd.external: certFile and keyFile go together",
                "etcd.external: certFile 과 keyFile 은 함께 있어야 합니다"
            ));
        } else if names("certFile") && !names("caFile") {
            self.problems.push(say!(
                self.language,
                "etcd.external: certFile and keyFile need caFile",
                "etcd.external: certFile 과 keyFile 에는 caFile 이 필요합니다"
            ));
        } else if names("caFile")
            && let Some(plain) = endpoints.iter().find(|url| !url.starts_with("https://"))
        {
            self.problems.push(say!(
                self.language,
                "etcd.external.endpoints: {plain:?} must be https where certificates are named",
                "etcd.external.endpoints: 인증서를 쓰려면 {plain:?} 은(는) https 여야 합니다"
            ));
        }
        etcd.external = Some(ExternalEtcd { endpoints, ca, cert, key });
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument {
    name: String,
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Kubeadm, Vec<String>> {
        parse(text, Language::En, |path| match path.file_name().and_then(|name| name.to_str()) {
            Some("missing") => Err(std::io::ErrorKind::NotFound.into()),
            name => Ok(format!("PEM of {}", name.unwrap_or_default())),
        })
    }

    const HEAD: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";

    #[test]
    fn both_shapes_of_arguments_say_the_same() {
        let three = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: mine\n\
            apiServer: {extraArgs: {authorization-mode: RBAC, audit-log-path: /var/log/a}}\n\
            controllerManager: {extraArgs: {node-monitor-grace-period: 20s}}\n\
            networking: {serviceSubnet: 10.7.0.0/24, podSubnet: 10.244.0.0/16}\n\
            etcd: {local: {extraArgs: {heartbeat-interval: '200', quota-backend-bytes: '1'}}}\n";
        let four = "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\n".to_owned()
            + HEAD
            + "clusterName: mine\n\
            apiServer: {extraArgs: [{name: authorization-mode, value: RBAC}, {name: audit-log-path, value: /var/log/a}]}\n\
            controllerManager: {extraArgs: [{name: node-monitor-grace-period, value: 20s}]}\n\
            networking: {serviceSubnet: 10.7.0.0/24, podSubnet: 10.244.0.0/16}\n\
            etcd: {local: {extraArgs: [{name: heartbeat-interval, value: '200'}, {name: quota-backend-bytes, value: '1'}]}}\n";
        let (three, mut four) = (read(three).unwrap(), read(&four).unwrap());
        let not_served = [
            "etcd.local.extraArgs: quota-backend-bytes is not served",
            "apiServer.extraArgs: audit-log-path is not served",
        ];
        assert_eq!(three.warnings, not_served);
        assert_eq!(four.warnings.remove(0), "InitConfiguration is not served");
        assert_eq!(three, four);
        assert_eq!(three.cluster_name.as_deref(), Some("mine"));
        assert_eq!(three.api_server["authorization-mode"], "RBAC");
        assert_eq!(three.api_server["service-cluster-ip-range"], "10.7.0.0/24");
        assert_eq!(three.controller_manager["node-monitor-grace-period"], "20s");
        assert_eq!(three.etcd.heartbeat_interval, "200ms");
    }

    #[test]
    fn an_external_etcd_comes_with_its_certificates() {
        let text = HEAD.to_owned()
            + "etcd: {external: {endpoints: ['https://10.0.0.1:2379'], caFile: /pki/ca, certFile: /pki/crt, keyFile: /pki/key}}";
        let external = read(&text).unwrap().etcd.external.unwrap();
        assert_eq!(external.endpoints, ["https://10.0.0.1:2379"]);
        assert_eq!(external.ca.as_deref(), Some("PEM of ca"));
        assert_eq!(
            (external.cert.as_deref(), external.key.as_deref()),
            (Some("PEM of crt"), Some("PEM of key"))
        );
    }

    #[track_caller]
    fn check_problems(text: &str, expected: &[&str]) {
        assert_eq!(read(text).unwrap_err(), expected);
    }

    #[test]
    fn all_problems_are_named() {
        check_problems("kind: Pod", &["\"Pod\" is no kind of kubeadm's; want ClusterConfiguration"]);
        check_problems("", &["there is no document of the kind ClusterConfiguration"]);
        check_problems(
            &format!("{HEAD}---\n{HEAD}"),
            &["there are several documents of the kind ClusterConfiguration"],
        );
        check_problems(
            "apiVersion: kubeadm.k8s.io/v1beta1\nkind: ClusterConfiguration",
            &[
                "apiVersion \"kubeadm.k8s.io/v1beta1\" is not served; kubeadm.k8s.io/v1beta3 and kubeadm.k8s.io/v1beta4 are",
            ],
        );
        check_problems(
            &(HEAD.to_owned()
                + "apiserver: {}\nnetworking: {serviceSubnet: 5, podsubnet: x}\n\
                   apiServer: {timeoutForControlPlane: 4m, extraArgs: {authorization-mode: RBAC}}\n\
                   etcd: {local: {}, external: {endpoints: ['http://a:1'], caFile: ca, certFile: /missing}}"),
            &[
                "unknown field apiserver",
                "unknown field networking.podsubnet",
                "unknown field apiServer.timeoutForControlPlane",
                "etcd.local and etcd.external exclude each other",
                "etcd.external.caFile must be an absolute path",
                "etcd.external.certFile: /missing: entity not found",
                "etcd.external: certFile and keyFile go together",
                "apiServer.extraArgs must be a list of {name, value} in v1beta4",
                "networking.serviceSubnet must be a text",
            ],
        );
        check_problems(
            &(HEAD.to_owned() + "etcd: {external: {endpoints: ['http://a:1'], caFile: /ca}}\nscheduler: 5"),
            &[
                "scheduler must be a map",
                "etcd.external.endpoints: \"http://a:1\" must be https where certificates are named",
            ],
        );
        check_problems(
            &(HEAD.to_owned() + "apiServer: {extraArgs: [{name: authorization-mode, value: Wrong}]}"),
            &[
                "apiServer: invalid argument \"Wrong\" for \"--authorization-mode\" flag: \"Wrong\" is not a valid mode; \
               Node, RBAC, AlwaysAllow and AlwaysDeny are",
            ],
        );
        let warned = read(
            &(HEAD.to_owned() + "kubernetesVersion: v1.31.0\ncertificatesDir: /etc\nproxy: {disabled: true}"),
        );
        assert_eq!(
            warned.unwrap().warnings,
            [
                "certificatesDir is not served",
                "proxy.disabled is not served",
                "kubernetesVersion: v1.31.0 is not served; it is 1.32"
            ]
        );
    }
}
