"""Within a host, matrices go through shared memory; where that is impossible, through TCP. No file remains."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import alchemist
from harness import PATIENCE, TOP, can_run, wait_for, wait_for_error, wait_for_exit

USED = "goes through shared memory"  # a worker logs this once for each connection that shares memory
REFUSED = "clients on this host use TCP because"  # a worker logs this when it cannot share memory


@pytest.fixture
def folder(monkeypatch):
    """The folder of connection and socket files. It is directly in /tmp because the path of a socket must be short."""
    path = tempfile.mkdtemp(prefix="alch", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", path)
    yield pathlib.Path(path) / "alchemist"
    shutil.rmtree(path, ignore_errors=True)


def sockets(folder):
    return [name for name in os.listdir(folder) if name.endswith(".sock")] if folder.exists() else []


def maps(pid="self"):
    """The number of connections whose memory is mapped in a process. Each memory has several mappings."""
    with open(f"/proc/{pid}/maps") as file:
        return len({line.split()[4] for line in file if "memfd:alchemist" in line})


def matrix(n=3000):
    return np.random.default_rng(5).random((n, 500))


def check(session, array):
    """Send an array in both orders, and fetch it."""
    for source in array, np.asfortranarray(array):
        assert np.array_equal(session.send_matrix(source).fetch(), array)


def wait_for_no_sockets(folder):
    wait_for(lambda: sockets(folder) == [], 10 * PATIENCE, "the removal of the socket files")


def test_each_worker_of_this_host_shares_memory_with_the_client(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    with daemon.connect(workers=2) as als:
        check(als, matrix())
        assert daemon.log().count(USED) == 2  # one connection to each worker
        assert maps() == 2
        assert len(sockets(folder)) == 2
        assert all(maps(w.pid) == 1 for w in als.workers)


def test_a_session_that_ends_leaves_no_memory_or_files(own_daemon_with_private_shm, folder):
    daemon = own_daemon_with_private_shm(2)
    with daemon.connect(workers=2) as als:
        check(als, matrix(30))
        assert maps() == 2 and len(sockets(folder)) == 2
    daemon.wait_until_idle()
    assert maps() == 0
    assert sockets(folder) == []
    assert daemon.shared_memory() == set()


def test_an_option_of_the_client_turns_shared_memory_off(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    with daemon.connect(workers=1, shared_memory=0) as als:
        check(als, matrix(300))
        assert USED not in daemon.log()


def test_an_option_of_the_daemon_turns_shared_memory_off(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug", "--no-shared-memory")
    with daemon.connect(workers=1, shared_memory=1) as als:
        check(als, matrix(300))
        assert USED not in daemon.log() and REFUSED not in daemon.log()
        assert sockets(folder) == []


def test_an_option_of_the_client_out_of_range_is_refused(daemon):
    with pytest.raises(alchemist.AlchemistError, match="shared_memory"):
        daemon.connect(shared_memory=2)


# ---- processes that are killed or stopped ----

# The client kills itself as soon as a part of a matrix has moved, so that this happens in mid-transfer.
DYING_SENDER = """
import sys
sys.path.insert(0, sys.argv[1])
import alchemist, numpy as np, os, signal
alchemist._ffi.SLICE_MS = 1  # so that progress is reported before the last byte is sent
als = alchemist.connect(connection_file=sys.argv[2], workers=int(sys.argv[3]))
a = np.ones((20000, 500))
h = als.send_matrix(a)
def die(done, total):
    if 0 < done < total:
        os.kill(os.getpid(), signal.SIGKILL)
while True:
    h.write(a, progress=die)
"""


def start(program, daemon, *arguments, prefix=()):
    return subprocess.Popen([*prefix, sys.executable, "-c", program, str(TOP / "bindings" / "python"),
                             daemon.connection_file, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_a_client_killed_in_mid_transfer_leaves_no_files(own_daemon_with_private_shm, folder):
    daemon = own_daemon_with_private_shm(2, "--log-level", "debug")
    client = start(DYING_SENDER, daemon, 2, prefix=daemon.enter)
    assert client.wait(30 * PATIENCE) == -signal.SIGKILL
    assert daemon.log().count(USED) == 2
    daemon.wait_until_idle()
    assert sockets(folder) == []
    assert daemon.shared_memory() == set()
    with daemon.connect(workers=2) as als:
        check(als, matrix(300))


def test_a_worker_killed_in_mid_transfer_leaves_no_memory_or_files(own_daemon_with_private_shm, folder):
    daemon = own_daemon_with_private_shm(2)
    with daemon.connect(workers=2) as als:
        a = np.ones((20000, 500))
        h = als.send_matrix(a)
        os.kill(als.workers[1].pid, signal.SIGKILL)
        error = wait_for_error(alchemist.GroupLostError, lambda: h.write(a), 10 * PATIENCE)
        assert "signal 9" in str(error)
        wait_for_no_sockets(folder)
        als.request_workers(2)
        check(als, matrix(300))
    assert maps() == 0
    daemon.wait_until_idle()
    assert daemon.shared_memory() == set()


def test_the_next_daemon_removes_the_files_of_a_killed_one(own_daemon, folder):
    daemon = own_daemon(1)
    als = daemon.connect(workers=1)
    check(als, matrix(30))
    pid = als.workers[0].pid
    assert len(sockets(folder)) == 1
    daemon.process.kill()
    daemon.process.wait()
    wait_for_exit([pid], 10 * PATIENCE, "the end of the worker")
    als.close()
    assert maps() == 0
    own_daemon(1)
    wait_for_no_sockets(folder)


def test_a_write_to_a_stopped_worker_times_out_and_can_be_repeated(own_daemon, folder):
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


# ---- reasons to use TCP ----

def test_workers_without_space_for_the_memory_use_tcp_and_warn_once_each(own_daemon, folder):
    daemon = own_daemon(2, "--log-level", "debug")
    with daemon.connect(workers=2) as als:
        for worker in als.workers:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (65536, 65536))
        check(als, matrix())
        assert maps() == 0
        log = daemon.log()
        assert USED not in log
        assert [line.count(REFUSED) for line in log.splitlines() if "[warning]" in line] == [1, 1]


def run_client(program, daemon, *arguments, **options):
    ended = subprocess.run([sys.executable, "-c", program, str(TOP / "bindings" / "python"), *map(str, arguments)],
                           capture_output=True, text=True, timeout=30 * PATIENCE, **options)
    assert ended.stdout == "done\n", ended.stderr


ONE_DESCRIPTOR_LEFT = """
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


def test_a_client_without_a_free_descriptor_for_the_memory_uses_tcp(own_daemon, folder):
    """The socket to the worker takes the last descriptor, so that the client cannot receive the memory's."""
    daemon = own_daemon(1, "--log-level", "debug")
    run_client(ONE_DESCRIPTOR_LEFT, daemon, daemon.connection_file)
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
def test_another_user_with_the_token_shares_memory(own_daemon, folder):
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


needs_namespaces = pytest.mark.skipif(not can_run("unshare", "-n", "-m", "-i", "true"),
                                      reason="this process may not create namespaces")


@needs_namespaces
def test_a_client_in_other_mount_and_ipc_namespaces_shares_memory(own_daemon, folder):
    daemon = own_daemon(1, "--log-level", "debug")
    client = start(FETCHER, daemon, "", prefix=["unshare", "-m", "-i"])
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert daemon.log().count(USED) == 1  # it is in the same network namespace


@pytest.fixture
def network():
    """A network namespace that is connected to this one.

    Returns the prefix of commands that run in it, and the address at which it reaches this namespace.
    """
    if not can_run("unshare", "-n", "-m", "true") or not shutil.which("ip"):
        pytest.skip("this process may not create namespaces")
    holder = subprocess.Popen(["unshare", "-n", "sleep", "300"])  # keeps the namespace until it is killed
    here, there = f"av{os.getpid() % 100000}", f"aw{os.getpid() % 100000}"
    third = os.getpid() % 250 + 1
    inside = ["nsenter", "-t", str(holder.pid), "-n"]
    try:
        wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), 5 * PATIENCE,
                 "the network namespace")
        for command in (["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(holder.pid)],
                        ["ip", "addr", "add", f"10.213.{third}.1/24", "dev", here], ["ip", "link", "set", here, "up"],
                        [*inside, "ip", "addr", "add", f"10.213.{third}.2/24", "dev", there],
                        [*inside, "ip", "link", "set", there, "up"]):
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("this process may not connect namespaces")
        yield inside, f"10.213.{third}.1"
    finally:
        holder.kill()
        holder.wait()
        subprocess.run(["ip", "link", "del", here], capture_output=True)


def test_a_client_in_another_network_that_sees_the_folder_shares_memory(own_daemon, folder, network):
    inside, address = network
    daemon = own_daemon(1, "--log-level", "debug", "--bind", address, "--insecure")
    client = start(FETCHER, daemon, "", prefix=inside)
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert daemon.log().count(USED) == 1


def test_a_client_in_another_network_that_does_not_see_the_folder_uses_tcp(own_daemon, folder, network):
    inside, address = network
    daemon = own_daemon(1, "--log-level", "debug", "--bind", address, "--insecure")
    client = start(FETCHER, daemon, "", prefix=[*inside, "env", "XDG_RUNTIME_DIR=/nowhere", "HOME=/nowhere"])
    assert client.communicate(timeout=30 * PATIENCE)[0] == "done\n"
    assert USED not in daemon.log() and REFUSED not in daemon.log()
    assert "warning" not in daemon.log()
