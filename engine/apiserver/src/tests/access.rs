//! Who may come in and what they may do: tokens, RBAC, reviews, impersonation.

use std::collections::BTreeMap;

use super::*;
use crate::{Flags, StaticTokens};

/// A server with RBAC on and two users with tokens.
struct Door {
    lab: Lab,
}

fn door<F, Fut>(body: F)
where
    F: FnOnce(Arc<Door>) -> Fut,
    Fut: Future<Output = ()>,
{
    labkit_sim::run(Pace::Virtual, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members: 1, ..EtcdConfig::default() }).await;
        let flags = BTreeMap::from([("authorization-mode".to_owned(), "RBAC".to_owned())]);
        let mut access = Flags::parse(&flags).unwrap().access;
        access.static_tokens =
            StaticTokens::parse("t-ana,ana,1,dev\nt-root,root,2,system:masters\n").unwrap();
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
    async fn ask(&self, who: &str, method: &str, target: &str, body: Value) -> (u16, Value) {
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
    fn refuses<'a>(
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

    async fn root(&self, method: &str, target: &str, body: Value) -> Value {
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
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
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
