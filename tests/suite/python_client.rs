//! PyPI's `kubernetes`, the official Python client, runs a script unchanged.

use std::time::Duration;

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{has, live};

/// How long the package may take to be installed.
const INSTALL_MAX: Duration = Duration::from_secs(180);

const PRINTS: &str = "\
version v1.32.4
nodes ['worker1', 'worker2']
created web RollingUpdate
watched web 1
patched 2 2
watched web 2
scale 2 app=web
page 1 True
log True
refused 409 Conflict
replaced {'a': '2'}
may True
deleted True
";

#[test]
fn the_official_python_client_works_unchanged() {
    if !has("python3") {
        return;
    }
    live(ClusterSpec::whole(1, 2), |live| async move {
        let install = "python3 -m venv venv && venv/bin/pip install -q kubernetes==32.0.1";
        let installed = live.shell(install, Some(INSTALL_MAX)).await;
        if installed.code != 0 {
            assert!(std::env::var_os("CI").is_none(), "{install}: {}", installed.stderr);
            eprintln!("SKIPPED: PyPI cannot be reached: {}", installed.stderr);
            return;
        }
        live.file("client.py", include_str!("clients/python_client.py"));
        let printed = live.shell("venv/bin/python client.py", None).await;
        assert_eq!((printed.code, printed.stdout.as_str()), (0, PRINTS), "{}", printed.stderr);
    });
}
