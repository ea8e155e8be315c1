"""Payload that is damaged on the way: the receiver notices it, it is sent again, and repeated damage is an error.

All connections of a client pass through a relay. The relay listens at 127.0.0.2 on the same ports as the daemon and the
workers at 127.0.0.1, so that a client which connects to the relay's address finds the workers there too. The relay
reads the frames that pass and flips bits in their payload.
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
from harness import PATIENCE, wait_for

HEADER = struct.Struct("<4sBBHQIIII")
DATA_WRITE, DATA_BLOCK = 128, 131  # frame types on the wire
CHECK = 4  # flag of a frame that carries a checksum of its payload
MESSAGE = 64 << 10


class Relay:
    """Forwards connections to all ports of a daemon.

    `flip(kind)` decides for each frame with payload whether it is damaged, given the type of the frame.
    """

    def __init__(self, daemon):
        with daemon.connect() as session:
            ports = [daemon.port, *(w.port for w in session.list_all_workers())]
        self.flip = lambda kind: False
        self.checked = {}  # frame type: numbers of its payload frames with a checksum, and without one
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
        """Damage each `every`-th payload frame of a type, at most `most` frames in all."""
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
    daemon.wait_until_idle()


def numbers(m, n, seed=1):
    return np.random.default_rng(seed).standard_normal((m, n))


def wait_for_log_lines(daemon, start, count):
    """Wait until the daemon has logged `count` lines about damage after position `start`, and return them."""
    def found():
        lines = [line for line in daemon.log()[start:].splitlines() if "damaged" in line]
        return len(lines) == count and lines

    return wait_for(found, 5 * PATIENCE, f"{count} lines about damage in the log")


# ---- some messages are damaged. Each of them is reported, so the numbers of reports are part of the contract. ----

SOURCES = {"C order": lambda a: a, "Fortran order": np.asfortranarray, "backwards": lambda a: a[::-1, ::-1]}


@pytest.mark.parametrize("layout", ["VC_STAR", "MC_MR", "block_cyclic", "STAR_VC"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_damaged_write_is_logged_and_sent_again(daemon, relay, als, source, layout):
    a = SOURCES[source](numbers(601, 137))
    before, start = relay.flipped, len(daemon.log())
    relay.flip_some(DATA_WRITE, every=3, most=2)
    with pytest.warns(RuntimeWarning, match="2 messages were damaged on the way and sent again"):
        handle = als.send_matrix(a, layout=layout)
    assert relay.flipped == before + 2
    assert np.array_equal(handle.fetch(), a)
    for line in wait_for_log_lines(daemon, start, 2):
        assert re.search(rf"matrix {handle.id} \(601 x 137, float64\): \d+ x \d+ entries from \(\d+, \d+\) "
                         r"were damaged on the way to worker rank \d: "
                         r"CRC32C [0-9a-f]{8} was sent, [0-9a-f]{8} arrived", line)


@pytest.mark.parametrize("layout", ["VC_STAR", "MC_MR", "block_cyclic", "STAR_VC"])
@pytest.mark.parametrize("order", "CF")
def test_a_damaged_block_is_logged_and_requested_again(daemon, relay, als, order, layout):
    a = numbers(601, 137)
    handle = als.send_matrix(a, layout=layout)
    before, start = relay.flipped, len(daemon.log())
    relay.flip_some(DATA_BLOCK, every=3, most=2)
    with pytest.warns(RuntimeWarning, match="2 messages were damaged on the way and sent again"):
        got = handle.fetch(out=np.zeros(a.shape, order=order))
    assert relay.flipped == before + 2
    assert np.array_equal(got, a)
    for line in wait_for_log_lines(daemon, start, 2):
        assert re.search(rf"matrix {handle.id} \(601 x 137, float64\): .* "
                         r"were damaged on the way to the client \([12] times so far\)", line)


@pytest.mark.parametrize("kind", [DATA_WRITE, DATA_BLOCK], ids=["write", "block"])
def test_a_message_damaged_three_times_in_a_row_still_arrives(relay, als, kind):
    a = numbers(40, 30)
    relay.flip_some(kind, every=1, most=3)
    with pytest.warns(RuntimeWarning, match="3 messages were damaged"):
        handle = als.send_matrix(a, layout="CIRC_CIRC")  # all entries on one worker, in one message
        got = handle.fetch()
    assert np.array_equal(got, a)


def test_damaged_rows_of_an_append_are_sent_again(relay, als):
    a = numbers(300, 200)
    relay.flip_some(DATA_WRITE, every=4, most=3)
    with pytest.warns(RuntimeWarning):
        handle = als.send_matrix(iter([a[:70], a[70:71], a[71:200]]))
        handle.append_rows(a[200:])
    assert np.array_equal(handle.fetch(), a)


def move_local_piece(start, handle, local, nprow, myrow, block):
    """Move the column-major local piece that a process of a parallel program holds; return how often it was resent.

    The rows are distributed over `nprow` processes in blocks of `block` rows.
    """
    m, n = handle.shape
    piece = _ffi.Local(m, n, block, n, 0, 0, nprow, 1, myrow, 0, local.shape[0], 0, 0)
    transfer = ctypes.c_void_p()
    _ffi.call(start, handle._handle(), ctypes.byref(piece), ctypes.c_void_p(local.ctypes.data), ctypes.byref(transfer))
    try:
        _ffi.call("transfer_wait", transfer, -1)
        return _ffi.lib.transfer_resent(transfer)
    finally:
        _ffi.lib.transfer_destroy(transfer)


BLOCK = 7


def pieces_of(a):
    """The local pieces of two processes."""
    return [np.asfortranarray(a[[i for i in range(len(a)) if i // BLOCK % 2 == p]]) for p in range(2)]


def test_a_damaged_write_of_a_local_piece_is_sent_again(relay, als):
    a = numbers(600, 90)
    handle = als.create_matrix(a.shape, layout="block_cyclic(16,16,3,1)")
    relay.flip_some(DATA_WRITE, every=5, most=2)
    resent = [move_local_piece("matrix_write_local_start", handle, piece, 2, p, BLOCK)
              for p, piece in enumerate(pieces_of(a))]
    assert sum(resent) == 2
    assert np.array_equal(handle.fetch(), a)


def test_a_damaged_block_of_a_local_piece_is_requested_again(relay, als):
    a = numbers(600, 90)
    handle = als.send_matrix(a, layout="block_cyclic(16,16,3,1)")
    relay.flip_some(DATA_BLOCK, every=5, most=2)
    got = [np.zeros_like(piece, order="F") for piece in pieces_of(a)]
    assert sum(move_local_piece("matrix_read_local_start", handle, got[p], 2, p, BLOCK) for p in range(2)) == 2
    assert all(np.array_equal(g, piece) for g, piece in zip(got, pieces_of(a)))


# ---- every message is damaged ----

def test_a_write_that_is_always_damaged_is_an_error_and_can_be_resumed(relay, als):
    a = numbers(500, 100)
    handle = als.create_matrix(a.shape, layout="VC_STAR")
    relay.flip = lambda kind: kind == DATA_WRITE
    with pytest.raises(alchemist.DamagedError) as info:
        handle.write(a)
    assert re.search(r"worker \d+ at 127\.0\.0\.2:\d+ was damaged 4 times in a row: "
                     rf"matrix {handle.id} \(500 x 100, float64\): \d+ x \d+ entries from \(\d+, \d+\) "
                     r"were damaged on the way to worker rank \d: "
                     r"CRC32C [0-9a-f]{8} was sent, [0-9a-f]{8} arrived", str(info.value))
    assert info.value.rank in (0, 1, 2)
    relay.flip = lambda kind: False
    assert handle.missing() and not handle.complete
    handle.resume(a)
    assert np.array_equal(handle.fetch(), a)


def test_a_fetch_that_is_always_damaged_is_an_error_and_can_be_repeated(relay, als):
    a = numbers(500, 100)
    handle = als.send_matrix(a)
    relay.flip = lambda kind: kind == DATA_BLOCK
    with pytest.raises(alchemist.DamagedError, match=r"worker \d+ at 127.0.0.2:\d+ was damaged 4 times in a row: "
                       rf"matrix {handle.id} \(500 x 100, float64\): \d+ x \d+ entries from \(\d+, \d+\) "
                       r"were damaged on the way from worker rank \d"):
        handle.fetch()
    relay.flip = lambda kind: False
    assert np.array_equal(handle.fetch(), a)


def test_a_transfer_that_damage_interrupted_is_resumed_with_the_rest(relay, als):
    a = numbers(2000, 60)
    handle = als.create_matrix(a.shape, layout="VC_STAR")
    count = 0

    def all_after_the_first_six(kind):
        nonlocal count
        count += kind == DATA_WRITE
        return kind == DATA_WRITE and count > 6
    relay.flip = all_after_the_first_six
    with pytest.raises(alchemist.DamagedError):
        handle.write(a)
    relay.flip_some(DATA_WRITE, every=2, most=1)
    with pytest.warns(RuntimeWarning, match="1 message was damaged"):
        assert 0 < handle.resume(a) < a.nbytes
    assert np.array_equal(handle.fetch(), a)


# ---- checksums on and off ----

@pytest.fixture
def frames_by_check(daemon, relay):
    """A function that sends and fetches a matrix with the given `checksum` option.

    It returns the matrix that arrived, and for each frame type the numbers of frames with and without a checksum.
    """
    def move(a, checksum, damaged=0):
        relay.flip = lambda kind: False
        with relay.connect(daemon, 2, checksum=checksum) as als:
            relay.checked.clear()
            relay.flip_some(DATA_WRITE, every=2, most=damaged)
            return als.send_matrix(a).fetch(), dict(relay.checked)

    yield move
    daemon.wait_until_idle()


def test_without_checksums_no_frame_carries_one(frames_by_check):
    _, frames = frames_by_check(numbers(500, 100), checksum=0)
    assert set(frames) == {DATA_WRITE, DATA_BLOCK}
    assert not any(with_check for with_check, _ in frames.values())


def test_without_checksums_damage_goes_unnoticed(frames_by_check):
    a = numbers(500, 100)
    got, _ = frames_by_check(a, checksum=0, damaged=1)
    assert (got != a).sum() == 1


def test_with_checksums_every_frame_carries_one(frames_by_check):
    _, frames = frames_by_check(numbers(500, 100), checksum=1)
    assert set(frames) == {DATA_WRITE, DATA_BLOCK}
    assert all(with_check and not without for with_check, without in frames.values())


def test_a_checksum_option_out_of_range_is_refused(daemon, relay):
    with pytest.raises(alchemist.InvalidError, match="checksum is 2, must be -1 to 1"):
        relay.connect(daemon, 1, checksum=2)


@pytest.mark.parametrize("layout", ["VC_STAR", "MC_MR", "block_cyclic(1,1,2,1)"])
def test_checksums_in_shared_memory_accept_sound_data(daemon, layout):
    a = numbers(3000, 400)
    with daemon.connect(workers=2, shared_memory=1, checksum=1) as als:
        assert np.array_equal(als.send_matrix(a, layout=layout).fetch(), a)
        assert np.array_equal(als.send_matrix(np.asfortranarray(a), layout=layout).fetch()[5:, ::3], a[5:, ::3])
    daemon.wait_until_idle()
