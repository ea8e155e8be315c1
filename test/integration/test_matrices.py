"""Matrices: every layout, dtype and shape, rectangles and strides, and what is refused."""

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES

DTYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]
SHAPES = [(1, 1), (2, 5), (7, 3), (131, 67), (1, 200), (200, 1), (0, 5), (5, 0), (0, 0)]


def sample(shape, dtype="float64", seed=0):
    """Random bytes as entries: bit-exact round trips hold for NaN payloads too."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    return np.frombuffer(rng.bytes(shape[0] * shape[1] * dtype.itemsize), dtype=dtype).reshape(shape)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [None, *NAMES, "block_cyclic(3,5)", "block_cyclic(1,1)", "block_cyclic(2,7,1,1)"])
def test_round_trip_of_every_layout(daemon, workers, layout):
    with daemon.connect(workers=workers) as als:
        for k, shape in enumerate(SHAPES):
            a = sample(shape, DTYPES[k % len(DTYPES)], k)
            handle = als.send_matrix(a, layout=layout)
            assert same_bits(np.asarray(handle), a), (workers, layout, shape)
            handle.free()


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_of_every_dtype(als, dtype):
    for layout in (None, "VC_STAR", "STAR_STAR", "MD_STAR"):
        a = sample((203, 77), dtype)
        handle = als.send_matrix(a, layout=layout)
        assert handle.dtype == a.dtype and handle.shape == a.shape and handle.nbytes == a.nbytes
        assert same_bits(als.fetch_matrix(handle), a)
        handle.free()


@pytest.mark.parametrize("layout", [None, "VR_STAR", "STAR_VC", "MR_MC", "block_cyclic(4,3,3,1)"])
def test_any_strides_in_and_out(als, layout):
    base = sample((60, 90))
    views = [base.T, base[::-1], base[:, ::-1], base[::2, 1::3], base[::-3, ::-2], np.asfortranarray(base),
             np.broadcast_to(base[:1], (40, 90)), base[:0], base[5:6]]
    for view in views:
        handle = als.send_matrix(view, layout=layout)
        assert same_bits(np.asarray(handle), np.ascontiguousarray(view))
        for out in (np.zeros(view.shape, order="F"), np.zeros((2 * view.shape[0], view.shape[1]))[::2],
                    np.zeros(view.shape)[::-1]):
            assert handle.fetch(out=out) is out
            assert np.array_equal(out.view("i8") if out.flags.c_contiguous else np.ascontiguousarray(out).view("i8"),
                                  np.ascontiguousarray(view).view("i8"))
        handle.free()


@pytest.mark.parametrize("layout", [None, "MC_MR", "STAR_MR", "MC_STAR", "CIRC_CIRC", "block_cyclic(5,7)"])
def test_rectangles(als, layout):
    rng = np.random.default_rng(1)
    a = sample((97, 113), "int64")
    handle = als.create_matrix(a.shape, a.dtype, layout)
    for i in range(0, 97, 10):  # written in pieces
        for j in range(0, 113, 50):
            handle.write(a[i:i + 10, j:j + 50], i, j)
    for _ in range(25):
        i, j = rng.integers(0, 98), rng.integers(0, 114)
        m, n = rng.integers(0, 98 - i), rng.integers(0, 114 - j)
        assert same_bits(handle.fetch((i, j, m, n)), a[i:i + m, j:j + n])
    assert same_bits(handle[::-1, 5:100], a[::-1, 5:100])
    assert same_bits(handle[3:90:7, ::-9], a[3:90:7, ::-9])
    assert same_bits(handle[[5, 6, 7, 2, -1], 4], a[[5, 6, 7, 2, -1], 4])
    assert handle[-1, -1] == a[-1, -1]


def test_message_sizes(daemon):
    a = sample((1500, 700))
    for size, flight in ((64 << 10, 1), (64 << 10, 64), (1 << 20, 4), (256 << 20, 2)):
        with daemon.connect(workers=3, message_bytes=size, messages_in_flight=flight) as als:
            for layout in (None, "VC_STAR", "STAR_VC"):
                assert same_bits(np.asarray(als.send_matrix(a, layout=layout)), a)


def test_a_rectangle_outside_is_refused(als):
    handle = als.send_matrix(sample((10, 20)))
    for rect in ((0, 0, 11, 1), (0, 20, 1, 1), (-1, 0, 1, 1), (0, 0, -1, 1), (2**62, 0, 1, 1), (0, 2**63 - 1, 1, 1)):
        buffer = np.zeros((max(0, rect[2]), max(0, rect[3])))
        rect = tuple(rect)
        with pytest.raises((alchemist.RangeError, alchemist.InvalidError), match=r"10 x 20"):
            alchemist.transfer.run("matrix_read_start", als, handle._handle(), rect, buffer)
    with pytest.raises(alchemist.RangeError, match=r"10 x 20"):
        handle.write(sample((2, 2)), 9, 0)


def test_reading_what_was_never_written(als):
    handle = als.create_matrix((50, 40))
    handle.write(sample((50, 30)))
    with pytest.raises(alchemist.IncompleteError, match=rf"matrix {handle.id} .*not written, first rows? "):
        np.asarray(handle)
    assert handle[:, :30].shape == (50, 30)
    handle.write(sample((50, 10)), 0, 30)
    assert np.asarray(handle).shape == (50, 40)


def test_unknown_and_freed_matrices(als):
    with pytest.raises(alchemist.NotFoundError, match="424242"):
        als.matrix(424242)
    handle = als.send_matrix(sample((3, 3)))
    again = als.matrix(handle.id)
    handle.free()
    with pytest.raises(alchemist.NotFoundError, match=str(again.id)):
        again.free()
    with pytest.raises(alchemist.NotFoundError, match=str(again.id)):
        np.asarray(again)
    assert als.send_matrix(sample((3, 3))).id != again.id, "ids are never reused"


def test_bad_arguments(als):
    for dtype in ("uint8", "bool", "float16", "<U3"):
        with pytest.raises(TypeError, match="float64"):
            als.send_matrix(np.zeros((2, 2), dtype=dtype))
    with pytest.raises(ValueError):
        als.send_matrix(np.zeros((2, 2, 2)))
    with pytest.raises(alchemist.InvalidError, match="VC_STAR"):
        als.send_matrix(np.zeros((2, 2)), layout="VX_STAR")
    with pytest.raises(alchemist.InvalidError, match="3"):
        als.send_matrix(np.zeros((2, 2)), layout="block_cyclic(1,1,2,2)")
    with pytest.raises(alchemist.InvalidError):
        als.create_matrix((-1, 5))
    with pytest.raises((alchemist.InvalidError, alchemist.LimitError)):
        als.create_matrix((2**62, 2**62))


def test_a_matrix_over_the_limit_is_refused_before_allocation(own_daemon):
    daemon = own_daemon(2, "--memory-limit", "64M")
    with daemon.connect(workers=2) as als:
        with pytest.raises(alchemist.LimitError, match=r"memory-limit") as caught:
            als.create_matrix((100_000, 1000))
        assert "100000 x 1000" in str(caught.value)
        keep = als.send_matrix(np.ones((1000, 1000)))
        handles = []
        with pytest.raises(alchemist.LimitError):
            for _ in range(100):
                handles.append(als.create_matrix((1000, 1000)))
        assert 5 < len(handles) < 20
        for handle in handles:
            handle.free()
        als.create_matrix((1000, 6000)).free()
        assert np.asarray(keep).sum() == 1e6


def test_listing(als):
    assert als.list_matrices() == []
    a = als.send_matrix(sample((4, 5)), name="first", layout="VC_STAR")
    b = als.create_matrix((6, 7), "int32", name="zweite, größer")
    listed = {h.id: h for h in als.list_matrices()}
    assert set(listed) == {a.id, b.id}
    assert listed[a.id].name == "first" and listed[a.id].layout == "VC_STAR" and listed[b.id].name == "zweite, größer"
    assert listed[b.id].dtype == "int32" and listed[b.id].shape == (6, 7)
    assert a.info["busy"] == "" and a.info["workers"] == 3


def test_a_long_list_comes_in_parts(als):
    """More than one message holds; each name takes as much as it may."""
    made = [als.create_matrix((1, 1), name="\u20ac" * 21) for _ in range(2500)]
    listed = als.list_matrices()
    assert [h.id for h in listed] == [h.id for h in made]
    assert all(h.name == "\u20ac" * 21 for h in listed)
    listed[2499].write(np.ones((1, 1)))
    assert np.asarray(made[2499]) == 1
    for handle in made[:1500]:
        handle.free()
    assert [h.id for h in als.list_matrices()] == [h.id for h in made[1500:]]


@pytest.mark.parametrize("shared_memory", [0, 1])
def test_times_of_a_fetch_in_one_message(daemon, shared_memory):
    """What the workers took is known although nothing comes after it."""
    with daemon.connect(workers=3, shared_memory=shared_memory) as als:
        handle = als.send_matrix(sample((900, 50)), layout="VC_STAR")
        _, timings = handle._read()
        assert [t.messages for t in timings] == [1, 1, 1] and sum(t.bytes for t in timings) == handle.nbytes
        assert all(t.send > 0 for t in timings)
        _, timings = handle._read((30, 10, 300, 20))  # columns are cut, and put together before they are sent
        assert all(t.send > 0 and t.serialize > 0 for t in timings)


def test_two_sessions_do_not_see_each_other(daemon):
    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        h = one.send_matrix(sample((5, 5)))
        assert two.list_matrices() == []
        with pytest.raises(alchemist.NotFoundError):
            two.matrix(h.id)


def test_without_workers(daemon):
    with daemon.connect() as als:
        with pytest.raises(alchemist.StateError, match="worker"):
            als.create_matrix((2, 2))
