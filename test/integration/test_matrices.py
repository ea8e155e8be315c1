"""Matrices: every layout, dtype and shape, rectangles and strides, and requests that are refused."""

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES

DTYPES = ["float64", "float32", "complex128", "complex64", "int64", "int32"]
SHAPES = [(1, 1), (2, 5), (7, 3), (131, 67), (1, 200), (200, 1), (0, 5), (5, 0), (0, 0)]


def sample(shape, dtype="float64", seed=0):
    """A matrix of random bytes, so that bit-exact round trips are tested with NaN payloads too."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    return np.frombuffer(rng.bytes(shape[0] * shape[1] * dtype.itemsize), dtype=dtype).reshape(shape)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- round trips ----

@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [None, *NAMES, "block_cyclic(3,5)", "block_cyclic(1,1)", "block_cyclic(2,7,1,1)"])
def test_a_matrix_comes_back_bit_for_bit_from_every_layout(daemon, workers, layout):
    with daemon.connect(workers=workers) as als:
        for k, shape in enumerate(SHAPES):
            a = sample(shape, DTYPES[k % len(DTYPES)], k)
            handle = als.send_matrix(a, layout=layout)
            assert same_bits(np.asarray(handle), a), (workers, layout, shape)
            handle.free()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_matrix_comes_back_bit_for_bit_in_every_dtype(als, dtype):
    for layout in (None, "VC_STAR", "STAR_STAR", "MD_STAR"):
        a = sample((203, 77), dtype)
        handle = als.send_matrix(a, layout=layout)
        assert handle.dtype == a.dtype and handle.shape == a.shape and handle.nbytes == a.nbytes
        assert same_bits(als.fetch_matrix(handle), a)
        handle.free()


@pytest.mark.parametrize("layout", [None, "VR_STAR", "STAR_VC", "MR_MC", "block_cyclic(4,3,3,1)"])
def test_arrays_of_any_strides_are_sent_and_filled(als, layout):
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


@pytest.fixture(params=[None, "MC_MR", "STAR_MR", "MC_STAR", "CIRC_CIRC", "block_cyclic(5,7)"], ids=str)
def written_in_pieces(als, request):
    """An array, and a matrix into which it was written rectangle by rectangle."""
    a = sample((97, 113), "int64")
    handle = als.create_matrix(a.shape, a.dtype, request.param)
    for i in range(0, 97, 10):
        for j in range(0, 113, 50):
            handle.write(a[i:i + 10, j:j + 50], i, j)
    return a, handle


def test_rectangles_are_fetched_as_they_were_written(written_in_pieces):
    a, handle = written_in_pieces
    rng = np.random.default_rng(1)
    for _ in range(25):
        i, j = rng.integers(0, 98), rng.integers(0, 114)
        m, n = rng.integers(0, 98 - i), rng.integers(0, 114 - j)
        assert same_bits(handle.fetch((i, j, m, n)), a[i:i + m, j:j + n])


def test_a_handle_is_indexed_as_an_array(written_in_pieces):
    a, handle = written_in_pieces
    assert same_bits(handle[::-1, 5:100], a[::-1, 5:100])
    assert same_bits(handle[3:90:7, ::-9], a[3:90:7, ::-9])
    assert same_bits(handle[[5, 6, 7, 2, -1], 4], a[[5, 6, 7, 2, -1], 4])
    assert handle[-1, -1] == a[-1, -1]


@pytest.mark.parametrize("size, in_flight", [(64 << 10, 1), (64 << 10, 64), (1 << 20, 4), (256 << 20, 2)])
def test_a_matrix_comes_back_with_every_size_of_messages(daemon, size, in_flight):
    a = sample((1500, 700))
    with daemon.connect(workers=3, message_bytes=size, messages_in_flight=in_flight) as als:
        for layout in (None, "VC_STAR", "STAR_VC"):
            assert same_bits(np.asarray(als.send_matrix(a, layout=layout)), a)


# ---- refusals ----

@pytest.mark.parametrize("rect", [(0, 0, 11, 1), (0, 20, 1, 1), (-1, 0, 1, 1), (0, 0, -1, 1), (2**62, 0, 1, 1),
                                  (0, 2**63 - 1, 1, 1)])
def test_a_fetch_of_a_rectangle_outside_is_refused(als, rect):
    handle = als.send_matrix(sample((10, 20)))
    buffer = np.zeros((max(0, rect[2]), max(0, rect[3])))
    with pytest.raises((alchemist.RangeError, alchemist.InvalidError), match=r"10 x 20"):
        alchemist.transfer.run("matrix_read_start", als, handle._handle(), rect, buffer)


def test_a_write_to_a_rectangle_outside_is_refused(als):
    handle = als.send_matrix(sample((10, 20)))
    with pytest.raises(alchemist.RangeError, match=r"10 x 20"):
        handle.write(sample((2, 2)), 9, 0)


def test_a_fetch_of_entries_that_were_never_written_is_refused(als):
    handle = als.create_matrix((50, 40))
    handle.write(sample((50, 30)))
    with pytest.raises(alchemist.IncompleteError, match=rf"matrix {handle.id} .*not written, first rows? "):
        np.asarray(handle)


def test_the_written_part_of_a_matrix_can_be_fetched(als):
    a, handle = sample((50, 40)), als.create_matrix((50, 40))
    handle.write(a[:, :30])
    assert same_bits(handle[:, :30], a[:, :30])
    handle.write(a[:, 30:], 0, 30)
    assert same_bits(np.asarray(handle), a)


def test_an_unknown_matrix_is_not_found(als):
    with pytest.raises(alchemist.NotFoundError, match="424242"):
        als.matrix(424242)


def test_a_deleted_matrix_is_not_found_by_other_handles(als):
    handle = als.send_matrix(sample((3, 3)))
    again = als.matrix(handle.id)
    handle.free()
    with pytest.raises(alchemist.NotFoundError, match=str(again.id)):
        again.free()
    with pytest.raises(alchemist.NotFoundError, match=str(again.id)):
        np.asarray(again)


def test_the_id_of_a_deleted_matrix_is_not_used_again(als):
    handle = als.send_matrix(sample((3, 3)))
    handle.free()
    assert als.send_matrix(sample((3, 3))).id != handle.id


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16", "<U3"])
def test_an_unsupported_dtype_is_refused(als, dtype):
    with pytest.raises(TypeError, match="float64"):
        als.send_matrix(np.zeros((2, 2), dtype=dtype))


def test_an_array_of_three_dimensions_is_refused(als):
    with pytest.raises(ValueError):
        als.send_matrix(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("layout, text", [("VX_STAR", "VC_STAR"), ("block_cyclic(1,1,2,2)", "3")])
def test_a_layout_that_does_not_exist_or_fit_is_refused(als, layout, text):
    with pytest.raises(alchemist.InvalidError, match=text):
        als.send_matrix(np.zeros((2, 2)), layout=layout)


def test_a_negative_size_is_refused(als):
    with pytest.raises(alchemist.InvalidError):
        als.create_matrix((-1, 5))


def test_a_size_that_overflows_is_refused(als):
    with pytest.raises((alchemist.InvalidError, alchemist.LimitError)):
        als.create_matrix((2**62, 2**62))


def test_a_matrix_without_workers_is_refused(daemon):
    with daemon.connect() as als:
        with pytest.raises(alchemist.StateError, match="worker"):
            als.create_matrix((2, 2))


@pytest.fixture
def limited(own_daemon):
    """A session with two workers that may hold 64 MB each."""
    with own_daemon(2, "--memory-limit", "64M").connect(workers=2) as session:
        yield session


def test_a_matrix_over_the_memory_limit_is_refused_before_allocation(limited):
    with pytest.raises(alchemist.LimitError, match=r"memory-limit") as caught:
        limited.create_matrix((100_000, 1000))
    assert "100000 x 1000" in str(caught.value)


def test_the_memory_limit_counts_all_matrices_until_they_are_deleted(limited):
    keep = limited.send_matrix(np.ones((1000, 1000)))
    handles = []
    with pytest.raises(alchemist.LimitError):
        for _ in range(100):
            handles.append(limited.create_matrix((1000, 1000)))
    assert 5 < len(handles) < 20
    for handle in handles:
        handle.free()
    limited.create_matrix((1000, 6000)).free()
    assert np.asarray(keep).sum() == 1e6


# ---- lists and times ----

def test_the_list_of_matrices_describes_each(als):
    assert als.list_matrices() == []
    a = als.send_matrix(sample((4, 5)), name="first", layout="VC_STAR")
    b = als.create_matrix((6, 7), "int32", name="zweite, größer")
    listed = {h.id: h for h in als.list_matrices()}
    assert set(listed) == {a.id, b.id}
    assert listed[a.id].name == "first" and listed[a.id].layout == "VC_STAR" and listed[b.id].name == "zweite, größer"
    assert listed[b.id].dtype == "int32" and listed[b.id].shape == (6, 7)


def test_the_info_of_an_idle_matrix_shows_no_use(als):
    a = als.send_matrix(sample((4, 5)))
    assert a.info["busy"] == "" and a.info["workers"] == 3


def test_a_list_longer_than_a_message_is_complete(als):
    """Each name is as long as allowed, so that one message cannot hold the list."""
    made = [als.create_matrix((1, 1), name="\u20ac" * 21) for _ in range(2500)]
    listed = als.list_matrices()
    assert [h.id for h in listed] == [h.id for h in made]
    assert all(h.name == "\u20ac" * 21 for h in listed)
    listed[2499].write(np.ones((1, 1)))
    assert np.asarray(made[2499]) == 1
    for handle in made[:1500]:
        handle.free()
    assert [h.id for h in als.list_matrices()] == [h.id for h in made[1500:]]


@pytest.fixture(params=[0, 1], ids=["tcp", "shared_memory"])
def fetched_in_one_message(daemon, request):
    """A matrix of which each worker sends its share in one message."""
    with daemon.connect(workers=3, shared_memory=request.param) as als:
        handle = als.send_matrix(sample((900, 50)), layout="VC_STAR")
        _, timings = handle._read()
        # With more messages a later one could report the times of an earlier one.
        assert [t.messages for t in timings] == [1, 1, 1]
        yield handle


def test_a_fetch_in_one_message_reports_bytes_and_send_times(fetched_in_one_message):
    _, timings = fetched_in_one_message._read()
    assert sum(t.bytes for t in timings) == fetched_in_one_message.nbytes
    assert all(t.send > 0 for t in timings)


def test_a_fetch_of_a_part_in_one_message_reports_the_time_of_serializing(fetched_in_one_message):
    _, timings = fetched_in_one_message._read((30, 10, 300, 20))  # the workers pack parts of columns before they send
    assert all(t.send > 0 and t.serialize > 0 for t in timings)


def test_two_sessions_do_not_see_each_others_matrices(daemon):
    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        h = one.send_matrix(sample((5, 5)))
        assert two.list_matrices() == []
        with pytest.raises(alchemist.NotFoundError):
            two.matrix(h.id)
