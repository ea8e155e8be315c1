"""Fixtures of the integration tests. See harness.py."""

import pytest

from harness import Daemon, DaemonWithPrivateShm, alive


@pytest.fixture(scope="module")
def daemon():
    """A daemon with four worker slots, shared by the tests of a module. A test leaves it as it found it."""
    d = Daemon(4)
    yield d
    d.stop()
    assert not alive(d.process.pid), "the daemon still runs after stop()"


def starter(daemon_type):
    """A function that starts daemons; all are stopped when the test has ended."""
    started = []

    def start(workers=3, *options):
        started.append(daemon_type(workers, *options))
        return started[-1]

    yield start
    for d in started:
        d.stop()


@pytest.fixture
def own_daemon():
    """A function that starts daemons which the test may damage; all are stopped at the end of the test."""
    yield from starter(Daemon)


@pytest.fixture
def own_daemon_with_private_shm():
    """Like `own_daemon`, for tests that look for files left in the daemon's /dev/shm."""
    yield from starter(DaemonWithPrivateShm)


@pytest.fixture
def als(daemon):
    """A session with three workers of the shared daemon."""
    with daemon.connect(workers=3) as session:
        yield session
    daemon.wait_until_idle()


@pytest.fixture
def faults(als):
    """The library of operations that misbehave, loaded in the session `als`."""
    return als.load_library("faults")
