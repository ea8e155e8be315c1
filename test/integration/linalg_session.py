"""Fixtures of the tests of the library linalg: a session of three workers, and matrices that each test frees."""

import numpy as np
import pytest

from harness import Daemon


@pytest.fixture(scope="module")
def daemon():
    d = Daemon(10)
    yield d
    d.stop()


@pytest.fixture(scope="module")
def als(daemon):
    """One session of three workers, which all tests share that do not need another number."""
    with daemon.connect(workers=3) as session:
        yield session
    daemon.wait_until_idle()


@pytest.fixture(scope="module")
def la(als):
    return als.load_library("linalg")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def send(als):
    """A function that sends a matrix. At the end of the test all matrices are freed that did not exist before it."""
    before = {m.id for m in als.list_matrices()}
    yield lambda x, layout=None: als.send_matrix(np.asarray(x), layout=None if layout == "default" else layout)
    for matrix in als.list_matrices():
        if matrix.id not in before:
            matrix.free()
