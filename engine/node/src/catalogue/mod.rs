//! What the containers of each image do, as data.

mod builtin;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use labkit_api::duration::{format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::image_name::ImageName;
use crate::usage::Uses;

/// Images by name. A name without a tag stands for every tag that is not there itself.
///
/// An image that is not in the catalogue can be pulled, and its containers run forever, serve nothing and
/// end on SIGTERM: it is not for us to say that an image does not exist. Only where its name or tag contains
/// `missing`, `nonexistent` or `doesnotexist` does the registry not find it.
///
/// A container's command goes before its image. These are understood: `sleep 30`, `sleep infinity`, `true`,
/// `false`, `echo ...`, `date`, `hostname`, `env`, `tail -f ...`, and `sh -c "..."` with these, `exit N`,
/// `;`, `&&` and `while true; do ...; done`. In a shell any other command succeeds at once and prints
/// nothing; as a container's own command it runs like the image, or forever where the image is a shell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Catalogue(pub BTreeMap<String, Image>);

/// An image: how it is pulled and what a container of it does when it gets no command of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Image {
    /// What `kubectl describe` says of its size.
    pub size_bytes: u64,
    pub pull: Pull,
    /// HTTP services on the pod's address; probes and checks reach them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<HttpService>,
    /// When and how the container ends by itself. Without it, it runs forever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exits: Option<Exits>,
    pub on_sigterm: OnSigterm,
    /// What each of its containers uses while it runs: `kubectl top` shows it.
    #[serde(skip_serializing_if = "is_default")]
    pub uses: Uses,
    /// A program of labkit's own that its containers run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<OwnProgram>,
    /// Lines that it prints when it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
}

/// How an image is pulled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Pull {
    /// How long it takes when it is not on the node yet; the node's own default otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes: Option<Span>,
    /// Why it cannot be pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<PullFailure>,
}

/// Why a registry does not hand out an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PullFailure {
    /// The tag does not exist.
    NotFound,
    /// The repository does not exist, or it is private.
    AccessDenied,
}

/// `exits: {after: 5s, code: 1}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Exits {
    /// How long it runs.
    pub after: Span,
    /// Its exit code: 0 is success.
    pub code: i32,
}

/// A program of labkit's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OwnProgram {
    /// Asks the kubelets what their containers use, and answers for `metrics.k8s.io/v1beta1`.
    MetricsServer,
}

/// What a container does when it is asked to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnSigterm {
    /// It ends at once, with code 0.
    #[default]
    Exits,
    /// It goes on, as a process without a handler does when it is the first of its container, until it is
    /// killed after the grace period (code 137).
    Ignores,
}

/// An HTTP service: `{port: 8080, paths: {/healthz: {code: 200}}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpService {
    pub port: u16,
    /// How long after the container's start the port opens.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub opens_after: Span,
    /// Answers by path; any other path is answered with 404.
    #[serde(default)]
    pub paths: BTreeMap<String, HttpAnswer>,
}

/// `{code: 200, body: "ok", then: {after: 10s, code: 500}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct HttpAnswer {
    /// The HTTP status code.
    pub code: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Another code from some time after the container's start on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<LaterAnswer>,
}

/// `{after: 10s, code: 500}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LaterAnswer {
    pub after: Span,
    pub code: u16,
}

/// A duration in Kubernetes' notation: `5s`, `1m30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Words in the name of an image that no registry has.
const ABSENT: [&str; 3] = ["missing", "nonexistent", "doesnotexist"];
/// 50 MB, when nobody says.
const SIZE_DEFAULT: u64 = 50_000_000;

impl Default for Image {
    fn default() -> Image {
        Image {
            size_bytes: SIZE_DEFAULT,
            pull: Pull::default(),
            serves: Vec::new(),
            exits: None,
            on_sigterm: OnSigterm::Exits,
            uses: Uses::default(),
            runs: None,
            logs: Vec::new(),
        }
    }
}

fn is_default(uses: &Uses) -> bool {
    *uses == Uses::default()
}

impl Default for HttpAnswer {
    fn default() -> HttpAnswer {
        HttpAnswer { code: 200, body: String::new(), then: None }
    }
}

impl Catalogue {
    /// The images that every node knows.
    pub fn builtin() -> Catalogue {
        builtin::catalogue()
    }

    /// What the catalogue says of an image; see [`Catalogue`] for one that it does not have.
    pub fn find(&self, name: &ImageName) -> Cow<'_, Image> {
        let with_tag = |key: &str| key.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let parsed = |key: &str| ImageName::parse(key).ok();
        let exact = self.0.iter().find(|(key, _)| with_tag(key) && parsed(key).as_ref() == Some(name));
        if let Some((_, image)) = exact {
            return Cow::Borrowed(image);
        }
        let is_absent = ABSENT.iter().any(|word| name.to_string().contains(word));
        let same_repository =
            |key: &str| parsed(key).is_some_and(|known| known.repository == name.repository);
        let of_any_tag = self.0.iter().find(|(key, _)| !with_tag(key) && same_repository(key));
        match of_any_tag.map(|(_, image)| image) {
            Some(image) if !is_absent => Cow::Borrowed(image),
            image => {
                let pull = Pull { takes: None, fails: is_absent.then_some(PullFailure::NotFound) };
                Cow::Owned(Image { pull, ..image.cloned().unwrap_or_default() })
            }
        }
    }
}

impl PullFailure {
    /// What containerd reports, as the kubelet passes it on.
    pub fn message(self, name: &ImageName) -> String {
        let (code, why) = match self {
            PullFailure::NotFound => ("NotFound", format!("{name}: not found")),
            PullFailure::AccessDenied => (
                "Unknown",
                "pull access denied, repository does not exist or may require authorization: server message: \
                 insufficient_scope: authorization failed"
                    .to_owned(),
            ),
        };
        format!(
            "rpc error: code = {code} desc = failed to pull and unpack image \"{name}\": failed to resolve \
             reference \"{name}\": {why}"
        )
    }
}

impl Span {
    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Span).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: `500ms`, `5s`, `1m30s`, `2h`.",
            "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(catalogue: &Catalogue, name: &str) -> Image {
        catalogue.find(&ImageName::parse(name).unwrap()).into_owned()
    }

    #[test]
    fn a_name_without_a_tag_stands_for_every_tag_but_those_that_are_named() {
        let mut catalogue = Catalogue::default();
        catalogue.0.insert("shop/api".to_owned(), Image { size_bytes: 1, ..Image::default() });
        catalogue.0.insert("shop/api:v2".to_owned(), Image { size_bytes: 2, ..Image::default() });
        assert_eq!(find(&catalogue, "shop/api").size_bytes, 1);
        assert_eq!(find(&catalogue, "docker.io/shop/api:v1").size_bytes, 1);
        assert_eq!(find(&catalogue, "shop/api:v2").size_bytes, 2);
    }

    #[test]
    fn an_unknown_image_exists_unless_its_name_says_otherwise() {
        let catalogue = Catalogue::builtin();
        assert_eq!(find(&catalogue, "my/own:7").pull.fails, None);
        assert_eq!(find(&catalogue, "my/own:missing").pull.fails, Some(PullFailure::NotFound));
        assert_eq!(find(&catalogue, "nginx:nonexistent").pull.fails, Some(PullFailure::NotFound));
    }

    #[test]
    fn an_image_reads_as_yaml_writes_it() {
        let image: Image = serde_json::from_value(serde_json::json!({
            "pull": {"takes": "3s"}, "exits": {"after": "5s", "code": 1},
            "serves": [{"port": 8080, "paths": {"/healthz": {"then": {"after": "10s", "code": 500}}}}],
        }))
        .unwrap();
        assert_eq!(image.exits, Some(Exits { after: Span(Duration::from_secs(5)), code: 1 }));
        assert_eq!(image.serves[0].paths["/healthz"].code, 200);
        let error = serde_json::from_str::<Image>(r#"{"exits": {"after": "soon"}}"#).unwrap_err();
        assert!(error.to_string().contains("soon"), "{error}");
    }
}
