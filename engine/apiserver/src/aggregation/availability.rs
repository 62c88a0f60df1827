//! Whether the servers of groups answer: their service is there, has endpoints, and tells its resources.
//! Counterpart: `kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go`.
//!
//! Every server runs it, as upstream's do; compare-and-swap keeps them out of each other's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use labkit_api::{Object, Time, UserInfo};
use labkit_client::Body;
use serde_json::Value;
use tokio::time::Instant;

use super::endpoint::{self, Endpoint, Missing};
use super::{ServiceReference, registration};
use crate::custom::status::{self, Condition};
use crate::kinds::api_services::{AVAILABLE, KIND};
use crate::kinds::{custom_resource_definitions, endpoint_slices, services};
use crate::registry::Registry;

/// How often a server that answers is asked again.
const RESYNC: Duration = Duration::from_secs(30);

/// The first pause before a server is asked again that did not answer; it doubles up to `RESYNC`.
const RETRY: Duration = Duration::from_secs(5);

/// How long a server may take to tell its resources.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the last look at one found, and when to look again.
struct Known {
    endpoint: Endpoint,
    found: Result<(), Missing>,
    /// For how long it stands.
    pause: Duration,
    due: Instant,
}

/// Looks after the APIServices for as long as it is polled.
pub(crate) async fn run(registry: Arc<Registry>) {
    let own = registry.followed(&KIND).await;
    let definitions = registry.start(&custom_resource_definitions::KIND);
    let (services, slices) = (registry.cache(&services::KIND), registry.cache(&endpoint_slices::KIND));
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    loop {
        let moved = [own.moved(), definitions.moved(), services.moved(), slices.moved()];
        registration::follow_definitions(&registry).await;
        let entries = own.snapshot("").0;
        known.retain(|name, _| entries.iter().any(|entry| entry.object().metadata.name == *name));
        for entry in entries {
            let object = entry.object();
            if let Some(service) = ServiceReference::of(&object) {
                look_after(&registry, &object, &service, &mut known).await;
            }
        }
        registry.refresh_customs();
        let any_change = futures::future::select_all(moved.map(Box::pin));
        match known.values().map(|known| known.due).min() {
            None => drop(any_change.await),
            Some(due) => {
                let _either_is_a_reason_to_look = tokio::time::timeout_at(due, any_change).await;
            }
        }
    }
}

/// Notes what became of one; a write that fails is done at the next look.
async fn look_after(
    registry: &Registry,
    api_service: &Object,
    service: &ServiceReference,
    known: &mut BTreeMap<String, Known>,
) {
    let name = &api_service.metadata.name;
    let found = match endpoint::find(registry, service).await {
        Err(missing) => {
            known.remove(name);
            Err(missing)
        }
        Ok(endpoint) => {
            let now = Instant::now();
            let last = known.remove(name).filter(|last| last.endpoint == endpoint);
            let last = match last {
                Some(last) if last.due > now => last,
                last => {
                    let found = check(registry, api_service, &endpoint).await;
                    let pause = match (&found, last) {
                        (Ok(()), _) => RESYNC,
                        (Err(_), Some(last)) if last.found.is_err() => (last.pause * 2).min(RESYNC),
                        (Err(_), _) => RETRY,
                    };
                    Known { endpoint, found, pause, due: Instant::now() + pause }
                }
            };
            let found = last.found.clone();
            known.insert(name.clone(), last);
            found
        }
    };
    let (reason, message) = match &found {
        Ok(()) => ("Passed", "all checks passed"),
        Err(missing) => (missing.reason, missing.message.as_str()),
    };
    let condition = Condition { name: AVAILABLE, is_true: found.is_ok(), reason, message };
    let now = Time(registry.world.clock().now());
    let wanted = |live: &Object| {
        let mut live = live.clone();
        status::set(&mut live, condition, now);
        live
    };
    if wanted(api_service).rest.get("status") != api_service.rest.get("status") {
        let _another_server_may_have_noted_it = status::write(registry, &KIND, name, wanted).await;
    }
}

async fn check(registry: &Registry, api_service: &Object, endpoint: &Endpoint) -> Result<(), Missing> {
    let text = |name: &str| api_service.str_at(&["spec", name]).unwrap_or_default();
    let path = format!("/apis/{}/{}", text("group"), text("version"));
    let url = format!("https://{}{path}", endpoint.authority);
    let failed = |why: String| Missing {
        reason: "FailedDiscoveryCheck",
        message: format!("failing or missing response from {url}: {why}"),
    };
    let unreachable = |why: &str| failed(format!("Get {url:?}: {why}"));
    let Some((address, port)) = endpoint.pod else {
        return Err(unreachable(&format!("dial tcp {}: connect: connection refused", endpoint.authority)));
    };
    let mut request =
        http::Request::get(&path).body(Bytes::new()).map_err(|error| failed(error.to_string()))?;
    request.extensions_mut().insert(UserInfo::new("system:kube-aggregator", &["system:masters"]));
    let asked = registry.aggregation.backends.request(address, port, request);
    let answer = tokio::time::timeout(DISCOVERY_TIMEOUT, asked).await;
    let answer = answer.map_err(|_| {
        unreachable("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    })?;
    let response = answer.map_err(|error| unreachable(&error))?;
    if !response.status().is_success() {
        return Err(failed(format!("bad status from {url}: {}", response.status().as_u16())));
    }
    if let Body::Full(bytes) = response.body()
        && let Ok(resources) = serde_json::from_slice::<Value>(bytes)
    {
        registry.aggregation.note_resources(&api_service.metadata.name, resources);
    }
    Ok(())
}
