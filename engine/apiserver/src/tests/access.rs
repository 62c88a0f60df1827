//! Who may come in and what they may do: tokens, RBAC, reviews, impersonation.

use super::*;
use crate::{Flags, StaticTokens};

/// A server with RBAC on and two users with tokens.
pub(super) struct Door {
    lab: Lab,
}

fn door<F, Fut>(body: F)
where
    F: FnOnce(Arc<Door>) -> Fut,
    Fut: Future<Output = ()>,
{
    door_with(&[("authorization-mode", "RBAC")], body);
}

pub(super) fn door_with<F, Fut>(flags: &[(&str, &str)], body: F)
where
    F: FnOnce(Arc<Door>) -> Fut,
    Fut: Future<Output = ()>,
{
    let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members: 1, ..EtcdConfig::default() }).await;
        let mut access = Flags::parse(&flags).unwrap().access;
        access.static_tokens =
            StaticTokens::parse("t-ana,ana,1,dev\nt-root,root,2,system:masters\nt-node,system:node:worker1,3,system:nodes\nt-nodes,someone,4,system:nodes\n").unwrap();
        let config = ServerConfig { access, ..config(&etcd) };
        let component = world.component("apiserver");
        let inner = world.clone();
        let server =
            component.spawn(async move { Server::start(&inner, config).await }).await.unwrap().unwrap();
        let lab = Lab { world: world.clone(), etcd, component, server };
        body(Arc::new(Door { lab })).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
}

impl Door {
    /// The code and the JSON of an answer; `who` is a token, and headers after a blank.
    pub async fn ask(&self, who: &str, method: &str, target: &str, body: Value) -> (u16, Value) {
        let mut request = http::Request::builder().method(method).uri(target);
        for (index, part) in who.split(' ').filter(|part| !part.is_empty()).enumerate() {
            request = match part.split_once('=') {
                Some((name, value)) => request.header(name, value),
                None if index == 0 => request.header("authorization", format!("Bearer {part}")),
                None => panic!("a header is name=value"),
            };
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.header("content-type", "application/json").body(Bytes::from(body)).unwrap();
        let server = self.lab.server.clone();
        let response = self.lab.component.spawn(async move { server.handle(request).await }).await.unwrap();
        let code = response.status().as_u16();
        (code, serde_json::from_slice(&whole(response)).unwrap_or_default())
    }

    #[track_caller]
    pub fn refuses<'a>(
        &'a self,
        who: &'a str,
        method: &'a str,
        target: &'a str,
        message: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let (code, status) = self.ask(who, method, target, Value::Null).await;
            assert_eq!((code, status["message"].as_str()), (403, Some(message)), "at {at}");
        }
    }

    pub async fn root(&self, method: &str, target: &str, body: Value) -> Value {
        let (code, value) = self.ask("t-root", method, target, body).await;
        assert!(code < 300, "{value}");
        value
    }

    /// Grants verbs on a resource of the core group in the default namespace, and waits until it holds.
    async fn grant(&self, user: &str, resources: &[&str], verbs: &[&str]) {
        let group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
        let rules = json!([{"apiGroups": [""], "resources": resources, "verbs": verbs}]);
        self.root("POST", &format!("{group}/roles"), json!({"metadata": {"name": user}, "rules": rules}))
            .await;
        let binding = json!({
            "metadata": {"name": user}, "subjects": [{"kind": "User", "name": user}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        });
        self.root("POST", &format!("{group}/rolebindings"), binding).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn rbac_refuses_in_upstreams_words() {
    door(|door| async move {
        let list = "User \"ana\" cannot list resource \"pods\" in API group \"\"";
        door.refuses(
            "t-ana",
            "GET",
            PODS,
            &format!("pods is forbidden: {list} in the namespace \"default\""),
        )
        .await;
        door.refuses(
            "t-ana",
            "GET",
            "/api/v1/pods",
            &format!("pods is forbidden: {list} at the cluster scope"),
        )
        .await;
        let named = "deployments.apps \"web\" is forbidden: User \"ana\" cannot get resource \"deployments/scale\" in API group \"apps\" in the namespace \"default\"";
        door.refuses("t-ana", "GET", &format!("{DEPLOYMENTS}/web/scale"), named).await;
        door.refuses("t-ana", "GET", "/metrics", "forbidden: User \"ana\" cannot get path \"/metrics\"")
            .await;
        let anonymous = "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"";
        door.refuses("", "GET", CONFIG_MAPS, anonymous).await;
        assert_eq!(door.ask("", "GET", "/version", Value::Null).await.0, 200);
        assert_eq!(door.ask("t-ana", "GET", "/apis", Value::Null).await.0, 200);
        let (code, status) = door.ask("nonsense", "GET", "/version", Value::Null).await;
        assert_eq!((code, status["reason"].as_str()), (401, Some("Unauthorized")));
    });
}

#[test]
fn a_binding_grants_and_nobody_grants_more_than_they_have() {
    door(|door| async move {
        door.grant("ana", &["pods", "pods/log"], &["get", "list"]).await;
        assert_eq!(door.ask("t-ana", "GET", PODS, Value::Null).await.0, 200);
        assert_eq!(door.ask("t-ana", "GET", "/api/v1/pods", Value::Null).await.0, 403);
        assert_eq!(door.ask("t-ana", "DELETE", &format!("{PODS}/a"), Value::Null).await.0, 403);
        let group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
        let editor = json!({
            "metadata": {"name": "ana-roles"}, "subjects": [{"kind": "User", "name": "ana"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-admin"},
        });
        let own = json!({"metadata": {"name": "mine"}, "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]});
        assert_eq!(door.ask("t-ana", "POST", &format!("{group}/roles"), own.clone()).await.0, 403);
        door.root("POST", &format!("{group}/rolebindings"), editor).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (code, status) = door.ask("t-ana", "POST", &format!("{group}/roles"), own).await;
        let message = "roles.rbac.authorization.k8s.io \"mine\" is forbidden: user \"ana\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}";
        assert_eq!((code, status["message"].as_str()), (403, Some(message)));
        let less = json!({"metadata": {"name": "less"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
        assert_eq!(door.ask("t-ana", "POST", &format!("{group}/roles"), less).await.0, 201);
    });
}

#[test]
fn a_rule_for_one_name_holds_for_a_list_of_that_name() {
    door(|door| async move {
        let group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["*"]}]);
        door.root("POST", &format!("{group}/roles"), json!({"metadata": {"name": "one"}, "rules": rules}))
            .await;
        let binding = json!({
            "metadata": {"name": "one"}, "subjects": [{"kind": "Group", "name": "dev"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"},
        });
        door.root("POST", &format!("{group}/rolebindings"), binding).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let list = async |query: &str| {
            door.ask("t-ana", "GET", &format!("{CONFIG_MAPS}{query}"), Value::Null).await.0
        };
        assert_eq!(list("?fieldSelector=metadata.name%3Dmine").await, 200);
        assert_eq!(list("?fieldSelector=metadata.name==mine").await, 200);
        assert_eq!(list("?fieldSelector=metadata.name!%3Dmine").await, 403);
        assert_eq!(list("?fieldSelector=metadata.name%3Dyours").await, 403);
        assert_eq!(list("").await, 403);
        assert_eq!(list("/mine").await, 404, "it may be read, if it were there");
    });
}

#[test]
fn a_service_account_comes_in_with_its_token_until_it_expires() {
    door(|door| async move {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        door.root("POST", accounts, json!({"metadata": {"name": "robot"}})).await;
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
        let answer = door.root("POST", &format!("{accounts}/robot/token"), request.clone()).await;
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        assert_eq!(token.split('.').count(), 3);
        let who =
            door.ask(&token, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.1;
        let user = &who["status"]["userInfo"];
        assert_eq!(user["username"], "system:serviceaccount:default:robot");
        assert_eq!(
            user["groups"],
            json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
        );
        let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
        let review = door.root("POST", reviews, json!({"spec": {"token": token}})).await;
        assert_eq!(review["status"]["authenticated"], true);
        let other =
            door.root("POST", reviews, json!({"spec": {"token": token, "audiences": ["vault"]}})).await;
        assert!(
            other["status"]["error"].as_str().unwrap().contains("invalid for the target audiences"),
            "{other}"
        );
        let forged = format!("{}x", &token[..token.len() - 1]);
        assert_eq!(door.ask(&forged, "GET", "/version", Value::Null).await.0, 401);
        tokio::time::sleep(Duration::from_secs(601)).await;
        assert_eq!(door.ask(&token, "GET", "/version", Value::Null).await.0, 401);

        let mut short = request.clone();
        short["spec"]["expirationSeconds"] = json!(60);
        let (code, status) = door.ask("t-root", "POST", &format!("{accounts}/robot/token"), short).await;
        let message = "TokenRequest.authentication.k8s.io \"robot\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes";
        assert_eq!((code, status["message"].as_str()), (422, Some(message)));
        let again = door.root("POST", &format!("{accounts}/robot/token"), request).await;
        let token = again["status"]["token"].as_str().unwrap().to_owned();
        door.root("DELETE", &format!("{accounts}/robot"), Value::Null).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(door.ask(&token, "GET", "/version", Value::Null).await.0, 401);
    });
}

#[test]
fn a_bound_token_ends_with_its_pod() {
    door(|door| async move {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        door.root("POST", accounts, json!({"metadata": {"name": "robot"}})).await;
        let mut made = pod("web");
        made["spec"]["serviceAccountName"] = json!("robot");
        door.root("POST", PODS, made).await;
        let bound = |kind: &str, name: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": name}}});
        let path = format!("{accounts}/robot/token");
        let answer = door.root("POST", &path, bound("Pod", "web")).await;
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        let who =
            door.ask(&token, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.1;
        assert_eq!(
            who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"],
            json!(["web"])
        );
        assert_eq!(door.ask("t-root", "POST", &path, bound("Pod", "nope")).await.0, 404);
        let (code, status) = door.ask("t-root", "POST", &path, bound("Job", "x")).await;
        assert_eq!(code, 422);
        assert!(
            status["message"].as_str().unwrap().contains("supported values: \"Pod\", \"Secret\", \"Node\""),
            "{status}"
        );
        door.root("POST", PODS, pod("other")).await;
        let (code, status) = door.ask("t-root", "POST", &path, bound("Pod", "other")).await;
        assert_eq!(code, 400, "{status}");
        door.root("DELETE", &format!("{PODS}/web"), Value::Null).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(door.ask(&token, "GET", "/version", Value::Null).await.0, 401);
    });
}

#[test]
fn credentials_that_are_none_are_turned_away() {
    door(|door| async move {
        let long = "x".repeat(1 << 20);
        for token in ["a.b.c", "..", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.", "%00", &long] {
            let (code, status) = door.ask(token, "GET", "/version", Value::Null).await;
            assert_eq!((code, &status["message"]), (401, &json!("Unauthorized")));
        }
        // What is no bearer token is no credential at all.
        for header in ["authorization=Basic", "authorization=Bearer"] {
            assert_eq!(door.ask(header, "GET", "/version", Value::Null).await.0, 200, "{header}");
        }
        let (code, status) = door.ask("t-root impersonate-group=x", "GET", "/version", Value::Null).await;
        assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
        let group = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        for spec in [json!({}), json!({"resourceAttributes": {}, "nonResourceAttributes": {}})] {
            assert_eq!(door.ask("t-ana", "POST", group, json!({"spec": spec})).await.0, 422);
        }
        assert_eq!(
            door.ask("t-root", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", json!({})).await.0,
            400
        );
    });
}

#[test]
fn a_signing_request_is_judged_once_and_its_spec_stays() {
    door(|door| async move {
        let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        let manifest = |name: &str, request: &str| {
            json!({"metadata": {"name": name}, "spec": {
                "request": request, "usages": ["client auth"], "signerName": "kubernetes.io/kube-apiserver-client",
                "username": "root", "groups": ["system:masters"],
            }})
        };
        let made = door.root("POST", requests, manifest("a", super::every_kind::REQUEST)).await;
        assert_eq!(
            (&made["spec"]["username"], &made["spec"]["groups"][0]),
            (&json!("root"), &json!("system:masters"))
        );
        assert_eq!(made["spec"]["uid"], "2", "who asks is noted by the server");
        let path = format!("{requests}/a");
        let approval = |kind: &str| {
            let mut request = made.clone();
            request["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            request["spec"]["username"] = json!("mallory");
            request["status"]["conditions"] = json!([{"type": kind, "reason": "x"}]);
            request
        };
        let approved = door.root("PUT", &format!("{path}/approval"), approval("Approved")).await;
        assert_eq!(approved["status"]["conditions"][0]["status"], "True");
        assert_eq!(approved["spec"]["username"], "root");
        let (code, status) = door.ask("t-root", "PUT", &format!("{path}/approval"), approval("Denied")).await;
        assert_eq!(code, 422);
        assert!(
            status["message"]
                .as_str()
                .unwrap()
                .contains("updates may not remove a condition of type \"Approved\""),
            "{status}"
        );
        let status = door.root("PUT", &format!("{path}/status"), approval("Failed")).await;
        assert_eq!(status["status"]["conditions"][0]["type"], "Approved", "the verdict stays");
        for (request, part) in
            [("", "PEM block type must be CERTIFICATE REQUEST"), ("bm90aGluZw==", "PEM block type")]
        {
            let (code, status) = door.ask("t-root", "POST", requests, manifest("b", request)).await;
            assert_eq!(code, 422);
            assert!(status["message"].as_str().unwrap().contains(part), "{status}");
        }
    });
}

#[test]
fn reviews_judge_as_requests_are_judged() {
    door(|door| async move {
        door.grant("ana", &["pods"], &["get"]).await;
        let group = "/apis/authorization.k8s.io/v1";
        let may = async |who: &str, verb: &str| {
            let spec =
                json!({"resourceAttributes": {"namespace": "default", "verb": verb, "resource": "pods"}});
            door.ask(who, "POST", &format!("{group}/selfsubjectaccessreviews"), json!({"spec": spec})).await.1
                ["status"]
                .clone()
        };
        let reason = "RBAC: allowed by RoleBinding \"ana/default\" of Role \"ana\" to User \"ana\"";
        assert_eq!(may("t-ana", "get").await, json!({"allowed": true, "reason": reason}));
        assert_eq!(may("t-ana", "list").await, json!({"allowed": false}));
        assert_eq!(may("t-root", "list").await, json!({"allowed": true}));
        assert_eq!(may("t-root impersonate-user=ana", "list").await, json!({"allowed": false}));
        let named = json!({"spec": {"user": "ana", "nonResourceAttributes": {"path": "/healthz", "verb": "get"}, "groups": ["system:authenticated"]}});
        let named = door.root("POST", &format!("{group}/subjectaccessreviews"), named).await;
        assert_eq!(named["status"]["allowed"], true);
        let rules = door
            .ask(
                "t-ana",
                "POST",
                &format!("{group}/selfsubjectrulesreviews"),
                json!({"spec": {"namespace": "default"}}),
            )
            .await
            .1;
        let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        assert!(rules["status"]["resourceRules"].as_array().unwrap().contains(&pods), "{rules}");
        assert_eq!(
            door.ask("t-ana", "GET", &format!("{group}/subjectaccessreviews"), Value::Null).await.0,
            405
        );
    });
}

#[test]
fn a_binding_may_be_posted_to_the_collection() {
    door(|door| async move {
        door.root("POST", PODS, pod("web")).await;
        let binding = json!({"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "worker1"}});
        let bindings = "/api/v1/namespaces/default/bindings";
        assert_eq!(door.root("POST", bindings, binding.clone()).await["status"], "Success");
        assert_eq!(
            door.root("GET", &format!("{PODS}/web"), Value::Null).await["spec"]["nodeName"],
            "worker1"
        );
        assert_eq!(door.ask("t-root", "POST", bindings, binding).await.0, 409);
        assert_eq!(door.ask("t-ana", "POST", bindings, json!({})).await.0, 403);
    });
}

#[test]
fn only_who_may_acts_as_another() {
    door(|door| async move {
        let refused = "users \"root\" is forbidden: User \"ana\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
        door.refuses("t-ana impersonate-user=root", "GET", "/version", refused).await;
        let who = "t-root impersonate-user=system:serviceaccount:default:robot impersonate-group=a impersonate-extra-team=x";
        let answer =
            door.ask(who, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.1;
        let user = &answer["status"]["userInfo"];
        assert_eq!(user["username"], "system:serviceaccount:default:robot");
        assert_eq!(
            (&user["groups"], &user["extra"]),
            (&json!(["a", "system:authenticated"]), &json!({"team": ["x"]}))
        );
    });
}

#[test]
fn the_roles_of_the_beginning_are_upstreams() {
    door(|door| async move {
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let count = async |path: &str| {
            door.root("GET", &format!("{group}{path}"), Value::Null).await["items"].as_array().unwrap().len()
        };
        assert_eq!(count("/clusterroles").await, 64);
        assert_eq!(count("/clusterrolebindings").await, 45);
        assert_eq!(count("/namespaces/kube-system/roles").await, 6);
        assert_eq!(count("/namespaces/kube-system/rolebindings").await, 6);
        assert_eq!(count("/namespaces/kube-public/rolebindings").await, 1);
        let role = door.root("GET", &format!("{group}/clusterroles/view"), Value::Null).await;
        assert_eq!(
            role["metadata"]["labels"],
            json!({"kubernetes.io/bootstrapping": "rbac-defaults", "rbac.authorization.k8s.io/aggregate-to-edit": "true"})
        );
        assert_eq!(
            role["metadata"]["annotations"],
            json!({"rbac.authorization.kubernetes.io/autoupdate": "true"})
        );
        let binding = "/clusterrolebindings/system:controller:job-controller";
        let binding = door.root("GET", &format!("{group}{binding}"), Value::Null).await;
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": "job-controller", "namespace": "kube-system"}])
        );
        let node = door.root("GET", &format!("{group}/clusterrolebindings/system:node"), Value::Null).await;
        assert_eq!(node.get("subjects"), None, "the Node authorizer judges nodes");
    });
}

#[test]
fn nobody_is_anonymous_where_everything_is_allowed() {
    door_with(&[("anonymous-auth", "true")], |door| async move {
        let (code, status) = door.ask("", "GET", "/version", Value::Null).await;
        let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
        assert_eq!((code, status), (401, expected));
        assert_eq!(door.ask("t-ana", "GET", "/version", Value::Null).await.0, 200);
    });
}
