//! A lab that nobody uses any more ends by itself, in real time: the lab's own clock may be fast-forwarded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use labkit_sim::RecordId;

use super::Live;

/// How long a lab waits for its student to come back.
const IDLE_MAX: Duration = Duration::from_secs(12 * 3600);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Ends when nothing was asked of the lab for a long time.
pub(super) async fn too_long(live: &Live) {
    let mut since = host_now();
    let (mut requests, mut record) = (0, 0);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = live.memory().requests;
        let was_used = now != requests || used_since(live, record);
        (requests, record) = (now, live.world.trace().last_id());
        if was_used {
            since = host_now();
        } else if host_now().duration_since(since) > IDLE_MAX {
            return;
        }
    }
}

/// Whether somebody outside, who is no component of the lab's, has sent a message since.
fn used_since(live: &Live, record: RecordId) -> bool {
    let mut known = BTreeSet::new();
    live.world.trace().since(record).iter().any(|record| {
        !known.contains(&record.from) && {
            known.insert(record.from.clone());
            live.world.find(&record.from).is_none()
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a person has been away is a matter of the host's clock, not of the lab's"
)]
fn host_now() -> Instant {
    Instant::now()
}
