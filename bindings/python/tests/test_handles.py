"""Handles behave as users of NumPy expect, and fetch entries only on request."""

import inspect

import numpy as np
import pytest

import alchemist
from alchemist import _ffi


@pytest.fixture
def twelve():
    return np.arange(12.0).reshape(3, 4)


# ---- description ----

def test_a_handle_has_the_attributes_of_an_array(als, twelve):
    h = als.send_matrix(twelve)
    assert h.shape == (3, 4) and h.dtype == np.float64 and h.ndim == 2 and h.size == 12 and len(h) == 3
    assert h.nbytes == 96


def test_a_handle_has_layout_name_and_replicas(als, twelve):
    h = als.send_matrix(twelve, layout="VC_STAR", name="twelve")
    assert h.layout == "VC_STAR" and h.name == "twelve" and h.replicas == 1


def test_a_handle_is_shown_with_id_shape_and_name(als, twelve):
    h = als.send_matrix(twelve, name="twelve")
    assert str(h.id) in repr(h) and "3 x 4" in repr(h) and "twelve" in repr(h)
    assert str(h.id) in h._repr_html_() and "twelve" in h._repr_html_()


def test_the_default_layout_is_block_cyclic(als, twelve):
    assert als.send_matrix(twelve).layout.name == "BLOCK_CYCLIC"


def test_an_array_of_one_dimension_becomes_a_column(als):
    assert als.send_matrix(np.arange(5.0)).shape == (5, 1)


# ---- conversion to arrays ----

def test_asarray_and_array_fetch_the_entries(als, twelve):
    h = als.send_matrix(twelve)
    assert np.array_equal(np.asarray(h), twelve)
    assert np.array_equal(np.array(h), twelve)


def test_asarray_converts_to_a_dtype(als, twelve):
    converted = np.asarray(als.send_matrix(twelve), dtype="float32")
    assert converted.dtype == np.float32 and np.array_equal(converted, twelve)


def test_an_array_without_a_copy_is_refused(als, twelve):
    h = als.send_matrix(twelve)
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(h, copy=False)


@pytest.mark.parametrize("use", [
    lambda h: np.dot(h, np.ones(4)), lambda h: h + 1, lambda h: np.add(h, 1), lambda h: np.sum(h),
    lambda h: np.ones(3) @ h, lambda h: np.linalg.svd(h), lambda h: list(h), lambda h: np.concatenate([h, h]),
])
def test_functions_of_numpy_raise_instead_of_fetching(als, twelve, use):
    h = als.send_matrix(twelve)
    with pytest.raises(TypeError):
        use(h)


# ---- parts ----

@pytest.mark.parametrize("key", [
    np.s_[2], np.s_[-1], np.s_[1, 2], np.s_[:, 3], np.s_[2:5], np.s_[2:5, 1:3], np.s_[::2], np.s_[::-1],
    np.s_[5:1:-2, ::3], np.s_[[1, 3, 2]], np.s_[[0, 0, 6], 1:], np.s_[..., 1], np.s_[2, ...], np.s_[...], np.s_[3:3],
    np.s_[100:], np.s_[:, []], np.s_[np.array([True, False] * 3 + [True])],
])
def test_a_part_equals_that_of_the_array(als, key):
    a = np.arange(35, dtype=np.int64).reshape(7, 5)
    part = als.send_matrix(a, layout="MC_MR")[key]
    assert np.array_equal(part, a[key]) and np.shape(part) == np.shape(a[key])


@pytest.mark.parametrize("key", [7, -8, (0, 5), (1, 2, 3), [0, 7], [-8, 0], [True] * 6, 1.5, "x", None, True])
def test_bad_indices_are_refused(als, key):
    h = als.send_matrix(np.zeros((7, 5)))
    with pytest.raises((IndexError, TypeError)):
        h[key]


def test_an_index_of_a_list_that_is_out_of_range_is_named(als):
    h = als.send_matrix(np.zeros((7, 5)))
    with pytest.raises(IndexError, match="row 9 in the list is out of range for a matrix with 7 rows"):
        h[[0, 9]]
    with pytest.raises(IndexError, match="column -6 in the list is out of range for a matrix with 5 columns"):
        h[:, [-6, 0]]


def test_a_slice_fetches_only_its_entries(als, monkeypatch):
    h = als.send_matrix(np.arange(100.0 * 80).reshape(100, 80))
    read = []
    original = h._read
    monkeypatch.setattr(h, "_read", lambda rect, *rest: read.append(rect[2] * rect[3]) or original(rect, *rest))
    h[10:20, ::40]
    assert sum(read) == 20


def test_out_is_filled_through_its_strides(als, twelve):
    h = als.send_matrix(twelve)
    whole = np.zeros((6, 8))
    assert h.fetch(out=whole[::2, ::-2]).base is whole
    assert np.array_equal(whole[::2, ::-2], twelve) and whole[1::2].sum() == 0


@pytest.mark.parametrize("out", [
    np.zeros((4, 3)), np.zeros((3, 4), dtype="f4"), np.broadcast_to(np.zeros(4), (3, 4)),
    np.zeros(12, dtype=[("a", "i1"), ("x", "f8")])["x"].reshape(3, 4),
], ids=["shape", "dtype", "read-only", "strides"])
def test_an_out_that_cannot_be_filled_is_refused(als, twelve, out):
    h = als.send_matrix(twelve)
    with pytest.raises(ValueError, match="out has"):
        h.fetch(out=out)


# ---- sources ----

def test_an_array_in_the_other_byte_order_is_sent(als, twelve):
    assert np.array_equal(np.asarray(als.send_matrix(twelve.astype(">f8"))), twelve)


def test_an_unaligned_array_is_sent(als, twelve):
    packed = np.zeros(12, dtype=[("a", "i1"), ("x", "f8")])
    packed["x"] = np.arange(12)
    assert np.array_equal(np.asarray(als.send_matrix(packed["x"].reshape(3, 4))), twelve)


@pytest.mark.parametrize("dtype", ["float64", float, np.dtype("float64")])
def test_resume_converts_blocks_to_a_dtype_however_it_is_given(als, twelve, dtype):
    h = als.create_matrix((3, 4))
    assert h.resume(iter(twelve.astype(int)), dtype=dtype) == h.nbytes
    assert np.array_equal(np.asarray(h), twelve)


def test_append_rows_tries_again_when_no_task_uses_the_matrix(als, twelve, monkeypatch):
    h = als.send_matrix(twelve)
    refusals = [alchemist.BusyError("matrix 1 is used by a transfer"), alchemist.BusyError("whatever a task says")]
    call = _ffi.call_interruptibly

    def refuse_to_grow(name, *arguments, **options):
        if name == "matrix_grow" and refusals:
            raise refusals.pop()
        call(name, *arguments, **options)

    monkeypatch.setattr(_ffi, "call_interruptibly", refuse_to_grow)
    h.append_rows(twelve)
    assert not refusals and np.array_equal(np.asarray(h), np.vstack([twelve, twelve]))


def test_append_rows_raises_when_a_task_uses_the_matrix(als, twelve):
    h = als.send_matrix(twelve)
    faults = als.load_library("faults")
    running = faults.busy.submit(60.0)
    queued = faults.copy.submit(h)
    with pytest.raises(alchemist.BusyError):
        h.append_rows(twelve)
    running.cancel()
    queued.result()
    h.append_rows(twelve)
    assert h.shape == (6, 4)


# ---- end ----

def test_a_freed_handle_is_refused(als):
    h = als.send_matrix(np.ones((3, 3)))
    h.free()
    with pytest.raises(ValueError, match="freed"):
        h.fetch()


def test_a_dropped_handle_leaves_its_matrix_on_the_workers(als):
    for _ in range(50):
        als.matrix(als.send_matrix(np.ones((2, 2))).id)
    assert len(als.list_matrices()) == 50


def test_an_id_without_a_matrix_is_a_lookup_error(als):
    with pytest.raises(LookupError) as caught:
        als.matrix(12345)
    assert isinstance(caught.value, alchemist.NotFoundError)
    assert caught.value.name == "ALCH_ENOENT" and caught.value.code == alchemist.NotFoundError.code


def test_errors_are_also_those_of_python():
    assert issubclass(alchemist.DeadlineError, TimeoutError) and issubclass(alchemist.LimitError, MemoryError)


# ---- functions of libraries ----

def test_functions_of_a_library_are_attributes_that_can_be_completed(als):
    assert {"greet", "truncated_svd"} <= set(dir(als.load_library("TestLib")))


def test_functions_have_signatures_with_defaults(als):
    lib = als.load_library("TestLib")
    assert list(inspect.signature(lib.truncated_svd).parameters) == ["A", "rank"]
    assert all(p.default is not inspect.Parameter.empty for p in inspect.signature(lib.greet).parameters.values())


def test_several_results_are_a_named_tuple(als):
    result = als.load_library("TestLib").truncated_svd(als.send_matrix(np.eye(6, 4)), rank=2)
    assert result._fields == ("S", "U", "V") and result.S.shape == (2, 1)


def test_run_task_calls_a_function_by_its_name(als):
    lib = als.load_library("TestLib")
    assert als.run_task(lib, "truncated_svd", als.send_matrix(np.eye(3)), 1)[0].shape == (1, 1)
    assert als.run_task("TestLib", "truncated_svd", als.send_matrix(np.eye(3)), 1)[0].shape == (1, 1)
