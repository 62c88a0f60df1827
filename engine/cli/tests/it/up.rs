//! `labkit up`: a cluster without a lab, with kube-apiserver's flags.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::home::{Home, wait_for};
use crate::live::has;
use serde_json::Value;

/// Starts it and waits until it says that it is ready.
fn up(home: &Home, words: &[&str]) -> (Child, Value) {
    let words = [&["up", "--json"], words].concat();
    let mut child = home.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        text.push_str(&line.unwrap());
        if let Ok(ready) = serde_json::from_str(&text) {
            return (child, ready);
        }
    }
    panic!("it ended before it was ready: {:?} {text}", child.wait());
}

#[test]
fn up_serves_kubectl_until_ctrl_c_and_leaves_nothing() {
    let home = Home::new();
    home.write("tokens.csv", "secret-1,ana,1,dev\n");
    let flags = ["--nodes", "0", "--authorization-mode", "RBAC", "--token-auth-file", "tokens.csv"];
    let more = ["--service-cluster-ip-range", "10.7.0.0/24", "--controllers", "*,-deployment-controller"];
    let (mut child, ready) = up(&home, &[&flags[..], &more].concat());
    let kubeconfig = ready["kubeconfig"].as_str().unwrap().to_owned();
    assert_eq!(ready["env"]["KUBECONFIG"], ready["kubeconfig"]);
    assert!(ready["apiServer"].as_str().unwrap().starts_with("https://127.0.0.1:"), "{ready}");
    if has("kubectl") {
        let kubectl = |words: &str| {
            let mut command = Command::new("kubectl");
            command.args(words.split(' ')).env("KUBECONFIG", &kubeconfig).env("HOME", home.path());
            let output = command.output().unwrap();
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(kubectl("get service kubernetes -o jsonpath={.spec.clusterIP}"), "10.7.0.1");
        assert!(kubectl("get clusterroles").contains("cluster-admin"));
        assert_eq!(kubectl("get nodes"), "No resources found\n");
        let refused = kubectl("get pods --as ana");
        assert!(refused.contains("User \"ana\" cannot list resource \"pods\""), "{refused}");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    wait_for("its files are gone", || !Path::new(&kubeconfig).exists());
}

#[test]
fn up_knows_the_clients_of_another_authority() {
    if !has("kubectl") || !has("openssl") {
        return;
    }
    let home = Home::new();
    home.write("leaf.cnf", "extendedKeyUsage = clientAuth\n");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for line in [
        format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=elsewhere"),
        format!("req -new {key} -keyout bo.key -out bo.csr -subj /O=ops/CN=bo"),
        "x509 -req -in bo.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile leaf.cnf -out bo.crt"
            .to_owned(),
    ] {
        let mut openssl = Command::new("openssl");
        let ran = openssl.args(line.split(' ')).current_dir(home.path()).output().unwrap();
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let (mut child, ready) = up(&home, &["--nodes", "0", "--client-ca-file", "ca.crt"]);
    let config = std::fs::read_to_string(ready["kubeconfig"].as_str().unwrap()).unwrap();
    let is_own = |line: &&str| !line.contains("client-certificate-data") && !line.contains("client-key-data");
    home.write("bare", config.lines().filter(is_own).collect::<Vec<_>>().join("\n"));
    let mut kubectl = Command::new("kubectl");
    kubectl.args([
        "--kubeconfig",
        "bare",
        "--client-certificate",
        "bo.crt",
        "--client-key",
        "bo.key",
        "auth",
        "whoami",
    ]);
    let output = kubectl.current_dir(home.path()).env("HOME", home.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("[ops system:authenticated]"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn wrong_flags_end_with_2_and_say_what_is_wrong() {
    let home = Home::new();
    home.write("tokens.csv", "only-a-token\n");
    home.write("ca.crt", "no certificate\n");
    for (words, part) in [
        (["--authorization-mode", "ABAC"], "labkit does not have the mode ABAC"),
        (["--authorization-mode", "Nope"], "is not a valid mode"),
        (["--service-cluster-ip-range", "10"], "want an IPv4 range"),
        (["--token-auth-file", "nowhere"], "cannot read nowhere"),
        (["--token-auth-file", "tokens.csv"], "line 1: a line has token"),
        (["--client-ca-file", "ca.crt"], "no certificate in PEM"),
        (["--enable-admission-plugins", "Nope"], "\"Nope\" is unknown here"),
        (["--controllers", "nope"], "is not in the list of known controllers"),
        (["--nodes", "101"], "101 is not in 0..=100"),
        (["--etcd", "2"], "1, 3 or 5 members"),
    ] {
        let ran = home.run(&[&["up"], &words[..]].concat()).ends_with(2);
        // The report is wrapped.
        let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(part), "{part:?} is not in:\n{}", ran.err);
    }
}

#[test]
fn up_runs_on_the_external_etcd_of_a_kubeadm_file() {
    if !has("etcd") || !has("etcdctl") || !has("kubectl") {
        return;
    }
    let home = Home::new();
    let (client, peer) = (free_port(), free_port());
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = Command::new("etcd");
    etcd.args(["--data-dir"]).arg(home.path().join("etcd-data"));
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("default={peer}")]);
    let mut etcd = etcd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let etcdctl = |words: &str| {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.args(["--endpoints", &client]).args(words.split(' ')).env("ETCDCTL_API", "3");
        String::from_utf8(etcdctl.output().unwrap().stdout).unwrap()
    };
    wait_for("etcd is healthy", || etcdctl("put ready 1") == "OK\n");

    home.write(
        "kubeadm.yaml",
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: outside\n\
             networking: {{serviceSubnet: 10.8.0.0/24}}\netcd: {{external: {{endpoints: ['{client}']}}}}\n\
             apiServer: {{extraArgs: [{{name: authorization-mode, value: 'Node,RBAC'}}]}}\n"
        ),
    );
    let (mut child, ready) = up(&home, &["--config", "kubeadm.yaml", "--nodes", "1"]);
    let kubectl = |words: &str| {
        let mut command = Command::new("kubectl");
        command.args(words.split(' ')).env("KUBECONFIG", ready["kubeconfig"].as_str().unwrap());
        let output = command.env("HOME", home.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(kubectl("get service kubernetes -o jsonpath={.spec.clusterIP}"), "10.8.0.1");
    assert_eq!(kubectl("create configmap outside"), "configmap/outside created\n");
    assert!(kubectl("config view").contains("name: outside"));
    assert!(kubectl("get nodes").contains("worker1"));
    assert_eq!(
        etcdctl("get /registry/configmaps/default/outside --keys-only").trim(),
        "/registry/configmaps/default/outside"
    );
    assert_eq!(ready["env"]["ETCDCTL_ENDPOINTS"], client.as_str());
    assert!(ready["env"]["ETCDCTL_CERT"].is_null() && ready["components"][0] != "etcd", "{ready}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());

    let twice = home.run(&["up", "--config", "kubeadm.yaml", "--etcd", "3"]).ends_with(2);
    assert!(twice.err.contains("--etcd is for members of this cluster"), "{}", twice.err);
    etcd.kill().unwrap();
    etcd.wait().unwrap();
    let gone = home.run(&["up", "--config", "kubeadm.yaml", "--nodes", "0"]).ends_with(1);
    assert!(gone.err.contains(&format!("on the etcd at {client}")), "{}", gone.err);
}

#[test]
fn a_kubeadm_file_that_is_wrong_is_refused_and_one_that_asks_too_much_is_warned_of() {
    let home = Home::new();
    home.write("kubeadm.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\netdc: {}\n");
    let refused = home.run(&["up", "--config", "kubeadm.yaml"]).ends_with(2);
    assert!(refused.err.contains("kubeadm.yaml: unknown field etdc"), "{}", refused.err);
    let korean = home.run(&["up", "--config", "kubeadm.yaml", "--lang", "ko"]).ends_with(2);
    assert!(korean.err.contains("모르는 필드 etdc"), "{}", korean.err);
    home.run(&["up", "--config", "absent.yaml"]).ends_with(2);
    let text = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\ncertificatesDir: /pki\n\
        networking: {serviceSubnet: nowhere}\n";
    home.write("kubeadm.yaml", text);
    let refused = home.run(&["up", "--config", "kubeadm.yaml"]).ends_with(2);
    assert!(refused.err.contains("want an IPv4 range"), "{}", refused.err);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
