"""`etcd3_script.py PORT`: one walk through an etcd on loopback with the package etcd3. Prints what it finds,
without ids and revisions, so that two servers can be compared."""

import sys
import threading

import etcd3
import grpc
from etcd3.etcdrpc import rpc_pb2

# How long something is watched that must not happen, in seconds.
QUIET = 0.3


def keys(client):
    client.put("color", "blue")
    print("put: it was", client.put("color", "red", prev_kv=True).prev_kv.value.decode())
    value, metadata = client.get("color")
    print("get:", value.decode(), "in version", metadata.version)
    for key in ["a/1", "a/2", "a/3"]:
        client.put(key, "x")
    found = [metadata.key.decode() for _, metadata in client.get_prefix("a/", sort_order="descend")]
    print("get_prefix:", found)
    print("delete_prefix:", client.delete_prefix("a/").deleted)
    print("replace:", client.replace("color", "blue", "green"), client.replace("color", "red", "blue"))


def transactions(client):
    to = client.transactions
    for wanted in ["blue", "green"]:
        succeeded, responses = client.transaction(
            compare=[to.value("color") == wanted, to.version("color") > 0],
            success=[to.put("color", "yellow"), to.get("color")],
            failure=[to.get("color")],
        )
        print("txn:", succeeded, responses[-1][0][0].decode())


def leases(client):
    lease = client.lease(60)
    client.put("leased", "x", lease=lease)
    print("keep-alive:", lease.refresh()[0].TTL)
    print("time to live: granted", lease.granted_ttl, "keys", lease.keys)
    lease.revoke()
    print("after revoke:", client.get("leased")[0])


def watches(client):
    events, cancel = client.watch_prefix("w/", prev_kv=True)
    client.put("w/0", "before")
    client.put("w/0", "after")
    client.delete("w/0")
    for _ in range(3):
        event = next(events)
        name, value = type(event).__name__, event.value.decode() or "-"
        print("watch:", name, event.key.decode(), value, "before", event.prev_value.decode() or "-")
    cancel()
    old = client.put("w/1", "x").header.revision
    client.compact(old)
    try:
        client.compact(old)
    except grpc.RpcError as error:
        print("compacted:", error.code().name, error.details())
    events, _ = client.watch("w/1", start_revision=old - 1)
    try:
        next(events)
    except etcd3.exceptions.RevisionCompactedError as error:
        print("watch: compacted, the oldest is", error.compacted_revision - old, "on")


def locks(client):
    first, second = client.lock("m", ttl=60), client.lock("m", ttl=60)
    print("lock:", first.acquire())
    print("lock: the second one got it:", second.acquire(timeout=QUIET))
    print("lock: released:", first.release())
    print("lock: the second one got it:", second.acquire(timeout=10))
    second.release()


def field(number, value):
    """A field of a protobuf message: bytes, or a small number."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value):
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def services(client):
    """The package has no stubs for locks and elections: their messages are written by hand."""

    def call(method, request):
        return client.channel.unary_unary(method)(request, timeout=10)

    def error(method, request):
        try:
            call(method, request)
        except grpc.RpcError as failure:
            return f"{failure.code().name}: {failure.details()}"

    print("election:", error("/v3electionpb.Election/Leader", field(1, b"e")))
    lease = client.lease(60)
    call("/v3electionpb.Election/Campaign", field(1, b"e") + field(2, lease.id) + field(3, b"first"))
    # The answer has the shape of a PutResponse: its previous key is the leader's.
    leader = rpc_pb2.PutResponse.FromString(call("/v3electionpb.Election/Leader", field(1, b"e")))
    print("election:", leader.prev_kv.value.decode(), "leads")
    other, won = client.lease(60), threading.Event()

    def campaign():
        call("/v3electionpb.Election/Campaign", field(1, b"e") + field(2, other.id) + field(3, b"second"))
        won.set()

    threading.Thread(target=campaign, daemon=True).start()
    print("election: two leaders:", won.wait(QUIET))
    lease.revoke()
    print("election: the second one leads:", won.wait(10))
    call("/v3lockpb.Lock/Lock", field(1, b"n") + field(2, other.id))
    print("lock: its key is its lease's:", client.get(f"n/{other.id:x}")[0] == b"")
    call("/v3lockpb.Lock/Unlock", field(1, f"n/{other.id:x}".encode()))
    print("lock: gone:", client.get(f"n/{other.id:x}")[0])
    print("lock:", error("/v3lockpb.Lock/Lock", field(1, b"n") + field(2, 1234)))


def main():
    client = etcd3.client(host="127.0.0.1", port=int(sys.argv[1]))
    for part in [keys, transactions, leases, watches, locks, services]:
        part(client)


main()
