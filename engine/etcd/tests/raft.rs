//! The members under faults, in virtual time.

use std::time::Duration;

use labkit_etcd::{Etcd, EtcdConfig, PutRequest, RangeRequest};
use labkit_sim::{Pace, World, run};

async fn boot(world: &World, members: u8) -> Etcd {
    Etcd::boot(world, EtcdConfig { members, ..EtcdConfig::default() }).await
}

#[test]
fn a_put_is_read_back_at_every_member() {
    run(Pace::Virtual, 1, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let put = client.put(PutRequest::new("foo", "bar")).await.unwrap();
        assert_eq!(put.header.revision, 2);
        for member in ["etcd1", "etcd2", "etcd3"] {
            let read = etcd.client_of_member("etcdctl", member).range(RangeRequest::key("foo")).await.unwrap();
            assert_eq!(read.kvs[0].value, "bar");
        }
        assert_eq!(world.clock().elapsed(), Duration::ZERO);
        for record in world.trace().records() {
            println!("{:?} {} {}->{} cause {:?} {} {}", record.at, record.id, record.from, record.to, record.cause, record.payload.kind(), record.payload.fields());
        }
        println!("{:#?}", etcd.members());
    });
}
