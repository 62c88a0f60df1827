//! The HTTP of the metrics server: discovery, NodeMetrics and PodMetrics as objects and as tables, health. Counterpart:
//! `metrics-server/pkg/api`.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use labkit_api::duration::format_duration;
use labkit_api::{Object, ObjectKey, Quantity, Resource, Status};
use labkit_client::{Body, Error, ListParams, Request, Response};
use serde_json::{Value, json};

use super::storage::Rate;
use super::{MetricsServer, nodes, pods};

const API_VERSION: &str = "metrics.k8s.io/v1beta1";

/// What is asked for.
enum Asked<'a> {
    List,
    One(&'a str),
}

impl MetricsServer {
    /// Answers a request of the API server, which knows who asks and whether they may.
    pub async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let [one] = segments.as_slice()
            && let Some((code, body)) = self.health(one)
        {
            return response(code, "text/plain; charset=utf-8", body.to_owned().into());
        }
        let (prefix, rest) = segments.split_at(segments.len().min(3));
        if prefix != ["apis", "metrics.k8s.io", "v1beta1"] {
            return json_response(404, &Status::failure(404, "NotFound", "404 page not found"));
        }
        if request.method() != http::Method::GET && !rest.is_empty() {
            let message = "the server does not allow this method on the requested resource";
            return json_response(405, &Status::failure(405, "MethodNotAllowed", message));
        }
        let accepted =
            request.headers().get(http::header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
        let as_table = accepted.is_some_and(|accepted| accepted.contains("as=Table"));
        let selectors = selectors(request.uri().query().unwrap_or_default());
        let found = match rest {
            [] => return json_response(200, &resources()),
            ["nodes"] => self.nodes(Asked::List, selectors).await,
            ["nodes", name] => self.nodes(Asked::One(name), selectors).await,
            ["pods"] => self.pods("", Asked::List, selectors).await,
            ["namespaces", namespace, "pods"] => self.pods(namespace, Asked::List, selectors).await,
            ["namespaces", namespace, "pods", name] => {
                self.pods(namespace, Asked::One(name), selectors).await
            }
            _ => Err(Status::failure(404, "NotFound", "the server could not find the requested resource")),
        };
        match found {
            Ok(found) if as_table => json_response(200, &table(&found)),
            Ok(found) => json_response(200, &found),
            Err(status) => json_response(status.code, &status),
        }
    }

    /// `livez`, `readyz`: ready once there are rates.
    pub fn health(&self, endpoint: &str) -> Option<(u16, &'static str)> {
        let is_ready = || self.storage.lock().expect("no panic happens under this lock").is_ready();
        match endpoint {
            "healthz" | "livez" => Some((200, "ok")),
            "readyz" if is_ready() => Some((200, "ok")),
            "readyz" => Some((500, "[-]metric-storage-ready failed: reason withheld\nreadyz check failed\n")),
            _ => None,
        }
    }

    async fn nodes(&self, asked: Asked<'_>, selectors: ListParams) -> Result<Value, Status> {
        let all = self.objects(&nodes(), &asked, "", selectors, "nodemetrics").await?;
        let storage = self.storage.lock().expect("no panic happens under this lock");
        let metrics = all.iter().filter_map(|node| {
            let rate = storage.node(&node.metadata.name)?;
            Some(self.metrics("NodeMetrics", node, &rate, json!({"usage": usage(&rate)})))
        });
        answer("NodeMetrics", asked, metrics.collect(), "nodemetrics", "")
    }

    async fn pods(&self, namespace: &str, asked: Asked<'_>, selectors: ListParams) -> Result<Value, Status> {
        let all = self.objects(&pods(), &asked, namespace, selectors, "podmetrics").await?;
        let storage = self.storage.lock().expect("no panic happens under this lock");
        let metrics = all.iter().filter_map(|pod| {
            let ObjectKey { namespace, name } = pod.key();
            let rates = storage.pod(&namespace, &name)?;
            let oldest = rates.values().min_by_key(|rate| rate.at)?.clone();
            let containers = rates.iter().map(|(name, rate)| json!({"name": name, "usage": usage(rate)}));
            let containers: Vec<Value> = containers.collect();
            Some(self.metrics("PodMetrics", pod, &oldest, json!({"containers": containers})))
        });
        answer("PodMetrics", asked, metrics.collect(), "podmetrics", namespace)
    }

    async fn objects(
        &self,
        resource: &Resource,
        asked: &Asked<'_>,
        namespace: &str,
        selectors: ListParams,
        what: &str,
    ) -> Result<Vec<Object>, Status> {
        let found = match asked {
            Asked::One(name) => self.client.get(resource, namespace, name).await.map(|object| vec![object]),
            Asked::List => {
                let params = ListParams { namespace: namespace.to_owned(), ..selectors };
                self.client.list(resource, &params).await.map(|list| list.items)
            }
        };
        match (found, asked) {
            (Err(error), Asked::One(name)) if error.is_not_found() => Err(not_found(what, namespace, name)),
            (Err(Error::Api(status)), _) => Err(*status),
            (Err(error), _) => Err(Status::internal(error.to_string())),
            (Ok(objects), _) => Ok(objects),
        }
    }

    fn metrics(&self, kind: &str, of: &Object, rate: &Rate, own: Value) -> Value {
        let mut metadata =
            json!({"name": of.metadata.name, "creationTimestamp": seconds(self.world.clock().now())});
        if !of.metadata.namespace.is_empty() {
            metadata["namespace"] = json!(of.metadata.namespace);
        }
        if !of.metadata.labels.is_empty() {
            metadata["labels"] = json!(of.metadata.labels);
        }
        let mut metrics = json!({
            "kind": kind, "apiVersion": API_VERSION, "metadata": metadata, "timestamp": seconds(rate.at),
            "window": format_duration(rate.window),
        });
        for (name, value) in own.as_object().into_iter().flatten() {
            metrics[name] = value.clone();
        }
        metrics
    }
}

fn answer(
    kind: &str,
    asked: Asked<'_>,
    mut found: Vec<Value>,
    what: &str,
    namespace: &str,
) -> Result<Value, Status> {
    match asked {
        Asked::One(name) => found.pop().ok_or_else(|| not_found(what, namespace, name)),
        Asked::List => Ok(json!({
            "kind": format!("{kind}List"), "apiVersion": API_VERSION, "metadata": {}, "items": found,
        })),
    }
}

fn not_found(what: &str, namespace: &str, name: &str) -> Status {
    let full = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    Status::failure(404, "NotFound", format!("{what}.metrics.k8s.io {full:?} not found"))
}

/// `100m` of CPU is `100000000n`, memory is told in Ki.
fn usage(rate: &Rate) -> Value {
    let cpu = match rate.cpu_nano {
        0 => "0".to_owned(),
        nano => format!("{nano}n"),
    };
    json!({"cpu": cpu, "memory": format!("{}Ki", rate.memory_bytes / 1024)})
}

fn seconds(at: Timestamp) -> String {
    jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", at).unwrap_or_default()
}

fn selectors(query: &str) -> ListParams {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found =
            pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.replace('+', " "));
        let text = found.unwrap_or_default();
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let (label_selector, field_selector) = (value("labelSelector"), value("fieldSelector"));
    ListParams { label_selector, field_selector, ..ListParams::default() }
}

/// The columns that `kubectl get nodes.metrics.k8s.io` shows: usage, summed over a pod's containers, and the window.
fn table(found: &Value) -> Value {
    let one = [found.clone()];
    let items = found["items"].as_array().map_or(one.as_slice(), Vec::as_slice);
    let columns = ["Name", "cpu", "memory", "Window"].map(|name| {
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
    });
    let row = |item: &Value| {
        let usages = item["containers"].as_array().map_or_else(
            || vec![&item["usage"]],
            |containers| containers.iter().map(|own| &own["usage"]).collect(),
        );
        let sum = |name: &str| {
            let amounts = usages.iter().filter_map(|usage| Quantity::from_value(&usage[name]).ok());
            amounts.reduce(|sum, amount| sum + amount).unwrap_or_default().to_string()
        };
        let metadata = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]});
        json!({
            "cells": [item["metadata"]["name"], sum("cpu"), sum("memory"), item["window"]], "object": metadata,
        })
    };
    let rows: Vec<Value> = items.iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows,
    })
}

fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        json!({
            "name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

fn json_response(code: u16, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("JSON is made of JSON");
    response(code, "application/json", body.into())
}

pub(crate) fn response(code: u16, content_type: &str, body: Bytes) -> Response {
    let mut response = http::Response::new(Body::Full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    }
    response
}
