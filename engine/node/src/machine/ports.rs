//! Connections to a pod's ports. Counterpart: the CRI's `PortForward`; and the servers behind the ports, which
//! speak HTTP/1.1 and answer what their image declares.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use labkit_client::{Pipe, PortRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::session::SessionError;
use super::{Connection, Machine};

/// What a connection holds in each direction.
const BUFFER: usize = 64 << 10;

impl Machine {
    /// Where connections to the ports of a pod are asked for.
    pub fn pod_ports(&self, namespace: &str, pod: &str) -> Result<mpsc::Sender<PortRequest>, SessionError> {
        let (component, address, sandbox) = {
            let state = self.locked();
            let named = |key: &labkit_api::ObjectKey| key.namespace == namespace && key.name == pod;
            if !state.reported.values().any(|(key, _)| named(key)) {
                return Err(SessionError::NoPod);
            }
            let mut pods = state.pods.values().filter(|known| named(&known.id.key));
            let found = pods.find_map(|pod| Some((pod.address()?, pod.sandbox.as_ref()?.id.clone())));
            let missing = || SessionError::NoSandbox(format!("{pod}_{namespace}"));
            let (address, sandbox) = found.ok_or_else(missing)?;
            (state.component.clone(), address, sandbox)
        };
        self.record("PortForward", &format!("{namespace}/{pod}"), "", "");
        let (asked, mut requests) = mpsc::channel::<PortRequest>(4);
        let machine = self.clone();
        component.spawn(async move {
            while let Some(PortRequest { port, answer }) = requests.recv().await {
                let _the_client_may_be_gone = answer.send(machine.connect(address, port, &sandbox));
            }
        });
        Ok(asked)
    }

    fn connect(&self, address: Ipv4Addr, port: u16, sandbox: &str) -> Result<Pipe, String> {
        if self.dial(address, port) == Connection::Refused {
            return Err(format!(
                "error forwarding port {port} to pod {sandbox}, uid : failed to execute portforward in network \
                 namespace \"/var/run/netns/cni-{}\": failed to connect to localhost:{port} inside namespace \
                 {sandbox:?}, IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6 \
                 [::1]:{port}: connect: connection refused ",
                &sandbox[..8]
            ));
        }
        let (client, server) = Pipe::pair();
        labkit_sim::spawn(serve(self.clone(), address, port, server));
        Ok(client)
    }

    fn answer(&self, address: Ipv4Addr, port: u16, path: &str) -> http::Response<Full<Bytes>> {
        let unavailable = || (503, "the server has ended\n".to_owned());
        let (code, body) = self.http_get(address, port, path).unwrap_or_else(unavailable);
        let kind = if body.trim_start().starts_with('<') { "text/html" } else { "text/plain" };
        let date = jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S GMT", self.world().clock().now());
        let response = http::Response::builder()
            .status(code)
            .header(http::header::CONTENT_TYPE, kind)
            .header(http::header::DATE, date.unwrap_or_default());
        response.body(Full::new(Bytes::from(body))).unwrap_or_else(|_| {
            // A code that the catalogue declares and HTTP does not know.
            let mut response = http::Response::new(Full::default());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

/// One connection of a client, until either side has said all.
async fn serve(machine: Machine, address: Ipv4Addr, port: u16, pipe: Pipe) {
    let (near, far) = tokio::io::duplex(BUFFER);
    let (mut from_server, mut to_server) = tokio::io::split(near);
    let Pipe { sender, mut receiver } = pipe;
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let answer = machine.answer(address, port, request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    // The date is the world's, not the host's.
    server.auto_date_header(false).half_close(true);
    let serving = server.serve_connection(TokioIo::new(far), service);
    let inward = async move {
        while let Some(bytes) = receiver.recv().await {
            if to_server.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _the_server_may_be_done = to_server.shutdown().await;
    };
    let outward = async move {
        let mut piece = vec![0; BUFFER / 4];
        while let Ok(length) = from_server.read(&mut piece).await {
            if length == 0 || sender.send(Bytes::copy_from_slice(&piece[..length])).await.is_err() {
                return;
            }
        }
    };
    // The client learns of the end when its pipe is dropped, after the last byte.
    let _garbage_ends_it_too = futures::join!(serving, inward_until(outward, inward));
}

/// What is said inward matters only while something comes out.
async fn inward_until(outward: impl Future<Output = ()>, inward: impl Future<Output = ()>) {
    let inward = async {
        inward.await;
        std::future::pending::<()>().await;
    };
    let _outward_ends_first = futures::future::select(Box::pin(outward), Box::pin(inward)).await;
}
