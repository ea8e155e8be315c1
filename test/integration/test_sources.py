"""Sources of a matrix: files, lists, iterables of blocks, conversions; growth; and resuming after an interruption."""

import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest

import alchemist
from alchemist.layout import NAMES
from harness import PATIENCE, run_in_threads

LAYOUTS = [None, *NAMES, "block_cyclic(3,5)", "block_cyclic(2,7,1,1)"]


def sample(rows, cols, dtype="float64", seed=0):
    return (np.random.default_rng(seed).random((rows, cols)) * 1000).astype(dtype)


def blocks(array, *sizes):
    """The rows of an array in blocks of the given sizes."""
    at = 0
    for size in sizes:
        yield array[at:at + size]
        at += size


# ---- growth ----

@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_appended_in_every_layout(daemon, workers, layout):
    with daemon.connect(workers=workers) as als:
        a = sample(400, 7)
        handle = als.send_matrix(a[:3], layout=layout)
        layout_before = handle.layout
        for lo, hi in ((3, 4), (4, 10), (10, 10), (10, 139), (139, 400)):
            handle.append_rows(a[lo:hi])
            assert handle.shape == (hi, 7) and handle.nbytes == hi * 56 and handle.layout == layout_before
            assert np.array_equal(np.asarray(handle), a[:hi])
        handle.append_rows(a[5])
        assert np.array_equal(handle[400], a[5]) and handle.complete
        empty = als.send_matrix(a[:0], layout=layout)
        empty.append_rows(a[:50])
        assert np.array_equal(np.asarray(empty), a[:50])


def test_tasks_compute_with_a_grown_matrix(als):
    a = sample(300, 20)
    handle = als.send_matrix(a[:10])
    for at in range(10, 300, 10):
        handle.append_rows(a[at:at + 10])
    s = np.linalg.svd(a, compute_uv=False)[:3]
    result = np.sort(np.asarray(als.load_library("testlib").truncated_svd(handle, rank=3)[0]).ravel())[::-1]
    assert np.allclose(result, s)


def test_a_growth_over_the_memory_limit_of_one_worker_is_undone(own_daemon):
    daemon = own_daemon(2, "--memory-limit", "1M")
    with daemon.connect(workers=2) as als:
        a = sample(100, 4)
        handle = als.send_matrix(a, layout="block_cyclic(100000,4,2,1)")  # all on the first worker
        with pytest.raises(alchemist.AlchemistError, match="--memory-limit") as failure:
            handle.append_rows(np.zeros((60000, 4)))
        assert failure.value.name == "ALCH_ELIMIT"
        assert handle.shape == (100, 4) and np.array_equal(np.asarray(handle), a) and handle.complete
        handle.append_rows(a)
        assert np.array_equal(np.asarray(handle), np.vstack([a, a]))


def test_another_handle_shows_appended_rows_after_a_refresh(als):
    a = sample(20, 3)
    handle = als.send_matrix(a)
    other = als.matrix(handle.id)
    handle.append_rows(a)
    assert other.shape == (20, 3) and np.array_equal(np.asarray(other), a)
    assert other.refresh().shape == (40, 3) and np.array_equal(np.asarray(other), np.vstack([a, a]))


def test_rows_cannot_be_appended_to_a_deleted_matrix(als):
    handle = als.send_matrix(sample(20, 3))
    other = als.matrix(handle.id)
    handle.free()
    with pytest.raises(alchemist.AlchemistError, match="no matrix"):
        other.append_rows(sample(20, 3))


@pytest.mark.parametrize("change, options, error, text", [
    (lambda a: a[:, :2], {}, ValueError, "the block has 2 columns, but matrix .* 3"),
    (lambda a: a.astype(int), {}, TypeError, "dtype float64, but the array has int64"),
    (lambda a: a, {"dtype": "float32"}, TypeError, "cannot be stored"),
], ids=["columns", "type of the block", "type asked for"])
def test_a_block_that_does_not_fit_is_refused_and_appends_nothing(als, change, options, error, text):
    a = sample(20, 3)
    handle = als.send_matrix(a)
    with pytest.raises(error, match=text):
        handle.append_rows(change(a), **options)
    assert handle.shape == handle.refresh().shape == (20, 3)


def test_appended_rows_are_converted_on_request(als):
    a = sample(20, 3)
    handle = als.send_matrix(a)
    handle.append_rows(a.astype(int), dtype="float64")
    assert np.array_equal(np.asarray(handle), np.vstack([a, a.astype(int)]))


def test_blocks_that_several_clients_append_stay_whole(daemon):
    with daemon.connect(workers=3) as als:
        handle = als.create_matrix((0, 5))

        def append(k):
            with alchemist.attach(als.ticket) as mine:
                matrix = mine.matrix(handle.id)
                for _ in range(5):
                    matrix.append_rows(np.full((20, 5), float(k)))

        run_in_threads(*[lambda k=k: append(k) for k in range(4)])
        got = np.asarray(handle.refresh())
        assert got.shape == (400, 5)
        assert sorted(got[::20, 0]) == sorted([0.0, 1.0, 2.0, 3.0] * 5)
        assert (got.reshape(20, 20, 5) == got[::20, None, :1]).all()


def test_a_matrix_that_a_task_reads_does_not_grow_until_the_task_has_ended(als, faults):
    a = sample(20, 3)
    handle = als.send_matrix(a)
    faults.busy.submit(1.0)
    queued = faults.copy.submit(handle)
    with pytest.raises(alchemist.BusyError, match=f"read by task {queued.id} "):
        handle.append_rows(a)
    queued.result()
    handle.append_rows(a)
    assert np.array_equal(np.asarray(handle), np.vstack([a, a]))


def test_a_grown_matrix_changes_its_layout_and_grows_again(als):
    a = sample(70, 6)
    handle = als.send_matrix(a[:60])
    for at in range(60, 70, 2):
        handle.append_rows(a[at:at + 2])
    assert np.array_equal(np.asarray(handle.relayout("VC_STAR")), a)
    handle.relayout("STAR_VC", in_place=True)
    handle.append_rows(a)
    assert np.array_equal(np.asarray(handle), np.vstack([a, a]))


# ---- iterables ----

@pytest.mark.parametrize("workers", [1, 3, 4])
@pytest.mark.parametrize("layout", [None, "VC_STAR", "STAR_VC", "MD_STAR", "CIRC_CIRC", "STAR_STAR"])
def test_a_generator_of_blocks_is_sent_with_and_without_a_shape(daemon, workers, layout):
    with daemon.connect(workers=workers) as als:
        a = sample(500, 11, "float32")
        for shape in ((500, 11), (None, 11), None):
            handle = als.send_matrix(blocks(a, 1, 0, 99, 300, 100), layout=layout, shape=shape, name="blocks")
            assert handle.shape == a.shape and handle.dtype == a.dtype and handle.name == "blocks"
            assert np.array_equal(np.asarray(handle), a)
            handle.free()


@pytest.mark.parametrize("source", [
    lambda a: (row for row in a), lambda a: iter(a.tolist()), lambda a: a.tolist(), list,
    lambda a: [a[:100], a[100:110], a[110:]],
], ids=["generator of rows", "iterator of lists", "list of lists", "list of rows", "list of blocks"])
def test_rows_and_blocks_in_iterators_and_lists_are_sent(als, source):
    a = sample(300, 4)
    assert np.array_equal(np.asarray(als.send_matrix(source(a))), a)


def test_a_list_of_numbers_is_one_column(als):
    assert als.send_matrix([1.0, 2.0]).shape == (2, 1)


def test_a_producer_may_reuse_its_buffer_for_the_next_block(als, monkeypatch):
    """This holds too for a block that is larger than the stage in which blocks are converted."""
    monkeypatch.setattr("alchemist.sources.STAGE_BYTES", 1 << 16)
    monkeypatch.setattr("alchemist.sources.BATCH_BYTES", 1 << 12)
    a = sample(5000, 13)
    buffer = np.empty((500, 13))

    def produce():
        for at in range(0, 5000, 500):
            buffer[:] = a[at:at + 500]
            yield buffer
            buffer[:] = -1

    for shape in (None, a.shape):
        assert np.array_equal(np.asarray(als.send_matrix(produce(), shape=shape)), a)


def test_the_next_block_is_produced_while_one_is_sent(als, monkeypatch):
    monkeypatch.setattr("alchemist.sources.BATCH_BYTES", 1)
    original = alchemist.transfer.Pending
    pending, seen = set(), []

    class Watched(original):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            pending.add(self)

        def close(self):
            super().close()
            pending.discard(self)

    monkeypatch.setattr(alchemist.transfer, "Pending", Watched)

    def produce():
        for k in range(5):
            seen.append(len(pending))
            yield np.full((100, 10), float(k))

    als.send_matrix(produce(), shape=(500, 10))
    # The count is the contract: while a block is produced, exactly the one before it is being sent.
    assert seen == [0, 1, 1, 1, 1] and not pending


def count_matrices(als):
    return len(als.list_matrices())


def bad_sources():
    def ragged():
        yield np.zeros((2, 3))
        yield np.zeros((2, 4))

    def failing():
        yield np.zeros((2, 3))
        raise KeyError("mine")

    def changing():
        yield np.zeros((2, 3))
        yield np.zeros((2, 3), dtype=int)

    three = np.zeros((3, 3))
    return [
        (ragged(), {}, ValueError, "block 1 has 4 columns, but the matrix has 3"),
        (ragged(), {"shape": (4, 3)}, ValueError, "block 1 has 4 columns"),
        (iter([three]), {"shape": (3, 5)}, ValueError, "block 0 has 3 columns, but the matrix has 5"),
        (iter([three] * 3), {"shape": (8, 3)}, ValueError, "more rows came than the 8 that were announced: 9"),
        (iter([three] * 3), {"shape": (10, 3)}, ValueError, "fewer rows came than were announced: 9 of 10"),
        (iter([]), {}, ValueError, "no blocks"),
        (iter([]), {"shape": (2, 3)}, ValueError, "0 of 2"),
        (iter([]), {"shape": (0, 3)}, ValueError, "no blocks"),
        (failing(), {}, KeyError, "mine"),
        (changing(), {}, TypeError, "block 1 has dtype int64, but the matrix has float64"),
        (iter([np.array([[object()]])]), {}, TypeError, "object"),
        (iter([np.array([["a"]])]), {"dtype": float}, TypeError, "are not numbers"),
        (iter([np.zeros((2, 2, 2))]), {}, ValueError, "block 0 has 3"),
        (iter([3.0]), {}, ValueError, "block 0 has 0"),
        ([[1, 2], [3]], {}, ValueError, "row 1 has 1 entries, but row 0 has 2"),
        (np.array([[object()]]), {}, TypeError, "object"),
        (np.array([[object()]]), {"dtype": float}, TypeError, "are not numbers"),
        (np.zeros((2, 2), "float16"), {}, TypeError, "float16"),
        (np.zeros((2, 2), complex), {"dtype": float}, TypeError, "imaginary"),
        (np.zeros((2, 2)), {"dtype": "uint8"}, TypeError, "uint8"),
        (np.zeros((2, 2)), {"shape": (3, 2)}, ValueError, "announced"),
        (np.zeros((2, 2, 2)), {}, ValueError, "two dimensions, but the array has 3"),
        (np.array([[1e300]]), {"dtype": "float32"}, ValueError, "does not fit float32"),
        (np.array([[2.0, np.nan]]), {"dtype": "int32"}, ValueError, "do not fit int32"),
        (np.array([[2.0 ** 63]]), {"dtype": "int64"}, ValueError, "do not fit int64"),
        (np.array([[2 ** 31]]), {"dtype": "int32"}, ValueError, "do not fit int32"),
        (np.array([[2 ** 63]], "uint64"), {"dtype": "int64"}, ValueError, "do not fit int64"),
        (np.zeros((2, 2)), {"resume": True}, ValueError, "into="),
    ]


@pytest.mark.parametrize("k", range(len(bad_sources())))
def test_bad_sources_are_refused_and_leave_nothing(als, k):
    source, options, error, text = bad_sources()[k]
    before = count_matrices(als)
    with pytest.raises(error, match=text):
        als.send_matrix(source, **options)
    assert count_matrices(als) == before


def test_no_blocks_with_a_shape_and_a_dtype_is_an_empty_matrix(als):
    handle = als.send_matrix(iter([]), shape=(0, 3), dtype="float32")
    assert handle.shape == (0, 3) and handle.dtype == np.float32 and handle.complete
    handle.append_rows(np.ones((2, 3), "float32"))
    assert np.asarray(handle).sum() == 6


# ---- conversion ----

@pytest.mark.parametrize("given", ["int8", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64",
                                   "bool", ">f8", ">i4", "longdouble"])
@pytest.mark.parametrize("wanted", ["float64", "float32", "int64", "int32", "complex128"])
def test_entries_are_converted_on_request(als, given, wanted, monkeypatch):
    monkeypatch.setattr("alchemist.sources.STAGE_BYTES", 4096)
    a = (np.random.default_rng(1).random((131, 17)) * 100).astype(given)
    for view in (a, np.asfortranarray(a), a[::-2, ::3]):
        handle = als.send_matrix(view, dtype=wanted)
        assert handle.dtype == np.dtype(wanted)
        assert np.array_equal(np.asarray(handle), view.astype(wanted))
        handle.free()
    handle = als.send_matrix(blocks(a, 31, 100), dtype=wanted)
    assert np.array_equal(np.asarray(handle), a.astype(wanted))


def test_a_verbose_session_prints_that_it_converts(daemon, capsys):
    with daemon.connect(workers=1, verbose=True) as als:
        als.send_matrix(np.ones((2, 2), "int16"), dtype=float)
        assert "Converting int16 to float64" in capsys.readouterr().out


def test_a_verbose_session_prints_nothing_when_no_conversion_is_needed(daemon, capsys):
    with daemon.connect(workers=1, verbose=True) as als:
        als.send_matrix(np.ones((2, 2)), dtype=float)
        assert "Converting" not in capsys.readouterr().out


def test_an_unaligned_record_field_is_sent(als):
    records = np.zeros(50, dtype=[("flag", "u1"), ("row", "f8", (4,))])
    records["row"] = sample(50, 4)
    assert np.array_equal(np.asarray(als.send_matrix(records["row"])), records["row"])


# ---- files ----

def anonymous_kb():
    """Resident memory of this process in KiB, without files."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [None, "float32", ">f8"])
def test_a_memory_mapped_file_is_not_read_into_memory(als, tmp_path, order, dtype):
    stored = ">f8" if dtype == ">f8" else "float64"
    wanted = None if dtype == ">f8" else dtype
    path = tmp_path / "matrix"
    file = np.memmap(path, stored, "w+", shape=(200, 80000), order=order)
    file[:] = np.arange(80000) % 1000
    file[:, 0] = np.arange(200)
    file.flush()
    del file
    a = np.memmap(path, stored, "r", shape=(200, 80000), order=order)
    before, most, stop = anonymous_kb(), [0], threading.Event()

    def watch():
        while not stop.wait(0.002):  # samples every 2 ms: this waits for nothing
            most[0] = max(most[0], anonymous_kb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    handle = als.send_matrix(a, dtype=wanted, layout="VC_STAR")
    stop.set()
    watcher.join()
    # The file has 128 MB. Two stages and the buffers of the connections are 70 MB.
    assert most[0] - before < 100_000
    assert np.array_equal(handle[:, :2], a[:, :2]) and np.array_equal(handle[7], a[7].astype(handle.dtype))
    handle.free()


def test_a_data_set_larger_than_a_stage_is_sent(als, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr("alchemist.sources.STAGE_BYTES", 1 << 14)
    a = sample(1000, 9)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a"] = a
    assert np.array_equal(np.asarray(als.send_hdf5(tmp_path / "file.h5", "a")), a)
    assert als.send_hdf5(tmp_path / "file.h5", "a", dtype="float32").dtype == np.float32


# ---- missing entries and their completion ----

@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_lists_what_is_missing_and_resume_sends_only_that(daemon, workers, layout):
    with daemon.connect(workers=workers) as als:
        a = sample(120, 90)
        handle = als.create_matrix(a.shape, a.dtype, layout)
        assert handle.missing() == [(0, 0, 120, 90)] and not handle.complete
        assert handle.resume(a[:40]) == a[:40].nbytes * handle.replicas
        assert handle.missing() == [(40, 0, 80, 90)]
        handle.write(a[30:100, 20:50], 30, 20)
        left = handle.missing()
        holes = np.ones(a.shape, int)
        holes[:40] = holes[30:100, 20:50] = 0
        for i, j, m, n in left:
            assert (holes[i:i + m, j:j + n] == 1).all()
            holes[i:i + m, j:j + n] = 2
        assert not (holes == 1).any()
        assert handle.missing(1) == [(40, 0, 80, 90)]
        # The rest comes from an array that differs where nothing is missing: those entries must not arrive.
        b = np.where(holes > 0, a, -1)
        seen = []
        sent = als.send_matrix(b, into=handle, resume=True, progress=lambda done, total: seen.append((done, total)))
        assert sent is handle and handle.complete and handle.missing() == []
        assert np.array_equal(np.asarray(handle), a)
        assert handle.resume(b) == 0


@pytest.fixture
def without_last_rows(als):
    """An array, and a matrix that lacks its last 400 of 1000 rows."""
    a = sample(1000, 20)
    handle = als.send_matrix(a[:600], layout="VC_STAR")
    handle._grow(400)
    assert handle.missing() == [(600, 0, 400, 20)]
    return a, handle


def test_an_iterable_is_resumed_with_what_is_missing(without_last_rows):
    a, handle = without_last_rows
    assert handle.resume(blocks(a, 500, 500)) == a[600:].nbytes
    assert np.array_equal(np.asarray(handle), a)


def test_an_iterable_with_too_few_rows_does_not_resume(without_last_rows):
    a, handle = without_last_rows
    with pytest.raises(ValueError, match="500 of 1000"):
        handle.resume(blocks(a, 500))
    assert not handle.complete


def test_an_array_of_another_shape_is_not_sent_into_a_matrix(als, without_last_rows):
    a, handle = without_last_rows
    with pytest.raises(ValueError, match="shape"):
        als.send_matrix(a[:10], into=handle)


def test_an_iterable_sent_into_a_matrix_replaces_all_its_entries(als, without_last_rows):
    a, handle = without_last_rows
    als.send_matrix(blocks(a + 1, 900, 100), into=handle)
    assert np.array_equal(np.asarray(handle), a + 1)


def test_more_holes_than_a_workers_answer_can_list_are_filled(als):
    a = sample(64, 64)
    handle = als.create_matrix(a.shape, layout="MC_MR")
    for i in range(64):
        for j in range(i % 2, 64, 8):
            handle.write(a[i:i + 1, j:j + 1], i, j)
    assert sum(m * n for _, _, m, n in handle.missing(10000)) == 64 * 56
    assert handle.resume(a) == 64 * 56 * 8
    assert np.array_equal(np.asarray(handle), a)


class Stop(Exception):
    pass


def test_a_write_interrupted_by_ctrl_c_is_resumed_with_the_rest(daemon):
    with daemon.connect(workers=3, message_bytes=1 << 16, messages_in_flight=1) as als:
        a = np.random.default_rng(0).random((6000, 6000))
        handle = als.create_matrix(a.shape, layout="VC_STAR")
        handle.write(a[:10])
        with pytest.raises(KeyboardInterrupt):
            handle.write(a, progress=lambda done, total: os.kill(os.getpid(), signal.SIGINT))
        left = sum(m * n for _, _, m, n in handle.missing(100)) * 8
        assert 0 < left < a.nbytes
        with pytest.raises(alchemist.AlchemistError, match="not written"):
            np.asarray(handle)
        assert 0 < handle.resume(a) <= left
        assert np.array_equal(np.asarray(handle), a)


def interrupted_blocks(a):
    yield a[:1000]
    raise Stop


def test_a_new_matrix_is_deleted_when_its_source_raises(als):
    before = count_matrices(als)
    with pytest.raises(Stop):
        als.send_matrix(interrupted_blocks(np.ones((2000, 2000))))
    assert count_matrices(als) == before


def test_an_existing_matrix_stays_when_its_source_raises_and_can_be_resumed(als):
    a = np.ones((2000, 2000))
    handle = als.create_matrix(a.shape)
    with pytest.raises(Stop):
        als.send_matrix(interrupted_blocks(a), into=handle)
    assert handle.shape == a.shape and not handle.complete
    handle.resume(a)
    assert np.array_equal(np.asarray(handle), a)


def _write_until_killed(ticket, matrix_id, begun):
    als = alchemist.attach(ticket, message_bytes=1 << 16, messages_in_flight=1)
    handle = als.matrix(matrix_id)
    handle.write(np.ones((500, 2000)))
    begun.set()
    for _ in range(10000):
        handle.write(np.ones((3000, 2000)), 500)


def test_a_matrix_that_a_killed_client_left_incomplete_is_completed_by_another(daemon):
    with daemon.connect(workers=3) as als:
        a = np.ones((4000, 2000))
        handle = als.create_matrix(a.shape, layout="VC_STAR")
        context = multiprocessing.get_context("spawn")
        begun = context.Event()
        process = context.Process(target=_write_until_killed, args=(tuple(als.ticket), handle.id, begun))
        process.start()
        assert begun.wait(30 * PATIENCE)
        process.kill()
        process.join()
        left = handle.missing()
        assert left and all(i >= 500 for i, _, _, _ in left)
        sent = handle.resume(a)
        assert 500 * 2000 * 8 <= sent <= 3500 * 2000 * 8
        assert np.array_equal(np.asarray(handle), a)


# ---- rectangles, progress and times ----

def test_rectangles_are_written_and_fetched_in_any_order(als):
    a = sample(97, 61)
    handle = als.create_matrix(a.shape, layout="MC_MR")
    rects = [(i, j, min(13, 97 - i), min(17, 61 - j)) for i in range(0, 97, 13) for j in range(0, 61, 17)]
    np.random.default_rng(3).shuffle(rects)
    for i, j, m, n in rects:
        handle.write(a[i:i + m, j:j + n], i, j)
    out = np.zeros((61, 97)).T
    for i, j, m, n in rects[::-1]:
        handle.fetch((i, j, m, n), out=out[i:i + m, j:j + n])
    assert np.array_equal(out, a)


def test_an_array_that_leaves_the_matrix_is_refused(als):
    handle = als.create_matrix((97, 61))
    with pytest.raises(alchemist.AlchemistError, match="leaves matrix"):
        handle.write(sample(97, 61), 1)


def test_a_converted_array_that_leaves_the_matrix_is_refused(als):
    handle = als.create_matrix((97, 61))
    with pytest.raises(IndexError, match="leave matrix"):
        handle.write(sample(97, 61).astype(int), 1, dtype=float)


@pytest.fixture
def progress(monkeypatch):
    """A progress function that collects its calls in `progress.seen`, with batches of 4 KiB."""
    monkeypatch.setattr("alchemist.sources.BATCH_BYTES", 1 << 12)

    def collect(done, total):
        collect.seen.append((done, total))

    collect.seen = []
    return collect


def test_progress_of_blocks_with_a_shape_grows_to_the_total(als, progress):
    a = sample(1000, 50)
    als.send_matrix(blocks(a, *[100] * 10), shape=a.shape, progress=progress)
    assert progress.seen == sorted(progress.seen) and progress.seen[-1] == (a.nbytes, a.nbytes)


def test_progress_of_blocks_without_a_shape_has_no_total(als, progress):
    a = sample(1000, 50)
    als.send_matrix(blocks(a, *[100] * 10), progress=progress)
    assert progress.seen[-1] == (a.nbytes, None)


def test_progress_of_a_conversion_counts_converted_bytes(als, progress):
    a = sample(1000, 50)
    als.send_matrix(a, dtype="float32", progress=progress)
    assert progress.seen[-1] == (a.nbytes // 2, a.nbytes // 2)


def test_one_table_of_times_is_printed_for_all_blocks(daemon, capsys):
    with daemon.connect(workers=2, verbose=True) as als:
        als.send_matrix(blocks(sample(1000, 50), *[100] * 10), print_times=True)
        assert capsys.readouterr().out.count(" | ") == 3 * 4  # a heading and two workers, with five columns each
