"""Many senders: processes that attach to one session and write disjoint parts of one matrix."""

import contextlib
import os
import pathlib
import subprocess
import threading
import time

import numpy as np
import pytest

import alchemist
from harness import BUILD, Daemon, PATIENCE, SANITIZED, wait_for

TOP = pathlib.Path(__file__).parents[2]
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
    """A daemon that serves more than it does by default."""
    d = Daemon(4, "--connections", "1000")
    yield d
    d.stop()


def environment(als):
    """The key of a session stands in nobody's arguments."""
    ticket = als.ticket
    return {**os.environ, "EXECUTOR_ADDRESS": ticket.address, "EXECUTOR_SESSION": str(ticket.id),
            "EXECUTOR_KEY": ticket.key}


def run(executor, als, mode, count, h):
    ended = subprocess.run([executor, mode, str(count), str(h.id)], env=environment(als), capture_output=True,
                           text=True, timeout=50 * PATIENCE, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0, ended.stderr


@contextlib.contextmanager
def running(executor, als, mode, count, h):
    """Executors that have written once and keep their connections; all must have ended well at the end."""
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
    """Open sockets of a worker."""
    path, count = f"/proc/{worker.pid}/fd", 0
    for fd in os.listdir(path):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"{path}/{fd}").startswith("socket:")
    return count


def resident(worker):
    """Bytes of a worker's own that are in memory: the rings that 32 connections at most share are not."""
    with open(f"/proc/{worker.pid}/statm") as file:
        pages = file.read().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def test_64_processes_against_4_workers(executor, many):
    shape = (6400, 30)
    with many.connect(workers=4) as als:
        before = [sockets(w) for w in als.workers]
        h = als.create_matrix(shape)
        run(executor, als, "write", 64, h)
        assert np.array_equal(np.asarray(h), pattern(shape))
        wait_for(lambda: all(sockets(w) <= b + 2 for w, b in zip(als.workers, before)), 5 * PATIENCE,
                 "the end of the executors' connections")


def test_an_incomplete_matrix_when_one_is_missing(executor, many):
    """An executor that never comes leaves its rows unwritten, and it shows."""
    with many.connect(workers=2) as als:
        h = als.create_matrix((64, 10))
        attached = alchemist.attach(als.ticket)
        attached.matrix(h.id).write(np.ones((32, 10)))
        with pytest.raises(alchemist.AlchemistError, match="row"):
            h.fetch()
        attached.matrix(h.id).write(np.ones((32, 10)), row=32)
        attached.close()
        assert np.asarray(h).sum() == 640


@pytest.mark.parametrize("mode", ["hold", "loop"])
def test_several_hundred_connections(executor, many, mode, record_property):
    """What a worker keeps for each of them is bounded, whether they are idle or all send at once."""
    shape, count = (120000, 4), 400
    with many.connect(workers=4) as als:
        h = als.create_matrix(shape, layout="VC_STAR")
        run(executor, als, "write", 16, h)
        before = [(sockets(w), resident(w)) for w in als.workers]
        with running(executor, als, mode, count, h):
            if mode == "loop":
                time.sleep(1)
            for worker, (connections, memory) in zip(als.workers, before):
                more = sockets(worker) - connections
                each = (resident(worker) - memory) / more
                print(f"{mode}: worker {worker.id}: {more} connections, {each / 1024:.1f} KiB each")
                record_property(f"worker {worker.id}", each)
                assert more >= count - 20  # some of those before may have been closing
                assert each < STATE_MAX or SANITIZED
            small = als.send_matrix(np.eye(40))
            assert np.asarray(small).trace() == 40
        assert np.array_equal(np.asarray(h), pattern(shape))
        wait_for(lambda: all(sockets(w) <= n + 2 for w, (n, _) in zip(als.workers, before)), 5 * PATIENCE,
                 "the end of the executors' connections")


def test_one_process_shares_its_connections(executor, many):
    """Twelve sessions of one process: one connection to each worker while they take turns, then as many as needed."""
    shape = (24000, 4)
    with many.connect(workers=4) as als:
        h = als.create_matrix(shape, layout="VC_STAR")
        before = [sockets(w) for w in als.workers]
        with running(executor, als, "share", 12, h):
            assert [sockets(w) for w in als.workers] == [n + 1 for n in before]
        assert np.array_equal(np.asarray(h), pattern(shape))


def test_only_workers_with_a_part_are_connected_to(many):
    with many.connect(workers=4, shared_memory=0) as als:
        h = als.create_matrix((400, 8))
        before = [sockets(w) for w in als.workers]
        h.write(np.ones((1, 1)))
        assert sum(sockets(w) - n for w, n in zip(als.workers, before)) == 1


def test_a_small_transfer_beside_big_ones(executor, many):
    """Eight that always have more to send do not starve one that has little."""
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


def test_the_limit_of_connections_is_named(executor, own_daemon):
    daemon = own_daemon(1, "--connections", "4")
    with daemon.connect(workers=1, shared_memory=0) as als:
        h = als.create_matrix((3000, 20), layout="VC_STAR")
        big = als.create_matrix((4000, 4000))
        data, stop, seen = np.ones((4000, 4000)), threading.Event(), []

        def attempt():
            while not stop.is_set():
                try:
                    big.write(data)
                except alchemist.AlchemistError as error:
                    seen.append(error)
                    stop.set()

        with running(executor, als, "hold", 3, h):
            with pytest.raises(alchemist.AlchemistError, match=r"--connections"):
                daemon.connect()
            threads = [threading.Thread(target=attempt) for _ in range(2)]
            for thread in threads:
                thread.start()
            stop.wait(20 * PATIENCE)
            stop.set()
            for thread in threads:
                thread.join()
            assert seen and "--connections" in str(seen[0]) and "worker 1" in str(seen[0]), seen
        big.write(data)


def test_two_writers_of_one_rectangle(many):
    """Which of them wins is open; nothing breaks, and the next write counts."""
    with many.connect(workers=3) as als:
        h = als.create_matrix((900, 700))
        failures = []

        def write(value):
            try:
                with contextlib.closing(alchemist.attach(als.ticket)) as session:
                    for _ in range(10):
                        session.matrix(h.id).write(np.full((900, 700), value))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(value,)) for value in (1.0, 2.0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and h.complete
        assert set(np.unique(np.asarray(h))) <= {1.0, 2.0}
        h.write(np.full((900, 700), 3.0))
        assert (np.asarray(h) == 3.0).all()


def test_a_forked_child_leaves_its_parents_connections_alone(many):
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
