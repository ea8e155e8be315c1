"""The interpreter around a session: Ctrl-C, fork, exit, a machine without MPI, a local server, printed lines."""

import os
import pathlib
import re
import signal
import socket
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
    """The command of a Python program that finds the package like this test does. Replaces each <name> in the code."""
    code = textwrap.dedent(code)
    for name, value in substitutions.items():
        code = code.replace(f"<{name}>", repr(value))
    return [sys.executable, "-c",
            f"import sys; sys.path.insert(0, {PATH!r})\nimport alchemist, numpy as np, os, time\n" + code]


def interrupted(act, after=0.3):
    """Run `act` in the main thread and send Ctrl-C after a while. Returns the seconds until `act` raised it."""
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


def forever(act):
    while True:
        act()


# ---- Ctrl-C ----

def test_interrupt_of_a_task_leaves_the_session_usable(als):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((20, 20)))
    assert interrupted(lambda: lib.busy(60.0)) < 0.3 * PATIENCE
    assert np.asarray(h).sum() == 400, "transfers work while the task is being canceled"
    assert als.load_library("hello").total(h) == 400, "the next task runs when the canceled one has ended"


def test_interrupt_does_not_wait_for_a_task_that_does_not_look(als):
    lib = als.load_library("faults")
    h = als.send_matrix(np.ones((20, 20)))
    task = lib.spin.submit(3.0)
    assert interrupted(task.result) < 0.3 * PATIENCE
    assert np.asarray(h).sum() == 400, "transfers work while the task is being canceled"
    wait_for(lambda: task.state == "cancelling", 2)
    wait_for(task.done, 10 * PATIENCE)
    assert als.load_library("hello").total(h) == 400


def test_interrupt_of_a_write_leaves_the_matrix_writable(als):
    a = np.random.default_rng(0).random((8000, 4000))
    h = als.send_matrix(a)
    assert interrupted(lambda: forever(lambda: h.write(a))) < 0.5 * PATIENCE
    h.write(a)
    assert np.array_equal(np.asarray(h), a)


def test_interrupt_of_a_fetch_leaves_the_matrix_readable(als):
    a = np.random.default_rng(0).random((8000, 4000))
    h = als.send_matrix(a)
    out = np.zeros_like(a)
    assert interrupted(lambda: forever(lambda: h.fetch(out=out))) < 0.5 * PATIENCE
    assert np.array_equal(np.asarray(h), a)


def test_interrupt_of_connect_does_not_wait_for_its_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert interrupted(lambda: alchemist.connect(address, token="0" * 64)) < 0.3 * PATIENCE


# ---- other processes ----

def test_a_forked_child_cannot_use_the_session_of_its_parent(als):
    a = np.random.default_rng(0).random((50, 50))
    h = als.send_matrix(a)
    lib = als.load_library("hello")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        verdict = b"?"
        try:
            refused = 0
            for act in (lambda: np.asarray(h), als.list_matrices, lambda: lib.total(h), lambda: als.send_matrix(a),
                        h.free, lambda: als.request_workers(1)):
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
    assert os.read(read, 10) == b"6", "all six calls raised ForkedError"
    os.waitpid(pid, 0)
    assert np.array_equal(np.asarray(h), a) and abs(lib.total(h) - a.sum()) < 1e-9, "the parent's session is unharmed"


def test_an_attached_process_writes_and_reads_and_does_not_end_the_session(als):
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
    assert np.array_equal(np.asarray(h), a), "the end of an attached process does not end the session"


def test_attach_with_a_wrong_key_is_refused(als):
    with pytest.raises(alchemist.AuthenticationError):
        alchemist.attach(als.ticket._replace(key="0" * 64))


def test_attach_to_a_session_that_does_not_exist_is_refused(als):
    with pytest.raises(alchemist.AlchemistError):
        alchemist.attach(als.ticket._replace(id=999999))


# ---- local servers ----

def test_a_local_server_computes():
    with alchemist.local(workers=2) as als:
        lib = als.load_library("TestLib")
        s = np.asarray(lib.truncated_svd(als.send_matrix(np.diag([3.0, 2, 1])), 2).S)
        assert np.allclose(s.ravel(), [2, 3])


def test_the_end_of_a_local_session_leaves_no_process_and_no_file():
    with alchemist.local(workers=2) as als:
        pids = [als.daemon.process.pid, *(w.pid for w in als.workers)]
        directory = os.path.dirname(als.daemon.connection_file)
        assert os.path.exists(directory)
    wait_for(lambda: not any(alive(p) for p in pids), 5, "the end of daemon and workers")
    assert not os.path.exists(directory)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('x')", "os.kill(os.getpid(), 9)", "os._exit(0)",
                                 "os.kill(os.getpid(), 15)"])
def test_a_local_server_ends_with_its_interpreter(end):
    code = script("""
        als = alchemist.local(workers=2)
        print(als.daemon.process.pid, *[w.pid for w in als.workers], flush=True)
        """ + end)
    ended = subprocess.run(code, capture_output=True, text=True, timeout=60)
    pids = [int(p) for p in ended.stdout.split()]
    assert len(pids) == 3
    wait_for(lambda: not any(alive(p) for p in pids), 10, "the end of daemon and workers")


def test_local_without_alchemistd_raises_file_not_found(monkeypatch, tmp_path):
    monkeypatch.setenv("ALCHEMIST_DAEMON", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        alchemist.local()


def test_local_raises_the_log_of_a_daemon_that_does_not_start():
    with pytest.raises(alchemist.ConnectError, match="no-such-option"):
        alchemist.local(options=["--no-such-option"])


@pytest.mark.skipif(SANITIZED, reason="the sanitizer runtime must come first, which strace of the loader disturbs")
def test_the_binding_loads_on_a_machine_without_mpi():
    """MPI is not mapped, and where user namespaces are allowed, its library is hidden behind an empty file."""
    code = script("""
        maps = open('/proc/self/maps').read()
        assert 'libmpi' not in maps and 'libalchemist-client' in maps, maps
        print(alchemist.Layout('VC_STAR'))
        """)
    hide = "mount --bind /dev/null $(readlink -f /usr/lib/x86_64-linux-gnu/libmpich.so.12) && "
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", hide + 'exec "$@"', "sh", *code], capture_output=True,
                           text=True)
    if ended.returncode != 0 and "unshare" in ended.stderr + ended.stdout:
        ended = subprocess.run(code, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "VC_STAR"


# ---- texts ----

@pytest.mark.parametrize("call", [
    lambda als: als.create_matrix((2, 2), name="a\0b"), lambda als: als.create_matrix((2, 2), layout="MC_MR\0"),
    lambda als: als.load_library("hello\0"), lambda als: als.load_library("hello").total("x\0y"),
], ids=["name", "layout", "library", "argument"])
def test_text_with_a_nul_is_refused(als, call):
    """C would see only the part before the NUL."""
    with pytest.raises(ValueError, match="NUL"):
        call(als)
    assert als.list_matrices() == []


def test_the_line_of_a_failed_task_ends_with_failed(daemon, capsys):
    with daemon.connect(workers=1, verbose=True) as als:
        hello = als.load_library("hello")
        with pytest.raises(alchemist.WrongTypeError):
            hello.total(3)
        assert capsys.readouterr().out.endswith("Alchemist started task 'total' ... failed\n")


def test_the_line_of_a_task_after_a_refused_send_ends_with_its_time(daemon, capsys):
    with daemon.connect(workers=1, verbose=True) as als:
        hello = als.load_library("hello")
        with pytest.raises(ValueError):
            als.send_matrix(np.ones((3, 3)), into=als.create_matrix((2, 2)))
        hello.total(als.send_matrix(np.ones((2, 2))))
        assert capsys.readouterr().out.splitlines()[-1].startswith("Alchemist started task 'total' ... done (")


def test_a_quiet_session_prints_nothing(als, capsys):
    als.list_all_workers()
    als.load_library("hello").total(als.send_matrix(np.ones((2, 2))))
    assert capsys.readouterr().out == ""


def test_figure_3_of_the_paper_runs_word_for_word_and_prints_its_lines(daemon, capsys, monkeypatch):
    """Only the port differs."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))
    import demo

    monkeypatch.setenv("ALCHEMIST_CONNECTION", daemon.connection_file)
    build = os.environ.get("ALCHEMIST_BUILD", "build")
    assert demo.run_figure_3(daemon.port, os.path.join(os.path.abspath(build), "plugins", "testlib.so")) < 1e-8
    out = capsys.readouterr().out
    for line in ("Starting Alchemist session ... ready", "Requesting 3 workers from Alchemist",
                 "Total allocated 3 workers:", "Library 'TestLib' successfully loaded.",
                 "Data transfer times breakdown\n-----",
                 "Worker | Serialization time | Send time | Receive time | Deserialization time", "A (MATRIX ID) = ",
                 "rank (INT) = 10", "Alchemist started task 'truncated_svd' ... done ("):
        assert line in out
    assert re.search(r"Connecting to Alchemist at 0\.0\.0\.0:\d+ \.\.\.Connected to Alchemist!", out)
    assert len(re.findall(r"^\d+( \| \d\.\d{4}e[+-]\d\d){4}$", out, re.M)) == 6
