//! The images that every node knows: those of tutorials. Sizes are of the right order.

use std::collections::BTreeMap;

use super::{Catalogue, Exits, HttpAnswer, HttpService, Image, OwnProgram};
use crate::usage::Uses;

pub(super) fn catalogue() -> Catalogue {
    let images = [
        ("nginx", using(1, 6, web_server(72_000_000, "Welcome to nginx!", &["start worker processes"]))),
        ("httpd", using(1, 9, web_server(58_000_000, "It works!", &["resuming normal operations"]))),
        ("redis", using(2, 7, server(43_000_000, &["Ready to accept connections tcp"]))),
        ("postgres", using(3, 42, server(155_000_000, &["database system is ready to accept connections"]))),
        ("mysql", using(6, 390, server(230_000_000, &["mysqld: ready for connections."]))),
        ("registry.k8s.io/pause", using(0, 1, server(320_000, &[]))),
        ("registry.k8s.io/metrics-server/metrics-server", metrics_server()),
        ("busybox", using(0, 1, shell(2_160_000))),
        ("alpine", using(0, 1, shell(3_640_000))),
        ("debian", using(0, 2, shell(48_000_000))),
        ("ubuntu", using(0, 2, shell(29_700_000))),
    ];
    Catalogue(images.into_iter().map(|(name, image)| (name.to_owned(), image)).collect())
}

/// With what its containers use: millicores and MiB.
fn using(cpu: i64, memory: i64, image: Image) -> Image {
    Image { uses: Uses::new(cpu, memory << 20), ..image }
}

fn metrics_server() -> Image {
    Image { runs: Some(OwnProgram::MetricsServer), ..using(4, 18, server(19_500_000, &[])) }
}

fn server(size_bytes: u64, logs: &[&str]) -> Image {
    Image { size_bytes, logs: logs.iter().map(|line| (*line).to_owned()).collect(), ..Image::default() }
}

fn web_server(size_bytes: u64, welcome: &str, logs: &[&str]) -> Image {
    let answer = HttpAnswer { body: format!("<h1>{welcome}</h1>\n"), ..HttpAnswer::default() };
    let paths = BTreeMap::from([("/".to_owned(), answer)]);
    let service = HttpService { port: 80, paths, ..HttpService::default() };
    Image { serves: vec![service], ..server(size_bytes, logs) }
}

/// A shell that has no terminal to read from ends at once.
fn shell(size_bytes: u64) -> Image {
    Image { size_bytes, exits: Some(Exits::default()), ..Image::default() }
}
