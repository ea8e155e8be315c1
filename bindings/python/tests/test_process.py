"""The interpreter around a session: Ctrl-C, fork, exit, a machine without MPI, a server of one's own."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import alchemist

from harness import PATIENCE, SANITIZED, alive, wait_for

PATH = str(pathlib.Path(alchemist.__file__).parents[1])


def script(code, **substitutions):
    """A Python program that starts like this test does."""
    code = textwrap.dedent(code)
    for name, value in substitutions.items():
        code = code.replace(f"<{name}>", repr(value))
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {PATH!r})\nimport alchemist, numpy as np, os, time\n" + code]


def interrupted(act, after=0.3):
    """Run `act` in the main thread, send Ctrl-C after a while; returns how long it took to be seen."""
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            act()
        return time.monotonic() - sent[0]
    finally:
        timer.cancel()


def test_interrupt_of_a_task(als):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((20, 20)))
    assert interrupted(lambda: lib.busy(60.0)) < 0.3 * PATIENCE
    # Transfers go on working while it cancels; then the session is as usable as before.
    assert np.asarray(h).sum() == 400
    assert als.load_library("hello").total(h) == 400


def test_interrupt_of_a_task_that_does_not_look(als):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((20, 20)))
    task = lib.spin.submit(3.0)
    assert interrupted(task.result) < 0.3 * PATIENCE
    assert np.asarray(h).sum() == 400, "transfers work while the task shows cancelling"
    wait_for(lambda: task.state == "cancelling", 2)
    wait_for(task.done, 10 * PATIENCE)
    assert als.load_library("hello").total(h) == 400


def test_interrupt_of_transfers(als):
    a = np.random.default_rng(0).random((8000, 4000))
    h = als.send_matrix(a)

    def forever(act):
        while True:
            act()

    assert interrupted(lambda: forever(lambda: h.write(a))) < 0.5 * PATIENCE
    out = np.zeros_like(a)
    assert interrupted(lambda: forever(lambda: h.fetch(out=out))) < 0.5 * PATIENCE
    h.write(a)
    assert np.array_equal(np.asarray(h), a)


def test_interrupt_of_connect():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert interrupted(lambda: alchemist.connect(address, token="0" * 64)) < 0.3 * PATIENCE


def test_fork(als):
    """A child of fork can do no harm to its parent's session."""
    a = np.random.default_rng(0).random((50, 50))
    h = als.send_matrix(a)
    lib = als.load_library("hello")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        verdict = b"?"
        try:
            refused = 0
            for act in (lambda: np.asarray(h), als.list_matrices, lambda: lib.total(h), lambda: als.send_matrix(a), h.free,
                        lambda: als.request_workers(1)):
                try:
                    act()
                except alchemist.ForkedError:
                    refused += 1
            als.close()
            verdict = b"%d" % refused
        finally:
            os.write(write, verdict)
            os._exit(0)
    os.close(write)
    assert os.read(read, 10) == b"6"
    os.waitpid(pid, 0)
    assert np.array_equal(np.asarray(h), a) and abs(lib.total(h) - a.sum()) < 1e-9


def test_attach_from_another_process(als):
    a = np.random.default_rng(0).random((50, 50))
    h = als.create_matrix(a.shape)
    h.write(a[:25])
    code = script("""
        with alchemist.attach(<ticket>) as als:
            h = als.matrix(<id>)
            h.write(np.frombuffer(bytes.fromhex(<data>)).reshape(25, 50), 25, 0)
            print(np.asarray(h).sum(), als.worker_count)
        """, ticket=tuple(als.ticket), id=h.id, data=a[25:].tobytes().hex())
    ended = subprocess.run(code, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [str(a.sum()), "3"]
    assert np.array_equal(np.asarray(h), a), "the end of an executor does not end the session"
    ticket = als.ticket._replace(key="0" * 64)
    with pytest.raises(alchemist.AuthenticationError):
        alchemist.attach(ticket)
    with pytest.raises(alchemist.AlchemistError):
        alchemist.attach(als.ticket._replace(id=999999))


def test_local(tmp_path):
    with alchemist.local(workers=2) as als:
        pids = [als.daemon.process.pid, *(w.pid for w in als.workers)]
        directory = os.path.dirname(als.daemon.connection_file)
        lib = als.load_library("TestLib")
        s = np.asarray(lib.truncated_svd(als.send_matrix(np.diag([3.0, 2, 1])), 2).S)
        assert np.allclose(s.ravel(), [2, 3])
    wait_for(lambda: not any(alive(p) for p in pids), 5)
    assert not os.path.exists(directory)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('x')", "os.kill(os.getpid(), 9)", "os._exit(0)",
                                 "os.kill(os.getpid(), 15)"])
def test_local_ends_with_its_interpreter(end):
    code = script("""
        als = alchemist.local(workers=2)
        print(als.daemon.process.pid, *[w.pid for w in als.workers], flush=True)
        """ + end)
    ended = subprocess.run(code, capture_output=True, text=True, timeout=60)
    pids = [int(p) for p in ended.stdout.split()]
    assert len(pids) == 3
    wait_for(lambda: not any(alive(p) for p in pids), 10, "the end of daemon and workers")


def test_without_alchemistd(monkeypatch, tmp_path):
    monkeypatch.setenv("ALCHEMIST_DAEMON", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        alchemist.local()


def test_a_daemon_that_does_not_start():
    with pytest.raises(alchemist.ConnectError, match="no-such-option"):
        alchemist.local(options=["--no-such-option"])


@pytest.mark.skipif(SANITIZED, reason="the sanitizer runtime must come first, which strace of the loader disturbs")
def test_without_mpi():
    """The binding works where MPI cannot be loaded: nothing of it is mapped, and its files may be gone."""
    code = script("""
        maps = open('/proc/self/maps').read()
        assert 'libmpi' not in maps and 'libalchemist-client' in maps, maps
        print(alchemist.Layout('VC_STAR'))
        """)
    hide = "mount --bind /dev/null $(readlink -f /usr/lib/x86_64-linux-gnu/libmpich.so.12) && "
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", hide + 'exec "$@"', "sh", *code], capture_output=True, text=True)
    if ended.returncode != 0 and "unshare" in ended.stderr + ended.stdout:
        ended = subprocess.run(code, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "VC_STAR"


def test_progress_of_a_transfer(als):
    seen = []
    a = np.random.default_rng(0).random((6000, 5000))
    h = als.send_matrix(a, progress=lambda done, total: seen.append((done, total)))
    assert all(0 <= d <= t == a.nbytes for d, t in seen) and seen == sorted(seen)
    h.free()


def test_text_with_nul_is_refused(daemon):
    """C would see what stands before it."""
    with daemon.connect(workers=1) as als:
        for call in (lambda: als.create_matrix((2, 2), name="a\0b"), lambda: als.create_matrix((2, 2), layout="MC_MR\0"),
                     lambda: als.load_library("hello\0"), lambda: als.load_library("hello").total("x\0y")):
            with pytest.raises(ValueError, match="NUL"):
                call()
        assert als.list_matrices() == []


def test_lines_say_what_failed(daemon, capsys):
    with daemon.connect(workers=1, verbose=True) as als:
        hello = als.load_library("hello")
        capsys.readouterr()
        with pytest.raises(alchemist.WrongTypeError):
            hello.total(3)
        assert capsys.readouterr().out.endswith("Alchemist started task 'total' ... failed\n")
        with pytest.raises(ValueError):
            als.send_matrix(np.ones((3, 3)), into=als.create_matrix((2, 2)))
        hello.total(als.send_matrix(np.ones((2, 2))))
        assert capsys.readouterr().out.splitlines()[-1].startswith("Alchemist started task 'total' ... done (")


def test_figure_3(daemon, capsys, monkeypatch):
    """The paper's listing, word for word but for the port, and what it prints."""
    import re

    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))
    import demo

    monkeypatch.setenv("ALCHEMIST_CONNECTION", daemon.connection_file)
    build = os.environ.get("ALCHEMIST_BUILD", "build")
    assert demo.figure_3(daemon.port, os.path.join(os.path.abspath(build), "plugins", "testlib.so")) < 1e-8
    out = capsys.readouterr().out
    for line in ("Starting Alchemist session ... ready", "Requesting 3 workers from Alchemist", "Total allocated 3 workers:",
                 "Library 'TestLib' successfully loaded.", "Data transfer times breakdown\n-----",
                 "Worker | Serialization time | Send time | Receive time | Deserialization time", "A (MATRIX ID) = ",
                 "rank (INT) = 10", "Alchemist started task 'truncated_svd' ... done ("):
        assert line in out
    assert re.search(r"Connecting to Alchemist at 0\.0\.0\.0:\d+ \.\.\.Connected to Alchemist!", out)
    assert len(re.findall(r"^\d+( \| \d\.\d{4}e[+-]\d\d){4}$", out, re.M)) == 6
