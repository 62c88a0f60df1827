//! Which kinds there are at a moment: the built-in ones and those of the definitions whose names are accepted.
//! Counterparts: `customresource_discovery_controller.go`, the look-ups of `customresource_handler.go`.

use std::cmp::Reverse;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use labkit_api::{Object, Verb};

use super::structural::{flag, list};
use super::{controller, kind, status};
use crate::aggregation::{Remote, availability, registration};
use crate::kinds::{self, KINDS, Kind, api_services, custom_resource_definitions as definitions};
use crate::registry::Registry;

/// How long a request waits for the first list of definitions; then it does without.
const DEFINITIONS_TIMEOUT: Duration = Duration::from_secs(3);

const VERBS: &[Verb] = &[
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Create,
    Verb::Update,
    Verb::Watch,
];
const VERBS_OF_TERMINATING: &[Verb] =
    &[Verb::Delete, Verb::DeleteCollection, Verb::Get, Verb::List, Verb::Watch];

/// The kinds of a moment.
#[derive(Debug, Default)]
pub(crate) struct Served {
    customs: Vec<Row>,
    remotes: Vec<Remote>,
    group_versions: Vec<(&'static str, &'static str)>,
    /// The index of the OpenAPI documents, once it was asked for.
    pub open_api_index: OnceLock<Bytes>,
}

/// A custom kind, and how things stand with its definition.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: &'static Kind,
    is_established: bool,
    is_terminating: bool,
}

static BUILT_IN: LazyLock<Arc<Served>> = LazyLock::new(|| Arc::new(Served::of(Vec::new(), Vec::new())));

impl Served {
    /// No custom kinds.
    pub fn built_in() -> Arc<Served> {
        BUILT_IN.clone()
    }

    fn of(mut customs: Vec<Row>, mut remotes: Vec<Remote>) -> Served {
        customs.sort_by_key(|row| (row.kind.group, Reverse(priority(row.kind.version)), row.kind.plural));
        let mut group_versions = kinds::group_versions().to_vec();
        for kind in customs.iter().filter(|row| row.is_established).map(|row| row.kind) {
            let own = (kind.group, kind.version);
            if group_versions.contains(&own) {
                continue;
            }
            match group_versions.iter().rposition(|(group, _)| *group == kind.group) {
                Some(last) => group_versions.insert(last + 1, own),
                None => group_versions.push(own),
            }
        }
        remotes.retain(|remote| !group_versions.contains(&(remote.group, remote.version)));
        remotes.sort_by_key(Remote::rank);
        for remote in &remotes {
            match group_versions.iter().rposition(|(group, _)| *group == remote.group) {
                Some(last) => group_versions.insert(last + 1, (remote.group, remote.version)),
                None => group_versions.push((remote.group, remote.version)),
            }
        }
        Served { customs, remotes, group_versions, open_api_index: OnceLock::new() }
    }

    /// Who else answers for a group and version.
    pub fn remote(&self, group: &str, version: &str) -> Option<&Remote> {
        self.remotes.iter().find(|remote| remote.group == group && remote.version == version)
    }

    /// Who else answers at a path.
    pub fn remote_at(&self, path: &str) -> Option<&Remote> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        match (segments.next(), segments.next(), segments.next()) {
            (Some("apis"), Some(group), Some(version)) => self.remote(group, version),
            _ => None,
        }
    }

    /// The groups with each of their versions, in order: built-in ones first.
    pub fn group_versions(&self) -> &[(&'static str, &'static str)] {
        &self.group_versions
    }

    pub fn is_served(&self, group: &str, version: &str) -> bool {
        kinds::is_served(group, version) || self.customs.iter().any(|row| row.kind.is_of(group, version))
    }

    /// The kind under that path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        let custom = || {
            let mut rows = self.customs.iter().filter(|row| row.kind.is_of(group, version));
            rows.find(|row| row.kind.plural == plural).map(|row| row.kind)
        };
        kinds::find(group, version, plural).or_else(custom)
    }

    /// The kinds that discovery shows of a group and version.
    pub fn kinds_of(&self, group: &str, version: &str) -> Vec<&'static Kind> {
        let built_in = KINDS.iter().copied();
        let customs = self.customs.iter().filter(|row| row.is_established).map(|row| row.kind);
        built_in.chain(customs).filter(|kind| kind.is_of(group, version)).collect()
    }

    pub fn has_custom(&self, group: &str, version: &str) -> bool {
        self.customs.iter().any(|row| row.is_established && row.kind.is_of(group, version))
    }

    /// The verbs of a collection, in discovery's order.
    pub fn verbs(&self, kind: &'static Kind) -> &'static [Verb] {
        match self.customs.iter().find(|row| std::ptr::eq(row.kind, kind)) {
            None => kind.verbs(),
            Some(row) if row.is_terminating => VERBS_OF_TERMINATING,
            Some(_) => VERBS,
        }
    }

    pub fn is_terminating(&self, kind: &'static Kind) -> bool {
        self.customs.iter().any(|row| row.is_terminating && std::ptr::eq(row.kind, kind))
    }

    /// The prefixes of the custom kinds' keys with all of their versions.
    fn prefixes(&self) -> impl Iterator<Item = (&'static str, *const Kind)> {
        self.customs.iter().map(|row| (row.kind.prefix, std::ptr::from_ref(row.kind)))
    }
}

/// `v2` before `v1` before `v2beta1` before `v1alpha1` before everything else. Counterpart: `CompareKubeAwareVersionStrings`.
fn priority(version: &str) -> (u8, u64, u64, Reverse<String>) {
    let other = || (0, 0, 0, Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other() };
    let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (major, stage) = rest.split_at(digits);
    let Ok(major) = major.parse() else { return other() };
    let staged = |name: &str| stage.strip_prefix(name).and_then(|minor| minor.parse().ok());
    match (stage, staged("beta"), staged("alpha")) {
        ("", ..) => (3, major, 0, Reverse(String::new())),
        (_, Some(minor), _) => (2, major, minor, Reverse(String::new())),
        (_, _, Some(minor)) => (1, major, minor, Reverse(String::new())),
        _ => other(),
    }
}

/// What a server knows of definitions.
#[derive(Debug, Default)]
pub(crate) struct Customs {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of which state of definitions and APIServices `served` is.
    stamp: [(u64, u64); 3],
    served: Option<Arc<Served>>,
    is_controlled: bool,
}

/// The kinds as a request to that path sees them. The first request that may be about custom resources starts to follow
/// the definitions.
pub(crate) async fn served(registry: &Arc<Registry>, path: &str) -> Arc<Served> {
    if concerns_built_in(path) {
        return Served::built_in();
    }
    let cache = registry.start(&definitions::KIND);
    if registry.customs.claims_control() {
        registry.component.spawn(controller::run(registry.clone()));
    }
    let synced = async {
        cache.synced().await;
        if !is_below(path, definitions::KIND.group) {
            registry.start(&api_services::KIND).synced().await;
        }
    };
    if registry.aggregation_is_wanted(path) {
        registry.component.spawn(availability::run(registry.clone()));
    }
    let _without_them_if_the_store_is_silent = tokio::time::timeout(DEFINITIONS_TIMEOUT, synced).await;
    if is_below(path, api_services::KIND.group) {
        // What cannot be stored now is stored when somebody asks again.
        let _a_refusal_is_no_reason_to_refuse_the_request = registration::register(registry).await;
    }
    registry.refresh_customs()
}

fn is_below(path: &str, group: &str) -> bool {
    path.strip_prefix("/apis/").and_then(|rest| rest.strip_prefix(group)).is_some()
}

/// Whether a path is about built-in kinds alone, and not about definitions either.
fn concerns_built_in(path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match (segments.next(), segments.next(), segments.next()) {
        (Some("apis"), Some(group), Some(version)) => {
            kinds::is_served(group, version)
                && group != definitions::KIND.group
                && group != api_services::KIND.group
        }
        (Some("apis"), ..) | (Some("openapi"), ..) | (None, ..) => false,
        _ => true,
    }
}

impl Customs {
    /// Whether the caller is the first one here, who has to run the controller.
    fn claims_control(&self) -> bool {
        let mut state = self.state.lock().expect("no panic happens under this lock");
        !std::mem::replace(&mut state.is_controlled, true)
    }
}

impl Registry {
    /// Whether the caller is the first one to ask for what another server may answer: who runs the controller.
    fn aggregation_is_wanted(&self, path: &str) -> bool {
        !is_below(path, definitions::KIND.group) && self.aggregation.claims_control()
    }

    /// The kinds by what the cache of definitions has now. Watches of a kind that changed or is gone end.
    pub fn refresh_customs(&self) -> Arc<Served> {
        let (cache, api_services) = (self.cache(&definitions::KIND), self.cache(&api_services::KIND));
        let stamp = [cache.stamp(), api_services.stamp(), (self.aggregation.generation(), 0)];
        let mut state = self.customs.state.lock().expect("no panic happens under this lock");
        if let Some(served) = state.served.as_ref().filter(|_| state.stamp == stamp) {
            return served.clone();
        }
        let (entries, ..) = cache.snapshot("");
        let customs: Vec<Row> = entries.iter().flat_map(|entry| rows(&entry.object())).collect();
        let (api_services, ..) = api_services.snapshot("");
        let remotes: Vec<Remote> =
            api_services.iter().filter_map(|entry| self.aggregation.remote(&entry.object())).collect();
        let is_plain = customs.is_empty() && remotes.is_empty();
        let next = if is_plain { Served::built_in() } else { Arc::new(Served::of(customs, remotes)) };
        if let Some(last) = &state.served {
            let present: Vec<_> = next.prefixes().collect();
            for gone in last.prefixes().filter(|own| !present.contains(own)) {
                self.forget(gone.0);
            }
        }
        (state.stamp, state.served) = (stamp, Some(next.clone()));
        next
    }
}

/// The kinds of a definition: none before its names are accepted.
fn rows(definition: &Object) -> Vec<Row> {
    let is_established = status::is_true(definition, "Established");
    if !is_established && !status::is_true(definition, "NamesAccepted") {
        return Vec::new();
    }
    let is_terminating = status::is_true(definition, "Terminating");
    let Some(spec) = definition.rest.get("spec") else { return Vec::new() };
    let versions = list(spec, "versions").iter().filter(|version| flag(version, "served"));
    versions
        .map(|version| Row { kind: kind::kind_of(definition, version), is_established, is_terminating })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_maturity() {
        let mut versions = ["v1alpha1", "foo1", "v2", "v1beta2", "v10", "v1", "v2beta1", "foo10", "v1beta10"];
        versions.sort_by_key(|version| Reverse(priority(version)));
        let expected = ["v10", "v2", "v1", "v2beta1", "v1beta10", "v1beta2", "v1alpha1", "foo1", "foo10"];
        assert_eq!(versions, expected);
    }

    #[test]
    fn definitions_are_looked_at_only_where_they_may_matter() {
        for path in ["/api/v1/pods", "/api", "/apis/apps/v1/deployments", "/healthz", "/version"] {
            assert!(concerns_built_in(path), "{path}");
        }
        let others = [
            "/apis",
            "/apis/apps",
            "/apis/example.com/v1/gadgets",
            "/openapi/v3",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        ];
        for path in others {
            assert!(!concerns_built_in(path), "{path}");
        }
    }
}
