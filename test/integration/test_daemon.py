"""The daemon itself: options, banner, connection file, ports, agents, and how it ends."""

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import types

import numpy as np
import pytest

import alchemist
from harness import (DAEMON, Daemon, DaemonWithPrivateShm, PATIENCE, TOP, alive, wait_for, wait_for_error,
                     wait_for_exit)


def run(*arguments, timeout=30, **environment):
    return subprocess.run([DAEMON, *arguments], capture_output=True, text=True, timeout=timeout * PATIENCE,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def two_free_ports():
    """The first of two neighboring free ports, below the range that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            pass


# ---- options ----

def test_help_lists_the_options_in_short_lines():
    shown = run("--help")
    assert shown.returncode == 0
    for option in ("--workers", "--port", "--bind", "--plugin-dir", "--connection-file", "--log-level", "--agent",
                   "--join", "--memory-limit", "--start-timeout", "--fail-grace", "--client-timeout"):
        assert option in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= 100


def test_version_is_that_of_the_client():
    assert alchemist.__version__ in run("--version").stdout


def test_the_manual_lists_the_options_that_the_program_has():
    page = (TOP / "man" / "alchemistd.8").read_text()
    table = page.split("--print-options-man\n")[1].split('.\\" End of the generated part.\n')[0]
    assert table == run("--print-options-man").stdout


@pytest.mark.parametrize("arguments, text", [
    (["--workers", "abc"], "abc"), (["--workers", "0"], "0"), (["--port", "70000"], "70000"),
    (["--nonsense"], "nonsense"), (["--log-level", "loud"], "loud"), (["--workers"], "workers"),
    (["--bind", "0.0.0.0", "--port", "0"], "--insecure"), (["--agent"], "--join"), (["stray"], "stray"),
])
def test_a_bad_option_is_refused_in_a_few_lines_that_name_it(arguments, text, tmp_path):
    ended = run(*arguments, XDG_RUNTIME_DIR=str(tmp_path))
    assert ended.returncode != 0 and text in ended.stderr and "\n\n" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6


# ---- log ----

def test_the_banner_shows_the_version_and_every_worker(daemon):
    log = wait_for(lambda: "Accepting connections" in daemon.log() and daemon.log(), 5 * PATIENCE,
                   "the end of the banner")
    assert re.search(r"Starting Alchemist \d+\.\d+\.\d+", log)
    assert "List of workers (4):" in log
    for k in (1, 2, 3, 4):
        assert re.search(rf"Worker-00{k} running on \S+ at 127\.0\.0\.1:\d+ - IDLE", log)
    assert "Alchemist is ready" in log


def test_the_log_does_not_contain_the_token(daemon):
    with daemon.connect(workers=3):
        pass
    daemon.wait_until_idle()
    assert daemon.connection["token"] not in daemon.log()


# ---- connection file ----

def test_the_connection_file_is_private_and_holds_pid_and_token(daemon):
    assert stat.S_IMODE(os.stat(daemon.connection_file).st_mode) == 0o600
    assert daemon.connection["pid"] == daemon.process.pid and len(daemon.connection["token"]) == 64


def test_a_connection_file_that_others_can_read_is_refused(own_daemon):
    daemon = own_daemon(1)
    os.chmod(daemon.connection_file, 0o644)
    with pytest.raises(alchemist.AlchemistError, match="connection.json.*644"):
        daemon.connect()


@pytest.fixture
def runtime_folder(tmp_path, monkeypatch):
    """The folder in which daemons and clients look for connection files when they are given no path."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("ALCHEMIST_CONNECTION", raising=False)
    os.chmod(tmp_path, 0o700)
    return tmp_path


def start_in(runtime_folder, port):
    """Start a daemon that writes its connection file to the standard place; return its process and the file."""
    process = subprocess.Popen([DAEMON, "--workers", "1", "--port", str(port)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)

    def own_file():
        files = list((runtime_folder / "alchemist").glob("*.json"))
        return [file for file in files if json.loads(file.read_text())["pid"] == process.pid]

    try:
        [file] = wait_for(own_file, 10 * PATIENCE, "the connection file")
    except BaseException:
        process.kill()
        raise
    return process, file


@pytest.fixture
def found_daemon(runtime_folder):
    """A daemon whose connection file is in the standard place: its process, the file and the port."""
    port = two_free_ports()
    process, file = start_in(runtime_folder, port)
    yield types.SimpleNamespace(process=process, file=file, port=port)
    process.kill()
    process.wait()


def test_the_error_without_a_daemon_names_the_folder_that_was_searched(runtime_folder):
    with pytest.raises((alchemist.NotFoundError, alchemist.ConnectError), match=str(runtime_folder)):
        alchemist.connect()


def test_the_name_of_the_connection_file_contains_the_port(found_daemon):
    assert json.loads(found_daemon.file.read_text())["port"] == found_daemon.port
    assert str(found_daemon.port) in found_daemon.file.name


@pytest.mark.parametrize("address", [None, "localhost:{}", "127.0.0.1:{}", "0.0.0.0:{}"])
def test_a_client_finds_the_connection_file_in_the_standard_place(found_daemon, address):
    with alchemist.connect(address and address.format(found_daemon.port)) as als:
        assert als.send_test_string("grüß dich") == "grüß dich"


def test_the_connection_file_of_a_killed_daemon_is_called_stale(found_daemon):
    found_daemon.process.kill()
    found_daemon.process.wait()
    assert found_daemon.file.exists()
    with pytest.raises(alchemist.AlchemistError, match="stale|gone|no longer"):
        alchemist.connect()


def test_a_new_daemon_replaces_a_stale_connection_file_and_removes_it_when_it_ends(found_daemon, runtime_folder):
    found_daemon.process.kill()
    found_daemon.process.wait()
    again, file = start_in(runtime_folder, found_daemon.port)
    try:
        assert file == found_daemon.file
        with alchemist.connect() as als:
            assert als.send_test_string("again") == "again"
        again.terminate()
        assert again.wait(10 * PATIENCE) == 0
        assert not file.exists()
    finally:
        again.kill()
        again.wait()


def test_a_daemon_removes_its_connection_file_when_it_ends(found_daemon):
    found_daemon.process.terminate()
    assert found_daemon.process.wait(10 * PATIENCE) == 0
    assert not found_daemon.file.exists()


# ---- ports ----

def assert_refused_with_owner(ended, taken):
    assert ended.returncode != 0
    assert str(taken) in ended.stderr and str(os.getpid()) in ended.stderr


def test_the_error_for_a_taken_port_of_the_driver_names_port_and_owner(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        ended = run("--workers", "1", "--port", str(taken), "--connection-file", str(tmp_path / "c"))
    assert_refused_with_owner(ended, taken)


def test_the_error_for_a_taken_port_of_a_worker_names_port_and_owner(tmp_path):
    with socket.create_server(("127.0.0.1", two_free_ports() + 1)) as listener:
        taken = listener.getsockname()[1]
        ended = run("--workers", "1", "--port", str(taken - 1), "--connection-file", str(tmp_path / "c"))
    assert_refused_with_owner(ended, taken)


# ---- end ----

@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def ended_daemon(request):
    """A daemon that a signal has ended while a session had all of its workers."""
    daemon = DaemonWithPrivateShm(3)
    try:
        als = daemon.connect(workers=3)
        pids = [w.pid for w in als.workers]
        assert all(alive(p) for p in pids)
        daemon.process.send_signal(request.param)
        code = daemon.process.wait(10 * PATIENCE)
        # Collected at once: the daemon must have cleaned up before it exits.
        yield types.SimpleNamespace(code=code, session=als, workers_alive=[p for p in pids if alive(p)],
                                    has_file=os.path.exists(daemon.connection_file), left=daemon.shared_memory())
        als.close()
    finally:
        daemon.stop()


def test_a_signal_ends_the_daemon_with_success(ended_daemon):
    assert ended_daemon.code == 0


def test_no_worker_outlives_the_daemon(ended_daemon):
    assert not ended_daemon.workers_alive


def test_a_daemon_that_ends_leaves_no_files(ended_daemon):
    assert not ended_daemon.has_file
    assert not ended_daemon.left


def test_a_session_of_an_ended_daemon_raises(ended_daemon):
    with pytest.raises(alchemist.AlchemistError):
        ended_daemon.session.list_matrices()


@pytest.fixture(scope="module")
def killed_driver():
    """A session whose driver was killed while its workers computed, and the pids of the workers."""
    daemon = DaemonWithPrivateShm(3)
    try:
        als = daemon.connect(workers=3)
        als.load_library("faults").busy.submit(60.0)
        pids = [w.pid for w in als.workers]
        daemon.process.kill()
        yield types.SimpleNamespace(session=als, pids=pids, daemon=daemon)
        als.close()
    finally:
        daemon.stop()


def test_workers_end_when_the_driver_is_killed(killed_driver):
    wait_for_exit(killed_driver.pids, 5 * PATIENCE)


def test_shared_memory_is_removed_when_the_driver_is_killed(killed_driver):
    wait_for(lambda: killed_driver.daemon.shared_memory() == set(), 5 * PATIENCE, "an empty /dev/shm")


def test_a_session_raises_when_the_driver_is_killed(killed_driver):
    with pytest.raises(alchemist.ConnectError):
        killed_driver.session.list_matrices()


def test_a_daemon_ends_when_the_process_that_owns_it_is_killed():
    """Option --owner-pid."""
    code = ("import sys; sys.path[:0] = %r; from harness import Daemon; d = Daemon(2); a = d.connect(workers=2)\n"
            "print(d.process.pid, *[w.pid for w in a.workers], flush=True)\n"
            "import signal; signal.pause()") % (sys.path,)
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in owner.stdout.readline().split()]
    assert len(pids) == 3 and all(alive(p) for p in pids)
    owner.kill()
    owner.wait()
    wait_for_exit(pids, 5 * PATIENCE, "the end of daemon and workers")


# ---- agents ----

@pytest.fixture
def joined(own_daemon):
    """A daemon with one worker slot, an agent that adds two, and a session without workers."""
    daemon = own_daemon(1)
    with open(os.path.join(os.path.dirname(daemon.connection_file), "agent.log"), "wb") as log:
        agent = subprocess.Popen([DAEMON, "--agent", "--join", f"127.0.0.1:{daemon.port}", "--workers", "2",
                                  "--port", "0", "--connection-file", daemon.connection_file], stdout=log, stderr=log)
    try:
        with daemon.connect() as als:
            wait_for(lambda: len(als.list_all_workers()) == 3, 10 * PATIENCE, "the agent's slots")
            yield types.SimpleNamespace(agent=agent, session=als)
    finally:
        agent.kill()
        agent.wait()


def kill_agent(joined):
    joined.agent.kill()
    joined.agent.wait()


def test_a_group_computes_on_the_slots_of_two_agents(joined):
    joined.session.request_workers(3)
    a = joined.session.send_matrix(np.ones((30, 20)))
    assert joined.session.load_library("hello").total(a) == 600


def test_a_killed_agent_ends_the_group_that_used_it(joined):
    als = joined.session
    als.request_workers(3)
    hello, a = als.load_library("hello"), als.send_matrix(np.ones((30, 20)))
    assert hello.total(a) == 600
    kill_agent(joined)
    wait_for_error(alchemist.GroupLostError, lambda: hello.total(a), 10 * PATIENCE)


def test_a_killed_agent_takes_its_slots_away_and_the_others_remain(joined):
    als = joined.session
    als.request_workers(3)
    kill_agent(joined)
    wait_for(lambda: len(als.list_all_workers()) == 1, 10 * PATIENCE, "the removal of the agent's slots")
    als.request_workers(1)
    assert als.load_library("hello").total(als.send_matrix(np.ones((3, 3)))) == 9


def test_an_agent_with_a_wrong_token_is_refused(own_daemon):
    daemon = own_daemon(1)
    other = own_daemon(1)
    ended = run("--agent", "--join", f"127.0.0.1:{daemon.port}", "--workers", "1", "--port", "0",
                "--connection-file", other.connection_file)
    assert ended.returncode != 0 and "could not prove that it knows the key" in ended.stderr
