//! Prints how fast the store is in process: `cargo run -p labkit-etcd --example figures`.

use std::time::Duration;

use labkit_etcd::{Etcd, EtcdConfig, PutRequest, RangeRequest, WatchRequest};
use labkit_sim::{Pace, run};

const BOOTS: u64 = 200;
const REQUESTS: u32 = 10_000;

#[expect(clippy::disallowed_methods, reason = "a measurement of the host is what this prints")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn main() {
    for members in [1, 3, 5] {
        let config = EtcdConfig { members, ..EtcdConfig::default() };
        let began = now();
        for seed in 0..BOOTS {
            run(Pace::Virtual, seed, |world| async move {
                Etcd::boot(&world, EtcdConfig { members, ..EtcdConfig::default() }).await;
            });
        }
        println!(
            "{members} members: boot with runtime and world {:.2} ms",
            millis(began.elapsed(), BOOTS as u32)
        );
        run(Pace::Virtual, 1, |world| async move {
            let etcd = Etcd::boot(&world, config).await;
            let client = etcd.client("bench");
            let mut watcher = client.watch(WatchRequest::prefix("key")).await.expect("a member runs");
            labkit_sim::spawn(async move { while watcher.next().await.is_some() {} });
            let began = now();
            for n in 0..REQUESTS {
                let put = PutRequest::new(format!("key{}", n % 1000), vec![b'v'; 256]);
                client.put(put).await.expect("a leader is known");
            }
            println!("  put, one after the other: {:.0}/s", rate(began.elapsed()));
            let began = now();
            let tasks: Vec<_> = (0..100)
                .map(|task| {
                    let client = client.clone();
                    labkit_sim::spawn(async move {
                        for n in 0..REQUESTS / 100 {
                            let put = PutRequest::new(format!("key{task}/{n}"), vec![b'v'; 256]);
                            client.put(put).await.expect("a leader is known");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no put panics");
            }
            println!("  put, 100 clients: {:.0}/s", rate(began.elapsed()));
            for serializable in [false, true] {
                let began = now();
                for n in 0..REQUESTS {
                    let read = RangeRequest { serializable, ..RangeRequest::key(format!("key{}", n % 1000)) };
                    client.range(read).await.expect("a leader is known");
                }
                println!("  get, serializable {serializable}: {:.0}/s", rate(began.elapsed()));
            }
            let began = now();
            tokio::time::sleep(Duration::from_secs(300)).await;
            println!("  300 s idle: {:.1} ms", millis(began.elapsed(), 1));
        });
    }
}

fn millis(took: Duration, times: u32) -> f64 {
    took.as_secs_f64() * 1e3 / f64::from(times)
}

fn rate(took: Duration) -> f64 {
    f64::from(REQUESTS) / took.as_secs_f64()
}
