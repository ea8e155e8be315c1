"""Many senders: processes that attach to one session and write disjoint parts of one matrix. See executor.c.

The tests count open sockets, since how many connections a client makes is part of the contract.
"""

import contextlib
import os
import subprocess
import threading
import time

import numpy as np
import pytest

import alchemist
from harness import BUILD, Daemon, PATIENCE, SANITIZED, TOP, run_in_threads, wait_for

STATE_MAX = 64 << 10  # bytes that a worker may keep for a connection


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    program = tmp_path_factory.mktemp("executor") / "executor"
    sanitizers = ["-fsanitize=address,undefined"] if SANITIZED else []
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *sanitizers, "-o", program, f"-I{TOP}/include",
                    TOP / "test" / "integration" / "executor.c", f"-L{BUILD}/lib", "-lalchemist-client",
                    f"-Wl,-rpath,{BUILD}/lib", "-pthread"], check=True)
    return program


@pytest.fixture(scope="module")
def many():
    """A daemon whose workers accept more connections than by default."""
    d = Daemon(4, "--connections", "1000")
    yield d
    d.stop()


def environment(als):
    """The environment of executors. The key of the session is not an argument, since other users can see arguments."""
    ticket = als.ticket
    return {**os.environ, "EXECUTOR_ADDRESS": ticket.address, "EXECUTOR_SESSION": str(ticket.id),
            "EXECUTOR_KEY": ticket.key}


def run(executor, als, mode, count, h):
    ended = subprocess.run([executor, mode, str(count), str(h.id)], env=environment(als), capture_output=True,
                           text=True, timeout=50 * PATIENCE, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0, ended.stderr


@contextlib.contextmanager
def running(executor, als, mode, count, h):
    """Executors that have written once and keep their connections inside the block. All must succeed by its end."""
    process = subprocess.Popen([executor, mode, str(count), str(h.id)], env=environment(als),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line == "ready\n", line + process.communicate()[1]
        yield process
        out, err = process.communicate(timeout=50 * PATIENCE)
        assert process.returncode == 0, err
    finally:
        process.kill()
        process.communicate()


def pattern(shape):
    return np.arange(shape[0] * shape[1], dtype=float).reshape(shape)


def sockets(worker):
    """The number of open sockets of a worker."""
    path, count = f"/proc/{worker.pid}/fd", 0
    for fd in os.listdir(path):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"{path}/{fd}").startswith("socket:")
    return count


def resident(worker):
    """Resident bytes of a worker, without memory that it shares: at most 32 connections use rings in shared memory."""
    with open(f"/proc/{worker.pid}/statm") as file:
        pages = file.read().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def wait_for_closed_connections(als, before):
    """Wait until each worker has at most two sockets, those of the session itself, more than before."""
    wait_for(lambda: all(sockets(w) <= b + 2 for w, b in zip(als.workers, before)), 5 * PATIENCE,
             "the end of the executors' connections")


def test_64_processes_write_one_matrix_and_close_their_connections(executor, many):
    shape = (6400, 30)
    with many.connect(workers=4) as als:
        before = [sockets(w) for w in als.workers]
        h = als.create_matrix(shape)
        run(executor, als, "write", 64, h)
        assert np.array_equal(np.asarray(h), pattern(shape))
        wait_for_closed_connections(als, before)


def test_a_matrix_is_incomplete_until_its_last_writer_has_written(many):
    with many.connect(workers=2) as als, contextlib.closing(alchemist.attach(als.ticket)) as attached:
        h = als.create_matrix((64, 10))
        attached.matrix(h.id).write(np.ones((32, 10)))
        with pytest.raises(alchemist.AlchemistError, match="row"):
            h.fetch()
        attached.matrix(h.id).write(np.ones((32, 10)), row=32)
        assert np.asarray(h).sum() == 640


@pytest.mark.parametrize("mode", ["hold", "loop"])
def test_a_worker_keeps_little_memory_for_each_of_400_connections(executor, many, mode, record_property):
    """The bound holds for connections that are idle ("hold") and for connections that all send at once ("loop")."""
    shape, count = (120000, 4), 400
    with many.connect(workers=4) as als:
        h = als.create_matrix(shape, layout="VC_STAR")
        run(executor, als, "write", 16, h)
        before = [(sockets(w), resident(w)) for w in als.workers]
        with running(executor, als, mode, count, h):
            if mode == "loop":
                time.sleep(1)  # the scenario: all connections send for a second
            for worker, (connections, memory) in zip(als.workers, before):
                more = sockets(worker) - connections
                each = (resident(worker) - memory) / more
                print(f"{mode}: worker {worker.id}: {more} connections, {each / 1024:.1f} KiB each")
                record_property(f"worker {worker.id}", each)
                assert more >= count - 20  # some sockets that were counted before may have closed since
                assert each < STATE_MAX or SANITIZED
            assert np.asarray(als.send_matrix(np.eye(40))).trace() == 40, "another transfer does not get through"
        assert np.array_equal(np.asarray(h), pattern(shape))
        wait_for_closed_connections(als, [connections for connections, _ in before])


def test_sessions_of_one_process_that_take_turns_share_one_connection(executor, many):
    """Twelve sessions of one process need one connection to each worker while they take turns.

    Afterwards they all write at once, over as many connections as they need.
    """
    shape = (24000, 4)
    with many.connect(workers=4) as als:
        h = als.create_matrix(shape, layout="VC_STAR")
        before = [sockets(w) for w in als.workers]
        with running(executor, als, "share", 12, h):
            assert [sockets(w) for w in als.workers] == [n + 1 for n in before]
        assert np.array_equal(np.asarray(h), pattern(shape))


def test_a_client_connects_only_to_workers_that_hold_a_part_of_the_rectangle(many):
    with many.connect(workers=4, shared_memory=0) as als:
        h = als.create_matrix((400, 8))
        before = [sockets(w) for w in als.workers]
        h.write(np.ones((1, 1)))
        assert sum(sockets(w) - n for w, n in zip(als.workers, before)) == 1


def test_large_transfers_do_not_starve_a_small_one(executor, many):
    """Eight processes always have more to send."""
    with many.connect(workers=2) as als:
        big = als.create_matrix((8000, 2000))
        with running(executor, als, "loop", 8, big) as process:
            for _ in range(3):
                begun = time.monotonic()
                small = als.send_matrix(np.eye(40))
                assert np.asarray(small).trace() == 40
                assert time.monotonic() - begun < 3 * PATIENCE
            assert process.poll() is None
        assert np.array_equal(np.asarray(big), pattern((8000, 2000)))


@pytest.fixture
def used_up(executor, own_daemon):
    """A daemon that accepts four connections, a matrix of its session, and a function that runs three executors.

    While the executors run, the daemon accepts no further connection, and its worker accepts one more.
    """
    daemon = own_daemon(1, "--connections", "4")
    with daemon.connect(workers=1, shared_memory=0) as als:
        h = als.create_matrix((3000, 20), layout="VC_STAR")
        big = als.create_matrix((4000, 4000))
        yield daemon, big, lambda: running(executor, als, "hold", 3, h)


def test_a_session_over_the_limit_of_connections_is_refused_with_the_option(used_up):
    daemon, _, executors = used_up
    with executors():
        with pytest.raises(alchemist.AlchemistError, match=r"--connections"):
            daemon.connect()


def test_a_transfer_over_the_limit_of_connections_is_refused_with_worker_and_option(used_up):
    """Two threads write at once, and only one connection to the worker is left."""
    _, big, executors = used_up
    data, stop, errors = np.ones((4000, 4000)), threading.Event(), []

    def write_until_refused():
        end = time.monotonic() + 20 * PATIENCE
        while not stop.is_set() and time.monotonic() < end:
            try:
                big.write(data)
            except alchemist.AlchemistError as error:
                errors.append(error)
                stop.set()

    with executors():
        run_in_threads(write_until_refused, write_until_refused)
        assert errors and "--connections" in str(errors[0]) and "worker 1" in str(errors[0]), errors
    big.write(data)


def test_two_writers_of_one_rectangle_break_nothing(many):
    """It is not defined which of them wins. A later write overwrites both."""
    with many.connect(workers=3) as als:
        h = als.create_matrix((900, 700))

        def write(value):
            with contextlib.closing(alchemist.attach(als.ticket)) as session:
                for _ in range(10):
                    session.matrix(h.id).write(np.full((900, 700), value))

        run_in_threads(lambda: write(1.0), lambda: write(2.0))
        assert h.complete
        assert set(np.unique(np.asarray(h))) <= {1.0, 2.0}
        h.write(np.full((900, 700), 3.0))
        assert (np.asarray(h) == 3.0).all()


def test_a_forked_child_does_not_disturb_the_connections_of_its_parent(many):
    with many.connect(workers=2) as als:
        h = als.send_matrix(np.zeros((100, 100)))
        ticket, number = als.ticket, h.id
        child = os.fork()
        if child == 0:
            code = 1
            try:
                als.close()
                session = alchemist.attach(ticket)
                session.matrix(number).write(np.ones((50, 100)))
                session.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        h.write(np.ones((50, 100)), row=50)
        assert np.asarray(h).sum() == 10000
