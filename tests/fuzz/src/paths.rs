//! A request's line: `METHOD TARGET`. Whatever it says, it leads somewhere or is refused, and no name has a slash.

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    let Some(route) = labkit_apiserver::testing::route(method, target) else { return };
    assert!(!route.namespace.contains('/') && !route.name.contains('/'), "{route:?}");
    assert!(route.name != ".." && route.name != ".", "{route:?}");
}
