//! Names of images. Counterpart: `github.com/distribution/reference`, as containerd uses it.

use std::fmt;

/// A name with everything that was left out of it: `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// With the registry's host: `docker.io/library/nginx`.
    pub repository: String,
    /// `:1.27` or `@sha256:...`.
    suffix: String,
}

impl ImageName {
    /// Parses a name as manifests have it. The error is upstream's.
    pub fn parse(text: &str) -> Result<ImageName, String> {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (name, None),
        };
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err("invalid reference format: repository name must be lowercase".to_owned());
        }
        let is_component = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:".contains(c))
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        let is_tag = |tag: &str| {
            !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !path.split('/').all(is_component) || !tag.is_none_or(is_tag) || digest.is_some_and(str::is_empty)
        {
            return Err("invalid reference format".to_owned());
        }
        let suffix = match (digest, tag) {
            (Some(digest), _) => format!("@{digest}"),
            (None, tag) => format!(":{}", tag.unwrap_or("latest")),
        };
        Ok(ImageName { repository: with_host(path), suffix })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.repository, self.suffix)
    }
}

/// `nginx` is `docker.io/library/nginx`; `quay.io/x/y` has its host already.
fn with_host(path: &str) -> String {
    match path.split_once('/') {
        None => format!("docker.io/library/{path}"),
        Some((host, _)) if host.contains('.') || host.contains(':') || host == "localhost" => path.to_owned(),
        Some(_) => format!("docker.io/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = ImageName::parse(text).map_or_else(|error| error, |name| name.to_string());
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("shop/api", "docker.io/shop/api:latest");
        check("localhost:5000/api", "localhost:5000/api:latest");
        check("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10");
        check("nginx:1.27@sha256:abc", "docker.io/library/nginx@sha256:abc");
    }

    #[test]
    fn malformed_names_are_refused() {
        check("NGINX", "invalid reference format: repository name must be lowercase");
        check("nginx:", "invalid reference format");
        check("", "invalid reference format");
        check("ngi nx", "invalid reference format");
    }
}
