"""Transforms on the workers: layouts, transposes, types, in place and beside; busy, cancel, faults."""

import os
import signal

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, wait_for

LAYOUTS = [None, *NAMES, "block_cyclic(5,3)"]


@pytest.fixture
def faults(als):
    return als.load_library("faults")


def array(shape, dtype="float64", seed=3):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1000, 1000, shape).astype(dtype)
    return a + 1j * rng.integers(-1000, 1000, shape).astype(dtype) if np.dtype(dtype).kind == "c" else a


@pytest.mark.parametrize("source", LAYOUTS)
def test_every_pair_of_layouts(als, source):
    a = array((23, 17))
    for k, target in enumerate(LAYOUTS):
        handle = als.send_matrix(a, layout=source)
        used = als.list_matrices()
        other = handle.relayout(target)
        assert other.id != handle.id and len(als.list_matrices()) == len(used) + 1
        assert other.layout == als.create_matrix((1, 1), layout=target).layout or target is None
        np.testing.assert_array_equal(np.asarray(other), a)
        np.testing.assert_array_equal(np.asarray(handle.transpose(layout=target)), a.T)
        number = handle.id
        assert handle.relayout(target, in_place=True) is handle
        assert handle.id == number and handle.layout == other.layout
        np.testing.assert_array_equal(np.asarray(handle), a)
        for matrix in als.list_matrices():
            matrix.free()


def test_transpose_copy_names(als):
    a = array((40, 9), "complex128")
    handle = als.send_matrix(a, name="left")
    np.testing.assert_array_equal(np.asarray(handle.transpose(conjugate=True, name="right")), a.conj().T)
    twin = handle.copy()
    assert (twin.name, twin.shape, twin.layout) == ("", handle.shape, handle.layout)
    twin.write(np.zeros_like(a))
    np.testing.assert_array_equal(np.asarray(handle), a)
    assert handle.transpose(in_place=True).shape == (9, 40) and handle.name == "left"
    np.testing.assert_array_equal(np.asarray(handle), a.T)
    for shape in ((0, 5), (1, 1), (5, 0)):
        b = array(shape)
        np.testing.assert_array_equal(np.asarray(als.send_matrix(b).transpose(layout="VR_STAR")), b.T)


@pytest.mark.parametrize("before", ["float64", "float32", "complex128", "complex64", "int64", "int32"])
@pytest.mark.parametrize("after", ["float64", "float32", "complex128", "complex64", "int64", "int32"])
def test_types(als, before, after):
    a = array((31, 8), before)
    handle = als.send_matrix(a)
    kinds = np.dtype(before).kind + np.dtype(after).kind
    if kinds in ("cf", "ci"):
        with pytest.raises(alchemist.WrongTypeError, match="imaginary"):
            handle.astype(after, casting="unsafe")
        return
    if kinds == "fi":
        with pytest.raises(alchemist.WrongTypeError, match="unsafe"):
            handle.astype(after)
    other = handle.astype(after, casting="unsafe")
    assert other.dtype == after
    np.testing.assert_array_equal(np.asarray(other), a.astype(after))
    assert handle.astype(after, casting="unsafe", in_place=True).dtype == after
    np.testing.assert_array_equal(np.asarray(handle), a.astype(after))


def test_values_that_do_not_fit(als):
    a = array((50, 20))
    a[30, 11] = 2.0**31
    handle = als.send_matrix(a)
    before = len(als.list_matrices())
    with pytest.raises(alchemist.RangeError, match="row 30, column 11 .* int32"):
        handle.astype("int32", casting="unsafe", in_place=True)
    assert handle.dtype == "float64" and len(als.list_matrices()) == before
    np.testing.assert_array_equal(np.asarray(handle), a)
    a[30, 11] = -0.99
    handle.write(a)
    assert np.asarray(handle.astype("int64", casting="unsafe"))[30, 11] == 0


def test_other_handles_are_told(als):
    a = array((20, 20))
    handle = als.send_matrix(a)
    stale = als.matrix(handle.id)
    handle.relayout("VC_STAR", in_place=True)
    for use in (stale.fetch, lambda: stale.write(a), stale.missing, lambda: stale.resume(a)):
        with pytest.raises(alchemist.AlchemistError, match=f"matrix {handle.id} .*replaced in place"):
            use()
    np.testing.assert_array_equal(np.asarray(als.matrix(handle.id)), a)
    np.testing.assert_array_equal(np.asarray(stale.refresh()), a)


def test_refused(als):
    handle = als.create_matrix((10, 10))
    handle.write(np.zeros((5, 10)))
    with pytest.raises(alchemist.IncompleteError, match="not written"):
        handle.copy()
    with pytest.raises(alchemist.IncompleteError):
        handle.relayout("VC_STAR", in_place=True)
    handle.write(np.zeros((5, 10)), row=5)
    with pytest.raises(ValueError, match="grid"):
        handle.relayout("block_cyclic(2,2,40,40)")
    with pytest.raises(ValueError, match="casting"):
        handle.astype("int32", casting="safe")
    with pytest.raises(ValueError, match="63"):
        handle.copy(name="x" * 64)
    handle.relayout("VC_STAR", in_place=True)
    handle.free()


def test_busy(als, faults):
    a = array((30, 30))
    handle, other = als.send_matrix(a), als.send_matrix(a)
    sleeping = faults.busy.submit(60)
    try:
        copy = other.submit_transform()
        moving = handle.submit_transform(layout="STAR_VR", in_place=True)
        assert moving.state == "queued" and "matrix.relayout" in handle.info["busy"]
        for use in (handle.free, handle.copy, lambda: handle.relayout("MC_MR", in_place=True)):
            with pytest.raises(alchemist.BusyError, match=f"task {moving.id}"):
                use()
        with pytest.raises(alchemist.BusyError, match=f"task {copy.id}"):
            other.relayout("MC_MR", in_place=True)
        with pytest.raises(alchemist.BusyError):
            handle.write(a)
        moving.cancel()
        with pytest.raises(alchemist.CanceledError):
            moving.result()
        handle.write(2 * a)
    finally:
        sleeping.cancel()
    np.testing.assert_array_equal(np.asarray(copy.result()), a)
    assert np.asarray(handle.relayout("STAR_VR", in_place=True))[3, 4] == 2 * a[3, 4]


def test_progress_and_cancel_while_it_runs(als):
    handle = als.send_matrix(np.ones((6000, 6000)), layout="MC_MR")
    seen = set()
    for _ in range(20):
        task = handle.submit_transform(layout="STAR_STAR", transpose=True)
        wait_for(task.done if seen else lambda t=task: t.done() or (t.progress.fraction or 0) > 0, 60 * PATIENCE)
        progress = task.progress
        if progress.state == "running" and 0 < progress.fraction < 1:
            seen.add(progress.fraction)
            task.cancel()
            try:
                task.result().free()
            except alchemist.CanceledError as error:
                assert "canceled after" in str(error)
                break
        else:
            task.result().free()
            seen.clear()
    else:
        pytest.fail("no transform was caught while it ran")
    assert len(als.list_matrices()) == 1
    assert float(np.asarray(handle[17:18, :3]).sum()) == 3


def test_a_worker_dies_meanwhile(als):
    handle = als.send_matrix(np.ones((6000, 6000)), layout="MC_MR")
    task = handle.submit_transform(layout="STAR_STAR", transpose=True, in_place=True)
    os.kill(als.workers[1].pid, signal.SIGKILL)
    with pytest.raises(alchemist.GroupLostError, match="signal 9"):
        task.result()
    with pytest.raises(alchemist.GroupLostError):
        while True:  # the other workers may have a moment left in which they answer
            handle.fetch((0, 0, 1, 1))
