//! The file that `kubectl` reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::authority::Leaf;

/// A kubeconfig with one cluster, one user and the context `user@cluster`, all credentials inline.
pub fn kubeconfig(cluster: &str, server: &str, authority_pem: &str, user: &str, leaf: &Leaf) -> String {
    let context = format!("{user}@{cluster}");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {
            "server": server, "certificate-authority-data": STANDARD.encode(authority_pem),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(&leaf.cert_pem),
            "client-key-data": STANDARD.encode(&leaf.key_pem),
        }}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
    });
    serde_yaml::to_string(&config).expect("JSON is YAML")
}
