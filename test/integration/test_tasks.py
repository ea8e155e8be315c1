"""Tasks: arguments of every type, the SVD of every layout, errors, the queue, progress and cancellation."""

import inspect
import time
import types

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, wait_for


@pytest.fixture
def testlib(als):
    return als.load_library("TestLib")


def check_svd(a, result, rank, bound=1e-8):
    """Check singular values, orthonormality, subspaces and residual against NumPy."""
    s, u, v = (np.asarray(h) for h in result)
    assert s.shape == (rank, 1) and u.shape == (a.shape[0], rank) and v.shape == (a.shape[1], rank)
    s = s.ravel()
    assert np.all(np.diff(s) >= 0), "the values are not in ascending order"
    un, sn, vn = np.linalg.svd(a, full_matrices=False)
    expected = sn[:rank][::-1]
    assert np.all(np.abs(s - expected) <= bound * np.maximum(expected, 1e-8 * sn[0])), (s, expected)
    assert np.linalg.norm(u.T @ u - np.eye(rank)) < 1e-9 and np.linalg.norm(v.T @ v - np.eye(rank)) < 1e-9
    optimal = np.linalg.norm(sn[rank:])
    assert np.linalg.norm(a - (u * s) @ v.T) <= optimal * (1 + 1e-9) + 1e-11 * np.linalg.norm(a)


def declared_types(function):
    """The parameters of a function and their types, by name, from its signature "a:type=default, ... -> ..."."""
    pairs = [item.split("=")[0].split(":") for item in function.signature.split(" -> ")[0].split(", ")]
    return {name: kind for name, kind in pairs}


# An extreme value of each type.
SCALARS = {"bool": True, "int8": -128, "int16": -32768, "int32": -2**31, "int64": -2**63, "uint8": 255, "uint16": 65535,
           "uint32": 2**32 - 1, "uint64": 2**64 - 1, "float32": -1.5, "float64": -1e300, "complex64": 1.5 - 2j,
           "complex128": -1e-300 + 2j, "string": "Ångström 線形代数 🙂"}


def test_greet_has_a_parameter_of_every_scalar_type(testlib):
    assert set(declared_types(testlib.greet).values()) == set(SCALARS)
    assert list(declared_types(testlib.greet)) == list(inspect.signature(testlib.greet).parameters)


@pytest.mark.parametrize("kind", SCALARS)
def test_a_scalar_of_every_type_comes_back_as_it_was_given(testlib, kind):
    # `name` comes back as a part of the greeting, every other parameter as the result of the same name.
    names = [name for name, declared in declared_types(testlib.greet).items() if declared == kind and name != "name"]
    result = testlib.greet(**{name: SCALARS[kind] for name in names})
    assert names
    for name in names:
        value = getattr(result, name)
        assert value == SCALARS[kind] and type(value) is type(SCALARS[kind])


def test_scalars_of_all_types_together_come_back_as_they_were_given(testlib):
    given = {name: SCALARS[kind] for name, kind in declared_types(testlib.greet).items()}
    result = testlib.greet(**given)._asdict()
    assert given.pop("name") in result.pop("greeting")
    assert result == given and all(type(result[name]) is type(value) for name, value in given.items())


# ---- truncated_svd ----

@pytest.mark.parametrize("layout", [None, *NAMES, "block_cyclic(5,3,1,3)"])
def test_the_svd_is_exact_in_every_layout(als, testlib, layout):
    rng = np.random.default_rng(5)
    for shape in ((60, 21), (19, 53), (2, 40)):
        a = rng.standard_normal(shape)
        for rank in {1, min(shape) // 2, min(shape)} - {0}:
            handle = als.send_matrix(a, layout=layout)
            result = testlib.truncated_svd(handle, rank)
            check_svd(a, result, rank)
            for h in (*result, handle):
                h.free()


def test_the_svd_is_exact_for_every_rank(als, testlib):
    a = np.random.default_rng(6).standard_normal((23, 17))
    handle = als.send_matrix(a)
    for rank in range(1, 18):
        check_svd(a, testlib.truncated_svd(handle, rank), rank)


@pytest.mark.parametrize("name, a", [
    ("1 x 1", np.array([[-3.0]])), ("row", np.arange(1.0, 30)[None, :]), ("column", np.arange(1.0, 30)[:, None]),
    ("zero", np.zeros((12, 9))), ("identity", np.eye(15)), ("rank 1", np.outer(np.arange(20.0), np.ones(15))),
    ("graded", np.diag(10.0 ** -np.arange(12.0)) @ np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]),
    ("hilbert", 1 / (np.arange(20)[:, None] + np.arange(14) + 1.0)),
    ("wide", np.random.default_rng(1).standard_normal((30, 1500))),
    ("tall", np.random.default_rng(1).standard_normal((1500, 30))),
])
def test_the_svd_of_hard_inputs_is_exact(als, testlib, name, a):
    handle = als.send_matrix(a)
    for rank in {1, min(a.shape) // 2, min(a.shape)} - {0}:
        s, u, v = (np.asarray(h) for h in testlib.truncated_svd(handle, rank))
        sn = np.linalg.svd(a, compute_uv=False)
        assert np.max(np.abs(s.ravel()[::-1] - sn[:rank])) <= 1e-10 * max(sn[0], 1e-300), (name, rank)
        assert np.linalg.norm(u.T @ u - np.eye(rank)) < 1e-9 and np.linalg.norm(v.T @ v - np.eye(rank)) < 1e-9
        assert np.linalg.norm(a - (u * s.ravel()) @ v.T) <= np.linalg.norm(sn[rank:]) * (1 + 1e-8) + 1e-10 * sn[0]


@pytest.mark.parametrize("rank", [0, -1, 21])
def test_the_svd_refuses_a_rank_out_of_range_with_the_limit(als, testlib, rank):
    with pytest.raises(alchemist.RangeError, match=rf"{rank}.*20"):
        testlib.truncated_svd(als.send_matrix(np.ones((30, 20))), rank)


@pytest.mark.parametrize("value, text", [(np.nan, "[Nn]a[Nn]"), (-np.inf, "[Ii]nf")], ids=["NaN", "infinity"])
def test_the_svd_refuses_an_entry_that_is_not_finite_and_names_it(als, testlib, value, text):
    bad = np.ones((30, 20))
    bad[17, 3] = value
    with pytest.raises(alchemist.NumericError, match=rf"17.*3.*{text}"):
        testlib.truncated_svd(als.send_matrix(bad), 2)


def test_the_svd_refuses_integers(als, testlib):
    with pytest.raises(alchemist.AlchemistError, match="int32"):
        testlib.truncated_svd(als.send_matrix(np.ones((5, 5), dtype="int32")), 2)


def test_the_svd_refuses_an_incomplete_matrix_until_it_is_complete(als, testlib):
    part = als.create_matrix((30, 20))
    part.write(np.ones((10, 20)))
    with pytest.raises(alchemist.IncompleteError, match=f"matrix {part.id}.*(row|not)"):
        testlib.truncated_svd(part, 2)
    part.write(np.ones((20, 20)), 10, 0)
    assert abs(np.asarray(testlib.truncated_svd(part, 1).S)[0, 0] - np.sqrt(600)) < 1e-10


# ---- names, types and documentation ----

def test_the_error_for_an_unknown_function_lists_the_functions(testlib):
    with pytest.raises(AttributeError, match="truncated_svd"):
        testlib.no_such_function


def test_the_error_for_an_unknown_library_lists_the_libraries(als):
    with pytest.raises(alchemist.NotFoundError, match="no_such_library.*TestLib|no_such_library.*testlib"):
        als.load_library("no_such_library")


def test_the_error_for_an_unknown_parameter_shows_the_signature(als, testlib):
    with pytest.raises(alchemist.WrongTypeError, match="'?colour'?.*rank"):
        testlib.truncated_svd(als.send_matrix(np.ones((3, 3))), 1, colour="red")


def test_a_deleted_matrix_is_not_found_as_an_argument(als, testlib):
    matrix = als.send_matrix(np.ones((2, 2)))
    other = als.matrix(matrix.id)
    matrix.free()
    with pytest.raises(alchemist.NotFoundError, match=f"{other.id}"):
        testlib.truncated_svd(other, 1)


@pytest.mark.parametrize("arguments, text", [
    (lambda a: (a, "two"), "rank.*int64.*string"), (lambda a: (a, 1.5), "rank.*int64"), (lambda a: (a,), "rank"),
    (lambda a: (3, 1), "A.*matrix"), (lambda a: (a, [1, 2]), "rank"), (lambda a: (a, a), "rank"),
    (lambda a: (a, 1, 2), "3 arguments"), (lambda a: (np.ones((3, 3)), 1), "send_matrix"),
], ids=["string", "real", "missing", "number for a matrix", "list", "matrix for a number", "too many",
        "array for a matrix"])
def test_an_argument_of_a_wrong_type_is_refused_with_its_parameter(als, testlib, arguments, text):
    with pytest.raises(alchemist.WrongTypeError, match=text):
        testlib.truncated_svd(*arguments(als.send_matrix(np.ones((3, 3)))))


def test_an_integer_that_does_not_fit_its_parameter_is_refused(testlib):
    [small] = [name for name, kind in declared_types(testlib.greet).items() if kind == "int8"]
    with pytest.raises(alchemist.WrongTypeError, match="300|int8"):
        testlib.greet(**{small: 300})


def test_functions_of_a_library_are_documented_in_python(testlib):
    assert "truncated_svd" in dir(testlib) and "truncated_svd" in testlib.__doc__
    assert "rank" in inspect.signature(testlib.truncated_svd).parameters
    assert "Lanczos" in testlib.truncated_svd.__doc__


# ---- the queue ----

@pytest.fixture
def queued(als, faults):
    """A task that waits for a long one, and the matrix that it is given."""
    a = als.send_matrix(np.ones((40, 30)))
    hello = als.load_library("hello")
    running = faults.busy.submit(60.0)
    task = hello.total.submit(a)
    yield types.SimpleNamespace(running=running, task=task, matrix=a)
    running.cancel()


def test_a_task_waits_in_the_queue_while_another_runs(queued):
    assert queued.task.state == "queued" and queued.running.state in ("queued", "running")


def test_the_matrix_of_a_queued_task_is_neither_deleted_nor_written(queued):
    with pytest.raises(alchemist.BusyError, match=f"{queued.task.id}"):
        queued.matrix.free()
    with pytest.raises(alchemist.BusyError, match=f"{queued.task.id}"):
        queued.matrix.write(np.zeros((40, 30)))


def test_the_matrix_of_a_queued_task_can_be_fetched(queued):
    assert np.asarray(queued.matrix).sum() == 1200
    assert queued.task.state == "queued"


def test_matrices_are_created_and_deleted_while_a_task_runs(als, queued):
    b = als.send_matrix(np.ones((5, 5)))
    b.free()
    assert [h.id for h in als.list_matrices()] == [queued.matrix.id]
    assert queued.task.state == "queued"


def test_waiting_for_a_queued_task_times_out(queued):
    with pytest.raises(TimeoutError):
        queued.task.result(timeout=0.05)


def test_a_queued_task_runs_after_the_first_has_ended(als, faults):
    a, hello = als.send_matrix(np.ones((40, 30))), als.load_library("hello")
    first, second = faults.busy.submit(0.3), hello.total.submit(a)
    assert second.result(timeout=20 * PATIENCE) == 1200
    assert first.state == "done"


def test_the_matrix_of_a_task_that_has_ended_can_be_deleted(als):
    a = als.send_matrix(np.ones((40, 30)))
    assert als.load_library("hello").total(a) == 1200
    a.free()
    assert als.list_matrices() == []


def test_many_small_tasks_run_one_by_one_and_queued(faults):
    for _ in range(300):
        assert faults.nothing() is None
    tasks = [faults.nothing.submit() for _ in range(100)]
    assert [task.result(timeout=20 * PATIENCE) for task in tasks] == [None] * 100


# ---- results ----

def test_handles_of_results_agree_with_the_driver(als, testlib):
    a = als.send_matrix(np.diag(np.arange(1.0, 31.0)), layout="MC_MR")
    task = testlib.truncated_svd.submit(a, 4)
    for handle in task.result(timeout=20 * PATIENCE):
        other = als.matrix(handle.id)  # described by the driver
        assert (handle.shape, handle.dtype, handle.layout, handle.name) == \
               (other.shape, other.dtype, other.layout, other.name)
        other.free()
        with pytest.raises(alchemist.NotFoundError):
            np.asarray(handle)
    a.free()


def test_a_result_that_was_deleted_before_it_was_asked_for_is_not_found(als, faults):
    a = als.send_matrix(np.ones((4, 4)), name="a")
    task = faults.copy.submit(a)
    wait_for(lambda: als.list_matrices()[-1].id > a.id, 5 * PATIENCE, "the result")
    made = als.list_matrices()[-1]
    made.free()
    with pytest.raises(alchemist.NotFoundError, match=f"matrix {made.id}"):
        task.result(timeout=5 * PATIENCE)
    a.free()


def test_a_message_arrives_after_the_function_of_its_sender_has_returned(faults):
    """The sender does not wait for the message to leave. Afterwards its rank is idle, or runs the next task."""
    for _ in range(3):
        task = faults.send_and_leave.submit()
        next_task = faults.send_and_leave.submit()
        assert task.result(timeout=10 * PATIENCE) is None and next_task.result(timeout=10 * PATIENCE) is None


def test_lists_come_back_as_they_were_given(faults):
    result = faults.lists([1, -2**62, 3], [0.5, -1e300], ["a", "ß", ""])
    assert result == ([1, -2**62, 3], [0.5, -1e300], ["a", "ß", ""])


def test_lists_may_be_arrays_tuples_or_left_out(faults):
    assert faults.lists(np.array([4, 5]), texts=("x",)) == ([4, 5], [], ["x"])
    assert faults.lists() == ([], [], [])


@pytest.mark.parametrize("bad", [[1, "a"], [1.5], 7, [[1]]], ids=str)
def test_a_list_of_a_wrong_type_is_refused_with_its_parameter(faults, bad):
    with pytest.raises(alchemist.WrongTypeError, match="ints"):
        faults.lists(bad)


def test_a_parameter_that_is_left_out_has_its_default(als):
    assert "world" in als.load_library("hello").hello()


# ---- cancellation ----

def test_a_canceled_queued_task_ends_while_the_first_runs_on(faults):
    running, waiting = faults.busy.submit(60.0), faults.busy.submit(60.0)
    wait_for(lambda: running.progress.fraction is not None, 5 * PATIENCE, "progress of the first task")
    waiting.cancel()
    with pytest.raises(alchemist.CanceledError):
        waiting.result(timeout=5 * PATIENCE)
    assert running.state == "running"
    running.cancel()


def test_a_canceled_running_task_ends_soon_and_the_group_remains(als, faults):
    task = faults.busy.submit(60.0)
    wait_for(lambda: task.progress.fraction is not None, 5 * PATIENCE, "progress of the task")
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(alchemist.CanceledError):
        task.result(timeout=10 * PATIENCE)
    assert time.monotonic() - begun < 3 * PATIENCE
    assert task.state == "canceled"
    assert als.load_library("hello").total(als.send_matrix(np.ones((3, 3)))) == 9


@pytest.fixture
def uncooperative(als, faults):
    """A task that never looks whether it is canceled, after it was canceled, and a matrix of its session."""
    h = als.send_matrix(np.ones((3, 3)))
    task = faults.spin.submit(60.0)
    wait_for(lambda: task.state == "running", 5 * PATIENCE, "the start of the task")
    task.cancel()
    yield task, h
    task.cancel(hard=True)


def test_a_canceled_task_that_does_not_look_continues(uncooperative):
    task, _ = uncooperative
    assert task.state == "cancelling"
    with pytest.raises(TimeoutError):
        task.result(timeout=0.2)


def test_a_hard_cancel_ends_the_group_and_names_the_lost_matrices(als, uncooperative):
    task, h = uncooperative
    task.cancel(hard=True)
    with pytest.raises(alchemist.CanceledError,
                       match=rf"its worker group; 1 matrix is lost: matrix {h.id} \(3 x 3, float64\)"):
        task.result(timeout=5 * PATIENCE)
    with pytest.raises(alchemist.GroupLostError):
        np.asarray(h)
    assert len(als.request_workers(3)) == 3
