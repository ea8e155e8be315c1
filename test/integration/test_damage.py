"""Payload that is damaged on the way: seen, moved again, and named when that does not help.

A relay at 127.0.0.2 stands between the client and the daemon, and at the same ports between the client and its
workers, which it therefore finds there. It reads frames as they pass and flips bits in their payload.
"""

import ctypes
import re
import socket
import struct
import threading

import numpy as np
import pytest

import alchemist
from alchemist import _ffi
from harness import wait_for

HEADER = struct.Struct("<4sBBHQIIII")
DATA_WRITE, DATA_BLOCK = 128, 131
CHECK = 4
MESSAGE = 64 << 10


class Relay:
    """Connections to all ports of a daemon pass through; `flip(type)` says whether to damage a payload frame."""

    def __init__(self, daemon):
        with daemon.connect() as session:
            ports = [daemon.port, *(w.port for w in session.list_all_workers())]
        self.flip = lambda kind: False
        self.checked = {}  # frame type: how many of its payload frames had a check, and how many had none
        self.flipped, self.lock = 0, threading.Lock()
        self.sockets = [socket.create_server(("127.0.0.2", port)) for port in ports]
        for listener in self.sockets:
            threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def serve(self, listener):
        port = listener.getsockname()[1]
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source, target):
        reader = source.makefile("rb")
        try:
            while len(header := reader.read(HEADER.size)) == HEADER.size:
                magic, _, flags, kind, _, meta, payload, _, _ = HEADER.unpack(header)
                assert magic == b"ALCH"
                target.sendall(header + reader.read(meta) + self.pass_on(kind, flags, reader.read(payload)))
        except (OSError, ValueError):
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pass_on(self, kind, flags, payload):
        if not payload:
            return payload
        with self.lock:
            counts = self.checked.setdefault(kind, [0, 0])
            counts[0 if flags & CHECK else 1] += 1
            if not self.flip(kind):
                return payload
            self.flipped += 1
            at = (self.flipped * 2654435761) % (8 * len(payload))
        damaged = bytearray(payload)
        damaged[at // 8] ^= 1 << at % 8
        return bytes(damaged)

    def flip_some(self, kind, every, most):
        """Damage each `every`-th payload frame of a type, `most` in all."""
        seen, end = 0, self.flipped + most

        def flip(k):
            nonlocal seen
            seen += k == kind
            return k == kind and seen % every == 0 and self.flipped < end
        self.flip = flip

    def connect(self, daemon, workers, **options):
        return alchemist.connect(f"127.0.0.2:{daemon.port}", workers=workers, token=daemon.connection["token"],
                                 shared_memory=0, message_bytes=MESSAGE, **options)


@pytest.fixture(scope="module")
def relay(daemon):
    with Relay(daemon) as r:
        yield r


@pytest.fixture
def als(daemon, relay):
    relay.flip = lambda kind: False
    with relay.connect(daemon, 3, checksum=1) as session:
        assert {w.address for w in session.workers} == {"127.0.0.2"}, "the workers are not behind the relay"
        yield session
    wait_for(daemon.idle, 10, "all slots idle")


def numbers(m, n, seed=1):
    return np.random.default_rng(seed).standard_normal((m, n))


def lines_since(daemon, start):
    return [line for line in daemon.log()[start:].splitlines() if "damaged" in line]


# ---- one bit now and then ----

SOURCES = {"C order": lambda a: a, "Fortran order": np.asfortranarray, "backwards": lambda a: a[::-1, ::-1]}


@pytest.mark.parametrize("layout", ["VC_STAR", "MC_MR", "block_cyclic", "STAR_VC"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_damaged_write_is_sent_again(daemon, relay, als, source, layout):
    a = SOURCES[source](numbers(601, 137))
    before, start = relay.flipped, len(daemon.log())
    relay.flip_some(DATA_WRITE, every=3, most=2)
    with pytest.warns(RuntimeWarning, match="2 messages were damaged on the way and sent again"):
        handle = als.send_matrix(a, layout=layout)
    assert relay.flipped == before + 2
    assert np.array_equal(handle.fetch(), a)
    lines = wait_for(lambda: (found := lines_since(daemon, start)) and len(found) == 2 and found, 5, "the log's lines")
    for line in lines:
        assert re.search(rf"matrix {handle.id} \(601 x 137, float64\): \d+ x \d+ entries from \(\d+, \d+\) were damaged on "
                         r"the way to worker rank \d: CRC32C [0-9a-f]{8} was sent, [0-9a-f]{8} came", line)


@pytest.mark.parametrize("layout", ["VC_STAR", "MC_MR", "block_cyclic", "STAR_VC"])
@pytest.mark.parametrize("order", "CF")
def test_a_damaged_block_is_asked_for_again(daemon, relay, als, order, layout):
    a = numbers(601, 137)
    handle = als.send_matrix(a, layout=layout)
    before, start = relay.flipped, len(daemon.log())
    relay.flip_some(DATA_BLOCK, every=3, most=2)
    with pytest.warns(RuntimeWarning, match="2 messages were damaged on the way and sent again"):
        got = handle.fetch(out=np.zeros(a.shape, order=order))
    assert relay.flipped == before + 2
    assert np.array_equal(got, a)
    for line in wait_for(lambda: (found := lines_since(daemon, start)) and len(found) == 2 and found, 5, "the lines"):
        assert re.search(rf"matrix {handle.id} \(601 x 137, float64\): .* were damaged on the way there \([12] so far\)", line)


def test_three_times_in_a_row_is_not_too_often(relay, als):
    a = numbers(40, 30)  # a message for each worker
    for kind in (DATA_WRITE, DATA_BLOCK):
        relay.flip_some(kind, every=1, most=3)
        with pytest.warns(RuntimeWarning, match="3 messages were damaged"):
            handle = als.send_matrix(a, layout="CIRC_CIRC")
            got = handle.fetch()
        assert np.array_equal(got, a)


def test_appended_rows_are_checked(relay, als):
    a = numbers(300, 200)
    relay.flip_some(DATA_WRITE, every=4, most=3)
    with pytest.warns(RuntimeWarning):
        handle = als.send_matrix(iter([a[:70], a[70:71], a[71:200]]))
        handle.append_rows(a[200:])
    assert np.array_equal(handle.fetch(), a)


def move_own(start, handle, local, nprow, myrow, block):
    """A piece of rows, as a process of a parallel program has it: column-major."""
    m, n = handle.shape
    piece = _ffi.Local(m, n, block, n, 0, 0, nprow, 1, myrow, 0, local.shape[0], 0, 0)
    transfer = ctypes.c_void_p()
    _ffi.call(start, handle._handle(), ctypes.byref(piece), ctypes.c_void_p(local.ctypes.data), ctypes.byref(transfer))
    try:
        _ffi.call("transfer_wait", transfer, -1)
        return _ffi.lib.transfer_resent(transfer)
    finally:
        _ffi.lib.transfer_destroy(transfer)


def test_own_pieces_are_checked(relay, als):
    a, block = numbers(600, 90), 7
    handle = als.create_matrix(a.shape, layout="block_cyclic(16,16,3,1)")
    pieces = [np.asfortranarray(a[[i for i in range(600) if i // block % 2 == p]]) for p in range(2)]
    relay.flip_some(DATA_WRITE, every=5, most=2)
    assert sum(move_own("matrix_write_local_start", handle, pieces[p], 2, p, block) for p in range(2)) == 2
    assert np.array_equal(handle.fetch(), a)
    relay.flip_some(DATA_BLOCK, every=5, most=2)
    got = [np.zeros_like(piece, order="F") for piece in pieces]
    assert sum(move_own("matrix_read_local_start", handle, got[p], 2, p, block) for p in range(2)) == 2
    assert all(np.array_equal(g, p) for g, p in zip(got, pieces))


# ---- every time ----

def test_damage_that_does_not_end_is_named(relay, als):
    a = numbers(500, 100)
    good = als.send_matrix(a)
    handle = als.create_matrix(a.shape, layout="VC_STAR")
    relay.flip = lambda kind: kind == DATA_WRITE
    with pytest.raises(alchemist.DamagedError) as info:
        handle.write(a)
    assert re.search(r"worker \d+ at 127\.0\.0\.2:\d+, 4 times in a row: "
                     rf"matrix {handle.id} \(500 x 100, float64\): \d+ x \d+ entries from \(\d+, \d+\) were damaged on the "
                     r"way to worker rank \d: CRC32C [0-9a-f]{8} was sent, [0-9a-f]{8} came", str(info.value))
    assert info.value.rank in (0, 1, 2)
    relay.flip = lambda kind: False
    assert handle.missing() and not handle.complete
    handle.resume(a)
    assert np.array_equal(handle.fetch(), a)
    relay.flip = lambda kind: kind == DATA_BLOCK
    with pytest.raises(alchemist.DamagedError, match=r"worker \d+ at 127.0.0.2:\d+, 4 times in a row: "
                       rf"matrix {good.id} \(500 x 100, float64\): \d+ x \d+ entries from \(\d+, \d+\) were damaged on the "
                       r"way from worker rank \d"):
        good.fetch()
    relay.flip = lambda kind: False
    assert np.array_equal(good.fetch(), a), "the session goes on"


def test_an_interrupted_transfer_goes_on_where_it_was_damaged(relay, als):
    a = numbers(2000, 60)
    handle = als.create_matrix(a.shape, layout="VC_STAR")
    count = 0

    def late(kind):
        nonlocal count
        count += kind == DATA_WRITE
        return kind == DATA_WRITE and count > 6
    relay.flip = late
    with pytest.raises(alchemist.DamagedError):
        handle.write(a)
    relay.flip_some(DATA_WRITE, every=2, most=1)
    with pytest.warns(RuntimeWarning, match="1 message was damaged"):
        assert 0 < handle.resume(a) < a.nbytes
    assert np.array_equal(handle.fetch(), a)


# ---- on and off ----

def test_without_checks_nobody_sees_it(daemon, relay):
    """What the checks are for; and that they are paid for by those alone who want them."""
    relay.flip = lambda kind: False
    with relay.connect(daemon, 2, checksum=0) as als:
        a = numbers(500, 100)
        relay.checked.clear()
        relay.flip_some(DATA_WRITE, every=2, most=1)
        handle = als.send_matrix(a)
        assert (handle.fetch() != a).sum() == 1
        assert {kind: counts[0] for kind, counts in relay.checked.items()} == {DATA_WRITE: 0, DATA_BLOCK: 0}
    with relay.connect(daemon, 2, checksum=1) as als:
        relay.checked.clear()
        als.send_matrix(a).fetch()
        assert {kind: counts[1] for kind, counts in relay.checked.items()} == {DATA_WRITE: 0, DATA_BLOCK: 0}
        assert all(counts[0] for counts in relay.checked.values())
    with pytest.raises(alchemist.InvalidError, match="checksum is 2, must be -1 to 1"):
        relay.connect(daemon, 1, checksum=2)
    wait_for(daemon.idle, 10, "all slots idle")


def test_checks_in_shared_memory(daemon):
    a = numbers(3000, 400)
    with daemon.connect(workers=2, shared_memory=1, checksum=1) as als:
        for layout in ("VC_STAR", "MC_MR", "block_cyclic(1,1,2,1)"):
            assert np.array_equal(als.send_matrix(a, layout=layout).fetch(), a)
            assert np.array_equal(als.send_matrix(np.asfortranarray(a), layout=layout).fetch()[5:, ::3], a[5:, ::3])
    wait_for(daemon.idle, 10, "all slots idle")
