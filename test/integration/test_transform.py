"""Transforms on the workers: layouts, transposes and types, in place or into a new matrix; queue, progress, faults."""

import os
import signal
import types

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, wait_for, wait_for_error

LAYOUTS = [None, *NAMES, "block_cyclic(5,3)"]


def array(shape, dtype="float64", seed=3):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1000, 1000, shape).astype(dtype)
    return a + 1j * rng.integers(-1000, 1000, shape).astype(dtype) if np.dtype(dtype).kind == "c" else a


# ---- results ----

@pytest.mark.parametrize("source", LAYOUTS)
def test_a_matrix_changes_between_every_pair_of_layouts(als, source):
    a = array((23, 17))
    for target in LAYOUTS:
        handle = als.send_matrix(a, layout=source)
        before = als.list_matrices()
        other = handle.relayout(target)
        assert other.id != handle.id and len(als.list_matrices()) == len(before) + 1
        assert other.layout == als.create_matrix((1, 1), layout=target).layout or target is None
        np.testing.assert_array_equal(np.asarray(other), a)
        np.testing.assert_array_equal(np.asarray(handle.transpose(layout=target)), a.T)
        number = handle.id
        assert handle.relayout(target, in_place=True) is handle
        assert handle.id == number and handle.layout == other.layout
        np.testing.assert_array_equal(np.asarray(handle), a)
        for matrix in als.list_matrices():
            matrix.free()


def test_a_matrix_is_transposed_and_conjugated(als):
    a = array((40, 9), "complex128")
    handle = als.send_matrix(a, name="left")
    other = handle.transpose(conjugate=True, name="right")
    np.testing.assert_array_equal(np.asarray(other), a.conj().T)
    assert (handle.name, other.name) == ("left", "right")


def test_a_matrix_is_transposed_in_place_and_keeps_its_name(als):
    a = array((40, 9), "complex128")
    handle = als.send_matrix(a, name="left")
    assert handle.transpose(in_place=True).shape == (9, 40) and handle.name == "left"
    np.testing.assert_array_equal(np.asarray(handle), a.T)


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (5, 0)])
def test_an_empty_or_single_entry_is_transposed(als, shape):
    b = array(shape)
    np.testing.assert_array_equal(np.asarray(als.send_matrix(b).transpose(layout="VR_STAR")), b.T)


def test_a_copy_is_independent_and_has_no_name(als):
    a = array((40, 9), "complex128")
    handle = als.send_matrix(a, name="left")
    twin = handle.copy()
    assert (twin.name, twin.shape, twin.layout) == ("", handle.shape, handle.layout)
    twin.write(np.zeros_like(a))
    np.testing.assert_array_equal(np.asarray(handle), a)


TYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]
PAIRS = [(before, after) for before in TYPES for after in TYPES]


def kinds(before, after):
    """The kinds of two types in one string: "c" is complex, "f" real, "i" integer."""
    return np.dtype(before).kind + np.dtype(after).kind


@pytest.mark.parametrize("before, after", [pair for pair in PAIRS if kinds(*pair) not in ("cf", "ci")])
def test_a_matrix_is_converted_to_another_type(als, before, after):
    a = array((31, 8), before)
    handle = als.send_matrix(a)
    other = handle.astype(after, casting="unsafe")
    assert other.dtype == after
    np.testing.assert_array_equal(np.asarray(other), a.astype(after))
    assert handle.astype(after, casting="unsafe", in_place=True).dtype == after
    np.testing.assert_array_equal(np.asarray(handle), a.astype(after))


@pytest.mark.parametrize("before, after", [pair for pair in PAIRS if kinds(*pair) in ("cf", "ci")])
def test_a_conversion_that_drops_imaginary_parts_is_refused(als, before, after):
    with pytest.raises(alchemist.WrongTypeError, match="imaginary"):
        als.send_matrix(array((31, 8), before)).astype(after, casting="unsafe")


@pytest.mark.parametrize("before, after", [pair for pair in PAIRS if kinds(*pair) == "fi"])
def test_a_conversion_that_drops_fractions_is_refused_unless_unsafe(als, before, after):
    with pytest.raises(alchemist.WrongTypeError, match="unsafe"):
        als.send_matrix(array((31, 8), before)).astype(after)


def test_a_value_that_does_not_fit_is_named_and_nothing_changes(als):
    a = array((50, 20))
    a[30, 11] = 2.0**31
    handle = als.send_matrix(a)
    before = len(als.list_matrices())
    with pytest.raises(alchemist.RangeError, match="row 30, column 11 .* int32"):
        handle.astype("int32", casting="unsafe", in_place=True)
    assert handle.dtype == "float64" and len(als.list_matrices()) == before
    np.testing.assert_array_equal(np.asarray(handle), a)


def test_an_unsafe_conversion_to_integers_cuts_fractions_off(als):
    a = array((50, 20))
    a[30, 11] = -0.99
    assert np.asarray(als.send_matrix(a).astype("int64", casting="unsafe"))[30, 11] == 0


# ---- handles of a replaced matrix ----

@pytest.fixture
def replaced(als):
    """An array, and a handle of its matrix that was made before the matrix was replaced in place."""
    a = array((20, 20))
    handle = als.send_matrix(a)
    stale = als.matrix(handle.id)
    handle.relayout("VC_STAR", in_place=True)
    return a, stale


@pytest.mark.parametrize("use", [lambda handle, a: handle.fetch(), lambda handle, a: handle.write(a),
                                 lambda handle, a: handle.missing(), lambda handle, a: handle.resume(a)],
                         ids=["fetch", "write", "missing", "resume"])
def test_a_handle_from_before_a_change_in_place_is_refused(replaced, use):
    a, stale = replaced
    with pytest.raises(alchemist.AlchemistError, match=f"matrix {stale.id} .*replaced in place"):
        use(stale, a)


def test_a_handle_from_before_a_change_in_place_works_after_a_refresh(als, replaced):
    a, stale = replaced
    np.testing.assert_array_equal(np.asarray(als.matrix(stale.id)), a)
    np.testing.assert_array_equal(np.asarray(stale.refresh()), a)


# ---- refusals ----

def test_an_incomplete_matrix_is_not_transformed_until_it_is_complete(als):
    handle = als.create_matrix((10, 10))
    handle.write(np.zeros((5, 10)))
    with pytest.raises(alchemist.IncompleteError, match="not written"):
        handle.copy()
    with pytest.raises(alchemist.IncompleteError):
        handle.relayout("VC_STAR", in_place=True)
    handle.write(np.zeros((5, 10)), row=5)
    handle.relayout("VC_STAR", in_place=True)
    assert handle.layout == "VC_STAR"


@pytest.mark.parametrize("use, text", [
    (lambda handle: handle.relayout("block_cyclic(2,2,40,40)"), "grid"),
    (lambda handle: handle.astype("int32", casting="safe"), "casting"),
    (lambda handle: handle.copy(name="x" * 64), "63"),
], ids=["grid larger than the group", "unsafe casting", "long name"])
def test_an_invalid_transform_is_refused_with_the_reason(als, use, text):
    handle = als.send_matrix(np.zeros((10, 10)))
    with pytest.raises(ValueError, match=text):
        use(handle)
    assert [h.id for h in als.list_matrices()] == [handle.id]


# ---- transforms in the queue ----

@pytest.fixture
def queued(als, faults):
    """Transforms that wait for another task: a change in place of `handle`, and a copy of `other`."""
    a = array((30, 30))
    handle, other = als.send_matrix(a), als.send_matrix(a)
    first = faults.busy.submit(60)
    yield types.SimpleNamespace(array=a, handle=handle, other=other, first=first, copy=other.submit_transform(),
                                change=handle.submit_transform(layout="STAR_VR", in_place=True))
    first.cancel()


def test_the_info_of_a_matrix_shows_the_queued_transform(queued):
    assert queued.change.state == "queued" and "matrix.relayout" in queued.handle.info["busy"]


@pytest.mark.parametrize("use", [lambda h: h.free(), lambda h: h.copy(), lambda h: h.relayout("MC_MR", in_place=True),
                                 lambda h: h.write(np.zeros((30, 30)))], ids=["free", "copy", "relayout", "write"])
def test_a_matrix_that_will_be_replaced_is_busy(queued, use):
    with pytest.raises(alchemist.BusyError, match=f"task {queued.change.id}"):
        use(queued.handle)


def test_a_matrix_that_will_be_read_is_not_replaced(queued):
    with pytest.raises(alchemist.BusyError, match=f"task {queued.copy.id}"):
        queued.other.relayout("MC_MR", in_place=True)


def test_a_matrix_can_be_used_again_after_its_queued_transform_was_canceled(queued):
    queued.change.cancel()
    with pytest.raises(alchemist.CanceledError):
        queued.change.result()
    queued.handle.write(2 * queued.array)
    queued.first.cancel()
    assert np.asarray(queued.handle.relayout("STAR_VR", in_place=True))[3, 4] == 2 * queued.array[3, 4]


def test_a_queued_transform_runs_after_the_first_task_has_ended(queued):
    queued.first.cancel()
    np.testing.assert_array_equal(np.asarray(queued.copy.result()), queued.array)
    queued.change.result()
    np.testing.assert_array_equal(np.asarray(queued.handle.refresh()), queued.array)


# ---- running transforms ----

def test_a_running_transform_reports_progress_and_leaves_nothing_when_canceled(als):
    handle = als.send_matrix(np.ones((6000, 6000)), layout="MC_MR")
    for _ in range(20):  # until a transform is caught between its first and its last part
        task = handle.submit_transform(layout="STAR_STAR", transpose=True)
        wait_for(lambda: task.done() or (task.progress.fraction or 0) > 0, 60 * PATIENCE, "progress of the transform")
        progress = task.progress
        if progress.state != "running" or not 0 < progress.fraction < 1:
            task.result().free()
            continue
        task.cancel()
        try:
            task.result().free()
        except alchemist.CanceledError as error:
            assert "canceled after" in str(error)
            break
    else:
        pytest.fail("no transform was caught while it ran")
    assert len(als.list_matrices()) == 1
    assert float(np.asarray(handle[17:18, :3]).sum()) == 3


@pytest.fixture
def transform_without_worker(als):
    """A matrix, and the task of a transform during which a worker is killed."""
    handle = als.send_matrix(np.ones((6000, 6000)), layout="MC_MR")
    task = handle.submit_transform(layout="STAR_STAR", transpose=True, in_place=True)
    os.kill(als.workers[1].pid, signal.SIGKILL)
    return handle, task


def test_a_transform_fails_with_the_reason_when_a_worker_dies(transform_without_worker):
    _, task = transform_without_worker
    with pytest.raises(alchemist.GroupLostError, match="signal 9"):
        task.result()


def test_a_matrix_is_lost_when_a_worker_dies_during_its_transform(transform_without_worker):
    handle, task = transform_without_worker
    with pytest.raises(alchemist.GroupLostError):
        task.result()
    # The other workers may still answer for a moment.
    wait_for_error(alchemist.GroupLostError, lambda: handle.fetch((0, 0, 1, 1)), 10 * PATIENCE)
