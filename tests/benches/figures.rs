//! The figures of the README and the closing notes: boot, grading, memory. Printed, never asserted.

use std::path::Path;

use labkit_cluster::{Cluster, ClusterSpec, ServeOptions};
use labkit_etcd::{Client, Etcd, EtcdConfig, PutRequest, RangeRequest};
use labkit_sim::{Pace, run};

/// As in the `labkit` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word with which this program, run by itself, measures one live cluster.
const RESIDENT: &str = "resident";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(RESIDENT) {
        return resident();
    }
    divan::main();
    let own = std::env::current_exe().expect("this program has a path");
    let told = std::process::Command::new(own).arg(RESIDENT).output().expect("this program starts");
    println!("one live cluster in a process of its own: {}", String::from_utf8_lossy(&told.stdout).trim());
}

/// Boots the whole cluster in wall pace with its listeners, lets it live for five seconds, tells its memory.
fn resident() {
    run(Pace::Wall, 1, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(3, 3)).await.unwrap();
        cluster.serve(&ServeOptions::default()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        println!("{} MB resident", resident_mb());
    });
}

/// Three members, API server, controllers, scheduler and three nodes, all Ready, in virtual pace.
#[divan::bench]
fn boot_whole_cluster_virtual() {
    run(Pace::Virtual, 1, |world| async move {
        Cluster::boot(&world, &ClusterSpec::whole(3, 3)).await.unwrap();
    });
}

/// The same in wall pace, with its TLS listeners open.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn boot_whole_cluster_with_tls() {
    run(Pace::Wall, 1, |world| async move {
        let cluster = Cluster::boot(&world, &ClusterSpec::whole(3, 3)).await.unwrap();
        cluster.serve(&ServeOptions::default()).await.unwrap();
    });
}

/// One whole cluster that lives 345 virtual seconds.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn idle_345_virtual_seconds() {
    run(Pace::Virtual, 1, |world| async move {
        let _cluster = Cluster::boot(&world, &ClusterSpec::whole(3, 3)).await.unwrap();
        world.clock().fast_forward(std::time::Duration::from_secs(345)).await;
    });
}

/// Calls of a hundred clients in process, in virtual pace: what the store itself costs.
const CLIENTS: u32 = 100;
const CALLS_EACH: u32 = 100;

/// Puts of 256 bytes on stores of one and of three members.
#[divan::bench(args = [1, 3], sample_count = 10, sample_size = 1)]
fn etcd_puts(bencher: divan::Bencher, members: u8) {
    let put = |number| PutRequest::new(format!("bench/{}", number % 1000), vec![b'x'; 256]);
    etcd_calls(bencher, members, async move |client, number| drop(client.put(put(number)).await.unwrap()));
}

#[divan::bench(args = [1, 3], sample_count = 10, sample_size = 1)]
fn etcd_serializable_reads(bencher: divan::Bencher, members: u8) {
    let read = RangeRequest { serializable: true, ..RangeRequest::key("bench/0") };
    etcd_calls(bencher, members, async move |client, _| drop(client.range(read.clone()).await.unwrap()));
}

#[divan::bench(args = [1, 3], sample_count = 10, sample_size = 1)]
fn etcd_linearizable_reads(bencher: divan::Bencher, members: u8) {
    let read = RangeRequest::key("bench/0");
    etcd_calls(bencher, members, async move |client, _| drop(client.range(read.clone()).await.unwrap()));
}

fn etcd_calls(bencher: divan::Bencher, members: u8, call: impl AsyncFn(&Client, u32) + Sync) {
    let call = &call;
    bencher.counter(divan::counter::ItemsCount::new(CLIENTS * CALLS_EACH)).bench(|| {
        run(Pace::Virtual, 1, |world| async move {
            let etcd = Etcd::boot(&world, EtcdConfig { members, ..EtcdConfig::default() }).await;
            let lanes = (0..CLIENTS).map(|lane| {
                let client = etcd.client("client");
                async move {
                    for turn in 0..CALLS_EACH {
                        call(&client, lane * CALLS_EACH + turn).await;
                    }
                }
            });
            futures::future::join_all(lanes).await;
        });
    });
}

/// Grading a lab's solution, from the loaded folder to the report.
#[divan::bench(args = labkit_tests::course::lab_names())]
fn grade(bencher: divan::Bencher, name: &str) {
    let lab = labkit_tests::course::lab(name);
    bencher.bench(|| labkit_tests::course::grade_own(&lab, "solution", &lab.solution, 1));
}

/// Resident set of this process, in MB, as Linux tells it.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
}
