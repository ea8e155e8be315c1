"""Failures are contained: a worker's death ends its own group with the reason, and no other group."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import alchemist
from harness import PATIENCE, wait_for, wait_for_error, wait_for_exit


@pytest.fixture
def bystander(daemon):
    """Another session, which a fault in the first one must not affect."""
    with daemon.connect(workers=1) as other:
        a = np.random.default_rng(3).random((50, 40))
        h = other.send_matrix(a)
        hello = other.load_library("hello")
        yield
        assert abs(hello.total(h) - a.sum()) < 1e-9
        assert np.array_equal(np.asarray(h), a)


def assert_session_gets_new_workers(als):
    als.request_workers(3)
    assert np.asarray(als.send_matrix(np.eye(5))).trace() == 5


def ends_group(als, act, pattern, within=5):
    """Assert that `act` raises GroupLostError in time, with rank and reason in its text, and get new workers.

    Returns the exception.
    """
    begun = time.monotonic()
    with pytest.raises(alchemist.GroupLostError, match=pattern) as caught:
        act()
    assert time.monotonic() - begun < within * PATIENCE
    assert_session_gets_new_workers(als)
    return caught.value


# ---- a rank ends ----

@pytest.mark.parametrize("function, arguments, pattern", [
    ("segv", {"rank": 1}, r"rank 1\) .*signal 11"),
    ("exit", {"rank": 2, "code": 3}, r"rank 2\) .*code 3"),
    ("exit", {"rank": 0, "code": 0}, r"rank 0\) .*code 0"),
    ("abort", {"rank": 1, "code": 7}, r"rank 1\) .*(code 7.*MPI_Abort|MPI_Abort.*7)"),
    ("kill", {"rank": 0}, r"rank 0\) .*signal 9"),
])
def test_a_crash_in_a_library_ends_its_group_and_names_the_rank(als, faults, bystander, function, arguments, pattern):
    error = ends_group(als, lambda: getattr(faults, function)(**arguments), pattern)
    assert error.rank == arguments["rank"]


def test_a_library_that_exhausts_memory_ends_its_group_alone(als, faults, bystander):
    ends_group(als, lambda: faults.exhaust(1), r"rank 1\)", within=20)


def kill_during_a_task(als, faults):
    """Kill rank 1 while all ranks compute, and return the task."""
    task = faults.busy.submit(30.0)
    wait_for(lambda: task.state == "running", 5 * PATIENCE, "the start of the task")
    os.kill(als.workers[1].pid, signal.SIGKILL)
    return task


def test_a_worker_killed_during_a_task_fails_the_task(als, faults, bystander):
    task = kill_during_a_task(als, faults)
    assert ends_group(als, task.result, r"rank 1\) .*signal 9").rank == 1


def test_the_matrices_of_a_lost_group_are_lost_to_the_session(als, faults, bystander):
    h = als.send_matrix(np.ones((10, 10)))
    ends_group(als, kill_during_a_task(als, faults).result, r"rank 1\) .*signal 9")
    with pytest.raises((alchemist.GroupLostError, alchemist.NotFoundError)):
        np.asarray(h)


def test_a_worker_killed_while_idle_ends_its_group_alone(als, bystander):
    h = als.send_matrix(np.ones((10, 10)))
    os.kill(als.workers[2].pid, signal.SIGKILL)
    error = wait_for_error(alchemist.GroupLostError, lambda: np.asarray(h), 5 * PATIENCE)
    assert re.search(r"rank 2\) .*signal 9", str(error))
    assert_session_gets_new_workers(als)


def test_the_error_contains_the_last_lines_that_the_rank_printed(faults):
    with pytest.raises(alchemist.GroupLostError, match="last words of rank 1"):
        faults.print_and_abort("last words of rank 1", 1)


def test_a_rank_that_fails_alone_ends_the_group_after_the_grace_time(als, faults, bystander):
    """The other ranks wait in a collective that never completes."""
    begun = time.monotonic()
    with pytest.raises(alchemist.AlchemistError, match="rank 1 gives up") as caught:
        faults.fail_one("rank 1 gives up", 1)
    assert caught.value.rank == 1
    assert time.monotonic() - begun < 10 * PATIENCE  # --fail-grace is 1 s here
    assert_session_gets_new_workers(als)


@pytest.mark.parametrize("function, arguments", [("fail_all", ("all of us",)),
                                                 ("fail_agreed", ("agreed by rank 2", 2))])
def test_a_failure_that_all_ranks_return_keeps_the_group(als, faults, function, arguments):
    h = als.send_matrix(np.ones((10, 10)))
    pids = [w.pid for w in als.workers]
    with pytest.raises(alchemist.AlchemistError, match=arguments[0]):
        getattr(faults, function)(*arguments)
    assert np.asarray(h).sum() == 100
    assert [w.pid for w in als.workers] == pids and len(pids) == 3


# ---- a worker stops: the SIGSTOP is the scenario, and the transfer's time limit ends the wait ----

def test_transfers_to_a_stopped_worker_time_out_and_work_when_it_continues(daemon):
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


def test_a_fetch_from_a_worker_that_stops_midway_times_out_and_can_be_repeated(daemon):
    """The worker stops after bytes have moved."""
    with daemon.connect(workers=2, transfer_timeout_ms=1500) as als:
        a = np.random.default_rng(0).random((4000, 4000))
        h = als.send_matrix(a)
        stopped = als.workers[1]

        def stop(done, total):
            if done:
                os.kill(stopped.pid, signal.SIGSTOP)

        try:
            with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                for _ in range(100):  # a fetch may be over before its progress is reported
                    h.fetch(progress=stop)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        assert np.array_equal(np.asarray(h), a)


@pytest.mark.parametrize("shared_memory", [0, 1])
def test_a_write_to_a_worker_that_stops_midway_is_resumed_with_the_rest(daemon, shared_memory, monkeypatch):
    """The worker stops after bytes have moved. Afterwards the client sends only what did not arrive."""
    monkeypatch.setattr(alchemist._ffi, "SLICE_MS", 1)  # so that progress is reported before the last byte is sent
    a = np.random.default_rng(0).random((6000, 6000))
    with daemon.connect(workers=3) as owner:
        # The workers keep this memory for the next matrix: fresh pages may take longer than the time limit below.
        owner.send_matrix(a, layout="VC_STAR").free()
        number = owner.create_matrix(a.shape, layout="VC_STAR").id
        stopped = owner.workers[1]

        def stop(done, total):
            if done:
                os.kill(stopped.pid, signal.SIGSTOP)

        with alchemist.attach(owner.ticket, transfer_timeout_ms=1500, message_bytes=1 << 16, messages_in_flight=2,
                              shared_memory=shared_memory) as als:
            h = als.matrix(number)
            h.write(a[:10])
            try:
                with pytest.raises(TimeoutError, match=f"worker {stopped.id}"):
                    h.write(a, progress=stop)
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            with pytest.raises(alchemist.AlchemistError, match="not written"):
                h.fetch()
            assert 0 < h.resume(a) < a[10:].nbytes
            assert h.complete and np.array_equal(np.asarray(h), a)


# ---- what remains after a killed process ----

# The client kills itself as soon as a part of a matrix has moved, so that this happens in mid-transfer.
DYING_CLIENT = """
import os, signal, sys
sys.path[:0] = %r
import alchemist, numpy as np
alchemist._ffi.SLICE_MS = 1  # so that progress is reported before the last byte is sent
als = alchemist.connect(connection_file=%r, workers=4)
a = np.ones((10000, 4000))
print(*[w.pid for w in als.workers], flush=True)
def die(done, total):
    if 0 < done < total:
        os.kill(os.getpid(), signal.SIGKILL)
while True:
    als.send_matrix(a, progress=die).free()
"""


def test_a_client_killed_in_mid_transfer_frees_its_workers(daemon):
    client = subprocess.Popen([sys.executable, "-c", DYING_CLIENT % (sys.path, daemon.connection_file)],
                              stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in client.stdout.readline().split()]
    assert len(pids) == 4
    assert client.wait(30 * PATIENCE) == -signal.SIGKILL
    wait_for_exit(pids, 10 * PATIENCE, "the end of its workers")
    daemon.wait_until_idle()


def test_killed_workers_leave_nothing_in_shared_memory(own_daemon_with_private_shm):
    daemon = own_daemon_with_private_shm(3)
    for k in range(3):
        with daemon.connect(workers=3) as als:
            os.kill(als.workers[k].pid, signal.SIGKILL)
            daemon.wait_until_idle()
    assert daemon.shared_memory() == set()


def test_workers_that_start_too_slowly_are_an_error(own_daemon):
    daemon = own_daemon(2, "--start-timeout", "1")
    with daemon.connect() as als:
        with pytest.raises(alchemist.AlchemistError, match="rank|start"):
            als.request_workers(2)
