//! `labkit up`: a cluster without a lab, in this terminal.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use labkit_cluster::spec::{
    ApiServerSpec, ControllerManagerSpec, EtcdSpec, MetricsServerSpec, NodesSpec, SchedulerSpec,
};
use labkit_cluster::{Cluster, ClusterSpec, ServeError, ServeOptions, Served, StaticTokens};
use labkit_lab::Language;
use labkit_sim::{Pace, World};
use serde_json::json;
use tempfile::TempDir;

use crate::arguments::UpArguments;
use crate::commands::status::print_env;
use crate::daemon::{Ends, components};
use crate::failure::{Exit, Failure, Outcome};
use crate::kubeadm::{self, Kubeadm};
use crate::open_files;
use crate::screen::{Ink, Screen, say};
use crate::state::LabState;
use crate::work::Work;

/// How long a control plane may take to start on an etcd elsewhere.
const EXTERNAL_BOOT_MAX: Duration = Duration::from_secs(10);

pub fn run(screen: &Screen, arguments: &UpArguments) -> Outcome {
    let kubeadm = arguments.config.as_deref().map(|file| kubeadm(screen, file)).transpose()?;
    let cluster_name = kubeadm.as_ref().and_then(|kubeadm| kubeadm.cluster_name.clone());
    let spec = spec(screen, arguments, kubeadm.unwrap_or_default())?;
    let client_ca_pem = match &arguments.client_ca_file {
        None => String::new(),
        Some(file) => read(file)?,
    };
    let options = ServeOptions {
        secure_port: Some(arguments.secure_port),
        cluster_name: cluster_name.unwrap_or_else(|| "labkit-up".to_owned()),
        client_ca_pem,
        ..ServeOptions::default()
    };
    open_files::raise(screen);
    // Keys are drawn from the seed: it must not be guessed.
    let seed = RandomState::new().hash_one(std::process::id());
    labkit_sim::run(Pace::Wall, seed, |world| live(screen, world, spec, options))
}

/// Reads kubeadm's file, and says what of it is not served.
fn kubeadm(screen: &Screen, file: &Path) -> Result<Kubeadm, Failure> {
    let name = file.display();
    let read_file = |path: &Path| fs::read_to_string(path);
    let kubeadm = kubeadm::parse(&read(file)?, screen.language, read_file).map_err(|problems| {
        let problems = problems.join("; ");
        Failure::usage(format!("{name}: {problems}"))
    })?;
    for warning in &kubeadm.warnings {
        let label = say!(screen.language, "warning", "경고");
        eprintln!("{}: {name}: {warning}", screen.paint_error(Ink::Yellow, &label));
    }
    Ok(kubeadm)
}

/// What the arguments and kubeadm's file ask for; a value that does not do is the caller's mistake.
fn spec(screen: &Screen, arguments: &UpArguments, kubeadm: Kubeadm) -> Result<ClusterSpec, Failure> {
    let static_tokens = match &arguments.token_auth_file {
        None => StaticTokens::default(),
        Some(file) => StaticTokens::parse(&read(file)?)
            .map_err(|error| Failure::usage(format!("--token-auth-file {}: {error}", file.display())))?,
    };
    let named = [
        ("service-cluster-ip-range", &arguments.service_cluster_ip_range),
        ("authorization-mode", &arguments.authorization_mode),
        ("anonymous-auth", &arguments.anonymous_auth),
        ("etcd-compaction-interval", &arguments.etcd_compaction_interval),
        ("enable-admission-plugins", &arguments.enable_admission_plugins),
        ("disable-admission-plugins", &arguments.disable_admission_plugins),
    ];
    let given = |(name, value): (&str, &Option<String>)| Some((name.to_owned(), value.clone()?));
    let mut flags = kubeadm.api_server;
    flags.extend(named.into_iter().filter_map(given));
    let mut controllers = kubeadm.controller_manager;
    controllers.extend(given(("controllers", &arguments.controllers)));
    if kubeadm.etcd.external.is_some() && arguments.etcd != 1 {
        return Err(Failure::usage(say!(
            screen.language,
            "--etcd is for members of this cluster, and the file names an etcd elsewhere",
            "--etcd 는 이 클러스터의 멤버 수인데, 파일은 바깥의 etcd를 가리킵니다"
        )));
    }
    let nodes = (arguments.nodes > 0).then(|| NodesSpec { count: arguments.nodes, ..NodesSpec::default() });
    let spec = ClusterSpec {
        etcd: Some(EtcdSpec { members: arguments.etcd, ..kubeadm.etcd }),
        api_server: Some(ApiServerSpec { flags, static_tokens, ..ApiServerSpec::default() }),
        controller_manager: Some(ControllerManagerSpec { flags: controllers, ..Default::default() }),
        scheduler: Some(SchedulerSpec { flags: kubeadm.scheduler, ..SchedulerSpec::default() }),
        nodes,
        metrics_server: arguments.metrics_server.then(MetricsServerSpec::default),
        images: BTreeMap::new(),
    };
    match spec.problems().as_slice() {
        [] => Ok(spec),
        problems => {
            let messages = problems.iter().map(|problem| match screen.language {
                Language::En => problem.message.as_str(),
                Language::Ko => problem.korean.as_str(),
            });
            let messages: Vec<&str> = messages.collect();
            Err(Failure::usage(messages.join("; ")).next("labkit up --help"))
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))
}

/// Records that are kept where no lab looks back: some minutes of a busy cluster.
const RECORDS_KEPT: usize = 20_000;

async fn live(screen: &Screen, world: World, spec: ClusterSpec, options: ServeOptions) -> Outcome {
    world.trace().keep(RECORDS_KEPT);
    let mut ends = Ends::listen(true)?;
    let work = Work::spinning(screen);
    work.say(&say!(screen.language, "booting a cluster", "클러스터 부팅 중"));
    let booted = async {
        let external = spec.etcd.as_ref().and_then(|etcd| etcd.external.as_ref());
        let cluster = match external {
            None => Cluster::boot(&world, &spec)
                .await
                .map_err(|error| Failure::bug(format!("the control plane did not start: {error}")))?,
            Some(external) => {
                let booted = tokio::time::timeout(EXTERNAL_BOOT_MAX, Cluster::boot(&world, &spec)).await;
                let why = || format!("it is not ready after {} s", EXTERNAL_BOOT_MAX.as_secs());
                let booted =
                    booted.map_err(|_| why()).and_then(|booted| booted.map_err(|error| error.to_string()));
                booted.map_err(|why| {
                    let endpoints = external.endpoints.join(",");
                    Failure::failed(format!(
                        "the control plane did not start on the etcd at {endpoints}: {why}"
                    ))
                    .next(format!("etcdctl --endpoints {endpoints} endpoint health"))
                })?
            }
        };
        let served = cluster.serve(&options).await.map_err(|error| match error {
            ServeError::ClientCa(why) => Failure::usage(format!("--client-ca-file: {why}")),
            error => {
                Failure::failed(format!("the ports did not open: {error}")).next("labkit up --secure-port 0")
            }
        })?;
        Ok::<_, Failure>((cluster, served))
    };
    let (cluster, served) = tokio::select! {
        biased;
        () = ends.wait() => return Ok(Exit::Passed),
        booted = booted => booted?,
    };
    drop(work);
    let folder = TempDir::with_prefix("labkit-up-")
        .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
    let env = write_files(folder.path(), &served, &spec)?;
    let boot_ms = u64::try_from(world.clock().elapsed().as_millis()).unwrap_or(u64::MAX);
    say_ready(screen, &cluster, &served, &env, boot_ms);
    ends.wait().await;
    Ok(if world.bugs().is_empty() { Exit::Passed } else { Exit::Bug })
}

/// Writes what clients need, and returns the variables that point them there.
fn write_files(folder: &Path, served: &Served, spec: &ClusterSpec) -> Result<Vec<(String, String)>, Failure> {
    let external = spec.etcd.as_ref().and_then(|etcd| etcd.external.as_ref());
    let (ca, cert, key) = match external {
        None => {
            let Served { etcd_ca_pem, etcd_cert_pem, etcd_key_pem, .. } = served;
            (Some(etcd_ca_pem), Some(etcd_cert_pem), Some(etcd_key_pem))
        }
        Some(external) => (external.ca.as_ref(), external.cert.as_ref(), external.key.as_ref()),
    };
    let files = [
        ("KUBECONFIG", "kubeconfig", served.kubeconfig.as_ref()),
        ("ETCDCTL_CACERT", "etcd/ca.crt", ca),
        ("ETCDCTL_CERT", "etcd/client.crt", cert),
        ("ETCDCTL_KEY", "etcd/client.key", key),
    ];
    let mut env = Vec::new();
    for (variable, name, text) in files {
        let Some(text) = text else { continue };
        let path = folder.join(name);
        LabState::write_private(&path, text)?;
        env.push((variable.to_owned(), path.display().to_string()));
    }
    let endpoints: Vec<&str> = match external {
        None => served.etcd_endpoints.iter().map(|(_, url)| url.as_str()).collect(),
        Some(external) => external.endpoints.iter().map(String::as_str).collect(),
    };
    env.push(("ETCDCTL_API".to_owned(), "3".to_owned()));
    env.push(("ETCDCTL_ENDPOINTS".to_owned(), endpoints.join(",")));
    Ok(env)
}

fn say_ready(screen: &Screen, cluster: &Cluster, served: &Served, env: &[(String, String)], boot_ms: u64) {
    let (url, kubeconfig) = (served.api_server_url.as_deref().unwrap_or_default(), &env[0].1);
    let components = components(cluster);
    if screen.json {
        let env: BTreeMap<&str, &str> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        screen.print_json(&json!({
            "apiServer": url, "kubeconfig": kubeconfig, "components": components, "bootMs": boot_ms, "env": env,
        }));
        return;
    }
    let (language, components) = (screen.language, components.join(", "));
    screen.print_prose(
        "",
        &say!(language, "Ready in {boot_ms} ms: {components}", "{boot_ms} ms 만에 준비됨: {components}"),
    );
    screen.print(&say!(language, "API server: {url}", "API 서버: {url}"));
    screen.print(&say!(language, "kubeconfig: {kubeconfig}", "kubeconfig: {kubeconfig}"));
    screen.print("");
    print_env(screen, env);
    let ends = say!(language, "Ctrl-C ends it.", "Ctrl-C 로 끝납니다.");
    screen.print(&format!("\n{}", screen.paint(Ink::Dim, &ends)));
}
