//! `just bench etcd`: our store beside a real etcd, each member a process of its own that syncs its log to the same
//! disk, under the same load over gRPC on loopback from this process. Printed, never asserted.
//!
//! What is measured can be narrowed by lists with commas: `LABKIT_BENCH_MEMBERS` (1,3), `LABKIT_BENCH_CLIENTS`
//! (1,100,1000), `LABKIT_BENCH_LOADS` (Put,Read,SerializableRead,Watch,Failover), `LABKIT_BENCH_STORES` (Etcd,Ours).
//! `LABKIT_BENCH_SECONDS` is how long each load is counted; 3 by default.

mod load;
mod target;
mod wire;

use std::fmt::Debug;
use std::process::{Command, Stdio};
use std::time::Duration;

use labkit_sim::{Pace, World, run};
use load::{Figures, Load};
use target::{MEMBER, Store, Target};

/// As in the `labkit` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WATCHERS: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, flags @ ..] if word == MEMBER => return target::member(flags),
        _ if arguments.iter().any(|word| !word.starts_with('-') && !"etcd".contains(&word[..])) => return,
        _ => {}
    }
    let has_etcd = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_etcd {
        eprintln!("not measured: there is no etcd on this machine (Debian: apt-get install etcd-server)");
        return;
    }
    run(Pace::Wall, 1, |world| async move {
        world.trace().keep(0);
        println!("256-byte values; every member is a process of its own and syncs its log to the same disk.");
        for members in [1, 3] {
            if is_wanted("MEMBERS", members) {
                compare(&world, members).await;
            }
        }
    });
}

/// Whether a list of the environment has a word, or is not set.
fn is_wanted(list: &str, word: impl Debug) -> bool {
    let Ok(list) = std::env::var(format!("LABKIT_BENCH_{list}")) else { return true };
    list.split(',').any(|wanted| wanted == format!("{word:?}").trim_matches('"'))
}

async fn compare(world: &World, members: u8) {
    let seconds = std::env::var("LABKIT_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let lasts = Duration::from_secs(seconds);
    let mut stores = Vec::new();
    for store in [Store::Etcd, Store::Ours] {
        if is_wanted("STORES", store) {
            stores.push((store, Target::start(store, members).await));
        }
    }
    println!(
        "\n{members} member(s)\n{:<17}{:>8}  {:<6}{:>9}{:>7}{:>10}{:>10}{:>12}",
        "", "clients", "", "per s", "ratio", "p50 ms", "p99 ms", "cpu us each"
    );
    for load in [Load::Put, Load::Read, Load::SerializableRead, Load::Watch] {
        let clients: &[usize] = if load == Load::Watch { &[WATCHERS] } else { &[1, 100, 1000] };
        for clients in clients.iter().copied() {
            if !is_wanted("LOADS", load) || !is_wanted("CLIENTS", clients) {
                continue;
            }
            let mut first = None;
            for (store, target) in &stores {
                let figures = load::run(world, target, load, clients, lasts).await;
                print(load, clients, *store, figures, *first.get_or_insert(figures));
            }
        }
    }
    if members > 1 && is_wanted("LOADS", "Failover") {
        for (store, target) in &mut stores {
            let lasted = load::failover(world, target).await.as_secs_f64();
            println!("Failover: {store:?} takes a put {lasted:.2} s after the leader's process was killed");
        }
    }
}

fn print(load: Load, clients: usize, store: Store, figures: Figures, first: Figures) {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let Figures { per_second, p50, p99, cpu } = figures;
    println!(
        "{:<17}{clients:>8}  {:<6}{per_second:>9.0}{:>7.2}{:>10.2}{:>10.2}{cpu:>12.1}",
        format!("{load:?}"),
        format!("{store:?}"),
        per_second / first.per_second,
        ms(p50),
        ms(p99),
    );
}
