//! etcd leases for objects that expire; neighbours in time share one. Counterpart: `storage/etcd3/lease_manager.go`.

use std::sync::Mutex;
use std::time::Duration;

use labkit_api::Status;
use tokio::time::Instant;

use crate::storage::{EtcdClient, error};

/// How long one lease is given to new objects, and to how many.
const REUSE: Duration = Duration::from_secs(60);
const OBJECTS_MAX: u32 = 1000;

#[derive(Debug)]
pub(crate) struct Leases {
    ttl: Duration,
    current: Mutex<Option<Current>>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    id: i64,
    until: Instant,
    objects: u32,
}

impl Leases {
    pub fn new(ttl: Duration) -> Leases {
        Leases { ttl, current: Mutex::default() }
    }

    /// A lease under which an object written now lives for the time to live, or a little longer.
    pub async fn lease(&self, etcd: &EtcdClient) -> Result<i64, Status> {
        if let Some(current) = self.locked().as_mut()
            && Instant::now() < current.until
            && current.objects < OBJECTS_MAX
        {
            current.objects += 1;
            return Ok(current.id);
        }
        let reuse = REUSE.min(self.ttl / 20);
        let seconds = i64::try_from((self.ttl + reuse).as_secs()).unwrap_or(i64::MAX);
        let granted = etcd.lease_grant(seconds).await.map_err(error::status)?;
        *self.locked() = Some(Current { id: granted.id, until: Instant::now() + reuse, objects: 1 });
        Ok(granted.id)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().expect("no panic happens under this lock")
    }
}
