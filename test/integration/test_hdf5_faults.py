"""HDF5 files that are missing, damaged, forbidden or locked; full file systems; workers that die while they write."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest

import alchemist
from harness import Daemon, PATIENCE, wait_for_exit


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def daemon(data):
    d = Daemon(4, "--data-dir", data, "--memory-limit", "400M")
    yield d
    d.stop()


@pytest.fixture
def als(daemon):
    with daemon.connect(workers=2) as session:
        yield session
    daemon.wait_until_idle()


def put(data, name, **datasets):
    with h5py.File(data / name, "w") as file:
        for key, array in datasets.items():
            file[key] = array


def refused(als, error, text, file, dataset="a"):
    with pytest.raises(error, match=text):
        als.load_from_hdf5(file, dataset)


@pytest.mark.parametrize("path, error, text", [
    ("missing.h5", alchemist.NotFoundError, r"missing.h5'.*--data-dir"),
    ("none/missing.h5", alchemist.NotFoundError, "none/missing.h5'"),
    ("text.h5", alchemist.InvalidError, "'text.h5' is not an HDF5 file"),
    ("empty.h5", alchemist.InvalidError, "'empty.h5' is not an HDF5 file"),
    ("cut.h5", alchemist.SystemCallError, "'cut.h5' cannot be opened: .*truncated"),
    ("directory", alchemist.InvalidError, "directory"),
    ("pipe", alchemist.InvalidError, "regular file"),
    ("good.h5/", alchemist.NotFoundError, "'good.h5/'"),
])
def test_a_path_that_does_not_lead_to_an_hdf5_file_is_refused(als, data, path, error, text):
    put(data, "good.h5", a=np.ones((300, 300)))
    (data / "text.h5").write_text("not an HDF5 file\n" * 100)
    (data / "empty.h5").write_bytes(b"")
    whole = (data / "good.h5").read_bytes()
    (data / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (data / "directory").mkdir(exist_ok=True)
    if not (data / "pipe").exists():
        os.mkfifo(data / "pipe")
    refused(als, error, text, path)
    assert als.load_from_hdf5("good.h5", "a").shape == (300, 300), "the group does not read a sound file any more"


def test_restore_refuses_a_file_that_is_not_hdf5(als, data):
    (data / "plain.h5").write_text("not an HDF5 file\n" * 100)
    with pytest.raises(alchemist.InvalidError, match="'plain.h5' is not an HDF5 file"):
        als.restore("plain.h5")


def test_a_missing_data_set_is_refused_with_the_names_of_the_others(als, data):
    put(data, "names.h5", a=np.ones((3, 3)), b=np.ones((2, 2, 2)), s="text")
    refused(als, alchemist.NotFoundError, "no data set 'x'; it holds a, b, s", "names.h5", "x")
    refused(als, alchemist.NotFoundError, "no data set 'a/b/c'", "names.h5", "a/b/c")


def test_a_data_set_of_no_or_three_dimensions_is_refused(als, data):
    put(data, "shapes.h5", b=np.ones((2, 2, 2)), e=np.array(1.0))
    refused(als, alchemist.InvalidError, r"'b' of file 'shapes.h5' has shape \(2,2,2\), 3 dimensions", "shapes.h5", "b")
    refused(als, alchemist.InvalidError, "0 dimensions", "shapes.h5", "e")


def test_entries_that_are_not_numbers_are_refused(als, data):
    put(data, "types.h5", s="text", pair=np.zeros(3, [("x", "f8"), ("y", "i4")]))
    with h5py.File(data / "types.h5", "a") as file:
        file.create_dataset("r", (1,), h5py.ref_dtype)
        file.create_dataset("color", data=[0, 1], dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}))
    for name, kind in (("s", "string"), ("r", "reference"), ("color", "enumeration"), ("pair", "compound")):
        refused(als, alchemist.WrongTypeError, f"'{name}' of file 'types.h5' .* {kind}, which are not numbers", "types.h5", name)


def test_a_group_is_not_read(als, data):
    put(data, "groups.h5", **{"group/a": np.ones(3)})
    refused(als, alchemist.InvalidError, "'group' of file 'groups.h5' is not a data set.*group/a", "groups.h5", "group")


def test_a_link_that_cannot_be_followed_is_refused(als, data):
    put(data, "links.h5", a=np.ones(3))
    with h5py.File(data / "links.h5", "a") as file:
        file["dangling"], file["circle"] = h5py.SoftLink("/nowhere"), h5py.SoftLink("/circle")
    for name in ("dangling", "circle"):
        refused(als, alchemist.NotFoundError, f"'{name}', only a link of this name that cannot", "links.h5", name)


def test_an_invalid_name_of_a_data_set_is_refused(als, data):
    put(data, "named.h5", a=np.ones(3))
    for name in ("", "/", ".."):
        refused(als, alchemist.InvalidError, "is not the name of a data set", "named.h5", name)


def test_the_hdf5_library_prints_no_errors(als, data, daemon):
    put(data, "quiet.h5", a=np.ones((300, 300)))
    whole = (data / "quiet.h5").read_bytes()
    (data / "quiet.h5").write_bytes(whole[: len(whole) // 2])
    refused(als, alchemist.SystemCallError, "'quiet.h5' cannot be opened", "quiet.h5")
    assert "HDF5-DIAG" not in daemon.log()


def test_no_path_leads_out_of_the_data_directory(als, data, tmp_path):
    put(tmp_path, "outside.h5", a=np.ones((2, 2)))
    put(data, "inside.h5", a=np.ones((2, 2)))
    (data / "escape.h5").symlink_to(tmp_path / "outside.h5")
    (data / "away").symlink_to(tmp_path)
    (data / "hanging.h5").symlink_to(tmp_path / "not-there.h5")
    (tmp_path / "back.h5").symlink_to(data / "inside.h5")
    A = als.send_matrix(np.ones((2, 2)))
    for path in (tmp_path / "outside.h5", "escape.h5", "away/outside.h5", f"../{tmp_path.name}/outside.h5", "/etc/passwd",
                 tmp_path / "not-there.h5", "away/not-there.h5", "/nowhere/at/all"):
        refused(als, alchemist.NotPermittedError, "--data-dir", path)
        with pytest.raises(alchemist.NotPermittedError, match="--data-dir"):
            als.save(path, [A], overwrite=True)
    with pytest.raises(alchemist.AlchemistError, match="hanging.h5"):
        als.save("hanging.h5", [A])
    assert not (tmp_path / "not-there.h5").exists()
    for path in (data / "inside.h5", "./inside.h5", f"../{data.name}/inside.h5", tmp_path / "back.h5"):
        assert als.load_from_hdf5(path, "a").shape == (2, 2)


def test_a_file_does_not_lead_to_other_files(als, data, tmp_path):
    """An HDF5 file can refer to files out of the directory in three ways. The server follows no such reference."""
    put(tmp_path, "outside.h5", a=np.ones((4, 4)))
    (tmp_path / "raw").write_bytes(bytes(128))
    with h5py.File(data / "points.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "outside.h5"), "/a")
        file.create_dataset("raw", (4, 4), "f8", external=[(str(tmp_path / "raw"), 0, 128)])
        layout = h5py.VirtualLayout((4, 4), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "outside.h5"), "a", shape=(4, 4))
        file.create_virtual_dataset("virtual", layout)
    refused(als, alchemist.NotFoundError, "'link', only a link of this name that cannot be followed", "points.h5", "link")
    for name in ("raw", "virtual"):
        refused(als, alchemist.NotPermittedError, "are in other files", "points.h5", name)


def test_a_damaged_chunk_is_refused_and_the_others_are_read(als, data):
    a = np.random.default_rng(0).standard_normal((300, 50))
    with h5py.File(data / "damaged.h5", "w") as file:
        file.create_dataset("gzip", data=a, chunks=(100, 50), compression="gzip")
        file.create_dataset("sum", data=a, chunks=(100, 50), fletcher32=True)
        places = {name: file[name].id.get_chunk_info(1).byte_offset for name in file}
    with open(data / "damaged.h5", "r+b") as file:
        for place in places.values():
            file.seek(place + 100)
            file.write(b"other bytes....")
    refused(als, alchemist.SystemCallError, "of data set 'gzip' of file 'damaged.h5' .*inflate", "damaged.h5", "gzip")
    refused(als, alchemist.SystemCallError, "of data set 'sum' of file 'damaged.h5' .*Fletcher32", "damaged.h5", "sum")
    part = als.load_from_hdf5("damaged.h5", "gzip", rows=slice(0, 100))
    assert np.array_equal(np.asarray(part), a[:100])


def test_links_that_change_during_a_call_lead_nowhere_else(als, data, tmp_path):
    """Another process exchanges a directory and a link that leads out, again and again. No file outside is touched."""
    put(tmp_path, "x.h5", secret=np.full((2, 2), 42.0))
    (data / "swap").mkdir()
    put(data, "swap/x.h5", a=np.ones((2, 2)))
    (data / "link").symlink_to(tmp_path)
    script = ("import ctypes, sys\nswap = ctypes.CDLL(None).renameat2\n"
              "while True: swap(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2)")
    A, before = als.send_matrix(np.ones((2, 2))), (tmp_path / "x.h5").read_bytes()
    swapper = subprocess.Popen([sys.executable, "-c", script, data / "swap", data / "link"])
    try:
        for _ in range(60):
            for use in (lambda: als.load_from_hdf5("swap/x.h5", "secret"), lambda: als.save("swap/y.h5", [A], overwrite=True)):
                try:
                    assert not isinstance(use(), alchemist.MatrixHandle), "the other file was read"
                except alchemist.AlchemistError as error:
                    assert "swap/" in str(error), error
    finally:
        swapper.kill()
        swapper.wait()
    assert os.listdir(tmp_path) == ["x.h5"] and (tmp_path / "x.h5").read_bytes() == before


def test_a_server_without_data_dir_reads_no_file(own_daemon):
    with own_daemon(2).connect(workers=2) as als:
        refused(als, alchemist.NotPermittedError, "alchemistd --data-dir DIR", "/tmp/x.h5")


def test_a_data_set_larger_than_the_memory_limit_is_refused(als, data):
    with h5py.File(data / "huge.h5", "w") as file:
        file.create_dataset("a", (60000, 60000), "f8")  # 29 GB, of which none is written
    refused(als, alchemist.LimitError, "memory-limit", "huge.h5")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_file_system_without_space_is_refused_before_writing(own_daemon, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        with own_daemon(3, "--data-dir", tmp_path).connect(workers=3) as als:
            small, large = als.send_matrix(np.ones((100, 100))), als.send_matrix(np.ones((1000, 1000)))
            als.save("kept.h5", [small])
            before = (tmp_path / "kept.h5").read_bytes()
            with pytest.raises(alchemist.SystemCallError, match="'kept.h5' needs 8.0 MB, but its file system has only .* free"):
                als.save("kept.h5", [large], overwrite=True)
            with pytest.raises(alchemist.SystemCallError, match="needs 8.0 MB"):
                als.save_to_hdf5(large, "kept.h5", "large")
            assert (tmp_path / "kept.h5").read_bytes() == before
            assert os.listdir(tmp_path) == ["kept.h5"]
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
@pytest.mark.parametrize("add", [False, True])
def test_a_file_system_that_fills_up_during_a_write_leaves_the_old_data(own_daemon, tmp_path, add):
    """There is space when the writing begins; another process takes it."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=140m", "none", tmp_path], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")

    def write():
        if add:
            als.save_to_hdf5(large, "kept.h5", "large")
        else:
            als.save("kept.h5", [large], overwrite=True)

    def fill():
        size = (tmp_path / "kept.h5").stat().st_size
        while not stop and (tmp_path / "kept.h5").stat().st_size == size and len(os.listdir(tmp_path)) < 2:
            pass
        with open(tmp_path / "filler", "wb") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, 100_000_000)

    try:
        with own_daemon(3, "--data-dir", tmp_path).connect(workers=3) as als:
            small, large = als.send_matrix(np.eye(100), name="small"), als.send_matrix(np.ones((4000, 3000)))
            als.load_library("hdf5")
            for _ in range(8):
                als.save("kept.h5", [small], overwrite=True)
                stop = False
                thread = threading.Thread(target=fill)
                thread.start()
                try:
                    write()
                    failed = None
                except alchemist.SystemCallError as error:
                    failed = error
                stop = True
                thread.join()
                os.remove(tmp_path / "filler")
                if failed:
                    break
            assert failed and "'kept.h5'" in str(failed) and "No space left" in str(failed), failed
            assert os.listdir(tmp_path) == ["kept.h5"]
            restored = als.restore("kept.h5")
            assert list(restored) == ["small"] and np.array_equal(np.asarray(restored["small"]), np.eye(100))
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_locked_file_is_refused(als, data):
    put(data, "used.h5", a=np.ones((5, 5)))
    A = als.send_matrix(np.ones((2, 2)))
    with open(data / "used.h5") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(als, alchemist.BusyError, "'used.h5' is being written", "used.h5")
        with pytest.raises(alchemist.BusyError, match="is being used"):
            als.save_to_hdf5(A, "used.h5", "b")
    als.save_to_hdf5(A, "used.h5", "b")
    with h5py.File(data / "used.h5") as file:
        assert sorted(file) == ["a", "b"]


def test_of_two_sessions_that_save_to_one_file_one_wins(daemon, data):
    with daemon.connect(workers=2) as one, daemon.connect(workers=2) as two:
        arrays = [np.full((400, 400), x) for x in (1.0, 2.0)]
        handles = [s.send_matrix(a, name="M") for s, a in zip((one, two), arrays)]
        outcome = []

        def save(session, handle, overwrite):
            try:
                session.save("race.h5", [handle], overwrite=overwrite)
                outcome.append(None)
            except alchemist.AlchemistError as error:
                outcome.append(error)

        for overwrite in (False, True):
            outcome.clear()
            threads = [threading.Thread(target=save, args=(s, h, overwrite)) for s, h in zip((one, two), handles)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            won = [x for x in outcome if x is None]
            # Without overwrite exactly one session creates the file. With it, the later one replaces the file of the
            # earlier one, or is refused if both work on the file at the same time.
            assert len(won) == 1 if not overwrite else len(won) >= 1, outcome
            assert all(isinstance(x, (alchemist.StateError, alchemist.BusyError)) for x in outcome if x is not None)
            with h5py.File(data / "race.h5") as file:
                assert any(np.array_equal(file["M"][()], a) for a in arrays)


def big(als):
    return als.send_matrix(np.ones((3000, 3000)), name="big")


def kill_while_saving(daemon, data, handle_of, delay):
    """Save over old.h5 and kill a worker after `delay` s. Returns whether the new file has replaced the old one."""
    with daemon.connect(workers=2) as als:
        handle = handle_of(als)
        pids = [w.pid for w in als.workers]
        task = als.load_library("hdf5").save.submit([handle], ["big"], ["big"], "old.h5", True)
        time.sleep(delay)  # the scenario: a kill at a different moment of the save in each call
        os.kill(pids[1], signal.SIGKILL)
        wait_for_exit(pids, 20 * PATIENCE, "the end of the group")
        with contextlib.suppress(alchemist.GroupLostError):
            task.result(20)
        with h5py.File(data / "old.h5") as file:
            assert list(file) in (["old"], ["big"])
            if "big" in file:
                assert np.array_equal(file["big"][()], np.ones((3000, 3000)))
            new = "big" in file
    daemon.wait_until_idle()
    return new


def test_a_worker_killed_during_save_leaves_the_old_or_the_new_file(daemon, data):
    """The next save removes the temporary file, unless it is so young that its owner may be about to lock it."""
    def save_old():
        with daemon.connect(workers=2) as als:
            als.save("old.h5", [als.send_matrix(np.zeros((10, 10)), name="old")], overwrite=True)
        daemon.wait_until_idle()

    save_old()
    # Kill earlier and earlier, until a kill comes before the end of the save.
    for delay in (0.08, 0.04, 0.02, 0.01, 0.005, 0):
        if not kill_while_saving(daemon, data, big, delay):
            break
        save_old()
    else:
        pytest.fail("no worker was killed before the file was complete")
    left = [name for name in os.listdir(data) if name.startswith(".old.h5.alchemist-")]
    (data / ".old.h5.alchemist-zzzzzz").write_text("left behind")
    (data / ".old.h5.alchemist-fresh0").write_text("its owner may be about to lock it")
    for name in (*left, ".old.h5.alchemist-zzzzzz"):
        os.utime(data / name, (1, 1))
    save_old()
    assert [name for name in os.listdir(data) if name.startswith(".old.h5")] == [".old.h5.alchemist-fresh0"]


def test_a_canceled_save_or_write_leaves_the_old_data(als, data):
    put(data, "keep.h5", a=np.ones((3, 3)))
    handle = big(als)
    library = als.load_library("hdf5")
    for submit in (lambda: library.save.submit([handle], ["big"], ["big"], "keep.h5", True),
                   lambda: library.write.submit(handle, "keep.h5", "a", overwrite=True)):
        ended = set()
        for _ in range(6):
            task = submit()
            task.cancel()
            try:
                task.result(30)
                ended.add("done")
                put(data, "keep.h5", a=np.ones((3, 3)))
            except alchemist.CanceledError:
                ended.add("canceled")
                with h5py.File(data / "keep.h5") as file:
                    assert list(file) == ["a"] and np.array_equal(file["a"][()], np.ones((3, 3)))
        assert "canceled" in ended
    assert not [name for name in os.listdir(data) if name.startswith(".keep.h5")]
    kept = np.asarray(als.load_from_hdf5("keep.h5", "a"))
    assert np.array_equal(kept, np.ones((3, 3))), "the session does not work after a cancel"


def test_a_directory_without_write_permission_is_refused(own_daemon, tmp_path):
    (tmp_path / "sub").mkdir()
    mounted = os.geteuid() == 0
    if mounted and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "none", tmp_path / "sub"],
                                  capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    if not mounted:
        (tmp_path / "sub").chmod(0o500)
    try:
        with own_daemon(2, "--data-dir", tmp_path).connect(workers=2) as als:
            A = als.send_matrix(np.ones((3, 3)))
            with pytest.raises(alchemist.NotPermittedError, match="'sub/x.h5'"):
                als.save("sub/x.h5", [A])
            als.save("x.h5", [A])
    finally:
        if mounted:
            subprocess.run(["umount", "-l", tmp_path / "sub"], check=True)
        else:
            (tmp_path / "sub").chmod(0o700)
