"""request_workers(move=True): the matrices move to a group of another size, or nothing changes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import types

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import Daemon, PATIENCE, TOP, alive, wait_for, wait_for_exit

LAYOUTS = [None, *NAMES, "block_cyclic(5,3)", "block_cyclic(1,1)"]
DTYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]


@pytest.fixture(scope="module")
def large():
    """A daemon with room for two groups."""
    d = Daemon(7)
    yield d
    d.stop()


@pytest.fixture
def als(large):
    with large.connect(workers=2) as session:
        yield session
    large.wait_until_idle()


def array(shape, dtype="float64", seed=3):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1000, 1000, shape).astype(dtype)
    return a + 1j * rng.integers(-1000, 1000, shape).astype(dtype) if np.dtype(dtype).kind == "c" else a


def equal(handle, a):
    np.testing.assert_array_equal(np.asarray(handle), a)


class SlowMove:
    """A move that takes a while, in a separate thread.

    `result` is the list of workers or the exception once `join()` has returned. `steps` are the progress reports.
    """

    def __init__(self, als, count, megabytes=200):
        self.array = np.random.default_rng(1).random((megabytes << 17) // 1000 * 1000).reshape(-1, 1000)
        self.handle = als.send_matrix(self.array, layout="MC_MR")
        self.result, self.steps = None, []
        self._thread = threading.Thread(target=self._run, args=(als, count))
        self._thread.start()

    def _run(self, als, count):
        try:
            self.result = als.request_workers(count, move=True, progress=lambda *now: self.steps.append(now))
        except BaseException as error:
            self.result = error

    def running(self):
        return self._thread.is_alive()

    def join(self):
        self._thread.join(60)
        assert not self.running(), "the move has not ended"


def wait_for_new_workers(daemon, als, count):
    """Wait until the second group of a session has `count` processes, and return its workers."""
    own = {w.pid for w in als.workers}

    def found():
        with daemon.connect() as other:
            new = [w for w in other.list_all_workers() if w.session == als.id and w.pid and w.pid not in own]
        return new if len(new) >= count else None

    return wait_for(found, 20 * PATIENCE, "the second group")


# ---- what moves ----

@pytest.mark.parametrize("counts", [(3,), (1,), (5, 2), (4, 1, 3)])
def test_matrices_of_every_layout_move_and_stay_writable(als, counts):
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
def test_matrices_of_every_dtype_move(als, dtype):
    a = array((300, 71), dtype)
    one, two = als.send_matrix(a), als.send_matrix(a, layout="STAR_STAR")
    als.request_workers(3, move=True)
    assert one.dtype == dtype
    equal(one, a)
    equal(two, a)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (1, 1), (1, 4000), (4000, 1)])
def test_matrices_of_odd_shapes_move(als, shape):
    a = array(shape)
    handles = [als.send_matrix(a, layout=layout) for layout in (None, "VC_STAR", "STAR_MC", "CIRC_CIRC")]
    als.request_workers(3, move=True)
    for handle in handles:
        assert handle.shape == shape
        equal(handle, a)


@pytest.fixture(params=[None, "VR_STAR", "STAR_VC", "MC_STAR", "block_cyclic(1,1)"], ids=str)
def partly_written(als, request):
    """A matrix of which four rectangles are written, its array, and the number of entries that are missing."""
    a = array((90, 80))
    handle = als.create_matrix(a.shape, layout=request.param)
    for row, col, rows, cols in ((0, 0, 40, 80), (41, 3, 1, 70), (60, 10, 29, 3), (89, 79, 1, 1)):
        handle.write(a[row:row + rows, col:col + cols], row=row, col=col)
    return types.SimpleNamespace(handle=handle, array=a, missing=count_missing(handle))


def count_missing(handle):
    return sum(m * n for _, _, m, n in handle.missing(1000))


def test_the_written_part_of_a_matrix_moves_and_the_rest_stays_missing(als, partly_written):
    handle, a = partly_written.handle, partly_written.array
    for count in (3, 1, 2):
        als.request_workers(count, move=True)
        assert count_missing(handle) == partly_written.missing
        np.testing.assert_array_equal(handle[:40], a[:40])
        np.testing.assert_array_equal(handle[41:42, 3:73], a[41:42, 3:73])
        with pytest.raises(alchemist.IncompleteError):
            handle.fetch((40, 0, 2, 80))


def test_a_moved_matrix_is_completed_by_what_was_missing(als, partly_written):
    handle, a = partly_written.handle, partly_written.array
    als.request_workers(3, move=True)
    assert handle.resume(a) < a.nbytes * handle.replicas
    equal(handle, a)


def test_a_matrix_with_every_second_row_written_moves(als):
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


def test_a_matrix_that_grew_moves_and_grows_again(als):
    a = array((400, 9))
    handle = als.send_matrix(a[:10])
    for row in range(10, 400, 39):
        handle.append_rows(a[row:row + 39])
    als.request_workers(3, move=True)
    equal(handle, a)
    handle.append_rows(a[:5])
    equal(handle, np.vstack([a, a[:5]]))


def test_a_matrix_replaced_in_place_moves_with_all_its_handles(als):
    a = array((40, 30))
    handle = als.send_matrix(a)
    other = als.matrix(handle.id)
    handle.transpose(in_place=True)
    als.request_workers(3, move=True)
    equal(handle, a.T)
    equal(other, a.T)  # request_workers() refreshes the handles of its session
    handle.relayout("VC_STAR", in_place=True)
    als.request_workers(1, move=True)
    equal(handle, a.T)


def test_libraries_are_loaded_in_the_new_group(als):
    a = array((60, 40))
    handle = als.send_matrix(a)
    hello = als.load_library("hello")
    assert hello.total(handle) == a.sum()
    als.request_workers(3, move=True)
    assert "hello" in [name.lower() for name in als.list_loaded_libraries()]
    assert hello.total(handle) == a.sum()


def test_moved_matrices_can_be_transformed(als):
    a = array((60, 40))
    handle = als.send_matrix(a)
    als.request_workers(3, move=True)
    equal(handle.transpose(), a.T)


def test_a_move_without_matrices_gives_the_new_workers(als):
    assert len(als.request_workers(3, move=True)) == len(als.workers) == 3


def test_a_move_to_the_same_number_keeps_the_workers(als):
    als.send_matrix(array((5, 5)))
    pids = [w.pid for w in als.workers]
    assert [w.pid for w in als.request_workers(2, move=True)] == pids


def test_another_number_of_workers_without_move_is_refused_while_there_are_matrices(als):
    handle = als.send_matrix(array((5, 5)))
    with pytest.raises(alchemist.BusyError, match="would lose 1 matrix"):
        als.request_workers(3)
    handle.free()
    assert len(als.request_workers(3)) == 3


def test_an_attached_process_reads_and_writes_the_moved_matrix(als):
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
    child.stdin.write("continue\n")
    child.stdin.flush()
    assert float(child.stdout.readline()) == a.sum()
    assert child.stdout.readline().strip() == "[]"
    assert child.wait(30) == 0
    a[3:5] = 1
    equal(handle, a)


# ---- during a move ----

@pytest.fixture(scope="module")
def observed_move(large):
    """A move during which its matrix was used.

    `refusals` are the texts of the errors by operation. `entries` were fetched during the move, `final` after it.
    """
    with large.connect(workers=2) as als:
        move, refusals, entries = SlowMove(als, 3), {}, None
        handle, a = move.handle, move.array
        try:
            wait_for(lambda: handle.info["busy"] or not move.running(), 20 * PATIENCE, "the start of the move")
            if move.running():
                uses = {"free": handle.free, "copy": handle.copy, "create": lambda: als.create_matrix((2, 2)),
                        "load_library": lambda: als.load_library("hello"), "append": lambda: handle.append_rows(a[:1]),
                        "write": lambda: handle.write(a[:1])}
                for name, use in uses.items():
                    try:
                        use()
                    except alchemist.BusyError as error:
                        refusals[name] = str(error)
                entries = handle[5:6, :7]
        finally:
            move.join()
        final = np.asarray(handle)
    large.wait_until_idle()
    return types.SimpleNamespace(move=move, refusals=refusals, entries=entries, final=final)


def test_operations_during_a_move_are_refused_with_the_reason(observed_move):
    """Some operations may come after the end of the move, and are then not refused."""
    assert observed_move.refusals
    for text in observed_move.refusals.values():
        assert re.search(r"being moved to 3 workers|move to 3 workers", text)


def test_a_matrix_can_be_fetched_during_its_move(observed_move):
    np.testing.assert_array_equal(observed_move.entries, observed_move.move.array[5:6, :7])


def test_a_move_reports_its_progress_in_bytes(observed_move):
    steps, size = observed_move.move.steps, observed_move.move.array.nbytes
    assert steps and steps == sorted(steps)
    assert all(0 <= done <= total == size for done, total in steps)


def test_a_matrix_is_complete_after_its_move(observed_move):
    assert isinstance(observed_move.move.result, list), observed_move.move.result
    np.testing.assert_array_equal(observed_move.final, observed_move.move.array)


@pytest.fixture
def pending_move(als):
    """A matrix, its array, and the pids of its workers, after a move to 3 workers was started and not waited for."""
    a = array((2000, 1000))
    handle = als.send_matrix(a)
    pids = [w.pid for w in als.workers]
    with pytest.raises(TimeoutError):
        als.request_workers(3, timeout=0, move=True)
    return types.SimpleNamespace(handle=handle, array=a, pids=pids)


def test_a_second_move_during_a_move_is_refused(als, pending_move):
    with pytest.raises(alchemist.BusyError, match="a request for 2 workers cancels the move"):
        als.request_workers(4, move=True)


def test_a_request_for_the_present_number_cancels_a_move(large, als, pending_move):
    handle, a = pending_move.handle, pending_move.array
    assert [w.pid for w in als.request_workers(2)] == pending_move.pids
    handle.write(a + 1)
    equal(handle, a + 1)
    wait_for(lambda: len(als.list_inactive_workers()) == 5, 10 * PATIENCE, "the end of the second group")


def test_a_move_after_a_canceled_move_succeeds(als, pending_move):
    als.request_workers(2)
    wait_for(lambda: len(als.list_inactive_workers()) == 5, 10 * PATIENCE, "the end of the second group")
    als.request_workers(3, move=True)
    equal(pending_move.handle, pending_move.array)


def test_a_session_that_ends_during_a_move_ends_both_groups(large):
    with large.connect(workers=2) as als:
        als.send_matrix(array((2000, 1000)))
        with pytest.raises(TimeoutError):
            als.request_workers(3, timeout=0.05, move=True)
        with large.connect() as other:
            pids = [w.pid for w in other.list_all_workers() if w.pid]
    large.wait_until_idle()
    assert not any(alive(pid) for pid in pids)


# ---- moves that fail ----

def test_a_move_without_enough_free_slots_is_refused(als):
    handle = als.send_matrix(array((5, 5)))
    with pytest.raises(alchemist.NoSlotsError, match=r"in addition to the 2 .* 6 workers were .* 5 of 7 .*--workers"):
        als.request_workers(6, move=True)
    equal(handle, array((5, 5)))


def test_a_move_during_a_task_is_refused_until_the_task_has_ended(als):
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


def test_a_move_over_the_memory_limit_fails_and_the_matrix_stays(own_daemon):
    daemon = own_daemon(4, "--memory-limit", "8M")
    with daemon.connect(workers=3) as als:
        a = array((1000, 2000))
        handle = als.send_matrix(a)
        with pytest.raises(alchemist.LimitError, match=r"matrix \d+ .*needs 16.* on worker 4.*--memory-limit"):
            als.request_workers(1, move=True)
        equal(handle, a)
        handle.write(a + 1)
        wait_for(lambda: len(als.list_inactive_workers()) == 1, 10 * PATIENCE, "the end of the second group")


def test_a_move_fails_and_the_matrix_stays_when_a_new_worker_dies(large, als):
    move = SlowMove(als, 3)
    try:
        with contextlib.suppress(ProcessLookupError):
            for worker in wait_for_new_workers(large, als, 3):
                os.kill(worker.pid, signal.SIGKILL)
    finally:
        move.join()
    handle, a = move.handle, move.array
    assert isinstance(move.result, alchemist.GroupLostError) and "signal 9" in str(move.result), move.result
    assert len(als.workers) == 2
    equal(handle, a)
    handle.write(a[:2] + 1)
    als.request_workers(1, move=True)
    np.testing.assert_array_equal(handle[:3], np.vstack([a[:2] + 1, a[2:3]]))


@pytest.fixture
def move_without_old_worker(large, als):
    """A move that has ended after one of the old workers was killed, with the workers of the second group."""
    move = SlowMove(als, 3)
    victim = als.workers[1].pid
    move.new = wait_for_new_workers(large, als, 3)
    os.kill(victim, signal.SIGKILL)
    move.join()
    return move


def test_a_move_fails_and_the_matrix_is_lost_when_an_old_worker_dies(move_without_old_worker):
    move = move_without_old_worker
    assert isinstance(move.result, alchemist.AlchemistError), move.result
    wait_for_exit([w.pid for w in move.new], 10 * PATIENCE, "the end of the new workers")
    with pytest.raises(alchemist.GroupLostError, match="signal 9"):
        move.handle.fetch((0, 0, 1, 1))


def test_a_session_gets_new_workers_after_an_old_worker_died_during_a_move(als, move_without_old_worker):
    try:
        als.request_workers(3)
    except alchemist.AlchemistError:  # the outcome of the move, if no request was waiting for it when it ended
        als.request_workers(3)
    equal(als.send_matrix(np.eye(3)), np.eye(3))


def test_a_move_times_out_and_the_matrix_stays_when_an_old_worker_stops(own_daemon):
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

        for count in (3, 1, 3, 1, 3):  # until a move is stopped halfway
            try:
                als.request_workers(count, timeout=50, move=True, progress=stop)
            except TimeoutError as error:
                # The new workers wait for a message, or for a connection.
                assert re.search(rf"worker {victim.id} at .*(--io-timeout|in time)", str(error)), error
                break
            finally:
                with contextlib.suppress(ProcessLookupError):  # the move succeeded: the old workers have ended
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
    """A figure of a process's status in KiB, by default the largest resident memory so far."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(rf"{what}:\s+(\d+) kB", file.read()).group(1))


def test_a_move_needs_little_memory_beyond_the_matrix(own_daemon):
    daemon = own_daemon(3, "--keep-memory", "0")
    with daemon.connect(workers=1) as als:
        small = als.send_matrix(array((100, 100)))
        als.request_workers(2, move=True)
        base = [resident(w.pid) for w in als.workers]
        small.free()
    daemon.wait_until_idle()
    with daemon.connect(workers=1) as als:
        a = np.random.default_rng(2).random((8192, 4096))  # 256 MB
        handle = als.send_matrix(a, layout="VC_STAR")
        als.request_workers(2, move=True)
        for worker, before in zip(als.workers, base):
            assert resident(worker.pid) - before < a.nbytes / 2 / 1024 + 24 * 1024
        equal(handle, a)
