"""Within a host matrices go through shared memory; where that is impossible they go by TCP; nothing is left behind."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

import alchemist
from harness import PATIENCE, TOP, alive, shared_memory, wait_for

USED = "goes through shared memory"
REFUSED = "no shared memory for clients"


@pytest.fixture
def folder(monkeypatch):
    """Where connection and socket files go: a socket's path must be short."""
    path = tempfile.mkdtemp(prefix="alch", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", path)
    yield pathlib.Path(path) / "alchemist"
    shutil.rmtree(path, ignore_errors=True)


def sockets(folder):
    return [name for name in os.listdir(folder) if name.endswith(".sock")] if folder.exists() else []


def maps(pid="self"):
    """How many connections have their memory in a process: each is mapped in pieces."""
    with open(f"/proc/{pid}/maps") as file:
        return len({line.split()[4] for line in file if "memfd:alchemist" in line})


def matrix(n=3000):
    return np.random.default_rng(5).random((n, 500))


def check(session, array):
    for source in array, np.asfortranarray(array):
        assert np.array_equal(session.send_matrix(source).fetch(), array)


def test_it_is_the_way_within_a_host(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    before = shared_memory()
    with daemon.connect(workers=2) as als:
        check(als, matrix())
        assert daemon.log().count(USED) == 2
        assert maps() == 2
        assert len(sockets(folder)) == 2
        assert all(maps(w.pid) == 1 for w in als.workers)
    wait_for(lambda: daemon.idle(), 10 * PATIENCE)
    assert maps() == 0
    assert sockets(folder) == []
    assert shared_memory() <= before


def test_options_turn_it_off(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    with daemon.connect(workers=1, shared_memory=0) as als:
        check(als, matrix(300))
        assert USED not in daemon.log()
    daemon = own_daemon(1, "--log-level", "debug", "--no-shared-memory")
    with daemon.connect(workers=1, shared_memory=1) as als:
        check(als, matrix(300))
        assert USED not in daemon.log() and REFUSED not in daemon.log()
        assert sockets(folder) == []
    with pytest.raises(alchemist.AlchemistError, match="shared_memory"):
        daemon.connect(shared_memory=2)


SENDER = """
import sys
sys.path.insert(0, sys.argv[1])
import alchemist, numpy as np
als = alchemist.connect(connection_file=sys.argv[2], workers=int(sys.argv[3]))
a = np.ones((20000, 500))
h = als.send_matrix(a)
print("sending", flush=True)
while True:
    h.write(a)
"""


def start(program, daemon, *arguments, prefix=()):
    return subprocess.Popen([*prefix, sys.executable, "-c", program, str(TOP / "bindings" / "python"),
                             daemon.connection_file, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_a_client_killed_in_mid_transfer(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    before = shared_memory()
    client = start(SENDER, daemon, 2)
    assert client.stdout.readline() == "sending\n"
    assert daemon.log().count(USED) == 2
    time.sleep(0.1)
    client.kill()
    client.wait()
    wait_for(daemon.idle, 10 * PATIENCE)
    assert sockets(folder) == []
    assert shared_memory() <= before
    with daemon.connect(workers=2) as als:
        check(als, matrix(300))


def test_a_worker_killed_in_mid_transfer(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    before = shared_memory()
    with daemon.connect(workers=2) as als:
        a = np.ones((20000, 500))
        h = als.send_matrix(a)
        os.kill(als.workers[1].pid, signal.SIGKILL)
        with pytest.raises(alchemist.GroupLostError, match="signal 9"):
            while True:
                h.write(a)
        wait_for(lambda: sockets(folder) == [], 10 * PATIENCE)
        als.request_workers(2)
        check(als, matrix(300))
    assert maps() == 0
    wait_for(daemon.idle, 10 * PATIENCE)
    assert shared_memory() <= before


def test_what_a_killed_daemon_left_is_swept(own_daemon, folder):
    daemon = own_daemon(1)
    als = daemon.connect(workers=1)
    check(als, matrix(30))
    pid = als.workers[0].pid
    assert len(sockets(folder)) == 1
    daemon.process.kill()
    daemon.process.wait()
    wait_for(lambda: not alive(pid), 10 * PATIENCE)
    als.close()
    assert maps() == 0
    own_daemon(1)
    wait_for(lambda: sockets(folder) == [], 10 * PATIENCE)


def test_a_stopped_worker_is_a_timeout(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    with daemon.connect(workers=1, transfer_timeout_ms=700) as als:
        a = matrix()
        h = als.send_matrix(a)
        assert USED in daemon.log()
        os.kill(als.workers[0].pid, signal.SIGSTOP)
        try:
            with pytest.raises(alchemist.AlchemistError, match="worker 1"):
                h.write(a)
        finally:
            os.kill(als.workers[0].pid, signal.SIGCONT)
        h.write(a)
        assert np.array_equal(h.fetch(), a)


def test_without_space_tcp_is_used(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    with daemon.connect(workers=2) as als:
        for worker in als.workers:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (65536, 65536))
        check(als, matrix())
        assert maps() == 0
        log = daemon.log()
        assert USED not in log
        assert [line.count(REFUSED) for line in log.splitlines() if "[warning]" in line] == [1, 1]  # one per worker


def run_client(program, daemon, *arguments, **options):
    ended = subprocess.run([sys.executable, "-c", program, str(TOP / "bindings" / "python"), *map(str, arguments)],
                           capture_output=True, text=True, timeout=30 * PATIENCE, **options)
    assert ended.stdout == "done\n", ended.stderr


NARROW = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
import alchemist, numpy as np
a = np.arange(60000.).reshape(300, 200)
with alchemist.connect(connection_file=sys.argv[2], workers=1, transfer_threads=1) as als:
    h = als.create_matrix(a.shape)
    first = os.dup(0)
    os.close(first)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + 1, limit[1]))
    h.write(a)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert np.array_equal(h.fetch(), a)
print("done")
"""


def test_a_client_without_a_descriptor_for_it_uses_tcp(own_daemon, folder):
    """The socket takes its last one, so that the memory does not arrive."""
    daemon = own_daemon(1, "--log-level", "debug")
    run_client(NARROW, daemon, daemon.connection_file)
    assert "warning" not in daemon.log()
    with daemon.connect(workers=1) as als:
        check(als, matrix(30))


OTHER_USER = """
import os, sys
sys.path.insert(0, sys.argv[1])
import alchemist, numpy as np
os.setgid(65534)
os.setuid(65534)
a = np.arange(60000.).reshape(300, 200)
with alchemist.connect(sys.argv[2], token=os.environ["TOKEN"], workers=1) as als:
    assert np.array_equal(als.send_matrix(a).fetch(), a)
print("done")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_with_the_token(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    token = daemon.connection["token"]
    run_client(OTHER_USER, daemon, f"127.0.0.1:{daemon.port}", env={**os.environ, "TOKEN": token})
    assert daemon.log().count(USED) == 1 and "warning" not in daemon.log()


# ---- namespaces ----

FETCHER = """
import sys
sys.path.insert(0, sys.argv[1])
import alchemist, numpy as np
als = alchemist.connect(sys.argv[3] or None, connection_file=sys.argv[2], workers=1)
a = np.arange(60000.).reshape(300, 200)
assert np.array_equal(als.send_matrix(a).fetch(), a)
als.close()
print("done")
"""


def can(*command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(not can("unshare", "-n", "-m", "-i", "true"), reason="may not make namespaces")


@needs_namespaces
def test_other_mounts_and_ipc(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    client = start(FETCHER, daemon, "", prefix=["unshare", "-m", "-i"])
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert daemon.log().count(USED) == 1  # the network's names are shared


@pytest.fixture
def network():
    """A network namespace that reaches this one: the prefix of commands to run there, and our address."""
    if not can("unshare", "-n", "-m", "true") or not shutil.which("ip"):
        pytest.skip("may not make namespaces")
    holder = subprocess.Popen(["unshare", "-n", "sleep", "300"])
    here, there = f"av{os.getpid() % 100000}", f"aw{os.getpid() % 100000}"
    third = os.getpid() % 250 + 1
    inside = ["nsenter", "-t", str(holder.pid), "-n"]
    try:
        wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), 5)
        for command in (["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(holder.pid)],
                        ["ip", "addr", "add", f"10.213.{third}.1/24", "dev", here], ["ip", "link", "set", here, "up"],
                        [*inside, "ip", "addr", "add", f"10.213.{third}.2/24", "dev", there],
                        [*inside, "ip", "link", "set", there, "up"]):
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("may not connect namespaces")
        yield inside, f"10.213.{third}.1"
    finally:
        holder.kill()
        holder.wait()
        subprocess.run(["ip", "link", "del", here], capture_output=True)


def test_another_network_with_a_shared_folder(own_daemon, folder, network):
    inside, address = network
    daemon = own_daemon(1, "--log-level", "debug", "--bind", address, "--insecure")
    client = start(FETCHER, daemon, "", prefix=inside)
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert daemon.log().count(USED) == 1


def test_another_network_without_a_shared_folder(own_daemon, folder, network):
    inside, address = network
    daemon = own_daemon(1, "--log-level", "debug", "--bind", address, "--insecure")
    client = start(FETCHER, daemon, "", prefix=[*inside, "env", "XDG_RUNTIME_DIR=/nowhere", "HOME=/nowhere"])
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert USED not in daemon.log() and REFUSED not in daemon.log()
    assert "warning" not in daemon.log()
