//! What a pod spec says when its author said nothing.

use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// The defaults that pods and templates share.
pub(crate) fn set_defaults(spec: &mut Fields) {
    spec.entry("restartPolicy").or_insert(json!("Always"));
    spec.entry("terminationGracePeriodSeconds").or_insert(json!(30));
    spec.entry("dnsPolicy").or_insert(json!("ClusterFirst"));
    spec.entry("securityContext").or_insert_with(|| json!({}));
    spec.entry("schedulerName").or_insert(json!("default-scheduler"));
    mirror_service_account(spec);
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for container in objects(spec.get_mut(field)) {
            set_container_defaults(container, host_network);
        }
    }
    for volume in objects(spec.get_mut("volumes")) {
        set_volume_defaults(volume);
    }
}

/// The defaults that only pods get.
pub(crate) fn set_pod_defaults(spec: &mut Fields) {
    set_defaults(spec);
    spec.entry("enableServiceLinks").or_insert(json!(true));
    for field in ["initContainers", "containers"] {
        for container in objects(spec.get_mut(field)) {
            request_what_is_limited(container);
        }
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are shown.
pub(crate) fn mirror_service_account(spec: &mut Fields) {
    let account = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount")).cloned();
    if let Some(account) = account.filter(|account| account.as_str().is_some_and(|name| !name.is_empty())) {
        spec.insert("serviceAccountName".to_owned(), account.clone());
        spec.insert("serviceAccount".to_owned(), account);
    }
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Fields> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn set_container_defaults(container: &mut Fields, host_network: bool) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    container.entry("imagePullPolicy").or_insert(json!(policy));
    container.entry("terminationMessagePath").or_insert(json!("/dev/termination-log"));
    container.entry("terminationMessagePolicy").or_insert(json!("File"));
    container.entry("resources").or_insert_with(|| json!({}));
    for port in objects(container.get_mut("ports")) {
        port.entry("protocol").or_insert(json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            port.entry("hostPort").or_insert(number);
        }
    }
    for variable in objects(container.get_mut("env")) {
        let reference = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef"));
        set_field_ref_default(reference);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            set_probe_defaults(probe);
        }
    }
    if let Some(lifecycle) = container.get_mut("lifecycle").and_then(Value::as_object_mut) {
        for hook in ["postStart", "preStop"] {
            set_http_get_defaults(lifecycle.get_mut(hook).and_then(|hook| hook.get_mut("httpGet")));
        }
    }
}

/// Whether an image reference means a tag that moves: `:latest`, or no tag at all.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn set_probe_defaults(probe: &mut Fields) {
    for (field, seconds) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.get(field).and_then(Value::as_i64).unwrap_or_default() == 0 {
            probe.insert(field.to_owned(), json!(seconds));
        }
    }
    set_http_get_defaults(probe.get_mut("httpGet"));
    if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut) {
        grpc.entry("service").or_insert(json!(""));
    }
}

fn set_http_get_defaults(action: Option<&mut Value>) {
    if let Some(action) = action.and_then(Value::as_object_mut) {
        action.entry("path").or_insert(json!("/"));
        action.entry("scheme").or_insert(json!("HTTP"));
    }
}

fn set_field_ref_default(reference: Option<&mut Value>) {
    if let Some(reference) = reference.and_then(Value::as_object_mut) {
        reference.entry("apiVersion").or_insert(json!("v1"));
    }
}

fn set_volume_defaults(volume: &mut Fields) {
    if volume.len() <= 1 {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            source.entry("defaultMode").or_insert(json!(420));
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        path.entry("type").or_insert(json!(""));
    }
    for item in objects(volume.get_mut("downwardAPI").and_then(|source| source.get_mut("items"))) {
        set_field_ref_default(item.get_mut("fieldRef"));
    }
    for source in objects(volume.get_mut("projected").and_then(|source| source.get_mut("sources"))) {
        if let Some(token) = source.get_mut("serviceAccountToken").and_then(Value::as_object_mut) {
            token.entry("expirationSeconds").or_insert(json!(3600));
        }
        for item in objects(source.get_mut("downwardAPI").and_then(|source| source.get_mut("items"))) {
            set_field_ref_default(item.get_mut("fieldRef"));
        }
    }
}

/// A limit without a request requests the limit.
fn request_what_is_limited(container: &mut Fields) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if let Some(requests) = requests.as_object_mut() {
        for (name, quantity) in limits {
            requests.entry(name).or_insert(quantity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: Value) -> Value {
        let Value::Object(mut fields) = spec else { panic!("a spec is an object") };
        set_pod_defaults(&mut fields);
        Value::Object(fields)
    }

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("host:5000/nginx", true),
            ("host:5000/nginx:1", false),
            ("nginx@sha256:abc", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }

    #[test]
    fn a_minimal_pod_gets_upstreams_defaults() {
        let spec = defaulted(
            json!({"containers": [{"name": "c", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}}}]}),
        );
        assert_eq!(spec["restartPolicy"], "Always");
        assert_eq!(spec["terminationGracePeriodSeconds"], 30);
        assert_eq!(spec["dnsPolicy"], "ClusterFirst");
        assert_eq!(spec["schedulerName"], "default-scheduler");
        assert_eq!(spec["enableServiceLinks"], true);
        let container = &spec["containers"][0];
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["readinessProbe"]["periodSeconds"], 10);
        assert_eq!(
            container["readinessProbe"]["httpGet"],
            json!({"port": 80, "path": "/", "scheme": "HTTP"})
        );
        assert_eq!(container["resources"]["requests"]["cpu"], "1");
    }
}
