"""The daemon itself: options, banner, connection file, ports, its end."""

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

import alchemist
from harness import DAEMON, PATIENCE, TOP, alive, shared_memory, wait_for


def run(*arguments, timeout=30, **environment):
    return subprocess.run([DAEMON, *arguments], capture_output=True, text=True, timeout=timeout * PATIENCE,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def free_ports():
    """A port that is free like the one after it, below those that connections of other programs get."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            pass


def test_help_and_version():
    shown = run("--help")
    assert shown.returncode == 0
    for option in ("--workers", "--port", "--bind", "--plugin-dir", "--connection-file", "--log-level", "--agent",
                   "--join", "--memory-limit", "--start-timeout", "--fail-grace", "--client-timeout"):
        assert option in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= 100
    assert alchemist.__version__ in run("--version").stdout


def test_the_manual_lists_the_options():
    page = (TOP / "man" / "alchemistd.8").read_text()
    table = page.split("--print-options-man\n")[1].split('.\\" End of the generated part.\n')[0]
    assert table == run("--print-options-man").stdout


@pytest.mark.parametrize("arguments, text", [
    (["--workers", "abc"], "abc"), (["--workers", "0"], "0"), (["--port", "70000"], "70000"), (["--nonsense"], "nonsense"),
    (["--log-level", "loud"], "loud"), (["--workers"], "workers"), (["--bind", "0.0.0.0", "--port", "0"], "--insecure"),
    (["--agent"], "--join"), (["stray"], "stray"),
])
def test_bad_options(arguments, text, tmp_path):
    ended = run(*arguments, XDG_RUNTIME_DIR=str(tmp_path))
    assert ended.returncode != 0 and text in ended.stderr and "\n\n" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6


def test_banner_and_no_secret_in_the_log(own_daemon):
    daemon = own_daemon(3)
    log = wait_for(lambda: "Accepting connections" in daemon.log() and daemon.log(), 5)
    assert re.search(r"Starting Alchemist \d+\.\d+\.\d+", log)
    assert "List of workers (3):" in log
    for k in (1, 2, 3):
        assert re.search(rf"Worker-00{k} running on \S+ at 127\.0\.0\.1:\d+ - IDLE", log)
    assert "Alchemist is ready" in log
    with daemon.connect(workers=3):
        pass
    assert daemon.connection["token"] not in daemon.log()


def test_connection_file(own_daemon, tmp_path, monkeypatch):
    daemon = own_daemon(1)
    info = os.stat(daemon.connection_file)
    assert stat.S_IMODE(info.st_mode) == 0o600
    connection = daemon.connection
    assert connection["pid"] == daemon.process.pid and len(connection["token"]) == 64
    # Found without being told, in the standard place.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    os.chmod(tmp_path, 0o700)
    monkeypatch.delenv("ALCHEMIST_CONNECTION", raising=False)
    with pytest.raises((alchemist.NotFoundError, alchemist.ConnectError), match=str(tmp_path)):
        alchemist.connect()
    process = subprocess.Popen([DAEMON, "--workers", "1", "--port", str(free_ports())], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        files = wait_for(lambda: list((tmp_path / "alchemist").glob("*.json")), 10 * PATIENCE)
        assert str(json.loads(files[0].read_text())["port"]) in files[0].name
        port = json.loads(files[0].read_text())["port"]
        for address in (None, f"localhost:{port}", f"127.0.0.1:{port}", f"0.0.0.0:{port}"):
            with alchemist.connect(address) as als:
                assert als.send_test_string("grüß dich") == "grüß dich"
        process.kill()
        process.wait()
        assert files[0].exists()
        with pytest.raises(alchemist.AlchemistError, match="stale|gone|no longer"):
            alchemist.connect()
        # A new daemon replaces what is stale.
        again = subprocess.Popen([DAEMON, "--workers", "1", "--port", str(port)], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        wait_for(lambda: json.loads(files[0].read_text())["pid"] == again.pid, 10 * PATIENCE)
        with alchemist.connect():
            pass
        again.terminate()
        assert again.wait(10) == 0
        assert not files[0].exists()
    finally:
        process.kill()


def test_a_connection_file_that_others_can_read_is_refused(own_daemon):
    daemon = own_daemon(1)
    os.chmod(daemon.connection_file, 0o644)
    with pytest.raises(alchemist.AlchemistError, match="connection.json.*644"):
        daemon.connect()
    os.chmod(daemon.connection_file, 0o600)


def test_port_in_use_names_its_owner(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--workers", "1", "--port", str(port), "--connection-file", str(tmp_path / "c"))
        assert ended.returncode != 0
        assert str(port) in ended.stderr and str(os.getpid()) in ended.stderr
    # A worker's port too.
    with socket.create_server(("127.0.0.1", free_ports() + 1)) as taken:
        port = taken.getsockname()[1]
        ended = run("--workers", "1", "--port", str(port - 1), "--connection-file", str(tmp_path / "c"))
        assert ended.returncode != 0 and str(port) in ended.stderr and str(os.getpid()) in ended.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_orderly_end(own_daemon, how):
    before = shared_memory()
    daemon = own_daemon(3)
    als = daemon.connect(workers=3)
    pids = [w.pid for w in als.workers]
    assert all(alive(p) for p in pids)
    daemon.process.send_signal(how)
    assert daemon.process.wait(10) == 0
    assert not any(alive(p) for p in pids)
    assert not os.path.exists(daemon.connection_file)
    assert shared_memory() <= before
    with pytest.raises(alchemist.AlchemistError):
        als.list_matrices()
    als.close()


def test_driver_killed(own_daemon):
    before = shared_memory()
    daemon = own_daemon(3)
    als = daemon.connect(workers=3)
    lib = als.load_library("faults")
    lib.busy.submit(60.0)
    pids = [w.pid for w in als.workers]
    daemon.process.kill()
    wait_for(lambda: not any(alive(p) for p in pids), 5, "the end of the workers")
    wait_for(lambda: shared_memory() <= before, 5, "an empty /dev/shm")
    with pytest.raises(alchemist.ConnectError):
        als.list_matrices()
    als.close()


def test_owner_gone(tmp_path):
    """--owner-pid: the daemon of an interpreter that is killed ends by itself."""
    code = ("import sys; sys.path[:0] = %r; from harness import Daemon; d = Daemon(2); a = d.connect(workers=2)\n"
            "print(d.process.pid, *[w.pid for w in a.workers], flush=True)\n"
            "import time; time.sleep(100)") % (sys.path,)
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in owner.stdout.readline().split()]
    assert len(pids) == 3 and all(alive(p) for p in pids)
    owner.kill()
    owner.wait()
    wait_for(lambda: not any(alive(p) for p in pids), 5 * PATIENCE, "the end of daemon and workers")


def test_an_agent_adds_slots(own_daemon):
    daemon = own_daemon(1)
    log = open(os.path.join(os.path.dirname(daemon.connection_file), "agent.log"), "wb")
    agent = subprocess.Popen([DAEMON, "--agent", "--join", f"127.0.0.1:{daemon.port}", "--workers", "2", "--port", "0",
                              "--connection-file", daemon.connection_file], stdout=log, stderr=log)
    try:
        with daemon.connect() as als:
            wait_for(lambda: len(als.list_all_workers()) == 3, 10 * PATIENCE, "the agent's slots")
            als.request_workers(3)
            lib = als.load_library("hello")
            a = als.send_matrix(__import__("numpy").ones((30, 20)))
            assert lib.total(a) == 600
            agent.kill()
            agent.wait()
            with pytest.raises(alchemist.GroupLostError):
                for _ in range(100):
                    lib.total(a)
                    time.sleep(0.1)
            wait_for(lambda: len(als.list_all_workers()) == 1, 10, "the agent's slots to go")
            als.request_workers(1)
            assert als.load_library("hello").total(als.send_matrix(__import__("numpy").ones((3, 3)))) == 9
    finally:
        agent.kill()


def test_an_agent_with_a_wrong_token_is_refused(own_daemon, tmp_path):
    daemon = own_daemon(1)
    other = own_daemon(1)
    ended = run("--agent", "--join", f"127.0.0.1:{daemon.port}", "--workers", "1", "--port", "0",
                "--connection-file", other.connection_file)
    assert ended.returncode != 0 and "could not prove that it knows the key" in ended.stderr
