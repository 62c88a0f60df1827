//! What each controller is given: a client in its name, events, and one informer per kind for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, ObjectReference, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::ClusterRole;
use labkit_api::{Object, Resource, UserInfo};
use labkit_client::{Client, EventRecorder, EventType, Informer, ListParams};

use crate::config::ControllerManagerConfig;
use crate::list::Controller;

/// Handed to each controller. Clones share the informers.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub client: Client,
    pub config: Arc<ControllerManagerConfig>,
    pub informers: Arc<Informers>,
    recorder: EventRecorder,
}

impl Context {
    pub fn new(client: Client, config: Arc<ControllerManagerConfig>) -> Context {
        let recorder = EventRecorder::new(&client, client.user_agent(), None);
        let informers = Arc::new(Informers::new(client.clone()));
        Context { client, config, informers, recorder }
    }

    /// The context of one controller: its requests and events carry its name, and its requests are those of its
    /// service account, if each is to have its own. What informers read is read as the process.
    pub fn of(&self, controller: &Controller) -> Context {
        let name = controller.name;
        let mut client = self.client.with_user_agent(name);
        if self.config.use_service_account_credentials {
            client = client.with_user(service_account(controller.account));
        }
        let recorder = EventRecorder::new(&client, name, None);
        Context { client, recorder, ..self.clone() }
    }

    /// The same, with events from another component: some controllers sign with an older name.
    pub fn recording_as(self, component: &str) -> Context {
        Context { recorder: EventRecorder::new(&self.client, component, None), ..self }
    }

    pub fn now(&self) -> Timestamp {
        self.client.world().clock().now()
    }

    /// Records an event, off the caller's way, as upstream's broadcaster does.
    pub fn event(
        &self,
        about: ObjectReference,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) {
        let recorder = self.recorder.clone();
        labkit_sim::spawn(async move { recorder.event(&about, event_type, reason, &message).await });
    }
}

/// `system:serviceaccount:kube-system:NAME`
fn service_account(name: &str) -> UserInfo {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    UserInfo::new(&format!("system:serviceaccount:kube-system:{name}"), &groups)
}

macro_rules! informers {
    ($($kinds:ident: $kind:ty,)*) => {
        /// One informer per kind, started when it is first asked for.
        #[derive(Debug)]
        pub(crate) struct Informers {
            client: Client,
            /// Of kinds that only the garbage collector looks at.
            others: Mutex<BTreeMap<String, Informer<Object>>>,
            $($kinds: OnceLock<Informer<$kind>>,)*
        }

        impl Informers {
            fn new(client: Client) -> Informers {
                Informers { client, others: Mutex::default(), $($kinds: OnceLock::new(),)* }
            }

            pub fn dynamic(&self, resource: &Resource) -> Informer<Object> {
                let mut others = self.others.lock().expect("no panic happens under this lock");
                let start = || Informer::start_dynamic(&self.client, resource.clone(), ListParams::default());
                others.entry(resource.qualified()).or_insert_with(start).clone()
            }

            $(pub fn $kinds(&self) -> &Informer<$kind> {
                self.$kinds.get_or_init(|| Informer::start(&self.client, ListParams::default()))
            })*
        }
    };
}

informers! {
    deployments: Deployment,
    replica_sets: ReplicaSet,
    pods: Pod,
    nodes: Node,
    leases: Lease,
    namespaces: Namespace,
    services: Service,
    endpoint_slices: EndpointSlice,
    service_accounts: ServiceAccount,
    certificate_signing_requests: CertificateSigningRequest,
    cluster_roles: ClusterRole,
}
