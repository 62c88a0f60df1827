//! A small HTTPS client: one connection that is kept alive. For load, and for what no real client would send.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_yaml::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is, and how to show who one is.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// A connection.
#[derive(Debug)]
pub struct Https {
    stream: BufReader<TlsStream<TcpStream>>,
    /// What was read of a stream beyond the last line.
    rest: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// The head, as it came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Endpoint {
    /// Reads a kubeconfig with one cluster and one user.
    pub fn of(kubeconfig: &str) -> Endpoint {
        let config: Value = serde_yaml::from_str(kubeconfig).unwrap();
        let text = |path: [&str; 3]| config[path[0]][0][path[1]][path[2]].as_str().unwrap().to_owned();
        let pem = |path| STANDARD.decode(text(path)).unwrap();
        let mut roots = RootCertStore::empty();
        let authority = pem(["clusters", "cluster", "certificate-authority-data"]);
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let certificate = pem(["users", "user", "client-certificate-data"]);
        let chain = CertificateDer::pem_slice_iter(&certificate).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(&pem(["users", "user", "client-key-data"])).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let server = text(["clusters", "cluster", "server"]);
        let address = server.trim_start_matches("https://").parse().unwrap();
        Endpoint { address, tls: Arc::new(tls) }
    }

    pub async fn connect(&self) -> io::Result<Https> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        Ok(Https { stream: BufReader::with_capacity(64 * 1024, stream), rest: Vec::new() })
    }
}

impl Https {
    /// Sends a request and reads its whole answer.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.request(method, target, headers, body).await?;
        let (code, head) = self.head().await?;
        let mut answer = Answer { code, head, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while self.chunk(&mut answer.body).await? {}
        } else {
            let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).await?;
        }
        Ok(answer)
    }

    /// Opens a watch; its events are read line by line.
    pub async fn watch(&mut self, target: &str) -> io::Result<()> {
        self.request("GET", target, &[], b"").await?;
        let (code, head) = self.head().await?;
        if code == 200 { Ok(()) } else { Err(io::Error::other(head)) }
    }

    /// The next line of a stream, without its end.
    pub async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            let mut rest = std::mem::take(&mut self.rest);
            let goes_on = self.chunk(&mut rest).await?;
            self.rest = rest;
            if !goes_on {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Writes raw bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await?;
        self.stream.get_mut().flush().await
    }

    async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: labkit\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes).await
    }

    async fn head(&mut self) -> io::Result<(u16, String)> {
        let mut head = String::new();
        loop {
            let length = self.stream.read_line(&mut head).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length == 2 {
                break;
            }
        }
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok((code.ok_or_else(|| io::Error::other(head.clone()))?, head))
    }

    /// Reads a chunk to the end of `into`. False at the last one.
    async fn chunk(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let start = into.len();
        into.resize(start + length, 0);
        self.stream.read_exact(&mut into[start..]).await?;
        line.clear();
        self.stream.read_line(&mut line).await?;
        Ok(length > 0)
    }
}

impl Answer {
    /// A header's value; names are lower case, as the server writes them.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
