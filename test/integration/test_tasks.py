"""Tasks: arguments of every type, the SVD on every layout, errors, queue, progress, cancel."""

import time

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, wait_for


@pytest.fixture
def testlib(als):
    return als.load_library("TestLib")


@pytest.fixture
def faults(als):
    return als.load_library("faults")


def check_svd(a, result, rank, bound=1e-8):
    """Singular values, orthonormality, subspaces and residual against NumPy."""
    s, u, v = (np.asarray(h) for h in result)
    assert s.shape == (rank, 1) and u.shape == (a.shape[0], rank) and v.shape == (a.shape[1], rank)
    s = s.ravel()
    assert np.all(np.diff(s) >= 0), "ascending"
    un, sn, vn = np.linalg.svd(a, full_matrices=False)
    expected = sn[:rank][::-1]
    assert np.all(np.abs(s - expected) <= bound * np.maximum(expected, 1e-8 * sn[0])), (s, expected)
    assert np.linalg.norm(u.T @ u - np.eye(rank)) < 1e-9 and np.linalg.norm(v.T @ v - np.eye(rank)) < 1e-9
    optimal = np.linalg.norm(sn[rank:])
    assert np.linalg.norm(a - (u * s) @ v.T) <= optimal * (1 + 1e-9) + 1e-11 * np.linalg.norm(a)


def test_greet_echoes_every_scalar(testlib):
    f = testlib.greet
    given = {}
    for p in f._parameters:
        given[p.name] = {"bool": True, "int8": -128, "int16": -32768, "int32": -2**31, "int64": -2**63, "uint8": 255,
                         "uint16": 65535, "uint32": 2**32 - 1, "uint64": 2**64 - 1, "float32": -1.5, "float64": -1e300,
                         "complex64": 1.5 - 2j, "complex128": -1e-300 + 2j,
                         "string": "Ångström 線形代数 🙂"}[p.type.name.lower()]
    assert len({p.type for p in f._parameters}) == 14
    result = f(**given)
    for value in given.values():
        assert any(r == value and type(r) is type(value) for r in result), (value, result)


@pytest.mark.parametrize("layout", [None, *NAMES, "block_cyclic(5,3,1,3)"])
def test_svd_on_every_layout(als, testlib, layout):
    rng = np.random.default_rng(5)
    for shape in ((60, 21), (19, 53), (2, 40)):
        a = rng.standard_normal(shape)
        for rank in {1, min(shape) // 2, min(shape)} - {0}:
            handle = als.send_matrix(a, layout=layout)
            result = testlib.truncated_svd(handle, rank)
            check_svd(a, result, rank)
            for h in (*result, handle):
                h.free()


def test_svd_of_every_rank(als, testlib):
    a = np.random.default_rng(6).standard_normal((23, 17))
    handle = als.send_matrix(a)
    for rank in range(1, 18):
        check_svd(a, testlib.truncated_svd(handle, rank), rank)


@pytest.mark.parametrize("name, a", [
    ("1 x 1", np.array([[-3.0]])), ("row", np.arange(1.0, 30)[None, :]), ("column", np.arange(1.0, 30)[:, None]),
    ("zero", np.zeros((12, 9))), ("identity", np.eye(15)), ("rank 2", np.outer(np.arange(20.0), np.ones(15)) + np.eye(20, 15, 3) * 0),
    ("graded", np.diag(10.0 ** -np.arange(12.0)) @ np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]),
    ("hilbert", 1 / (np.arange(20)[:, None] + np.arange(14) + 1.0)),
    ("wide", np.random.default_rng(1).standard_normal((30, 1500))), ("tall", np.random.default_rng(1).standard_normal((1500, 30))),
])
def test_svd_of_hard_inputs(als, testlib, name, a):
    handle = als.send_matrix(a)
    for rank in {1, min(a.shape) // 2, min(a.shape)} - {0}:
        s, u, v = (np.asarray(h) for h in testlib.truncated_svd(handle, rank))
        sn = np.linalg.svd(a, compute_uv=False)
        assert np.max(np.abs(s.ravel()[::-1] - sn[:rank])) <= 1e-10 * max(sn[0], 1e-300), (name, rank)
        assert np.linalg.norm(u.T @ u - np.eye(rank)) < 1e-9 and np.linalg.norm(v.T @ v - np.eye(rank)) < 1e-9
        assert np.linalg.norm(a - (u * s.ravel()) @ v.T) <= np.linalg.norm(sn[rank:]) * (1 + 1e-8) + 1e-10 * sn[0]


def test_svd_refusals(als, testlib):
    a = als.send_matrix(np.ones((30, 20)))
    for rank in (0, -1, 21):
        with pytest.raises(alchemist.RangeError, match=rf"{rank}.*20"):
            testlib.truncated_svd(a, rank)
    bad = np.ones((30, 20))
    bad[17, 3] = np.nan
    with pytest.raises(alchemist.NumericError, match=r"17.*3.*[Nn]a[Nn]"):
        testlib.truncated_svd(als.send_matrix(bad), 2)
    bad[17, 3] = -np.inf
    with pytest.raises(alchemist.NumericError, match=r"17.*3.*[Ii]nf"):
        testlib.truncated_svd(als.send_matrix(bad), 2)
    with pytest.raises(alchemist.AlchemistError, match="int32"):
        testlib.truncated_svd(als.send_matrix(np.ones((5, 5), dtype="int32")), 2)
    part = als.create_matrix((30, 20))
    part.write(np.ones((10, 20)))
    with pytest.raises(alchemist.IncompleteError, match=f"matrix {part.id}.*(row|not)"):
        testlib.truncated_svd(part, 2)
    part.write(np.ones((20, 20)), 10, 0)
    assert abs(np.asarray(testlib.truncated_svd(part, 1).S)[0, 0] - np.sqrt(600)) < 1e-10


def test_unknown_names(als, testlib):
    a = als.send_matrix(np.ones((3, 3)))
    with pytest.raises(AttributeError, match="truncated_svd"):
        testlib.no_such_function
    with pytest.raises(alchemist.NotFoundError, match="no_such_library.*TestLib|no_such_library.*testlib"):
        als.load_library("no_such_library")
    with pytest.raises(alchemist.WrongTypeError, match="'?colour'?.*rank"):
        testlib.truncated_svd(a, 1, colour="red")
    gone = als.send_matrix(np.ones((2, 2)))
    other = als.matrix(gone.id)
    gone.free()
    with pytest.raises(alchemist.NotFoundError, match=f"{other.id}"):
        testlib.truncated_svd(other, 1)


def test_wrong_types(als, testlib):
    a = als.send_matrix(np.ones((3, 3)))
    for arguments, text in (((a, "two"), "rank.*int64.*string"), ((a, 1.5), "rank.*int64"), ((a,), "rank"), ((3, 1), "A.*matrix"),
                            ((a, [1, 2]), "rank"), ((a, a), "rank")):
        with pytest.raises(alchemist.WrongTypeError, match=text):
            testlib.truncated_svd(*arguments)
    with pytest.raises(alchemist.WrongTypeError):
        testlib.truncated_svd(a, 1, 2)
    with pytest.raises(alchemist.WrongTypeError, match="send_matrix"):
        testlib.truncated_svd(np.ones((3, 3)), 1)
    with pytest.raises(alchemist.WrongTypeError, match="300|int8"):
        small = [p.name for p in testlib.greet._parameters if p.type.name == "INT8"][0]
        testlib.greet(**{small: 300})


def test_documentation(testlib):
    import inspect

    assert "truncated_svd" in dir(testlib) and "truncated_svd" in testlib.__doc__
    assert "rank" in inspect.signature(testlib.truncated_svd).parameters
    assert "Lanczos" in testlib.truncated_svd.__doc__


def test_queue_busy_and_results(als, faults):
    a = als.send_matrix(np.ones((40, 30)))
    hello = als.load_library("hello")
    running = faults.busy.submit(1.5 * PATIENCE)
    queued = hello.total.submit(a)
    assert queued.state == "queued" and running.state in ("queued", "running")
    with pytest.raises(alchemist.BusyError, match=f"{queued.id}"):
        a.free()
    with pytest.raises(alchemist.BusyError, match=f"{queued.id}"):
        a.write(np.zeros((40, 30)))
    assert np.asarray(a).sum() == 1200, "reading is free"
    b = als.send_matrix(np.ones((5, 5)))  # create and write while a task runs
    b.free()
    with pytest.raises(TimeoutError):
        queued.result(timeout=0.05)
    assert queued.result(timeout=20 * PATIENCE) == 1200
    assert running.state == "done"
    a.free()


def test_handles_of_results_are_what_the_driver_has(als):
    testlib = als.load_library("testlib")
    a = als.send_matrix(np.diag(np.arange(1.0, 31.0)), layout="MC_MR")
    task = testlib.truncated_svd.submit(a, 4)
    for handle in task.result(timeout=20 * PATIENCE):
        facts = als.matrix(handle.id)
        assert (handle.shape, handle.dtype, handle.layout, handle.name) == \
               (facts.shape, facts.dtype, facts.layout, facts.name)
        facts.free()
        with pytest.raises(alchemist.NotFoundError):
            np.asarray(handle)
    a.free()


def test_a_result_that_was_freed_before_it_was_asked_for(als, faults):
    a = als.send_matrix(np.ones((4, 4)), name="a")
    task = faults.copy.submit(a)
    wait_for(lambda: als.list_matrices()[-1].id > a.id, 5 * PATIENCE, "the result")
    made = als.list_matrices()[-1]
    made.free()
    with pytest.raises(alchemist.NotFoundError, match=f"matrix {made.id}"):
        task.result(timeout=5 * PATIENCE)
    a.free()


def test_a_rank_that_has_ended_still_sends(daemon):
    """What it sent without waiting arrives, with and without something else to do after it."""
    with daemon.connect(workers=3) as als:
        faults = als.load_library("faults")
        for _ in range(3):
            task = faults.send_and_leave.submit()
            next_task = faults.send_and_leave.submit()
            assert task.result(timeout=10 * PATIENCE) is None and next_task.result(timeout=10 * PATIENCE) is None


def test_cancel(als, faults):
    running = faults.busy.submit(60.0)
    queued = faults.busy.submit(60.0)
    wait_for(lambda: running.progress.fraction is not None, 5 * PATIENCE, "progress")
    queued.cancel()
    with pytest.raises(alchemist.CanceledError):
        queued.result(timeout=5)
    begun = time.monotonic()
    running.cancel()
    with pytest.raises(alchemist.CanceledError):
        running.result(timeout=10)
    assert time.monotonic() - begun < 3 * PATIENCE
    assert running.state == "canceled"
    assert als.load_library("hello").total(als.send_matrix(np.ones((3, 3)))) == 9


def test_hard_cancel_ends_the_group(als, faults):
    h = als.send_matrix(np.ones((3, 3)))
    task = faults.spin.submit(60.0)
    wait_for(lambda: task.state == "running", 5 * PATIENCE)
    task.cancel()
    assert task.state == "cancelling"
    task.cancel(hard=True)
    with pytest.raises(alchemist.CanceledError, match=rf"its worker group; 1 matrix is lost: matrix {h.id} \(3 x 3, float64\)"):
        task.result(timeout=5 * PATIENCE)
    with pytest.raises(alchemist.GroupLostError):
        np.asarray(h)
    als.request_workers(3)


def test_many_small_tasks(als, faults):
    for _ in range(300):
        faults.nothing()
    tasks = [faults.nothing.submit() for _ in range(100)]
    for t in tasks:
        t.result(timeout=20)


def test_lists_and_defaults(als, faults):
    result = faults.lists([1, -2**62, 3], [0.5, -1e300], ["a", "ß", ""])
    assert result == ([1, -2**62, 3], [0.5, -1e300], ["a", "ß", ""])
    assert faults.lists(np.array([4, 5]), texts=("x",)) == ([4, 5], [], ["x"])
    assert faults.lists() == ([], [], [])
    for bad in ([1, "a"], [1.5], 7, [[1]]):
        with pytest.raises(alchemist.WrongTypeError, match="ints"):
            faults.lists(bad)
    assert "world" in als.load_library("hello").hello()
