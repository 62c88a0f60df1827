//! APIServices, and groups that another server answers for.

use super::*;

const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const METRICS: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
const TABLE: (&str, &str) = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");

fn metrics() -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server"},
        },
    })
}

fn slice(address: &str, ready: bool) -> Value {
    json!({
        "metadata": {"name": "metrics-server-x", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "metrics-server"}},
        "addressType": "IPv4", "ports": [{"name": "https", "port": 10250, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
    })
}

/// Waits until the condition has that reason, and returns its message.
async fn available(lab: &Lab, reason: &str) -> String {
    for _ in 0..600 {
        let found = lab.get(METRICS).await;
        let condition = &found["status"]["conditions"][0];
        if condition["reason"] == reason {
            return condition["message"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {reason}: {}", lab.get(METRICS).await);
}

async fn rows(lab: &Lab) -> Vec<(String, String, String)> {
    let table = whole(lab.send("GET", API_SERVICES, &[TABLE], "").await);
    let table: Value = serde_json::from_slice(&table).unwrap();
    let cell = |row: &Value, index: usize| row["cells"][index].as_str().unwrap().to_owned();
    let rows = table["rows"].as_array().unwrap().iter();
    rows.map(|row| (cell(row, 0), cell(row, 1), cell(row, 2))).collect()
}

#[test]
fn what_is_served_here_has_api_services_once_somebody_asks() {
    lab(|lab| async move {
        lab.get("/apis").await;
        let kept = labkit_etcd::RangeRequest::prefix("/registry/apiregistration.k8s.io/");
        assert_eq!(lab.etcd.client("t").range(kept.clone()).await.unwrap().kvs.len(), 0);
        let rows = rows(&lab).await;
        assert_eq!(rows.len(), 20);
        assert_eq!(rows[0], ("v1.".to_owned(), "Local".to_owned(), "True".to_owned()));
        assert_eq!(rows.last().unwrap().0, "v2.autoscaling");
        assert_eq!(lab.etcd.client("t").range(kept).await.unwrap().kvs.len(), 20);
        let apps = lab.get(&format!("{API_SERVICES}/v1.apps")).await;
        assert_eq!(
            apps["metadata"]["labels"],
            json!({"kube-aggregator.kubernetes.io/automanaged": "onstart"})
        );
        assert_eq!(
            apps["spec"],
            json!({"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15})
        );
        assert_eq!(apps["status"]["conditions"][0]["reason"], "Local");
    });
}

#[test]
fn definitions_have_api_services_for_as_long_as_they_are_there() {
    lab(|lab| async move {
        lab.get(API_SERVICES).await;
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        lab.post(definitions, custom::cron_tabs()).await;
        let path = format!("{API_SERVICES}/v1.stable.example.com");
        let until = |code: u16| {
            let (lab, path) = (lab.clone(), path.clone());
            async move {
                for _ in 0..100 {
                    if lab.json("GET", &path, Value::Null).await.0 == code {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                panic!("never {code}");
            }
        };
        until(200).await;
        assert_eq!(lab.get(&path).await["spec"]["groupPriorityMinimum"], 1000);
        lab.json("DELETE", &format!("{definitions}/crontabs.stable.example.com"), Value::Null).await;
        until(404).await;
    });
}

#[test]
fn a_group_is_passed_on_to_its_service_while_that_answers() {
    lab(|lab| async move {
        lab.post(API_SERVICES, metrics()).await;
        assert_eq!(
            available(&lab, "ServiceNotFound").await,
            "service/metrics-server in \"kube-system\" is not present"
        );
        let port = json!({"name": "https", "port": 444, "targetPort": "https"});
        let mut service = json!({"metadata": {"name": "metrics-server"}, "spec": {"selector": {"k8s-app": "m"}, "ports": [port]}});
        let services = "/api/v1/namespaces/kube-system/services";
        lab.post(services, service.clone()).await;
        let message = available(&lab, "ServicePortError").await;
        assert_eq!(message, "service/metrics-server in \"kube-system\" is not listening on port 443");
        lab.json("DELETE", &format!("{services}/metrics-server"), Value::Null).await;
        service["spec"]["ports"][0]["port"] = json!(443);
        lab.post(services, service).await;
        let message = available(&lab, "EndpointsNotFound").await;
        assert_eq!(message, "cannot find endpoints for service/metrics-server in \"kube-system\"");
        let slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
        let put = |slice: Value| {
            let lab = lab.clone();
            async move { lab.json("PUT", &format!("{slices}/metrics-server-x"), slice).await }
        };
        lab.post(slices, slice("10.244.1.9", false)).await;
        let message = available(&lab, "MissingEndpoints").await;
        assert_eq!(
            message,
            "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\""
        );
        let unavailable = lab.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes", &[], "").await;
        assert_eq!(unavailable.status(), 503);
        assert_eq!(whole(unavailable), "service unavailable\n");
        // Others are discovered all the same.
        let accept = ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
        let groups: Value =
            serde_json::from_slice(&whole(lab.send("GET", "/apis", &[accept], "").await)).unwrap();
        let last = groups["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["metadata"]["name"], &last["versions"][0]["freshness"]),
            (&json!("metrics.k8s.io"), &json!("Stale"))
        );
        put(slice("10.244.1.8", true)).await;
        let message = available(&lab, "FailedDiscoveryCheck").await;
        assert!(message.starts_with("failing or missing response from https://10."), "{message}");
        assert!(message.ends_with(": dial tcp 10.244.1.8:10250: connect: connection refused"), "{message}");
        put(slice("10.244.1.9", true)).await;
        assert_eq!(available(&lab, "Passed").await, "all checks passed");
        let answer = lab.get("/apis/metrics.k8s.io/v1beta1/nodes/a").await;
        assert_eq!(
            answer,
            json!({"path": "/apis/metrics.k8s.io/v1beta1/nodes/a", "user": "kubernetes-admin"})
        );
        let groups: Value =
            serde_json::from_slice(&whole(lab.send("GET", "/apis", &[accept], "").await)).unwrap();
        let version = &groups["items"].as_array().unwrap().last().unwrap()["versions"][0];
        assert_eq!(
            (&version["freshness"], &version["resources"][0]["responseKind"]["kind"]),
            (&json!("Current"), &json!("NodeMetrics"))
        );
        assert_eq!(
            lab.get("/apis/metrics.k8s.io").await["preferredVersion"]["groupVersion"],
            "metrics.k8s.io/v1beta1"
        );
        let shown = rows(&lab).await.into_iter().find(|row| row.0 == "v1beta1.metrics.k8s.io").unwrap();
        assert_eq!((shown.1.as_str(), shown.2.as_str()), ("kube-system/metrics-server", "True"));
        put(slice("10.244.1.9", false)).await;
        available(&lab, "MissingEndpoints").await;
        let shown = rows(&lab).await.into_iter().find(|row| row.0 == "v1beta1.metrics.k8s.io").unwrap();
        assert_eq!(shown.2, "False (MissingEndpoints)");
    });
}

#[test]
fn an_api_service_that_is_not_right_is_refused() {
    lab(|lab| async move {
        let mut wrong = metrics();
        wrong["metadata"]["name"] = json!("metrics");
        wrong["spec"]["groupPriorityMinimum"] = json!(0);
        wrong["spec"]["versionPriority"] = json!(1001);
        wrong["spec"]["service"] = json!({"name": "m", "port": 70000});
        let message = "APIService.apiregistration.k8s.io \"metrics\" is invalid: [\
            metadata.name: Invalid value: \"metrics\": must be `spec.version+\".\"+spec.group`: \"v1beta1.metrics.k8s.io\", \
            spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000, \
            spec.versionPriority: Invalid value: 1001: must be positive and less than 1000, \
            spec.service.namespace: Required value, \
            spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive]";
        lab.refused("POST", API_SERVICES, wrong, 422, message).await;
    });
}
