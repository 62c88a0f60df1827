//! Several servers on one store.

use std::collections::BTreeSet;

use super::*;

const SERVICES: &str = "/api/v1/namespaces/default/services";

/// A server under its own name and address.
async fn replica(world: &World, etcd: &Etcd, number: u8) -> Lab {
    let component = world.component(&format!("apiserver{number}"));
    let mut config = config(etcd);
    config.public_address = Some((std::net::Ipv4Addr::new(10, 0, 0, number).into(), 6443));
    let inner = world.clone();
    let server = component.spawn(async move { Server::start(&inner, config).await }).await.unwrap().unwrap();
    Lab { world: world.clone(), etcd: etcd.clone(), component, server }
}

fn replicas<F, Fut>(body: F)
where
    F: FnOnce(Vec<Lab>) -> Fut,
    Fut: Future<Output = ()>,
{
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members: 1, ..EtcdConfig::default() }).await;
        let mut labs = Vec::new();
        for number in 1..=3 {
            labs.push(replica(&world, &etcd, number).await);
        }
        body(labs).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
}

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
}

#[test]
fn servers_never_give_out_the_same_address_or_port() {
    replicas(|labs| async move {
        let posts = (0..90).map(|number| {
            let lab = &labs[number % 3];
            async move { lab.post(SERVICES, service(&format!("s{number}"))).await }
        });
        let services = futures::future::join_all(posts).await;
        let all = |path: &str| -> BTreeSet<String> {
            services.iter().map(|service| service.pointer(path).unwrap().to_string()).collect()
        };
        assert_eq!((all("/spec/clusterIP").len(), all("/spec/ports/0/nodePort").len()), (90, 90));
    });
}

#[test]
fn an_address_that_another_server_gave_out_is_refused() {
    replicas(|labs| async move {
        let mut wanted = service("a");
        wanted["spec"]["clusterIP"] = json!("10.96.0.77");
        let port = labs[0].post(SERVICES, wanted.clone()).await["spec"]["ports"][0]["nodePort"].clone();
        wanted["metadata"]["name"] = json!("b");
        let message = "Service \"b\" is invalid: spec.clusterIPs: Invalid value: []string{\"10.96.0.77\"}: failed to \
                       allocate IP 10.96.0.77: provided IP is already allocated";
        labs[1].refused("POST", SERVICES, wanted, 422, message).await;
        let mut taken = service("c");
        taken["spec"]["ports"][0]["nodePort"] = port.clone();
        let message = format!(
            "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
        );
        labs[2].refused("POST", SERVICES, taken.clone(), 422, &message).await;
        // What is deleted is free at once, wherever.
        labs[1].json("DELETE", &format!("{SERVICES}/a"), Value::Null).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        labs[2].post(SERVICES, taken).await;
    });
}

#[test]
fn an_update_takes_its_turn_as_a_creation_does() {
    replicas(|labs| async move {
        for name in ["a", "b", "c"] {
            let mut plain = service(name);
            plain["spec"]["type"] = json!("ClusterIP");
            labs[0].post(SERVICES, plain).await;
        }
        let patches = ["a", "b", "c"].iter().zip(&labs).map(|(name, lab)| async move {
            lab.patch(&format!("{SERVICES}/{name}"), json!({"spec": {"type": "NodePort"}})).await
        });
        let ports: BTreeSet<String> = futures::future::join_all(patches)
            .await
            .iter()
            .map(|service| service["spec"]["ports"][0]["nodePort"].to_string())
            .collect();
        assert!(ports.len() == 3 && !ports.contains("null"), "{ports:?}");
    });
}

async fn addresses(lab: &Lab) -> String {
    let slice =
        lab.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").await["endpoints"]
            .clone();
    let slice: Vec<String> = slice
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned())
        .collect();
    let legacy =
        lab.get("/api/v1/namespaces/default/endpoints/kubernetes").await["subsets"][0]["addresses"].clone();
    let legacy: Vec<String> =
        legacy.as_array().unwrap().iter().map(|address| address["ip"].as_str().unwrap().to_owned()).collect();
    assert_eq!(slice, legacy);
    slice.join(" ")
}

#[test]
fn the_endpoints_of_kubernetes_follow_the_servers_that_live() {
    replicas(|mut labs| async move {
        let (world, etcd) = (labs[0].world.clone(), labs[0].etcd.clone());
        assert_eq!(addresses(&labs[2]).await, "10.0.0.1 10.0.0.2 10.0.0.3");
        labs[0].component.kill().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(addresses(&labs[2]).await, "10.0.0.1 10.0.0.2 10.0.0.3", "its lease lasts 15 s");
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(addresses(&labs[2]).await, "10.0.0.2 10.0.0.3");
        let before = labs[1].get("/api/v1/namespaces/default/endpoints/kubernetes").await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let after = labs[1].get("/api/v1/namespaces/default/endpoints/kubernetes").await;
        assert_eq!(before, after, "what is as it should be is not written again");
        labs[0] = replica(&world, &etcd, 1).await;
        assert_eq!(addresses(&labs[1]).await, "10.0.0.1 10.0.0.2 10.0.0.3");
    });
}

#[test]
fn a_lease_that_was_lost_is_taken_anew() {
    replicas(|labs| async move {
        let etcd = &labs[0].etcd;
        for lease in etcd.client("test").leases().await.unwrap().leases {
            etcd.client("test").lease_revoke(lease).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(addresses(&labs[0]).await, "10.0.0.1 10.0.0.2 10.0.0.3");
    });
}

#[test]
fn a_write_through_one_server_is_seen_through_the_others() {
    replicas(|labs| async move {
        let mut watches = Vec::new();
        for lab in &labs {
            watches.push(lab.watch(&format!("{CONFIG_MAPS}?watch=true")).await);
        }
        let created = labs[0].post(CONFIG_MAPS, config_map("a")).await;
        for watch in &mut watches {
            assert_eq!(watch.line().await, "ADDED a");
        }
        for lab in &labs {
            assert_eq!(lab.get(&format!("{CONFIG_MAPS}/a")).await, created);
        }
        // A replace of what another server has replaced meanwhile is a conflict, though this server's cache lags.
        let mut newer = created.clone();
        newer["data"]["key"] = json!("newer");
        assert_eq!(labs[1].json("PUT", &format!("{CONFIG_MAPS}/a"), newer).await.0, 200);
        assert_eq!(labs[2].json("PUT", &format!("{CONFIG_MAPS}/a"), created).await.0, 409);
    });
}

#[test]
fn of_several_servers_one_moves_the_clock_of_compaction_on() {
    replicas(|labs| async move {
        tokio::time::sleep(Duration::from_secs(3 * 300 + 10)).await;
        let request = labkit_etcd::RangeRequest::key("compact_rev_key");
        let found = labs[0].etcd.client("test").range(request).await.unwrap().kvs;
        assert_eq!(found[0].version, 3, "once a period, whoever is first");
    });
}
