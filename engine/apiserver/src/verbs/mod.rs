//! The verbs: from a request that is understood to the registry and back to an answer.
//! Counterpart: `k8s.io/apiserver/pkg/endpoints/handlers`.

mod apply;
mod connect;
mod create;
mod delete;
pub(crate) mod evict;
pub(crate) mod field_manager;
mod json_patch;
mod log;
mod patch;
mod read;
mod token;
mod update;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use labkit_api::{Object, Status, UserInfo, Verb};
use labkit_client::Response;

pub(crate) use create::bind_pod;

use crate::admission::Attributes;
use crate::authz::escalation;
use crate::guard::Guard;
use crate::kinds::Subresource;
use crate::kubelets::Kubelets;
use crate::negotiate::{self, Encoding, Offer, View};
use crate::query::Query;
use crate::registry::{NamespaceState, PodNeeds, Registry};
use crate::request_info::RequestInfo;
use crate::respond::Presentation;
use crate::standing;
use crate::table::IncludeObject;

/// One request to a resource.
pub(crate) struct Call {
    pub registry: Arc<Registry>,
    pub kubelets: Arc<dyn Kubelets>,
    pub guard: Arc<Guard>,
    pub info: RequestInfo,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub user: UserInfo,
    /// Whether the answer is read in the server's own component; see [`labkit_client::ReadInServer`].
    pub is_read_here: bool,
}

/// Carries the request out.
pub(crate) async fn dispatch(call: Call) -> Result<Response, Status> {
    let registry = &call.registry;
    registry.standing.call_once(|| drop(registry.component.spawn(standing::run(registry.clone()))));
    match (call.info.verb, call.info.subresource) {
        (Verb::Get, Some(Subresource::Log)) => log::log(call).await,
        (_, Some(Subresource::Exec | Subresource::Attach | Subresource::PortForward)) => {
            connect::connect(call).await
        }
        (Verb::Get | Verb::List, None) if let Some(computed) = call.info.kind.computed => {
            read::computed(call, computed).await
        }
        (Verb::Get, _) => read::get(call).await,
        (Verb::List, _) => read::list(call).await,
        (Verb::Watch, _) => watch::watch(call).await,
        (Verb::Create, Some(Subresource::Binding)) => create::bind(call).await,
        (Verb::Create, Some(Subresource::Eviction)) => evict::evict(call).await,
        (Verb::Create, Some(Subresource::Token)) => token::request(call).await,
        (Verb::Create, _) => create::create(call).await,
        (Verb::Update, _) => update::update(call).await,
        (Verb::Patch, _) => patch::patch(call).await,
        (Verb::Delete, _) => delete::delete(call).await,
        (Verb::DeleteCollection, _) => delete::delete_collection(call).await,
    }
}

impl Call {
    /// How the answer is to look.
    pub fn presentation(&self) -> Result<Presentation, Status> {
        self.presentation_of(false)
    }

    /// The same for a watch.
    pub fn stream_presentation(&self) -> Result<Presentation, Status> {
        self.presentation_of(true)
    }

    /// The encoding of a Status, or of an object that stands for another.
    pub fn encoding(&self) -> Encoding {
        if self.accepts_json() { Encoding::Json } else { negotiate::status_encoding(&self.headers) }
    }

    /// What nearly every request says; it needs no negotiation.
    fn accepts_json(&self) -> bool {
        self.headers.get(http::header::ACCEPT).is_none_or(|accepted| accepted == "application/json")
    }

    fn presentation_of(&self, stream: bool) -> Result<Presentation, Status> {
        let (view, encoding) = if self.accepts_json() {
            (View::Object, Encoding::Json)
        } else {
            let protobuf = labkit_api::protobuf::is_known(&self.info.kind.gvk());
            negotiate::view(&self.headers, Offer { protobuf, stream })?
        };
        let include = match self.query.get("includeObject") {
            "Object" => IncludeObject::Object,
            "None" => IncludeObject::None,
            _ => IncludeObject::Metadata,
        };
        let now = self.registry.world.clock().now();
        let managed_fields = !self.headers.contains_key(labkit_client::OMIT_MANAGED_FIELDS);
        Ok(Presentation { kind: self.info.kind, view, encoding, include, managed_fields, now })
    }

    /// How things stand with the namespace that is written to.
    async fn namespace_state(&self) -> Result<NamespaceState, Status> {
        self.registry.namespace_state(self.info.kind, &self.info.namespace).await
    }

    fn admit(
        &self,
        verb: Verb,
        object: Option<&mut Object>,
        namespace_state: NamespaceState,
    ) -> Result<(), Status> {
        self.admit_with(verb, object, namespace_state, PodNeeds::default())
    }

    fn admit_with(
        &self,
        verb: Verb,
        object: Option<&mut Object>,
        namespace_state: NamespaceState,
        PodNeeds { priority_class, is_account_missing }: PodNeeds,
    ) -> Result<(), Status> {
        let own_name = object.as_ref().map(|object| object.metadata.name.clone()).unwrap_or_default();
        let name = if self.info.name.is_empty() { &own_name } else { &self.info.name };
        if let Some(object) = object.as_deref().filter(|_| self.info.subresource.is_none()) {
            escalation::check(&self.guard, &self.user, self.info.kind, object)?;
        }
        self.guard.access.plugins.restrict_node(self, verb, object.as_deref())?;
        let attributes = Attributes {
            verb,
            kind: self.info.kind.stored(),
            subresource: self.info.subresource,
            namespace: &self.info.namespace,
            name,
            object,
            namespace_state,
            priority_class,
            is_account_missing,
            limit_ranges: crate::admission::limit_ranges(self, verb),
        };
        self.guard.access.plugins.admit(attributes)
    }

    /// An object's name and namespace are those of its path.
    fn check_names(&self, object: &mut Object) -> Result<(), Status> {
        let meta = &mut object.metadata;
        if self.info.kind.is_namespaced() {
            if !meta.namespace.is_empty() && meta.namespace != self.info.namespace {
                return Err(Status::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            meta.namespace.clone_from(&self.info.namespace);
        } else {
            meta.namespace.clear();
        }
        if !self.info.name.is_empty() {
            if meta.name.is_empty() && self.info.verb == Verb::Update {
                let why = "was undeterminable: name must be provided";
                let message = format!("the name of the object ({} based on URL) {why}", self.info.name);
                return Err(Status::bad_request(message));
            }
            if meta.name.is_empty() {
                meta.name.clone_from(&self.info.name);
            }
            if meta.name != self.info.name {
                return Err(Status::bad_request(format!(
                    "the name of the object ({}) does not match the name on the URL ({})",
                    meta.name, self.info.name
                )));
            }
        }
        Ok(())
    }
}
