"""Send and fetch from Python beside the C functions, called with the same session, matrix and memory.

usage: bench_python.py MEGABYTES PAIRS

Prints `name value unit` rows: medians over interleaved pairs, and the ratio's median with its quartiles. What C itself
reaches of a raw socket is in bench_client.
"""

import ctypes
import os
import statistics
import sys
import time

import numpy as np

import alchemist

WORKERS = 3
LAYOUTS = ("VC_STAR", "MC_MR", None, "STAR_VC")
AIM = 0.95  # of C's rate


class Plain:
    """The blocking functions of the C library, which Python itself does not use: they do not see Ctrl-C."""

    def __init__(self, handle):
        library = ctypes.CDLL(os.environ["ALCHEMIST_LIBRARY"])
        self.handle, self.functions = handle, (library.alch_matrix_write, library.alch_matrix_read)
        for function in self.functions:
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                 ctypes.c_void_p]

    def _call(self, function, array):
        code = function(self.handle._pointer, None, array.ctypes.data, array.strides[0] // array.itemsize,
                        array.strides[1] // array.itemsize, None)
        assert code == 0, code

    def write(self, array):
        self._call(self.functions[0], array)

    def fetch(self, array):
        self._call(self.functions[1], array)


def seconds(act, *arguments):
    begun = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - begun


def compare(name, size, pairs, ours, plain):
    """Who goes first takes turns; the first pair warms up."""
    times = []
    for k in range(-1, pairs):
        order = (ours, plain) if k % 2 else (plain, ours)
        first, second = seconds(order[0]), seconds(order[1])
        if k >= 0:
            times.append((first, second) if k % 2 else (second, first))
    ratios = sorted(c / p for p, c in times)
    low, middle, high = (ratios[round(q * (pairs - 1))] for q in (0.25, 0.5, 0.75))
    print(f"{name} {size / 1e6 / statistics.median(p for p, _ in times):.4g} MB/s")
    print(f"{name}_beside_c {size / 1e6 / statistics.median(c for _, c in times):.4g} MB/s")
    print(f"{name}_ratio {middle:.3f} x (quartiles {low:.3f}..{high:.3f} of {pairs} pairs; aim at least {AIM}: "
          f"{'met' if high >= AIM else 'missed'})", flush=True)


def main():
    megabytes, pairs = int(sys.argv[1]), int(sys.argv[2])
    cols = 1000
    rows = megabytes * 10**6 // (8 * cols)
    A = np.random.default_rng(0).random((rows, cols))
    out = np.zeros_like(A)
    with alchemist.connect(workers=WORKERS, shared_memory=0) as als:
        for layout in LAYOUTS:
            handle = als.create_matrix(A.shape, layout=layout)
            plain, name = Plain(handle), layout or "default"
            compare(f"python_send_{name}", A.nbytes, pairs, lambda: handle.write(A), lambda: plain.write(A))
            compare(f"python_fetch_{name}", A.nbytes, pairs, lambda: handle.fetch(out=out), lambda: plain.fetch(out))
            assert np.array_equal(out, A)
            handle.free()


if __name__ == "__main__":
    main()
