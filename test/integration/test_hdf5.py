"""HDF5 files: h5py writes what the workers read, and reads what they write."""

import os

import h5py
import numpy as np
import pytest

import alchemist
from harness import Daemon, wait_for

LAYOUTS = [None, "MC_MR", "VC_STAR", "STAR_STAR", "MR_MC", "STAR_VR", "MD_STAR", "STAR_MC", "CIRC_CIRC",
           "block_cyclic(7,5)"]
DTYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def daemon(data):
    d = Daemon(5, "--data-dir", data)
    yield d
    d.stop()


@pytest.fixture(scope="module")
def sessions(daemon):
    """Sessions with 1, 2, 3 and 5 workers, one at a time: groups take their time to start."""
    held = {}

    def get(workers):
        if workers not in held:
            for session in held.values():
                session.close()
            held.clear()
            wait_for(daemon.idle, 20, "all slots idle")
            held[workers] = daemon.connect(workers=workers)
        return held[workers]

    yield get
    for session in held.values():
        session.close()


@pytest.fixture
def als(sessions):
    return sessions(3)


def entries(shape, dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    x = rng.integers(-100, 100, shape) if dtype.startswith("int") else rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else x).astype(dtype)


def put(data, name, **datasets):
    with h5py.File(data / name, "w") as file:
        for key, array in datasets.items():
            file[key] = array


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_layouts(sessions, data, workers):
    als = sessions(workers)
    a = entries((131, 67))
    put(data, "layouts.h5", a=a)
    for layout in LAYOUTS:
        A = als.load_from_hdf5("layouts.h5", "a", layout=layout)
        assert np.array_equal(np.asarray(A), a), layout
        part = als.load_from_hdf5("layouts.h5", "a", rows=slice(3, 130, 5), columns=slice(60, 66), layout=layout, copies=3)
        assert np.array_equal(np.asarray(part), np.hstack(3 * [a[3:130:5, 60:66]])), layout
        als.save_to_hdf5(A, "layouts-out.h5", "a", mode="w")
        with h5py.File(data / "layouts-out.h5") as file:
            assert np.array_equal(file["a"][()], a), layout
        A.free(), part.free()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_of_a_matrix(als, data, dtype):
    a = entries((45, 31), dtype)
    A = als.send_matrix(a, layout="MC_MR")
    als.save_to_hdf5(A, f"types-{dtype}.h5", "deep/er/a")
    with h5py.File(data / f"types-{dtype}.h5") as file:
        assert file["deep/er/a"].dtype == a.dtype and np.array_equal(file["deep/er/a"][()], a)
    B = als.load_from_hdf5(f"types-{dtype}.h5", "deep/er/a")
    assert B.dtype == a.dtype and np.array_equal(np.asarray(B), a)


@pytest.mark.parametrize("source, natural", [
    ("u1", "int32"), ("i1", "int32"), ("u2", "int32"), ("i2", "int32"), ("u4", "int64"), ("u8", "int64"), (">i4", "int32"),
    (">f8", "float64"), ("f2", "float32"), ("?", "int32"), ("g", "float64"),
])
def test_other_types(als, data, source, natural):
    a = (np.arange(60).reshape(12, 5) % 2 if source == "?" else np.arange(60).reshape(12, 5)).astype(source)
    put(data, "other.h5", a=a)
    task = als.load_library("hdf5").read.submit("other.h5", "a")
    A = task.result()
    assert A.dtype == natural and np.array_equal(np.asarray(A), a.astype(natural))
    assert (natural in str(task.notes)) == (natural != a.dtype.newbyteorder("=").name), task.notes
    for dtype in ("float64", "complex64"):
        B = als.load_from_hdf5("other.h5", "a", dtype=dtype)
        assert B.dtype == dtype and np.array_equal(np.asarray(B), a.astype(dtype))


def test_values_that_do_not_fit(als, data):
    a = np.zeros((40, 3), "u8")
    a[33, 1] = 2**63
    put(data, "unfit.h5", a=a, f=np.full((2, 2), 1e300), c=entries((3, 3), "complex64"))
    with pytest.raises(alchemist.RangeError, match=r"'a' of file 'unfit.h5' \(uint64\): 1 values .* do not fit into int64"):
        als.load_from_hdf5("unfit.h5", "a")
    with pytest.raises(alchemist.RangeError, match="float32"):
        als.load_from_hdf5("unfit.h5", "f", dtype="float32")
    with pytest.raises(alchemist.WrongTypeError, match="complex64, which float64 cannot hold"):
        als.load_from_hdf5("unfit.h5", "c", dtype="float64")
    with pytest.raises(alchemist.WrongTypeError, match="float64, which int64 cannot hold"):
        als.load_from_hdf5("unfit.h5", "f", dtype="int64")
    assert np.asarray(als.load_from_hdf5("unfit.h5", "a", dtype="float64"))[33, 1] == 2.0**63


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (0, 5), (5, 0), (2, 3)])
def test_odd_shapes(als, data, shape):
    a = entries(shape)
    put(data, "odd.h5", a=a)
    for layout in (None, "VC_STAR", "STAR_VC"):
        A = als.load_from_hdf5("odd.h5", "a", layout=layout)
        assert A.shape == shape and np.array_equal(np.asarray(A), a)
        als.save_to_hdf5(A, "odd-out.h5", "a", mode="w")
        with h5py.File(data / "odd-out.h5") as file:
            assert file["a"].shape == shape and np.array_equal(file["a"][()], a)


def test_many_panels(als, data):
    """More than one strip for each worker, in both directions; and rows so long that they are cut."""
    tall, wide = entries((9000, 601)), entries((5, 1_100_003), "complex128")
    for name, a in (("tall", tall), ("wide", wide)):
        put(data, "panels.h5", **{name: a})
        for layout in (None, "STAR_VC"):
            A = als.load_from_hdf5("panels.h5", name, layout=layout)
            assert np.array_equal(np.asarray(A), a)
            als.save_to_hdf5(A, "panels-out.h5", name, mode="w")
            with h5py.File(data / "panels-out.h5") as file:
                assert np.array_equal(file[name][()], a)
            A.free()


def test_how_data_sets_are_stored(als, data):
    a = entries((50, 40))
    with h5py.File(data / "stored.h5", "w") as file:
        file.create_dataset("chunked", data=a, chunks=(7, 9), compression="gzip", shuffle=True)
        file["column"] = a[:, 0]
        file["link"] = h5py.SoftLink("/chunked")
        file.create_dataset("unwritten", (3, 3), "f8", fillvalue=7)
    assert np.array_equal(np.asarray(als.load_from_hdf5("stored.h5", "chunked")), a)
    assert np.array_equal(np.asarray(als.load_from_hdf5("stored.h5", "link")), a)
    assert np.array_equal(np.asarray(als.load_from_hdf5("stored.h5", "unwritten")), np.full((3, 3), 7.0))
    column = als.load_from_hdf5("stored.h5", "column", rows=slice(10, 20))
    assert np.array_equal(np.asarray(column), a[10:20, :1])


def test_ranges(als, data):
    a = entries((20, 10))
    put(data, "ranges.h5", a=a)
    library = als.load_library("hdf5")
    assert np.array_equal(np.asarray(als.load_from_hdf5("ranges.h5", "a", rows=slice(-5, None), columns=slice(2))),
                          a[-5:, :2])
    assert als.load_from_hdf5("ranges.h5", "a", rows=slice(9, 3)).shape == (0, 10)
    for rows in ([0, 21], [-1, 3], [5, 4], [0, 5, 0]):
        with pytest.raises(alchemist.RangeError, match="20 x 10"):
            library.read("ranges.h5", "a", rows=rows)
    with pytest.raises(alchemist.InvalidError, match="columns"):
        library.read("ranges.h5", "a", columns=[1])
    with pytest.raises(alchemist.InvalidError, match="copies"):
        library.read("ranges.h5", "a", copies=0)
    with pytest.raises(ValueError, match="positive"):
        als.load_from_hdf5("ranges.h5", "a", rows=slice(5, 1, -1))
    with pytest.raises(alchemist.InvalidError, match="VC_STAR"):
        als.load_from_hdf5("ranges.h5", "a", layout=None, dtype=None) and library.read("ranges.h5", "a", layout="XY")


def test_lists(als, data):
    put(data, "lists.h5", a=entries((4, 3)), text="hello", deep=np.arange(3))
    with h5py.File(data / "lists.h5", "a") as file:
        file["a"].attrs.update({"unit": 'µ"m\\', "scale": 2.5, "many": [1, 2, 3], "nan": np.nan})
    listed = als.list_hdf5("lists.h5")
    assert listed["a"].shape == (4, 3) and listed["a"].dtype == "float64"
    assert listed["a"].attributes == {"unit": 'µ"m\\', "scale": 2.5, "many": [1, 2, 3], "nan": "nan"}
    assert listed["text"].dtype == "string" and listed["deep"].shape == (3,)


def test_nothing_is_overwritten_unasked(als, data):
    a, b = entries((30, 20)), entries((10, 10), seed=2)
    A, B = als.send_matrix(a), als.send_matrix(b)
    als.save_to_hdf5(A, "mine.h5", "a", mode="x")
    with pytest.raises(alchemist.StateError, match="mine.h5"):
        als.save_to_hdf5(B, "mine.h5", "b", mode="x")
    with pytest.raises(alchemist.StateError, match="'a' already"):
        als.save_to_hdf5(B, "mine.h5", "a")
    als.save_to_hdf5(B, "mine.h5", "b")
    als.save_to_hdf5(B, "mine.h5", "a", overwrite=True)
    with h5py.File(data / "mine.h5") as file:
        assert sorted(file) == ["a", "b"] and np.array_equal(file["a"][()], b) and np.array_equal(file["b"][()], b)
    als.load_library("hdf5").delete("mine.h5", "a")
    with pytest.raises(alchemist.NotFoundError, match="holds b"):
        als.load_library("hdf5").delete("mine.h5", "a")
    als.save_to_hdf5(A, "mine.h5", "only", mode="w")
    with h5py.File(data / "mine.h5") as file:
        assert list(file) == ["only"]
    with pytest.raises(alchemist.InvalidError, match="mode"):
        als.save_to_hdf5(A, "mine.h5", "x", mode="r")
    assert not [name for name in os.listdir(data) if "alchemist-" in name]


@pytest.mark.parametrize("before, after", [(3, 2), (2, 5), (3, 3)])
def test_save_and_restore(sessions, data, before, after):
    als = sessions(before)
    arrays = {"A": entries((90, 70)), "vector": entries((33, 1), "complex64"), "counts": entries((8, 9), "int32")}
    layouts = {"A": None, "vector": "VC_STAR", "counts": "STAR_STAR"}
    handles = [als.send_matrix(a, layout=layouts[name], name=name) for name, a in arrays.items()]
    handles.append(als.send_matrix(arrays["A"], layout="block_cyclic(16,8)"))
    saved = als.save("saved.h5", handles, overwrite=True)
    assert set(arrays) < set(saved) and len(saved) == 4
    als = sessions(after)
    restored = als.restore("saved.h5")
    assert set(restored) == set(saved)
    for name, a in arrays.items():
        B = restored[name]
        assert B.name == name and B.dtype == a.dtype and np.array_equal(np.asarray(B), a)
    assert restored["vector"].layout == "VC_STAR" and restored["counts"].layout == "STAR_STAR"
    other = restored[(set(saved) - set(arrays)).pop()]
    assert other.layout.block == (16, 8) and other.layout.grid[0] * other.layout.grid[1] == after
    with h5py.File(data / "saved.h5") as file:
        assert np.array_equal(file["A"][()], arrays["A"])


def test_save_refuses(als, data):
    A = als.send_matrix(entries((20, 20)), name="done")
    als.save("kept.h5", [A])
    before = (data / "kept.h5").read_bytes()
    with pytest.raises(alchemist.StateError, match="overwrite"):
        als.save("kept.h5", [A])
    half = als.create_matrix((20, 20), name="half-written")
    half.write(entries((5, 20)))
    with pytest.raises(alchemist.IncompleteError, match="half-written"):
        als.save("kept.h5", [A, half], overwrite=True)
    with pytest.raises(alchemist.InvalidError, match="twice"):
        als.load_library("hdf5").save([A, A], ["x", "x"], ["", ""], "kept.h5", True)
    assert (data / "kept.h5").read_bytes() == before
    half.free()
    same = als.save("same.h5", {"one": A, "two": A})
    assert list(same) == ["one", "two"]
    put(data, "plain.h5", a=entries((3, 3)))
    with pytest.raises(alchemist.NotFoundError, match="load_from_hdf5"):
        als.restore("plain.h5")
