"""Sends and fetches from Python and with the C functions, on the same session, matrix and memory.

usage: bench_python.py MEGABYTES PAIRS

Prints `name value unit` rows: medians over interleaved pairs, and the median of the ratio with its quartiles.
bench_client compares the C functions with raw sockets.
"""

import ctypes
import os
import sys

import numpy as np

import alchemist
from pairs import measure, show

WORKERS = 3
LAYOUTS = ("VC_STAR", "MC_MR", None, "STAR_VC")
AIM = 0.95  # of the rate of the C functions


class PlainMatrix:
    """The blocking functions of the C library. The Python package does not use them, because they ignore Ctrl-C."""

    def __init__(self, handle):
        library = ctypes.CDLL(os.environ["ALCHEMIST_LIBRARY"])
        self.handle, self.functions = handle, (library.alch_matrix_write, library.alch_matrix_read)
        for function in self.functions:
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                 ctypes.c_void_p]

    def _transfer(self, function, array):
        code = function(self.handle._pointer, None, array.ctypes.data, array.strides[0] // array.itemsize,
                        array.strides[1] // array.itemsize, None)
        assert code == 0, code

    def write(self, array):
        self._transfer(self.functions[0], array)

    def fetch(self, array):
        self._transfer(self.functions[1], array)


def compare(name, size, pairs, ours, plain):
    times = measure(pairs, ours, plain)
    show(name, times[0], "c", times[1], size / 1e6, "MB/s", AIM)


def main():
    megabytes, pairs = int(sys.argv[1]), int(sys.argv[2])
    cols = 1000
    rows = megabytes * 10**6 // (8 * cols)
    A = np.random.default_rng(0).random((rows, cols))
    out = np.zeros_like(A)
    with alchemist.connect(workers=WORKERS, shared_memory=0) as als:
        for layout in LAYOUTS:
            handle = als.create_matrix(A.shape, layout=layout)
            plain, name = PlainMatrix(handle), layout or "default"
            compare(f"python_send_{name}", A.nbytes, pairs, lambda: handle.write(A), lambda: plain.write(A))
            compare(f"python_fetch_{name}", A.nbytes, pairs, lambda: handle.fetch(out=out), lambda: plain.fetch(out))
            assert np.array_equal(out, A)
            handle.free()


if __name__ == "__main__":
    main()
