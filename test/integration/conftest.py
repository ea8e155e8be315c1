"""Fixtures of the integration tests: see harness.py."""

import pytest

from harness import Daemon, alive, wait_for


@pytest.fixture(scope="module")
def daemon():
    d = Daemon(4)
    yield d
    d.stop()
    assert not alive(d.process.pid)


@pytest.fixture
def own_daemon():
    """Starts daemons that a test may harm; they are stopped at its end."""
    started = []

    def start(workers=3, *options):
        started.append(Daemon(workers, *options))
        return started[-1]

    yield start
    for d in started:
        d.stop()


@pytest.fixture
def als(daemon):
    with daemon.connect(workers=3) as session:
        yield session
    wait_for(daemon.idle, 10, "all slots idle")
