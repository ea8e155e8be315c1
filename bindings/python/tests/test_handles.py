"""Handles behave as NumPy users expect, and never fetch behind their back."""

import inspect

import numpy as np
import pytest

import alchemist


def test_attributes(als):
    a = np.arange(12.0).reshape(3, 4)
    h = als.send_matrix(a, layout="VC_STAR", name="twelve")
    assert h.shape == (3, 4) and h.dtype == np.float64 and h.ndim == 2 and h.size == 12 and len(h) == 3
    assert h.nbytes == 96 and h.layout == "VC_STAR" and h.name == "twelve" and h.replicas == 1
    assert str(h.id) in repr(h) and "3 x 4" in repr(h) and "twelve" in h._repr_html_()
    assert als.send_matrix(a).layout.name == "BLOCK_CYCLIC"
    assert als.send_matrix(np.arange(5.0)).shape == (5, 1)


def test_array_protocol(als):
    a = np.arange(12.0).reshape(3, 4)
    h = als.send_matrix(a)
    assert np.array_equal(np.asarray(h), a)
    assert np.asarray(h, dtype="float32").dtype == np.float32
    assert np.array_equal(np.array(h), a)
    with pytest.raises(ValueError):
        np.asarray(h, copy=False)


@pytest.mark.parametrize("use", [
    lambda h: np.dot(h, np.ones(4)), lambda h: h + 1, lambda h: np.add(h, 1), lambda h: np.sum(h), lambda h: np.ones(3) @ h,
    lambda h: np.linalg.svd(h), lambda h: list(h), lambda h: np.concatenate([h, h]),
])
def test_no_silent_fetch(als, use):
    h = als.send_matrix(np.arange(12.0).reshape(3, 4))
    with pytest.raises(TypeError):
        use(h)


@pytest.mark.parametrize("key", [
    np.s_[2], np.s_[-1], np.s_[1, 2], np.s_[:, 3], np.s_[2:5], np.s_[2:5, 1:3], np.s_[::2], np.s_[::-1], np.s_[5:1:-2, ::3],
    np.s_[[1, 3, 2]], np.s_[[0, 0, 6], 1:], np.s_[..., 1], np.s_[2, ...], np.s_[...], np.s_[3:3], np.s_[100:], np.s_[:, []],
    np.s_[np.array([True, False] * 3 + [True])],
])
def test_indexing_is_numpys(als, key):
    a = np.arange(35, dtype=np.int64).reshape(7, 5)
    part = als.send_matrix(a, layout="MC_MR")[key]
    assert np.array_equal(part, a[key]) and np.shape(part) == np.shape(a[key])


@pytest.mark.parametrize("key", [7, -8, (0, 5), (1, 2, 3), [0, 7], 1.5, "x", None, True])
def test_bad_indices(als, key):
    h = als.send_matrix(np.zeros((7, 5)))
    with pytest.raises((IndexError, TypeError)):
        h[key]


def test_slicing_fetches_only_what_is_asked(als, monkeypatch):
    h = als.send_matrix(np.arange(100.0 * 80).reshape(100, 80))
    read = []
    original = h._read
    monkeypatch.setattr(h, "_read", lambda rect, *rest: read.append(rect[2] * rect[3]) or original(rect, *rest))
    h[10:20, ::40]
    assert sum(read) == 20


def test_out_buffers(als):
    a = np.arange(12.0).reshape(3, 4)
    h = als.send_matrix(a)
    whole = np.zeros((6, 8))
    assert h.fetch(out=whole[::2, ::-2]).base is whole
    assert np.array_equal(whole[::2, ::-2], a) and whole[1::2].sum() == 0
    for out in (np.zeros((4, 3)), np.zeros((3, 4), dtype="f4"), np.broadcast_to(np.zeros(4), (3, 4))):
        with pytest.raises(ValueError):
            h.fetch(out=out)


def test_byte_order_and_unaligned(als):
    swapped = np.arange(12.0).reshape(3, 4).astype(">f8")
    assert np.array_equal(np.asarray(als.send_matrix(swapped)), swapped)
    packed = np.zeros(12, dtype=[("a", "i1"), ("x", "f8")])
    packed["x"] = np.arange(12)
    assert np.array_equal(np.asarray(als.send_matrix(packed["x"].reshape(3, 4))), np.arange(12.0).reshape(3, 4))


def test_free_and_garbage(als):
    h = als.send_matrix(np.ones((3, 3)))
    h.free()
    with pytest.raises(ValueError, match="freed"):
        h.fetch()
    for _ in range(50):
        als.matrix(als.send_matrix(np.ones((2, 2))).id)
    assert len(als.list_matrices()) == 50, "dropping a handle frees nothing on the workers"


def test_functions_are_documented_and_completable(als):
    lib = als.load_library("TestLib")
    assert {"greet", "truncated_svd"} <= set(dir(lib))
    signature = inspect.signature(lib.truncated_svd)
    assert list(signature.parameters) == ["A", "rank"]
    assert all(p.default is not inspect.Parameter.empty for p in inspect.signature(lib.greet).parameters.values())
    result = lib.truncated_svd(als.send_matrix(np.eye(6, 4)), rank=2)
    assert result._fields == ("S", "U", "V") and result.S.shape == (2, 1)
    assert als.run_task(lib, "truncated_svd", als.send_matrix(np.eye(3)), 1)[0].shape == (1, 1)


def test_errors(als):
    try:
        als.matrix(12345)
    except alchemist.AlchemistError as error:
        assert error.name == "ALCH_ENOENT" and error.code == 5 and isinstance(error, LookupError)
    assert issubclass(alchemist.DeadlineError, TimeoutError) and issubclass(alchemist.LimitError, MemoryError)


def test_every_error_code_has_its_class():
    import pathlib
    import re

    header = (pathlib.Path(__file__).parents[3] / "include" / "alchemist" / "error.h").read_text()
    codes = {(name, int(value)) for name, value in re.findall(r"X\((ALCH_E\w+), (\d+)", header)}
    assert codes == {(row[1], row[0]) for row in alchemist.errors._TABLE}


def test_structs_match_the_headers():
    """The C compiler's idea of every struct and constant that ctypes repeats."""
    import ctypes
    import pathlib
    import subprocess
    import tempfile

    from alchemist import _ffi

    top = pathlib.Path(__file__).parents[3]
    pairs = [("error", _ffi.Error), ("layout", _ffi.Layout), ("rect", _ffi.Rect), ("session_options", _ffi.SessionOptions),
             ("worker", _ffi.Worker), ("matrix_info", _ffi.MatrixInfo), ("timing", _ffi.Timing), ("parameter", _ffi.Parameter),
             ("function", _ffi.Function), ("task_progress", _ffi.TaskProgress), ("local", _ffi.Local)]
    lines = [f'printf("{n}.{f} %zu\\n", offsetof(alch_{n}_t, {f}));' for n, s in pairs for f, _ in s._fields_]
    lines += [f'printf("{n} %zu\\n", sizeof(alch_{n}_t));' for n, _ in pairs]
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "x.c")
        source.write_text("#include <alchemist/alchemist.h>\n#include <stdio.h>\nint main(void){" + "\n".join(lines) + "}")
        subprocess.run(["gcc", "-I", top / "include", "-o", directory + "/x", source], check=True)
        printed = dict(line.rsplit(" ", 1) for line in subprocess.run([directory + "/x"], capture_output=True, text=True,
                                                                     check=True).stdout.splitlines())
    for name, struct in pairs:
        assert int(printed[name]) == ctypes.sizeof(struct), name
        for field, _ in struct._fields_:
            assert int(printed[f"{name}.{field}"]) == getattr(struct, field).offset, (name, field)
