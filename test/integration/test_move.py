"""Resizing with the matrices: they go from the old workers to the new ones, or nothing has happened."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, TOP, alive, wait_for

LAYOUTS = [None, *NAMES, "block_cyclic(5,3)", "block_cyclic(1,1)"]
DTYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]


@pytest.fixture(scope="module")
def large(request):
    """A daemon with room for two groups."""
    from harness import Daemon

    d = Daemon(7)
    yield d
    d.stop()


@pytest.fixture
def als(large):
    with large.connect(workers=2) as session:
        yield session
    wait_for(large.idle, 10 * PATIENCE, "all slots idle")


def array(shape, dtype="float64", seed=3):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1000, 1000, shape).astype(dtype)
    return a + 1j * rng.integers(-1000, 1000, shape).astype(dtype) if np.dtype(dtype).kind == "c" else a


def equal(handle, a):
    np.testing.assert_array_equal(np.asarray(handle), a)


def slow_move(als, count, megabytes=200, steps=None):
    """Start a move that takes a while, in a thread; returns the thread, its outcome, the handle and its entries. How
    far it is comes to `steps`."""
    steps = [] if steps is None else steps
    a = np.random.default_rng(1).random((megabytes << 17) // 1000 * 1000).reshape(-1, 1000)
    handle = als.send_matrix(a, layout="MC_MR")
    outcome = []

    def run():
        try:
            outcome.append(als.request_workers(count, move=True, progress=lambda *now: steps.append(now)))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome, handle, a


def spawned(daemon, als, count):
    """The processes of the second group, as soon as there are so many."""
    own = {w.pid for w in als.workers}

    def found():
        with daemon.connect() as other:
            new = [w for w in other.list_all_workers() if w.session == als.id and w.pid and w.pid not in own]
        return new if len(new) >= count else None

    return wait_for(found, 20 * PATIENCE, "the second group")


# ---- what comes along ----

@pytest.mark.parametrize("counts", [(3,), (1,), (5, 2), (4, 1, 3)])
def test_every_layout(als, counts):
    a = array((53, 37))
    handles = [als.send_matrix(a, layout=layout, name=str(layout)) for layout in LAYOUTS]
    before = [h.layout for h in handles]
    for count in counts:
        workers = als.request_workers(count, move=True)
        assert len(workers) == len(als.workers) == count
        for layout, old, handle in zip(LAYOUTS, before, handles):
            assert (handle.layout.name, handle.layout.block) == (old.name, old.block)
            assert handle.layout == als.create_matrix((53, 37), layout=layout).layout
            assert handle.name == str(layout) and handle.info["workers"] == count
            equal(handle, a)
    for handle in handles:
        handle.write(-a)
        equal(handle, -a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(als, dtype):
    a = array((300, 71), dtype)
    one, two = als.send_matrix(a), als.send_matrix(a, layout="STAR_STAR")
    als.request_workers(3, move=True)
    assert one.dtype == dtype
    equal(one, a)
    equal(two, a)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (1, 1), (1, 4000), (4000, 1)])
def test_odd_shapes(als, shape):
    a = array(shape)
    handles = [als.send_matrix(a, layout=layout) for layout in (None, "VC_STAR", "STAR_MC", "CIRC_CIRC")]
    als.request_workers(3, move=True)
    for handle in handles:
        assert handle.shape == shape
        equal(handle, a)


@pytest.mark.parametrize("layout", [None, "VR_STAR", "STAR_VC", "MC_STAR", "block_cyclic(1,1)"])
def test_what_was_not_written(als, layout):
    a = array((90, 80))
    handle = als.create_matrix(a.shape, layout=layout)
    for row, col, rows, cols in ((0, 0, 40, 80), (41, 3, 1, 70), (60, 10, 29, 3), (89, 79, 1, 1)):
        handle.write(a[row:row + rows, col:col + cols], row=row, col=col)
    lacking = handle.missing(1000)
    for count in (3, 1, 2):
        als.request_workers(count, move=True)
        assert sum(m * n for _, _, m, n in handle.missing(1000)) == sum(m * n for _, _, m, n in lacking)
        np.testing.assert_array_equal(handle[:40], a[:40])
        np.testing.assert_array_equal(handle[41:42, 3:73], a[41:42, 3:73])
        with pytest.raises(alchemist.IncompleteError):
            handle.fetch((40, 0, 2, 80))
    assert handle.resume(a) < a.nbytes * handle.replicas
    equal(handle, a)


def test_every_second_row(als):
    a = array((200, 30))
    handle = als.create_matrix(a.shape, layout="block_cyclic(7,4)")
    for row in range(0, 200, 2):
        handle.write(a[row:row + 1], row=row)
    als.request_workers(3, move=True)
    for row in (0, 100, 198):
        np.testing.assert_array_equal(handle[row:row + 1], a[row:row + 1])
        with pytest.raises(alchemist.IncompleteError):
            handle.fetch((row + 1, 0, 1, 30))
    assert len(handle.missing(1000)) == 100


def test_matrices_that_grew(als):
    a = array((400, 9))
    handle = als.send_matrix(a[:10])
    for row in range(10, 400, 39):
        handle.append_rows(a[row:row + 39])
    als.request_workers(3, move=True)
    equal(handle, a)
    handle.append_rows(a[:5])
    equal(handle, np.vstack([a, a[:5]]))


def test_replaced_in_place(als):
    a = array((40, 30))
    handle = als.send_matrix(a)
    stale = als.matrix(handle.id)
    handle.transpose(in_place=True)
    als.request_workers(3, move=True)
    equal(handle, a.T)
    equal(stale, a.T)  # request_workers() refreshes the handles of its session
    handle.relayout("VC_STAR", in_place=True)
    als.request_workers(1, move=True)
    equal(handle, a.T)


def test_libraries_and_tasks(als):
    a = array((60, 40))
    handle = als.send_matrix(a)
    hello = als.load_library("hello")
    assert hello.total(handle) == a.sum()
    als.request_workers(3, move=True)
    assert "hello" in [name.lower() for name in als.list_loaded_libraries()]
    assert hello.total(handle) == a.sum()
    assert np.asarray(handle.transpose()).shape == (40, 60)


def test_without_matrices_or_change(als):
    assert len(als.request_workers(3, move=True)) == 3
    handle = als.send_matrix(array((5, 5)))
    pids = [w.pid for w in als.workers]
    assert [w.pid for w in als.request_workers(3, move=True)] == pids
    with pytest.raises(alchemist.BusyError, match="would lose 1 matrix"):
        als.request_workers(2)
    handle.free()
    assert len(als.request_workers(2)) == 2


def test_an_attached_process_follows(als):
    a = array((50, 40))
    handle = als.send_matrix(a, layout="MC_MR")
    script = f"""
        import sys, numpy as np
        sys.path.insert(0, {str(TOP / "bindings" / "python")!r})
        import alchemist
        from alchemist import session
        als = alchemist.attach(alchemist.session.Ticket({als.ticket.address!r}, {als.id}, sys.stdin.readline().strip()))
        handle = als.matrix({handle.id})
        print(np.asarray(handle).sum(), flush=True)
        sys.stdin.readline()
        print(np.asarray(handle).sum(), flush=True)
        handle.write(np.ones((2, 40)), row=3)
        print(handle.missing(), flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    child.stdin.write(als.ticket.key + "\n")
    child.stdin.flush()
    assert float(child.stdout.readline()) == a.sum()
    als.request_workers(3, move=True)
    child.stdin.write("go on\n")
    child.stdin.flush()
    assert float(child.stdout.readline()) == a.sum()
    assert child.stdout.readline().strip() == "[]"
    assert child.wait(30) == 0
    a[3:5] = 1
    equal(handle, a)


# ---- meanwhile ----

def test_busy_and_progress(large, als):
    steps = []
    thread, outcome, handle, a = slow_move(als, 3, steps=steps)
    seen = set()
    try:
        wait_for(lambda: handle.info["busy"] or not thread.is_alive(), 20 * PATIENCE)
        if thread.is_alive():
            for use in (handle.free, handle.copy, lambda: als.create_matrix((2, 2)), lambda: als.load_library("hello"),
                        lambda: handle.append_rows(a[:1]), lambda: handle.write(a[:1])):
                try:
                    use()
                except alchemist.BusyError as error:
                    seen.add(re.search(r"being moved to 3 workers|move to 3 workers", str(error)).group())
            np.testing.assert_array_equal(handle[5:6, :7], a[5:6, :7])
    finally:
        thread.join(60)
    assert isinstance(outcome[0], list), outcome
    assert seen and steps
    assert steps == sorted(steps) and all(0 <= done <= total == a.nbytes for done, total in steps)
    equal(handle, a)


def test_canceled(large, als):
    a = array((2000, 1000))
    handle = als.send_matrix(a)
    pids = [w.pid for w in als.workers]
    with pytest.raises(TimeoutError):
        als.request_workers(3, timeout=0, move=True)
    with pytest.raises(alchemist.BusyError, match="a request for 2 ends that"):
        als.request_workers(4, move=True)
    assert [w.pid for w in als.request_workers(2)] == pids
    handle.write(a + 1)
    equal(handle, a + 1)
    wait_for(lambda: len(als.list_inactive_workers()) == 5, 10 * PATIENCE)
    als.request_workers(3, move=True)
    equal(handle, a + 1)


def test_the_session_ends_meanwhile(large):
    with large.connect(workers=2) as als:
        als.send_matrix(array((2000, 1000)))
        with pytest.raises(TimeoutError):
            als.request_workers(3, timeout=0.05, move=True)
        with large.connect() as other:
            pids = [w.pid for w in other.list_all_workers() if w.pid]
    wait_for(large.idle, 10 * PATIENCE, "all slots idle")
    assert not [pid for pid in pids if alive(pid)]


# ---- what goes wrong ----

def test_not_enough_slots(als):
    handle = als.send_matrix(array((5, 5)))
    with pytest.raises(alchemist.NoSlotsError, match=r"beside the 2 .* 6 workers requested, 5 of 7 .*--workers"):
        als.request_workers(6, move=True)
    equal(handle, array((5, 5)))


def test_a_running_task(als):
    faults = als.load_library("faults")
    handle = als.send_matrix(array((5, 5)))
    task = faults.busy.submit(30)
    with pytest.raises(alchemist.BusyError, match="a task"):
        als.request_workers(3, move=True)
    task.cancel()
    with pytest.raises(alchemist.CanceledError):
        task.result(20)
    als.request_workers(3, move=True)
    equal(handle, array((5, 5)))


def test_memory_limit(own_daemon):
    daemon = own_daemon(4, "--memory-limit", "8M")
    with daemon.connect(workers=3) as als:
        a = array((1000, 2000))
        handle = als.send_matrix(a)
        with pytest.raises(alchemist.LimitError, match=r"matrix \d+ .*needs 16.* on worker 4.*--memory-limit"):
            als.request_workers(1, move=True)
        equal(handle, a)
        handle.write(a + 1)
        wait_for(lambda: len(als.list_inactive_workers()) == 1, 10 * PATIENCE)


def test_a_new_worker_dies(large, als):
    thread, outcome, handle, a = slow_move(als, 3)
    try:
        for worker in spawned(large, als, 3):
            os.kill(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        thread.join(60)
    assert isinstance(outcome[0], alchemist.GroupLostError) and "signal 9" in str(outcome[0]), outcome
    assert len(als.workers) == 2
    equal(handle, a)
    handle.write(a[:2] + 1)
    als.request_workers(1, move=True)
    np.testing.assert_array_equal(handle[:3], np.vstack([a[:2] + 1, a[2:3]]))


def test_an_old_worker_dies(large, als):
    thread, outcome, handle, _ = slow_move(als, 3)
    victim = als.workers[1].pid
    new = spawned(large, als, 3)
    os.kill(victim, signal.SIGKILL)
    thread.join(60)
    assert isinstance(outcome[0], alchemist.AlchemistError), outcome
    wait_for(lambda: not [w for w in new if alive(w.pid)], 10 * PATIENCE, "the end of the new workers")
    with pytest.raises(alchemist.GroupLostError, match="signal 9"):
        handle.fetch((0, 0, 1, 1))
    try:
        als.request_workers(3)
    except alchemist.AlchemistError:  # how the move ended, if nobody was there to be told
        als.request_workers(3)
    equal(als.send_matrix(np.eye(3)), np.eye(3))


def test_an_old_worker_stops(own_daemon):
    daemon = own_daemon(5, "--io-timeout", "1500")
    with daemon.connect(workers=2) as als:
        a = np.random.default_rng(1).random((25000, 1000))
        handle = als.send_matrix(a, layout="MC_MR")
        victim = als.workers[1]
        stopped = []

        def stop(done, total):
            if done and not stopped:
                os.kill(victim.pid, signal.SIGSTOP)
                stopped.append(done)

        for count in (3, 1, 3, 1, 3):  # until one is caught half way
            try:
                als.request_workers(count, timeout=50, move=True, progress=stop)
            except TimeoutError as error:
                # In mid-message, or while it is connected to.
                assert re.search(rf"worker {victim.id} at .*(--io-timeout|in time)", str(error)), error
                break
            finally:
                with contextlib.suppress(ProcessLookupError):  # of a move that was done nobody is left
                    if stopped:
                        os.kill(victim.pid, signal.SIGCONT)
            stopped.clear()
            victim = als.workers[0]
        else:
            pytest.skip("every move was over before its worker could be stopped")
        assert victim.pid in [w.pid for w in als.workers]
        equal(handle, a)
        handle.write(a[:3])


def resident(pid, what="VmHWM"):
    """KiB."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(rf"{what}:\s+(\d+) kB", file.read()).group(1))


def test_no_memory_beyond_the_bound(own_daemon):
    daemon = own_daemon(3, "--keep-memory", "0")
    with daemon.connect(workers=1) as als:
        small = als.send_matrix(array((100, 100)))
        als.request_workers(2, move=True)
        base = [resident(w.pid) for w in als.workers]
        small.free()
    wait_for(daemon.idle, 10 * PATIENCE)
    with daemon.connect(workers=1) as als:
        a = np.random.default_rng(2).random((8192, 4096))  # 256 MB
        handle = als.send_matrix(a, layout="VC_STAR")
        als.request_workers(2, move=True)
        for worker, before in zip(als.workers, base):
            assert resident(worker.pid) - before < a.nbytes / 2 / 1024 + 24 * 1024
        equal(handle, a)
