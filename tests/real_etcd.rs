//! A real etcd (Debian's `etcd-server`) on loopback, with its defaults and a folder of its own.

use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A cluster that takes longer to begin does not begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);

/// The members of a real etcd. Dropping it ends them.
#[derive(Debug)]
pub struct RealEtcd {
    members: Vec<Child>,
    /// Where clients reach each member.
    pub urls: Vec<String>,
    _folder: TempDir,
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended by itself.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

impl RealEtcd {
    /// Starts the members and waits until each says that it is healthy.
    pub async fn start(members: u8) -> RealEtcd {
        let folder = TempDir::new().expect("there is room for a folder");
        let mut ports = Vec::new();
        for _ in 0..members {
            ports.push((free_port().await, free_port().await));
        }
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let name = |number: usize| format!("m{number}");
        let cluster: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("{}={}", name(n), url(*peer))).collect();
        let start = |(number, (client, peer)): (usize, &(u16, u16))| {
            let log = std::fs::File::create(folder.path().join(format!("{number}.log"))).expect("as above");
            let mut etcd = Command::new("etcd");
            etcd.args(["--name", &name(number), "--data-dir"]).arg(folder.path().join(name(number)));
            etcd.args(["--listen-client-urls", &url(*client), "--advertise-client-urls", &url(*client)]);
            etcd.args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)]);
            etcd.args(["--initial-cluster", &cluster.join(","), "--logger=zap"]);
            etcd.stdout(log.try_clone().expect("as above")).stderr(log).spawn().expect("etcd starts")
        };
        let members = ports.iter().enumerate().map(start).collect();
        let urls = ports.iter().map(|(client, _)| url(*client)).collect();
        let etcd = RealEtcd { members, urls, _folder: folder };
        let begun = async {
            for (client, _) in &ports {
                while !is_healthy(*client).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::time::timeout(BEGIN_MAX, begun).await.expect("a real etcd begins");
        etcd
    }

    /// Ends a member as SIGKILL does.
    pub fn kill(&mut self, member: usize) {
        // It may have ended by itself.
        let _ = self.members[member].kill();
        let _ = self.members[member].wait();
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

async fn is_healthy(port: u16) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.contains("\"health\":\"true\""))
    };
    asked.await.unwrap_or(false)
}
