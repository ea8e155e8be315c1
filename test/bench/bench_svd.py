"""Compares the truncated SVD of Fashion-MNIST on the workers with numpy.linalg.svd and scipy.sparse.linalg.svds.

linalg.svd(k=) never squares the matrix; truncated_svd of TestLib does. The accuracy is printed as the largest residual
|A v - s u| or |A^T u - s v|, relative to the largest value.

usage: bench_svd.py [ignored] PAIRS

NumPy's full SVD is slow, so it runs in at most 3 of the pairs.
"""

import gzip
import sys

import numpy as np
from scipy.sparse.linalg import svds

import alchemist
from pairs import seconds, show

IMAGES = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
RANK = 20


def timed(times, function):
    """Call a function, append its time to `times`, and return its result."""
    taken, result = seconds(function)
    times.append(taken)
    return result


def residual(A, u, s, vh):
    """The largest residual, relative to the largest value."""
    right = np.linalg.norm(A @ vh.T - u * s, axis=0).max()
    return max(right, np.linalg.norm(A.T @ u - vh.T * s, axis=0).max()) / s.max()


def main():
    pairs = int(sys.argv[2])
    with gzip.open(IMAGES) as file:
        A = np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(60000, 784).astype(np.float64)
    print(f"# Fashion-MNIST, {A.shape[0]} x {A.shape[1]}, rank {RANK}, matrix already on the workers; {pairs} pairs")
    with alchemist.connect(workers=2) as als:
        lib, la = als.load_library("TestLib"), als.load_library("linalg")
        sent, squared, ours, sparse, full = [], [], [], [], []
        handle = timed(sent, lambda: als.send_matrix(A))

        def run(function, **arguments):
            results = function(handle, **arguments)
            arrays = [np.asarray(h) for h in results]
            for h in results:
                h.free()
            return arrays

        run(la.svd, k=RANK)
        for k in range(pairs):
            u, s, vh = timed(ours, lambda: run(la.svd, k=RANK))
            timed(squared, lambda: run(lib.truncated_svd, rank=RANK))
            u2, s2, vh2 = timed(sparse, lambda: svds(A, k=RANK))
            if k < 3:
                exact = timed(full, lambda: np.linalg.svd(A, full_matrices=False)[1][:RANK])
        print(f"send_fashion_mnist {sent[0]:.4g} s")
        show("linalg_svd_k_20", ours, "scipy_svds", sparse, aim=1)
        show("linalg_svd_k_20", ours, "numpy_svd", full, aim=1)
        show("testlib_truncated_svd", squared, "scipy_svds", sparse)
        s = s.ravel()
        print(f"largest_relative_difference_to_numpy {np.max(np.abs(s - exact) / exact):.1e}")
        print(f"residual_linalg_svd_k_20 {residual(A, u, s, vh):.1e}")
        print(f"residual_scipy_svds {residual(A, u2, s2, vh2):.1e}")


if __name__ == "__main__":
    main()
