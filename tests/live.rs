//! A cluster in wall pace with its sockets open, and the real clients against it.

use std::future::Future;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use labkit_cluster::{Cluster, ClusterSpec, ServeOptions, Served};
use labkit_sim::{Pace, World, run};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// A client that takes longer than that hangs.
const CLIENT_MAX: Duration = Duration::from_secs(60);

/// A live cluster and a folder with what its clients need.
#[derive(Debug)]
pub struct Live {
    pub world: World,
    pub cluster: Cluster,
    pub served: Served,
    folder: TempDir,
}

/// What a client printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Whether `program` can be tested. Without it the test is skipped, loudly; in CI that is a failure.
pub fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing; ./tests/run says where to get it");
        eprintln!("SKIPPED: {program} is missing; ./tests/run says where to get it");
    }
    found
}

/// Boots `spec` in wall pace, opens its sockets and runs `body`.
pub fn live<Fut: Future<Output = ()>>(spec: ClusterSpec, body: impl FnOnce(Live) -> Fut) {
    run(Pace::Wall, 7, |world| async move {
        let cluster = Cluster::boot(&world, &spec).await.unwrap();
        let served = cluster.serve(&ServeOptions::default()).await.unwrap();
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("kubeconfig", served.kubeconfig.as_deref().unwrap_or_default());
        write("ca.crt", &served.etcd_ca_pem);
        write("client.crt", &served.etcd_cert_pem);
        write("client.key", &served.etcd_key_pem);
        body(Live { world: world.clone(), cluster, served, folder }).await;
        assert_eq!(world.bugs(), Vec::<String>::new());
    });
}

impl Live {
    /// A folder that goes with the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file beside the kubeconfig, and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs kubectl to its end, with words split at blanks.
    pub async fn kubectl(&self, arguments: &str) -> Printed {
        finish(self.kubectl_command(arguments)).await
    }

    /// The same, with variables in its environment.
    pub async fn kubectl_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Printed {
        let mut command = self.kubectl_command(arguments);
        command.envs(variables.iter().copied());
        finish(command).await
    }

    /// Runs kubectl with these words, some of which may have blanks, and with that on its stdin.
    pub async fn kubectl_fed(&self, words: &[&str], stdin: &str) -> Printed {
        let mut command = self.kubectl_command("");
        command.args(words);
        fed(command, stdin).await
    }

    /// Runs kubectl on a terminal, on which that is typed. What it shows is all in `stdout`.
    pub async fn kubectl_on_a_terminal(&self, arguments: &str, typed: &str) -> Printed {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("kubectl {arguments}"), "/dev/null"]);
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig")).env("HOME", self.folder.path());
        fed(command, typed).await
    }

    /// Runs kubectl, demands success and returns what it printed.
    #[track_caller]
    pub fn kubectl_ok(&self, arguments: &str) -> impl Future<Output = String> {
        let command = self.kubectl_command(arguments);
        let arguments = arguments.to_owned();
        async move {
            let printed = finish(command).await;
            assert_eq!(printed.code, 0, "kubectl {arguments}: {}", printed.stderr);
            printed.stdout
        }
    }

    /// Runs a line in a shell, in the folder of the kubeconfig. What does not end by itself is ended after a while.
    pub async fn shell(&self, line: &str, stop_after: Option<Duration>) -> Printed {
        let mut command = Command::new("timeout");
        let patience = stop_after.unwrap_or(CLIENT_MAX);
        command.arg(patience.as_secs().to_string()).args(["sh", "-c", line]);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("TZ", "UTC");
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        command.env_remove("KUBE_EDITOR").env_remove("EDITOR");
        finish_within(command, patience + CLIENT_MAX).await
    }

    /// Starts kubectl and leaves it running, for `--watch`.
    pub fn kubectl_lines(&self, arguments: &str) -> Lines {
        Lines::of(self.kubectl_command(arguments))
    }

    fn kubectl_command(&self, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.args(arguments.split_whitespace());
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig")).env("HOME", self.folder.path());
        command
    }

    /// Runs etcdctl against every member, to its end.
    pub async fn etcdctl(&self, arguments: &str) -> Printed {
        finish(self.etcdctl_command(arguments)).await
    }

    pub fn etcdctl_lines(&self, arguments: &str) -> Lines {
        Lines::of(self.etcdctl_command(arguments))
    }

    fn etcdctl_command(&self, arguments: &str) -> Command {
        let endpoints: Vec<&str> = self.served.etcd_endpoints.iter().map(|(_, url)| url.as_str()).collect();
        let mut command = Command::new("etcdctl");
        command.args(arguments.split_whitespace());
        command
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", endpoints.join(","))
            .env("ETCDCTL_CACERT", self.folder.path().join("ca.crt"))
            .env("ETCDCTL_CERT", self.folder.path().join("client.crt"))
            .env("ETCDCTL_KEY", self.folder.path().join("client.key"));
        command
    }

    /// Waits until `probe` gives something, trying again on every message of the world.
    pub async fn until<T, Fut: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut probe: impl FnMut() -> Fut,
    ) -> T {
        let waiting = async {
            loop {
                let seen = self.world.trace().last_id();
                if let Some(found) = probe().await {
                    return found;
                }
                self.world.trace().after(seen).await;
            }
        };
        tokio::time::timeout(CLIENT_MAX, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
    }
}

async fn finish(command: Command) -> Printed {
    finish_within(command, CLIENT_MAX).await
}

async fn finish_within(mut command: Command, patience: Duration) -> Printed {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    printed(tokio::time::timeout(patience, output).await.expect("the client ends").expect("it starts"))
}

/// Runs a client that reads its stdin.
async fn fed(mut command: Command, stdin: &str) -> Printed {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the client starts");
    let mut writer = child.stdin.take().expect("it is piped");
    let feeding = async {
        let _it_may_not_read = writer.write_all(stdin.as_bytes()).await;
        drop(writer);
    };
    let both = async { tokio::join!(feeding, child.wait_with_output()).1 };
    printed(tokio::time::timeout(CLIENT_MAX, both).await.expect("the client ends").expect("it ran"))
}

fn printed(output: Output) -> Printed {
    Printed {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The output of a client that goes on, line by line. Dropping it ends the client.
#[derive(Debug)]
pub struct Lines {
    _child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Lines {
    fn of(mut command: Command) -> Lines {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("the client starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Lines { _child: child, lines }
    }

    /// The next line; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<String> {
        let line = tokio::time::timeout(CLIENT_MAX, self.lines.next_line()).await;
        line.expect("the client goes on").expect("its output is text")
    }

    /// The next line that contains `part`.
    pub async fn line_with(&mut self, part: &str) -> String {
        let reading = async {
            loop {
                let line =
                    self.lines.next_line().await.expect("its output is text").expect("the client goes on");
                if line.contains(part) {
                    return line;
                }
            }
        };
        tokio::time::timeout(CLIENT_MAX, reading).await.unwrap_or_else(|_| panic!("no line with {part:?}"))
    }
}
