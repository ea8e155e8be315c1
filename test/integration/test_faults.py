"""Failures are contained: a worker's death ends its own group, with the reason, and nobody else's."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import alchemist
from harness import PATIENCE, alive, shared_memory, wait_for


@pytest.fixture
def bystander(daemon):
    """Another session that must not notice anything."""
    with daemon.connect(workers=1) as other:
        a = np.random.default_rng(3).random((50, 40))
        h = other.send_matrix(a)
        lib = other.load_library("hello")
        yield
        assert abs(lib.total(h) - a.sum()) < 1e-9
        assert np.array_equal(np.asarray(h), a)


def ends_group(als, daemon, act, pattern, within=5):
    """`act` must raise GroupLostError within the time, naming rank and reason; then the session goes on."""
    begun = time.monotonic()
    with pytest.raises(alchemist.GroupLostError, match=pattern) as caught:
        act()
    assert time.monotonic() - begun < within * PATIENCE
    als.request_workers(3)
    assert np.asarray(als.send_matrix(np.eye(5))).trace() == 5
    return caught.value


@pytest.mark.parametrize("function, arguments, pattern", [
    ("segv", {"rank": 1}, r"rank 1 .*signal 11"),
    ("exit", {"rank": 2, "code": 3}, r"rank 2 .*code 3"),
    ("exit", {"rank": 0, "code": 0}, r"rank 0 .*code 0"),
    ("abort", {"rank": 1, "code": 7}, r"rank 1 .*(code 7.*MPI_Abort|MPI_Abort.*7)"),
    ("kill", {"rank": 0}, r"rank 0 .*signal 9"),
])
def test_a_crash_in_a_library(daemon, als, bystander, function, arguments, pattern):
    lib = als.load_library("faults")
    error = ends_group(als, daemon, lambda: getattr(lib, function)(**arguments), pattern)
    assert error.rank == arguments["rank"]


def test_a_worker_killed_from_outside(daemon, als, bystander):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((10, 10)))
    task = lib.busy.submit(30.0)
    wait_for(lambda: task.state == "running", 5 * PATIENCE)
    victim = als.workers[1]
    os.kill(victim.pid, signal.SIGKILL)
    error = ends_group(als, daemon, task.result, r"rank 1 .*signal 9")
    assert error.rank == 1
    with pytest.raises((alchemist.GroupLostError, alchemist.NotFoundError)):
        np.asarray(h)


def test_an_idle_worker_killed(daemon, als, bystander):
    h = als.send_matrix(np.ones((10, 10)))
    os.kill(als.workers[2].pid, signal.SIGKILL)

    def use():
        for _ in range(50):
            np.asarray(h)
            time.sleep(0.1)

    ends_group(als, daemon, use, r"rank 2 .*signal 9")


def test_the_last_lines_come_with_the_error(daemon, als):
    lib = als.load_library("faults")
    with pytest.raises(alchemist.GroupLostError, match="last words of rank 1"):
        lib.print_and_abort("last words of rank 1", 1)


def test_out_of_memory(daemon, als, bystander):
    lib = als.load_library("faults")
    ends_group(als, daemon, lambda: lib.exhaust(1), r"rank 1 ", within=20)


def test_failure_on_one_rank_while_others_wait(daemon, als, bystander):
    lib = als.load_library("faults")
    begun = time.monotonic()
    with pytest.raises(alchemist.AlchemistError, match="rank 1 gives up") as caught:
        lib.fail_one("rank 1 gives up", 1)
    assert caught.value.rank == 1
    assert time.monotonic() - begun < 10 * PATIENCE  # --fail-grace is 1 s here
    als.request_workers(3)


def test_failure_on_all_ranks_keeps_the_group(daemon, als):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((10, 10)))
    with pytest.raises(alchemist.AlchemistError, match="all of us"):
        lib.fail_all("all of us")
    with pytest.raises(alchemist.AlchemistError, match="agreed by rank 2"):
        lib.fail_agreed("agreed by rank 2", 2)
    assert np.asarray(h).sum() == 100
    assert len(als.workers) == 3


def test_a_stopped_worker_in_mid_transfer(daemon):
    with daemon.connect(workers=2, transfer_timeout_ms=1500) as als:
        a = np.random.default_rng(0).random((4000, 2000))
        h = als.send_matrix(a)
        stopped = als.workers[1]
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                h.write(a)
            with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                h.fetch()
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        h.write(a)
        assert np.array_equal(np.asarray(h), a)


def test_a_worker_that_stops_during_a_fetch(daemon):
    """It stops after bytes have moved; the session goes on when it does."""
    with daemon.connect(workers=2, transfer_timeout_ms=1500) as als:
        a = np.random.default_rng(0).random((4000, 4000))
        h = als.send_matrix(a)
        stopped = als.workers[1]

        def stop(done, total):
            if done:
                os.kill(stopped.pid, signal.SIGSTOP)

        try:
            with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                for _ in range(100):
                    h.fetch(progress=stop)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        assert np.array_equal(np.asarray(h), a)


@pytest.mark.parametrize("shared_memory", [0, 1])
def test_a_write_to_a_worker_that_stops_is_resumed(daemon, shared_memory, monkeypatch):
    """It stops after bytes have moved; afterwards only what did not arrive is sent again."""
    monkeypatch.setattr(alchemist._ffi, "SLICE_MS", 1)  # to hear of the first bytes before the last ones have gone
    with daemon.connect(workers=3, transfer_timeout_ms=1500, message_bytes=1 << 16, messages_in_flight=2,
                        shared_memory=shared_memory) as als:
        a = np.random.default_rng(0).random((6000, 6000))
        h = als.create_matrix(a.shape, layout="VC_STAR")
        h.write(a[:10])
        stopped = als.workers[1]

        def stop(done, total):
            if done:
                os.kill(stopped.pid, signal.SIGSTOP)

        try:
            with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                h.write(a, progress=stop)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        with pytest.raises(alchemist.AlchemistError, match="not written"):
            h.fetch()
        assert 0 < h.resume(a) < a[10:].nbytes
        assert h.complete and np.array_equal(np.asarray(h), a)


def test_a_client_killed_in_mid_transfer(daemon):
    code = ("import sys; sys.path[:0] = %r; import alchemist, numpy as np\n"
            "als = alchemist.connect(connection_file=%r, workers=4); a = np.ones((10000, 4000))\n"
            "print(*[w.pid for w in als.workers], flush=True)\n"
            "while True: als.send_matrix(a).free()") % (sys.path, daemon.connection_file)
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in client.stdout.readline().split()]
    time.sleep(0.5)
    client.kill()
    client.wait()
    wait_for(lambda: not any(alive(p) for p in pids), 10, "the end of its workers")
    wait_for(daemon.idle, 10, "idle slots")


def test_nothing_is_left_in_shared_memory(own_daemon):
    before = shared_memory()
    daemon = own_daemon(3)
    for k in range(3):
        with daemon.connect(workers=3) as als:
            os.kill(als.workers[k].pid, signal.SIGKILL)
            wait_for(daemon.idle, 10)
    assert shared_memory() <= before


def test_workers_that_do_not_start(own_daemon):
    """A start that takes too long ends with the rank and its stage."""
    daemon = own_daemon(2, "--start-timeout", "1")
    with daemon.connect() as als:
        with pytest.raises(alchemist.AlchemistError, match="rank|start"):
            als.request_workers(2)
