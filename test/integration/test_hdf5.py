"""HDF5 files: the workers read what h5py writes, and h5py reads what the workers write."""

import os

import h5py
import numpy as np
import pytest

import alchemist
from harness import Daemon

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
    """get(workers): a session, which is kept until a test asks for another number of workers, as groups start slowly."""
    held = {}

    def get(workers):
        if workers not in held:
            for session in held.values():
                session.close()
            held.clear()
            daemon.wait_until_idle()
            held[workers] = daemon.connect(workers=workers)
        return held[workers]

    yield get
    for session in held.values():
        session.close()


@pytest.fixture
def als(sessions):
    return sessions(3)


def stored(data, name):
    """All data sets of a file's root group, as h5py reads them."""
    with h5py.File(data / name) as file:
        return {key: file[key][()] for key in file}


def entries(shape, dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    x = rng.integers(-100, 100, shape) if dtype.startswith("int") else rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else x).astype(dtype)


def put(data, name, **datasets):
    """Write a file with h5py."""
    with h5py.File(data / name, "w") as file:
        for key, array in datasets.items():
            file[key] = array


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_every_layout_reads_and_writes_the_same_entries(sessions, data, workers):
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
def test_every_type_of_a_matrix_is_written_and_read_back(als, data, dtype):
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
def test_a_type_that_no_matrix_has_is_read_as_the_smallest_one_that_holds_it(als, data, source, natural):
    a = (np.arange(60).reshape(12, 5) % 2 if source == "?" else np.arange(60).reshape(12, 5)).astype(source)
    put(data, "other.h5", a=a)
    task = als.load_library("hdf5").read.submit("other.h5", "a")
    A = task.result()
    assert A.dtype == natural and np.array_equal(np.asarray(A), a.astype(natural))
    assert (natural in str(task.notes)) == (natural != a.dtype.newbyteorder("=").name), task.notes
    for dtype in ("float64", "complex64"):
        B = als.load_from_hdf5("other.h5", "a", dtype=dtype)
        assert B.dtype == dtype and np.array_equal(np.asarray(B), a.astype(dtype))


def test_values_that_do_not_fit_are_refused(als, data):
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
def test_matrices_of_one_or_no_row_or_column_are_written_and_read_back(als, data, shape):
    a = entries(shape)
    put(data, "odd.h5", a=a)
    for layout in (None, "VC_STAR", "STAR_VC"):
        A = als.load_from_hdf5("odd.h5", "a", layout=layout)
        assert A.shape == shape and np.array_equal(np.asarray(A), a)
        als.save_to_hdf5(A, "odd-out.h5", "a", mode="w")
        with h5py.File(data / "odd-out.h5") as file:
            assert file["a"].shape == shape and np.array_equal(file["a"][()], a)


def test_matrices_of_many_panels_are_read_and_written(als, data):
    """Each worker has more than one strip, in both directions; the rows of `wide` are divided between panels."""
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
    twice = als.load_from_hdf5("panels.h5", "wide", rows=slice(1, 3), layout="MC_MR", copies=2)
    assert np.array_equal(np.asarray(twice), np.hstack(2 * [wide[1:3]]))


def test_chunked_linked_unwritten_and_one_dimensional_data_sets_are_read(als, data):
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


@pytest.mark.parametrize("name", ["a", "link", "hard", "g//a", "/g/a", "a/"])
def test_every_name_of_a_data_set_leads_to_it(als, data, name):
    a = entries((30, 10))
    with h5py.File(data / "names.h5", "w") as file:
        file["a"] = file["g/a"] = a
        file["link"], file["hard"] = h5py.SoftLink("/g/a"), file["a"]
    part = als.load_from_hdf5("names.h5", name, rows=slice(10, 20), columns=slice(1, None, 3))
    assert np.array_equal(np.asarray(part), a[10:20, 1::3])


def test_ranges_select_what_slices_select_in_numpy(als, data):
    a = entries((20, 10))
    put(data, "ranges.h5", a=a)
    for rows in (slice(-5, None), slice(None, -18), slice(15, 100), slice(9, 3), slice(1, None, 7), slice(-100, 3),
                 slice(10**30, None), slice(np.int64(2), np.int32(4)), slice(None), slice(0, 20, 2**62)):
        part = als.load_from_hdf5("ranges.h5", "a", rows=rows, columns=slice(2))
        assert np.array_equal(np.asarray(part), a[rows, :2]), rows
    assert als.load_library("hdf5").read("ranges.h5", "a", rows=[-3, -1]).shape == (2, 10)


def test_steps_that_are_not_positive_are_refused(als, data):
    put(data, "steps.h5", a=entries((20, 10)))
    for step in (0, -1):
        with pytest.raises(alchemist.RangeError, match=f"'a' of file 'steps.h5': the step is {step}, but"):
            als.load_from_hdf5("steps.h5", "a", rows=slice(5, 1, step))


def test_ranges_that_are_not_slices_are_refused(als, data):
    put(data, "slices.h5", a=entries((20, 10)))
    with pytest.raises(alchemist.InvalidError, match="columns has 1 numbers"):
        als.load_library("hdf5").read("slices.h5", "a", columns=[1])
    for rows in (5, [1, 2], (0, 5), Ellipsis):
        with pytest.raises(TypeError, match="but must be a slice"):
            als.load_from_hdf5("ranges.h5", "a", rows=rows)
    for rows in (slice(1.5, 2), slice("a")):
        with pytest.raises(TypeError, match="integer"):
            als.load_from_hdf5("slices.h5", "a", rows=rows)


def test_wrong_arguments_are_refused_with_their_value(als, data):
    put(data, "arguments.h5", a=entries((3, 3)))
    for copies in (0, -1, 1000001, 2**62):
        with pytest.raises(alchemist.InvalidError, match=f"copies is {copies}, but it must be 1 to 1000000"):
            als.load_from_hdf5("arguments.h5", "a", copies=copies)
    with pytest.raises(alchemist.InvalidError, match="VC_STAR"):
        als.load_from_hdf5("arguments.h5", "a", layout="XY")
    with pytest.raises(alchemist.InvalidError, match="'float16' is not a type of a matrix: float64"):
        als.load_from_hdf5("arguments.h5", "a", dtype="float16")
    for file in (None, 5):
        with pytest.raises(TypeError, match="PathLike"):
            als.load_from_hdf5(file, "a")


def test_a_path_object_names_a_file(als, data):
    put(data, "path.h5", a=entries((3, 3)))
    assert als.load_from_hdf5(data / "path.h5", "a").shape == (3, 3)


CHUNKS = [(7, 9), (64, 67), (1, 67), (131, 5), (100, 100), (200, 200)]


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_compressed_chunks_of_every_shape_are_read(als, data, chunks):
    """Strips begin with chunks, even if the first row that is read is inside a chunk."""
    a = entries((701, 67))
    with h5py.File(data / "chunks.h5", "w") as file:
        file.create_dataset("a", data=a, chunks=chunks, maxshape=(None, None), compression="gzip")
    for rows, columns in ((slice(None), slice(None)), (slice(5, 699), slice(3, 66)), (slice(64, 640), slice(None)),
                          (slice(100, 103), slice(9, 18)), (slice(3, None, 5), slice(1, None, 2)), (slice(0, None, 300), slice(1))):
        for layout in (None, "STAR_VR"):
            part = als.load_from_hdf5("chunks.h5", "a", rows=rows, columns=columns, layout=layout, copies=2)
            assert np.array_equal(np.asarray(part), np.hstack(2 * [a[rows, columns]])), (rows, columns, layout)
            part.free()


def test_a_list_shows_types_shapes_and_attributes(als, data):
    put(data, "lists.h5", a=entries((4, 3)), text="hello", deep=np.arange(3))
    with h5py.File(data / "lists.h5", "a") as file:
        file["a"].attrs.update({"unit": 'µ"m\\', "scale": 2.5, "many": [1, 2, 3], "nan": np.nan})
    listed = als.list_hdf5("lists.h5")
    assert listed["a"].shape == (4, 3) and listed["a"].dtype == "float64"
    assert listed["a"].attributes == {"unit": 'µ"m\\', "scale": 2.5, "many": [1, 2, 3], "nan": "nan"}
    assert listed["text"].dtype == "string" and listed["deep"].shape == (3,)


@pytest.fixture
def two(als):
    """Two arrays, and the matrices that hold them."""
    arrays = entries((30, 20)), entries((10, 10), seed=2)
    yield (*arrays, *map(als.send_matrix, arrays))


def test_a_data_set_is_added_to_a_file(als, data, two):
    a, b, A, B = two
    als.save_to_hdf5(A, "add.h5", "a", mode="x")
    als.save_to_hdf5(B, "add.h5", "b")
    held = stored(data, "add.h5")
    assert sorted(held) == ["a", "b"] and np.array_equal(held["a"], a) and np.array_equal(held["b"], b)
    assert not [name for name in os.listdir(data) if "alchemist-" in name], "a temporary file remains"


def test_mode_x_refuses_a_file_that_exists(als, data, two):
    _, _, A, B = two
    als.save_to_hdf5(A, "exclusive.h5", "a", mode="x")
    with pytest.raises(alchemist.StateError, match="file 'exclusive.h5' exists"):
        als.save_to_hdf5(B, "exclusive.h5", "b", mode="x")
    assert list(stored(data, "exclusive.h5")) == ["a"]


def test_mode_w_replaces_the_whole_file(als, data, two):
    a, b, A, B = two
    als.save_to_hdf5(A, "whole.h5", "a", mode="x")
    als.save_to_hdf5(B, "whole.h5", "only", mode="w")
    held = stored(data, "whole.h5")
    assert list(held) == ["only"] and np.array_equal(held["only"], b)


def test_an_unknown_mode_is_refused(als, two):
    with pytest.raises(alchemist.InvalidError, match="mode is 'r', but must be a .*, x .* or w"):
        als.save_to_hdf5(two[2], "mode.h5", "x", mode="r")


def test_a_data_set_is_replaced_only_with_overwrite(als, data, two):
    a, b, A, B = two
    als.save_to_hdf5(A, "replace.h5", "a", mode="x")
    with pytest.raises(alchemist.StateError, match="'a' already"):
        als.save_to_hdf5(B, "replace.h5", "a")
    assert np.array_equal(stored(data, "replace.h5")["a"], a)
    als.save_to_hdf5(B, "replace.h5", "a", overwrite=True)
    held = stored(data, "replace.h5")
    assert list(held) == ["a"] and np.array_equal(held["a"], b)


def test_a_dangling_link_is_replaced_only_with_overwrite(als, data, two):
    _, b, _, B = two
    with h5py.File(data / "dangling.h5", "w") as file:
        file["nowhere"] = h5py.SoftLink("/not/there")
    with pytest.raises(alchemist.StateError, match="a link 'nowhere' already"):
        als.save_to_hdf5(B, "dangling.h5", "nowhere")
    als.save_to_hdf5(B, "dangling.h5", "nowhere", overwrite=True)
    assert np.array_equal(stored(data, "dangling.h5")["nowhere"], b)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_group_is_never_replaced(als, two, overwrite):
    a, _, A, B = two
    als.save_to_hdf5(A, "group.h5", "group/c", mode="w")
    with pytest.raises(alchemist.StateError, match="'group' of file 'group.h5' is not a data set"):
        als.save_to_hdf5(B, "group.h5", "group", overwrite=overwrite)
    assert np.array_equal(np.asarray(als.load_from_hdf5("group.h5", "group/c")), a)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_data_set_cannot_be_written_below_a_data_set(als, two, overwrite):
    _, _, A, B = two
    als.save_to_hdf5(A, "below.h5", "b", mode="w")
    with pytest.raises(alchemist.InvalidError, match="'b/x' .* 'b' is not a group"):
        als.save_to_hdf5(B, "below.h5", "b/x", overwrite=overwrite)


def test_data_sets_groups_and_links_are_deleted(als, data, two):
    _, _, A, B = two
    for dataset in ("a", "b", "group/c"):
        als.save_to_hdf5(A, "delete.h5", dataset)
    with h5py.File(data / "delete.h5", "a") as file:
        file["nowhere"] = h5py.SoftLink("/not/there")
    for name in ("group", "nowhere", "a"):
        als.load_library("hdf5").delete("delete.h5", name)
    assert list(stored(data, "delete.h5")) == ["b"]
    with pytest.raises(alchemist.NotFoundError, match="holds b$"):
        als.load_library("hdf5").delete("delete.h5", "a")
    with pytest.raises(alchemist.NotFoundError, match="file 'never-written.h5' does not exist"):
        als.load_library("hdf5").delete("never-written.h5", "a")


@pytest.mark.parametrize("name, text", [("", "not the name"), ("/", "not the name"), ("..", "not names of groups"),
                                        ("g/./x", "not names of groups"), ("x" * 1024, "1024 bytes, the limit is 1023")],
                         ids=["empty", "slash", "parent", "dot", "long"])
def test_an_invalid_name_is_refused(als, two, name, text):
    with pytest.raises(alchemist.InvalidError, match=text):
        als.save_to_hdf5(two[2], "names-refused.h5", name)
    with pytest.raises(alchemist.InvalidError, match=text):
        als.load_library("hdf5").delete("names-refused.h5", name)


@pytest.mark.parametrize("before, after", [(3, 2), (2, 5), (3, 3)])
def test_restore_brings_back_names_types_layouts_and_entries(sessions, data, before, after):
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


@pytest.fixture
def kept(als, data):
    """A saved matrix, and the test that its file is still the same."""
    A = als.send_matrix(entries((20, 20)), name="done")
    als.save("kept.h5", [A], overwrite=True)
    before = (data / "kept.h5").read_bytes()
    yield A
    assert (data / "kept.h5").read_bytes() == before


def test_save_replaces_no_file_without_overwrite(als, kept):
    with pytest.raises(alchemist.StateError, match="overwrite"):
        als.save("kept.h5", [kept])


def test_save_refuses_a_matrix_that_is_not_complete(als, kept):
    half = als.create_matrix((20, 20), name="half-written")
    half.write(entries((5, 20)))
    with pytest.raises(alchemist.IncompleteError, match="half-written"):
        als.save("kept.h5", [kept, half], overwrite=True)
    half.free()


def test_save_refuses_a_name_that_is_given_twice(als, kept):
    with pytest.raises(alchemist.InvalidError, match="names: 'x' is given twice"):
        als.load_library("hdf5").save([kept, kept], ["x", "x"], ["", ""], "kept.h5", True)


def test_save_refuses_an_empty_list_invalid_names_and_arrays(als, kept):
    for matrices, error, text in (([], ValueError, "nothing to save"), ({"a/b": kept}, ValueError, "a/b"),
                                  ({"": kept}, ValueError, "names: ''"), ([np.ones(3)], TypeError, "send_matrix")):
        with pytest.raises(error, match=text):
            als.save("kept.h5", matrices, overwrite=True)


def test_save_uses_the_names_that_are_given(als, kept):
    assert list(als.save("same.h5", {"one": kept, "two": kept})) == ["one", "two"]
    assert list(als.save("one.h5", kept)) == ["done"]


def test_restore_refuses_a_file_that_save_did_not_write(als, data):
    put(data, "plain.h5", a=entries((3, 3)))
    with pytest.raises(alchemist.NotFoundError, match="load_from_hdf5"):
        als.restore("plain.h5")
