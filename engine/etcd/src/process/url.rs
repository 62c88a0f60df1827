//! The URLs of etcd's flags.

use std::fmt;

/// `http://127.0.0.1:2380`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    pub is_tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl Url {
    /// The error says what is wrong, as etcd has it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(format!("URL scheme must be http or https: {text}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err(format!("URL must not contain a path: {text}"));
        }
        let missing = || format!("URL address does not have the form \"host:port\": {text}");
        let (host, port) = rest.rsplit_once(':').ok_or_else(missing)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| missing())?;
        if host.is_empty() {
            return Err(missing());
        }
        Ok(Url { is_tls, host: host.to_owned(), port })
    }

    /// A list with commas.
    pub fn parse_all(text: &str) -> Result<Vec<Url>, String> {
        text.split(',').map(|url| Url::parse(url.trim())).collect()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { is_tls, host, port } = self;
        let scheme = if *is_tls { "https" } else { "http" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_etcd_reads_them() {
        let url = |text: &str| Url::parse(text).map(|url| url.to_string());
        assert_eq!(url("http://127.0.0.1:2379").as_deref(), Ok("http://127.0.0.1:2379"));
        assert_eq!(url("https://[::1]:2380/").as_deref(), Ok("https://[::1]:2380"));
        assert_eq!(Url::parse_all("http://a:1,https://b:2").map(|urls| urls.len()), Ok(2));
        for bad in ["", "127.0.0.1:2379", "unix://x:1", "http://a", "http://:1", "http://a:x", "http://a:1/b"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
