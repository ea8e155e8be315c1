"""Truncated SVD of Fashion-MNIST on the workers beside numpy.linalg.svd and scipy.sparse.linalg.svds.

usage: bench_svd.py [ignored] PAIRS

NumPy's full SVD takes long: it runs in at most 3 of the pairs.
"""

import gzip
import statistics
import sys
import time

import numpy as np
from scipy.sparse.linalg import svds

import alchemist

IMAGES = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
RANK = 20


def row(name, values, unit):
    print(f"{name:44s} {statistics.median(values):10.3f} {unit:6s} [{min(values):.3f} .. {max(values):.3f}]", flush=True)


def timed(times, function):
    begun = time.perf_counter()
    result = function()
    times.append(time.perf_counter() - begun)
    return result


def main():
    pairs = int(sys.argv[2])
    with gzip.open(IMAGES) as file:
        A = np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(60000, 784).astype(np.float64)
    print(f"# Fashion-MNIST, {A.shape[0]} x {A.shape[1]}, rank {RANK}, matrix already on the workers; {pairs} pairs")
    with alchemist.connect(workers=2) as als:
        lib = als.load_library("TestLib")
        sent, ours, sparse, full = [], [], [], []
        handle = timed(sent, lambda: als.send_matrix(A))

        def run():
            results = lib.truncated_svd(handle, RANK)
            s = np.asarray(results.S).ravel()[::-1]
            for h in results:
                h.free()
            return s

        run()
        for k in range(pairs):
            s = timed(ours, run)
            timed(sparse, lambda: svds(A, k=RANK))
            if k < 3:
                exact = timed(full, lambda: np.linalg.svd(A, full_matrices=False)[1][:RANK])
        row("send_fashion_mnist", sent, "s")
        row("truncated_svd_2_workers", ours, "s")
        row("scipy_svds", sparse, "s")
        row("numpy_linalg_svd", full, "s")
        row("truncated_svd_over_svds", [a / b for a, b in zip(ours, sparse)], "")
        row("truncated_svd_over_numpy", [a / b for a, b in zip(ours, full)], "")
        row("largest_relative_difference_to_numpy", [np.max(np.abs(s - exact) / exact)], "")


if __name__ == "__main__":
    main()
