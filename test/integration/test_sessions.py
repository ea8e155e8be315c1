"""Sessions: two at once, authentication, slots, killed clients, and peers that do not follow the protocol."""

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
from harness import PATIENCE, alive, run_in_threads, wait_for_exit


# ---- authentication ----

def test_a_wrong_token_is_refused(daemon):
    with pytest.raises(alchemist.AuthenticationError):
        alchemist.connect(f"127.0.0.1:{daemon.port}", token="0" * 64)


@pytest.mark.parametrize("token", ["", "xyz", "0" * 63])
def test_a_malformed_token_is_refused_by_the_client(daemon, token):
    with pytest.raises(alchemist.InvalidError, match="token"):
        alchemist.connect(f"127.0.0.1:{daemon.port}", token=token)


def test_a_client_connects_after_others_were_refused(daemon):
    for _ in range(3):
        with pytest.raises(alchemist.AuthenticationError):
            alchemist.connect(f"127.0.0.1:{daemon.port}", token="0" * 64)
    with daemon.connect() as als:
        assert als.request_test_string()


def test_the_error_for_a_port_without_a_server_names_the_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with pytest.raises(alchemist.ConnectError, match=str(port)):
        alchemist.connect(f"127.0.0.1:{port}", token="0" * 64)


def test_a_server_that_never_answers_is_given_up_after_the_connect_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=str(silent.getsockname()[1])):
            alchemist.connect(f"127.0.0.1:{silent.getsockname()[1]}", token="0" * 64, connect_timeout_ms=700)
        assert 0.5 < time.monotonic() - begun < 5 * PATIENCE


def read_to_end(connection):
    """Read until the peer has closed the connection."""
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


@pytest.fixture
def stranger():
    """A server without the token that sends the client's first data back. It listens at `port`; `seen` is that data."""
    class Stranger:
        seen = b""

        def __init__(self, listener):
            self.port = listener.getsockname()[1]
            self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
            self._thread.start()

        def _serve(self, listener):
            with listener.accept()[0] as connection:
                self.seen = connection.recv(65536)
                connection.sendall(self.seen)
                read_to_end(connection)  # the client has to hang up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Stranger(listener)


def test_a_server_that_reflects_the_clients_greeting_is_refused(stranger):
    with pytest.raises(alchemist.AlchemistError):
        alchemist.connect(f"127.0.0.1:{stranger.port}", token="ab" * 32, connect_timeout_ms=3000)


def test_the_greeting_of_a_client_does_not_contain_the_token(stranger):
    with pytest.raises(alchemist.AlchemistError):
        alchemist.connect(f"127.0.0.1:{stranger.port}", token="ab" * 32, connect_timeout_ms=3000)
    assert stranger.seen
    assert bytes.fromhex("ab" * 32) not in stranger.seen and b"abababab" not in stranger.seen


# ---- slots ----

@pytest.fixture
def one_slot_left(daemon):
    """A session without workers, while another session has three of the four slots."""
    with daemon.connect(workers=3), daemon.connect() as als:
        yield als
    daemon.wait_until_idle()


def test_a_request_for_more_workers_than_free_slots_is_refused_with_the_numbers(one_slot_left):
    with pytest.raises(alchemist.NoSlotsError, match=r"2 workers.*1 of 4.*--workers"):
        one_slot_left.request_workers(2)


def test_a_session_gets_the_last_slot_after_a_refused_request(one_slot_left):
    with pytest.raises(alchemist.NoSlotsError):
        one_slot_left.request_workers(2)
    assert len(one_slot_left.request_workers(1)) == 1


@pytest.mark.parametrize("count, error", [(0, alchemist.InvalidError), (10**6, alchemist.NoSlotsError)])
def test_a_request_for_an_impossible_number_of_workers_is_refused(one_slot_left, count, error):
    one_slot_left.request_workers(1)
    with pytest.raises(error):
        one_slot_left.request_workers(count)


@pytest.fixture
def two_sessions(daemon):
    """Sessions with two workers and with one, of four."""
    with daemon.connect(workers=2) as als, daemon.connect(workers=1) as other:
        yield als, other
    daemon.wait_until_idle()


def test_the_lists_of_workers_tell_own_active_and_idle_workers_apart(two_sessions):
    als, other = two_sessions
    assert len(als.list_all_workers()) == 4
    assert len(als.list_active_workers()) == 3 and len(als.list_inactive_workers()) == 1
    mine = als.list_assigned_workers()
    assert [w.rank for w in mine] == [0, 1] and {w.session for w in mine} == {als.id}
    assert {w.id for w in mine}.isdisjoint({w.id for w in other.workers})


def test_workers_of_another_session_cannot_be_yielded(two_sessions):
    als, other = two_sessions
    with pytest.raises(alchemist.NotFoundError):
        als.yield_workers([other.workers[0].id])
    assert len(other.workers) == 1


def test_workers_are_not_yielded_or_exchanged_while_there_are_matrices(two_sessions):
    als, _ = two_sessions
    keep = als.send_matrix(np.ones((3, 3)))
    with pytest.raises(alchemist.BusyError, match=f"matri.*{keep.id}"):
        als.yield_workers([als.workers[0].id])
    with pytest.raises(alchemist.BusyError, match=f"matri.*{keep.id}"):
        als.request_workers(3)
    keep.free()
    als.request_workers(3)
    assert len(als.workers) == 3


def test_yielded_workers_are_idle_and_can_be_requested_again(two_sessions):
    als, _ = two_sessions
    als.yield_workers()
    assert als.workers == [] and len(als.list_inactive_workers()) == 3
    als.request_workers(1)
    assert np.asarray(als.send_matrix(np.eye(4))).trace() == 4


# ---- several clients and threads ----

def test_each_session_has_its_own_libraries(daemon):
    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        one.load_library("TestLib")
        two.load_library("hello")
        assert one.list_loaded_libraries() == ["TestLib"] and two.list_loaded_libraries() == ["hello"]
        assert "hello" in one.list_available_libraries()


def test_two_sessions_transfer_at_the_same_time(daemon):
    def work(als):
        return [np.asarray(als.send_matrix(np.full((200, 100), k))).sum() for k in range(5)]

    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        results = run_in_threads(lambda: work(one), lambda: work(two))
    assert results == [[k * 20000.0 for k in range(5)]] * 2


def test_threads_share_one_session(als):
    hello = als.load_library("hello")

    def work(seed):
        for k in range(5):
            a = np.random.default_rng(seed + k).random((60, 50))
            h = als.send_matrix(a, layout=random.choice([None, "VC_STAR", "STAR_MR"]))
            assert np.array_equal(np.asarray(h), a)
            assert abs(hello.total(h) - a.sum()) < 1e-9
            h.free()

    run_in_threads(*[lambda seed=100 * k: work(seed) for k in range(6)])


# ---- the end of a session ----

def test_a_killed_client_frees_its_workers(daemon):
    code = ("import sys; sys.path[:0] = %r; import alchemist, numpy as np, signal\n"
            "als = alchemist.connect(connection_file=%r, workers=4); als.send_matrix(np.ones((500, 500)))\n"
            "print(*[w.pid for w in als.workers], flush=True); signal.pause()") % (sys.path, daemon.connection_file)
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in client.stdout.readline().split()]
    assert len(pids) == 4
    client.kill()
    client.wait()
    wait_for_exit(pids, 10 * PATIENCE, "the end of its workers")
    daemon.wait_until_idle()


def test_a_closed_session_can_be_closed_again(daemon):
    als = daemon.connect(workers=1)
    als.close()
    als.close()
    daemon.wait_until_idle()


def test_a_closed_session_and_its_handles_raise(daemon):
    als = daemon.connect(workers=1)
    h = als.send_matrix(np.ones((2, 2)))
    als.close()
    with pytest.raises(ValueError):
        als.list_matrices()
    with pytest.raises(ValueError):
        np.asarray(h)


# ---- peers that do not follow the protocol ----

HEADER = struct.Struct("<IBBHQIIII")  # lib/wire/frame.h
MAGIC = 0x48434C41
HELLO, CHALLENGE, SUBMIT_TASK, UNKNOWN = 1, 2, 33, 9999  # message types
REPLY = 2  # a flag


def frame(kind=HELLO, message=b"", message_bytes=None, payload_bytes=0, version=1, flags=0, number=1):
    size = len(message) if message_bytes is None else message_bytes
    return HEADER.pack(MAGIC, version, flags, kind, number, size, payload_bytes, 0, 0) + message


RANDOM = random.Random(7)
GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "100 random bytes": RANDOM.randbytes(100),
    "100000 random bytes": RANDOM.randbytes(100_000),
    "zeros": b"\0" * 5000,
    "message too large": frame(message_bytes=0xFFFFFFFF),
    "over 4 KiB before authentication": frame(message=b"x" * 5000),
    "payload too large": frame(payload_bytes=0xFFFFFFFF),
    "unknown version": frame(version=9),
    "request before HELLO": frame(SUBMIT_TASK),
    "random message": frame(message=RANDOM.randbytes(100)),
    "unknown type": frame(UNKNOWN),
    "truncated header": frame(message_bytes=100)[:20],
    "magic only": b"ALCH",
}


def resident(pid):
    """Bytes of a process that are in memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


class TestGarbage:
    @pytest.fixture(scope="class")
    def attacked(self, daemon):
        """A session whose driver and worker receive garbage: it must work, and their memory must not grow."""
        with daemon.connect(workers=3) as als:
            h = als.send_matrix(np.ones((100, 100)))
            als.load_library("hello")
            pids = [daemon.process.pid, als.workers[0].pid]
            before = [resident(p) for p in pids]
            yield als, h
            assert all(alive(p) for p in pids)
            assert all(resident(p) - b < 20e6 for p, b in zip(pids, before))
        daemon.wait_until_idle()

    @pytest.mark.parametrize("target", ["driver", "worker"])
    @pytest.mark.parametrize("kind", GARBAGE)
    def test_a_peer_that_sends_garbage_is_disconnected_and_harms_no_session(self, daemon, attacked, kind, target):
        als, h = attacked
        lines = len(daemon.log().splitlines())
        with socket.create_connection(("127.0.0.1", daemon.port if target == "driver" else als.workers[0].port)) as s:
            s.settimeout(20)
            try:
                s.sendall(GARBAGE[kind])
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except TimeoutError:
                pytest.fail("the connection is still open")
            except OSError:  # the peer has closed the connection already, as it should
                pass
        assert np.asarray(h).sum() == 10_000
        assert als.list_matrices()  # a round trip, so that the driver has had time to write what the worker logged
        assert len(daemon.log().splitlines()) - lines <= 2, daemon.log()[-2000:]


def test_100_silent_connections_do_not_keep_a_client_out(daemon):
    idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(100)]
    try:
        with daemon.connect() as als:
            assert als.request_test_string()
    finally:
        for s in idle:
            s.close()


def test_the_port_of_an_idle_slot_cannot_be_taken(daemon):
    """The daemon listens on the ports of all slots from its start."""
    with daemon.connect() as als:
        for worker in als.list_all_workers():
            with pytest.raises(OSError):
                socket.create_server(("127.0.0.1", worker.port))


def relay(listener, target, change):
    """Forward connections to the driver at port `target`, and pass the driver's answers through `change`."""
    def pump(source, sink, convert):
        try:
            while data := source.recv(65536):
                sink.sendall(convert(data))
        except OSError:
            pass
        for s in (source, sink):
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
        threading.Thread(target=pump, args=(client, server, lambda data: data), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, change), daemon=True).start()


def varint(x):
    """A number as protobuf encodes it."""
    out = b""
    while x > 127:
        out, x = out + bytes([x & 127 | 128]), x >> 7
    return out + bytes([x])


def test_a_stranger_at_the_port_of_a_worker_is_refused_and_gets_no_data(daemon):
    """A relay changes the worker's port in the driver's answer, so that the client connects to the stranger."""
    seen = []

    def serve(listener):
        """Answer as a worker would, with a proof that is random since it requires the key."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            hello = connection.recv(65536)
            seen.append(hello)
            proof = b"\x08\x01" + b"\x12\x20" + os.urandom(32) + b"\x1a\x20" + os.urandom(32)
            connection.sendall(frame(CHALLENGE, proof, flags=REPLY, number=struct.unpack_from("<Q", hello, 8)[0]))
            try:
                seen.append(connection.recv(65536))
            except OSError:
                pass
            connection.close()

    with daemon.connect() as probe:
        free = [w.port for w in probe.list_inactive_workers()]
    with socket.create_server(("127.0.0.1", 0)) as fake, socket.create_server(("127.0.0.1", 0)) as front:
        fake_port = fake.getsockname()[1]

        def mislead(data):
            for port in free:
                old, new = b"\x20" + varint(port), b"\x20" + varint(fake_port)
                if len(old) == len(new):
                    data = data.replace(old, new)
            return data

        threading.Thread(target=serve, args=(fake,), daemon=True).start()
        threading.Thread(target=relay, args=(front, daemon.port, mislead), daemon=True).start()
        with alchemist.connect(f"127.0.0.1:{front.getsockname()[1]}", workers=1, token=daemon.connection["token"],
                               shared_memory=0) as als:
            assert als.workers[0].port == fake_port, "the relay did not change the port"
            h = als.create_matrix((10, 10))
            with pytest.raises(alchemist.AuthenticationError, match=f"{fake_port}"):
                h.write(np.full((10, 10), 7.25))
    payload = np.full(10, 7.25).tobytes()
    assert seen and not any(payload in s for s in seen), "the stranger has received data"
