//! Whether they may. Counterpart: `k8s.io/apiserver/pkg/authorization`.

pub(crate) mod bootstrap;
pub(crate) mod escalation;
pub(crate) mod node;
pub(crate) mod rbac;

use http::Method;
use labkit_api::{GroupVersionKind, Resource, Scope, Status, StatusDetails, UserInfo, Verb};

use crate::query::Query;
use crate::request_info::RequestInfo;

/// What is judged.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub user: UserInfo,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// What the query's field selector demands: field and value.
    pub selected: Vec<(String, String)>,
    /// A path that is no resource; then the fields between the verb and it are empty.
    pub path: Option<String>,
}

/// What an authorizer says. None of ours denies what another might still allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Why.
    Allow(String),
    /// What hindered it, if anything did.
    NoOpinion(String),
}

/// The terms of a field selector that name one value: `a=b`, `a==b`.
pub(crate) fn equalities(selector: &str) -> Vec<(String, String)> {
    let terms = selector.split(',').filter_map(|term| term.split_once('='));
    let terms = terms.filter(|(field, _)| !field.ends_with('!'));
    terms.map(|(field, value)| (field.to_owned(), value.trim_start_matches('=').to_owned())).collect()
}

impl Attributes {
    /// A collection of which the query selects one object by its name is judged as that object.
    pub fn of_resource(user: &UserInfo, info: &RequestInfo, query: &Query) -> Attributes {
        let selected = match info.verb {
            Verb::Create => Vec::new(),
            _ => equalities(query.get("fieldSelector")),
        };
        let name = match info.name.as_str() {
            "" => {
                let by_name = selected.iter().find(|(field, _)| field == "metadata.name");
                by_name.map(|(_, name)| name.clone()).unwrap_or_default()
            }
            name => name.to_owned(),
        };
        // A namespace is in itself.
        let is_namespace = std::ptr::eq(info.kind, &crate::kinds::namespaces::KIND);
        let namespace = if is_namespace { &info.name } else { &info.namespace };
        Attributes {
            user: user.clone(),
            verb: info.verb.as_str().to_owned(),
            group: info.kind.group.to_owned(),
            resource: info.kind.plural.to_owned(),
            subresource: info
                .subresource
                .map(|subresource| subresource.name().to_owned())
                .unwrap_or_default(),
            namespace: namespace.clone(),
            name,
            selected,
            path: None,
        }
    }

    pub fn of_path(user: &UserInfo, method: &Method, path: &str) -> Attributes {
        Attributes {
            user: user.clone(),
            verb: method.as_str().to_lowercase(),
            group: String::new(),
            resource: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            selected: Vec::new(),
            path: Some(path.to_owned()),
        }
    }

    /// `pods/log`
    pub fn combined(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }

    /// The refusal, in upstream's words.
    pub fn forbidden(&self, reason: &str) -> Status {
        let (user, verb) = (crate::field::quoted(&self.user.name), &self.verb);
        let mut why = match &self.path {
            Some(path) => format!("User {user} cannot {verb} path {path:?}"),
            None => {
                let place = match self.namespace.as_str() {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let (resource, group) = (self.combined(), &self.group);
                format!("User {user} cannot {verb} resource {resource:?} in API group {group:?} {place}")
            }
        };
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        if self.path.is_some() {
            let mut status = Status::failure(403, "Forbidden", format!("forbidden: {why}"));
            status.details = Some(StatusDetails::default());
            return status;
        }
        let gvk = GroupVersionKind::new(&self.group, "", "");
        let resource = Resource { gvk, plural: self.resource.clone(), scope: Scope::Cluster };
        Status::forbidden(&resource, &self.name, &why)
    }
}
