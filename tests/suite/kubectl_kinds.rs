//! Real kubectl against a whole live cluster: kinds that no controller serves yet live beside those that have one,
//! and go with their namespace.

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{Live, has, live};

const COMMANDS: &[&str] = &[
    "create job pi --image=perl:5.34",
    "create cronjob nightly --image=busybox:1.36 --schedule=@daily",
    "create role reader --verb=get --resource=pods",
    "create rolebinding readers --role=reader --user=ana",
    "create quota small --hard=pods=4",
    "create poddisruptionbudget web --selector=app=web --min-available=1",
    "create ingress web --rule=a.example/=web:80",
    "create deployment web --image=nginx",
    "autoscale deployment web --max=5",
];

#[test]
fn kubectl_empties_a_namespace_of_every_kind() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        live.kubectl_ok("create namespace team").await;
        for command in COMMANDS {
            live.kubectl_ok(&format!("{command} -n team")).await;
        }
        live.kubectl_ok("rollout status deployment/web -n team --timeout=30s").await;
        assert_eq!(of_team(&live).await.lines().count(), COMMANDS.len());
        live.kubectl_ok("delete namespace team --timeout=50s").await;
        assert_eq!(of_team(&live).await, "");
    });
}

/// What stands in the namespace of the commands' kinds.
async fn of_team(live: &Live) -> String {
    let kinds = "jobs,cronjobs,roles,rolebindings,quota,pdb,ingresses,deployments,hpa";
    live.kubectl_ok(&format!("get {kinds} -n team -o name --ignore-not-found")).await
}
