"""Reads and writes data sets with the workers and with h5py in one process, in interleaved pairs.

usage: bench_hdf5.py MB PAIRS      $BENCH_DATA: a directory in memory, the daemon's --data-dir

There are two workers. The files that are read are in the page cache, and both sides write into memory. h5py reads into
a new array, and into an existing one. The workers use their memory again (--keep-memory).
"""

import os
import sys
from pathlib import Path

import h5py
import numpy as np

import alchemist
from pairs import measure, show

LAYOUTS = ("default", "VC_STAR")


def compare(name, mb, pairs, ours, **theirs):
    times = measure(pairs, ours, *theirs.values())
    for key, taken in zip(theirs, times[1:]):
        show(f"hdf5_{name}", times[0], key, taken, mb, "MB/s")


def make_file(path, mb):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((mb * 125, 1000))
    with h5py.File(path, "w") as file:
        file["a"] = a
        # Rounded numbers compress like measurements; zeros compress better, and noise does not compress.
        file.create_dataset("gzip", data=np.round(a[: mb * 25], 2), compression="gzip", chunks=(128, 250), shuffle=True)
    return a


def bench_read(als, path, mb, pairs):
    def h5py_new(name="a"):
        with h5py.File(path) as file:
            return file[name][()]

    def h5py_warm():
        with h5py.File(path) as file:
            file["a"].read_direct(target)

    target = h5py_new()
    for layout in LAYOUTS:
        compare(f"read_{layout}", mb, pairs,
                lambda: als.load_from_hdf5(path, "a", layout=None if layout == "default" else layout),
                h5py=h5py_new, h5py_warm=h5py_warm)
    compare("read_gzip", mb / 5, max(3, pairs // 3), lambda: als.load_from_hdf5(path, "gzip"), h5py=lambda: h5py_new("gzip"))


def bench_write(als, path, a, mb, pairs):
    ours, theirs = path.with_name("ours.h5"), path.with_name("theirs.h5")

    def h5py_write():
        with h5py.File(theirs, "w") as file:
            file["a"] = a

    for layout in LAYOUTS:
        A = als.send_matrix(a, layout=None if layout == "default" else layout)
        compare(f"write_{layout}", mb, pairs, lambda: als.save_to_hdf5(A, ours, "a", mode="w"), h5py=h5py_write)
        A.free()


def main():
    mb, pairs = min(int(sys.argv[1]), 400), int(sys.argv[2])
    path = Path(os.environ["BENCH_DATA"]) / "bench.h5"
    a = make_file(path, mb)
    with alchemist.connect(workers=2) as als:
        als.load_library("hdf5")
        print(f"# hdf5 on 2 workers next to h5py in one process; {mb} MB of float64, {pairs} pairs; above 1 is faster")
        bench_read(als, path, mb, pairs)
        bench_write(als, path, a, mb, pairs)


if __name__ == "__main__":
    main()
