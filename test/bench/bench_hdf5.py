"""Data sets read and written by the workers beside h5py in one process, in interleaved pairs.

usage: bench_hdf5.py MB PAIRS      $BENCH_DATA: a directory in memory, the daemon's --data-dir

Two workers. What is read is in the page cache, and both write into memory; h5py reads into a new array, and into one
that is there already. Memory that a worker was given before serves again (--keep-memory).
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


def make(path, mb):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((mb * 125, 1000))
    with h5py.File(path, "w") as file:
        file["a"] = a
        # What compresses as measurements do, not as zeros or noise would.
        file.create_dataset("gzip", data=np.round(a[: mb * 25], 2), compression="gzip", chunks=(128, 250), shuffle=True)
    return a


def read(als, path, mb, pairs):
    def h5py_new(name="a"):
        with h5py.File(path) as file:
            return file[name][()]

    def h5py_warm():
        with h5py.File(path) as file:
            file["a"].read_direct(there)

    there = h5py_new()
    for layout in LAYOUTS:
        compare(f"read_{layout}", mb, pairs,
                lambda: als.load_from_hdf5(path, "a", layout=None if layout == "default" else layout),
                h5py=h5py_new, h5py_warm=h5py_warm)
    compare("read_gzip", mb / 5, max(3, pairs // 3), lambda: als.load_from_hdf5(path, "gzip"), h5py=lambda: h5py_new("gzip"))


def write(als, path, a, mb, pairs):
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
    a = make(path, mb)
    with alchemist.connect(workers=2) as als:
        als.load_library("hdf5")
        print(f"# hdf5 on 2 workers beside h5py in one process; {mb} MB of float64, {pairs} pairs; above 1 is faster")
        read(als, path, mb, pairs)
        write(als, path, a, mb, pairs)


if __name__ == "__main__":
    main()
