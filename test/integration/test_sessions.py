"""Sessions: two at once, authentication, slots, killed clients, peers that misbehave."""

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import alchemist
from harness import alive, wait_for


def test_wrong_token(daemon):
    with pytest.raises(alchemist.AuthenticationError):
        alchemist.connect(f"127.0.0.1:{daemon.port}", token="0" * 64)
    for bad in ("", "xyz", "0" * 63):
        with pytest.raises(alchemist.InvalidError, match="token"):
            alchemist.connect(f"127.0.0.1:{daemon.port}", token=bad)
    with daemon.connect() as als:
        assert als.request_test_string()


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with pytest.raises(alchemist.ConnectError, match=str(port)):
        alchemist.connect(f"127.0.0.1:{port}", token="0" * 64)


def test_an_address_that_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=str(silent.getsockname()[1])):
            alchemist.connect(f"127.0.0.1:{silent.getsockname()[1]}", token="0" * 64, connect_timeout_ms=700)
        assert 0.5 < time.monotonic() - begun < 5


def test_a_server_that_does_not_know_the_token_is_refused():
    """A stranger on the driver's port: whatever it answers, the client does not trust it."""
    hello_seen = []

    def stranger(listener):
        c, _ = listener.accept()
        hello_seen.append(c.recv(65536))
        c.sendall(hello_seen[0])  # reflect
        time.sleep(0.5)
        c.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=stranger, args=(listener,), daemon=True).start()
        with pytest.raises(alchemist.AlchemistError):
            alchemist.connect(f"127.0.0.1:{listener.getsockname()[1]}", token="ab" * 32, connect_timeout_ms=3000)
    assert bytes.fromhex("ab" * 32) not in hello_seen[0] and b"abababab" not in hello_seen[0]


def test_more_workers_than_slots(daemon):
    with daemon.connect(workers=3):
        with daemon.connect() as als:
            with pytest.raises(alchemist.NoSlotsError, match=r"2 workers.*1 of 4.*--workers"):
                als.request_workers(2)
            als.request_workers(1)
            with pytest.raises(alchemist.InvalidError):
                als.request_workers(0)
            with pytest.raises(alchemist.NoSlotsError):
                als.request_workers(10**6)


def test_worker_lists_and_yield(daemon):
    with daemon.connect(workers=2) as als, daemon.connect(workers=1) as other:
        assert len(als.list_all_workers()) == 4
        assert len(als.list_active_workers()) == 3 and len(als.list_inactive_workers()) == 1
        mine = als.list_assigned_workers()
        assert [w.rank for w in mine] == [0, 1] and {w.session for w in mine} == {als.id}
        assert {w.id for w in mine}.isdisjoint({w.id for w in other.workers})
        with pytest.raises(alchemist.NotFoundError):
            als.yield_workers([other.workers[0].id])
        keep = als.send_matrix(np.ones((3, 3)))
        with pytest.raises(alchemist.BusyError, match=f"matri.*{keep.id}"):
            als.yield_workers([mine[0].id])
        with pytest.raises(alchemist.BusyError, match=f"matri.*{keep.id}"):
            als.request_workers(3)
        keep.free()
        als.request_workers(3)
        assert len(als.workers) == 3
        als.yield_workers()
        assert als.workers == [] and len(als.list_inactive_workers()) == 3
        als.request_workers(1)
        assert np.asarray(als.send_matrix(np.eye(4))).trace() == 4


def test_two_clients_with_their_own_libraries(daemon):
    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        one.load_library("TestLib")
        two.load_library("hello")
        assert one.list_loaded_libraries() == ["TestLib"] and two.list_loaded_libraries() == ["hello"]
        assert {"TestLib", "hello"} <= {n for n in one.list_available_libraries()} | {"TestLib"}
        results = {}

        def work(als, name):
            results[name] = [np.asarray(als.send_matrix(np.full((200, 100), k))).sum() for k in range(5)]

        threads = [threading.Thread(target=work, args=x) for x in ((one, "one"), (two, "two"))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results["one"] == results["two"] == [k * 20000.0 for k in range(5)]


def test_one_session_from_many_threads(als):
    errors = []
    lib = als.load_library("hello")

    def work(seed):
        try:
            for k in range(5):
                a = np.random.default_rng(seed + k).random((60, 50))
                h = als.send_matrix(a, layout=random.choice([None, "VC_STAR", "STAR_MR"]))
                assert np.array_equal(np.asarray(h), a)
                assert abs(lib.total(h) - a.sum()) < 1e-9
                h.free()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_a_killed_client_frees_everything(daemon):
    code = ("import sys; sys.path[:0] = %r; import alchemist, numpy as np, time\n"
            "als = alchemist.connect(connection_file=%r, workers=4); als.send_matrix(np.ones((500, 500)))\n"
            "print(*[w.pid for w in als.workers], flush=True); time.sleep(100)") % (sys.path, daemon.connection_file)
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in client.stdout.readline().split()]
    assert len(pids) == 4
    client.kill()
    client.wait()
    wait_for(lambda: not any(alive(p) for p in pids), 10, "the end of its workers")
    wait_for(daemon.idle, 10, "idle slots")


def test_closing_is_idempotent_and_final(daemon):
    als = daemon.connect(workers=1)
    h = als.send_matrix(np.ones((2, 2)))
    als.close()
    als.close()
    with pytest.raises(ValueError):
        als.list_matrices()
    with pytest.raises(ValueError):
        np.asarray(h)
    wait_for(daemon.idle, 10)


def garbage():
    rng = random.Random(7)
    header = struct.Struct("<IBBHQIIII")
    magic = 0x48434C41
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield rng.randbytes(100)
    yield rng.randbytes(100_000)
    yield b"\0" * 5000
    yield header.pack(magic, 1, 0, 1, 1, 0xFFFFFFFF, 0, 0, 0)            # oversized message
    yield header.pack(magic, 1, 0, 1, 1, 5000, 0, 0, 0) + b"x" * 5000    # over 4 KiB before authentication
    yield header.pack(magic, 1, 0, 1, 1, 0, 0xFFFFFFFF, 0, 0)            # oversized payload
    yield header.pack(magic, 9, 0, 1, 1, 0, 0, 0, 0)                     # another version
    yield header.pack(magic, 1, 0, 33, 1, 0, 0, 0, 0)                    # a request before HELLO
    yield header.pack(magic, 1, 0, 1, 1, 100, 0, 0, 0) + rng.randbytes(100)
    yield header.pack(magic, 1, 0, 9999, 1, 0, 0, 0, 0)
    yield header.pack(magic, 1, 0, 1, 1, 100, 0, 0, 0)[:20]              # truncated
    yield b"ALCH"


def rss(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_garbage_to_driver_and_worker_ports(daemon, als):
    h = als.send_matrix(np.ones((100, 100)))
    als.load_library("hello")
    pids = [daemon.process.pid, als.workers[0].pid]
    before = [rss(p) for p in pids]
    for port in (daemon.port, als.workers[0].port):
        for junk in garbage():
            lines = len(daemon.log().splitlines())
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.settimeout(20)
                try:
                    s.sendall(junk)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
                except OSError:  # closed meanwhile, as it should be
                    pass
            time.sleep(0.02)
            assert len(daemon.log().splitlines()) - lines <= 2, daemon.log()[-2000:]
    assert np.asarray(h).sum() == 10_000, "the session did not notice"
    for p, b in zip(pids, before):
        assert rss(p) - b < 20e6
    assert all(alive(p) for p in pids)


def test_many_silent_connections_do_not_keep_others_out(daemon):
    idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(100)]
    try:
        with daemon.connect() as als:
            assert als.request_test_string()
    finally:
        for s in idle:
            s.close()


def test_a_workers_port_cannot_be_taken(daemon):
    """The daemon holds the ports of its slots from its start on, idle ones included."""
    with daemon.connect() as als:
        for worker in als.list_all_workers():
            with pytest.raises(OSError):
                socket.create_server(("127.0.0.1", worker.port))


def relay(listener, target, tamper):
    """Forward connections to a driver, passing what it says through `tamper`."""
    def pump(a, b, change):
        try:
            while data := a.recv(65536):
                b.sendall(change(data))
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", target))
        threading.Thread(target=pump, args=(client, server, lambda d: d), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, tamper), daemon=True).start()


def varint(x):
    out = b""
    while x > 127:
        out, x = out + bytes([x & 127 | 128]), x >> 7
    return out + bytes([x])


def test_a_stranger_on_a_workers_port_is_refused(daemon):
    """The client is led to a stranger's port instead of the worker's: it must find out and say so."""
    connection = daemon.connection
    seen = []

    def stranger(listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            hello = c.recv(65536)
            seen.append(hello)
            # Answers as a responder would, with a proof that it cannot know.
            meta = b"\x08\x01" + b"\x12\x20" + os.urandom(32) + b"\x1a\x20" + os.urandom(32)
            c.sendall(struct.pack("<IBBHQIIII", 0x48434C41, 1, 2, 2, struct.unpack_from("<Q", hello, 8)[0], len(meta), 0, 0, 0)
                      + meta)
            try:
                seen.append(c.recv(65536))
            except OSError:
                pass
            c.close()

    with daemon.connect() as probe:
        free = [w.port for w in probe.list_inactive_workers()]
    with socket.create_server(("127.0.0.1", 0)) as fake, socket.create_server(("127.0.0.1", 0)) as front:
        fake_port = fake.getsockname()[1]

        def tamper(data):
            for port in free:
                old, new = b"\x20" + varint(port), b"\x20" + varint(fake_port)
                if len(old) == len(new):
                    data = data.replace(old, new)
            return data

        threading.Thread(target=stranger, args=(fake,), daemon=True).start()
        threading.Thread(target=relay, args=(front, connection["port"], tamper), daemon=True).start()
        with alchemist.connect(f"127.0.0.1:{front.getsockname()[1]}", workers=1, token=connection["token"],
                                shared_memory=0) as als:
            assert als.workers[0].port == fake_port, "the test did not lead the client astray"
            h = als.create_matrix((10, 10))
            with pytest.raises(alchemist.AuthenticationError, match=f"{fake_port}"):
                h.write(np.full((10, 10), 7.25))
    payload = np.full(10, 7.25).tobytes()
    assert seen and not any(payload in s for s in seen), "no data went to the stranger"
