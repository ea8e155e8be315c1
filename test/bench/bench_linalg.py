"""Time functions of the library linalg and the bare ScaLAPACK routines on the same workers, in interleaved pairs.

usage: bench_linalg.py [ignored] PAIRS [blocks | FUNCTION ...]

The time of a function is that of the call as a user sees it, with all that Alchemist does. The time of a routine is
measured around the routine alone, on matrices and workspace that exist already. There are two workers, and the matrices
are already on them.

With `blocks` the bare routines are timed for several block sizes instead. The default block size is the best one for
all routines together.
"""

import statistics
import sys

import numpy as np

import alchemist
from pairs import measure, show

AIM = 1.05  # aim of the ratio to the bare routine's time
BLOCKS = (16, 24, 32, 48, 64, 96, 128)
ROUTINES = (("gemm", 2000), ("potrf", 2000), ("getrf", 1000), ("getrf", 2000), ("geqrf", 2000), ("syevd", 1000))
# Function, its call, the bare routine, the order of the matrix, and by what to divide the number of pairs: calls that
# take long are measured in fewer pairs.
ROWS = [
    ("matmul", lambda la, A: la.matmul(A, A), "gemm", 2000, 1),
    ("cholesky", lambda la, A: la.cholesky(A), "potrf", 2000, 1),
    ("cholesky", lambda la, A: la.cholesky(A), "potrf", 4000, 2),
    ("qr", lambda la, A: la.qr(A), "geqrf", 2000, 1),
    ("eigh", lambda la, A: la.eigh(A), "syevd", 1000, 1),
    ("eigh", lambda la, A: la.eigh(A), "syevd", 2000, 1),
    ("svd", lambda la, A: la.svd(A), "gesvd", 800, 1),
    ("svd", lambda la, A: la.svd(A), "gesvd", 2000, 3),
]


def positive(n):
    """A symmetric positive definite matrix."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((n, n))
    return (a + a.T) / 2 + 4 * np.sqrt(n) * np.eye(n)


def compare_with_routine(als, la, bare, name, call, routine, n, pairs):
    A = als.send_matrix(positive(n))
    ours, theirs = measure(pairs, lambda: call(la, A), lambda: bare.run(routine, A))
    A.free()
    show(f"linalg_{name}_{n}", ours, f"pd{routine}", theirs, aim=AIM)


def time_block_sizes(als, bare, pairs):
    for routine, n in ROUTINES:
        a = positive(n)
        times = {b: [] for b in BLOCKS}
        handles = {b: als.send_matrix(a, layout=f"block_cyclic({b},{b})") for b in BLOCKS}
        for _ in range(pairs):
            for b, A in handles.items():
                times[b].append(bare.run(routine, A))
        medians = {b: statistics.median(t) for b, t in times.items()}
        best = min(medians.values())
        row = ", ".join(f"{b}: {t:.4f} ({t / best:.2f})" for b, t in medians.items())
        print(f"bare_pd{routine:8s} n = {n}: {row}", flush=True)
        for A in handles.values():
            A.free()


def main():
    pairs = int(sys.argv[2])
    with alchemist.connect(workers=2) as als:
        la, bare = als.load_library("linalg"), als.load_library("bare")
        if "blocks" in sys.argv:
            return time_block_sizes(als, bare, pairs)
        print(f"# linalg and the bare routine on 2 workers; {pairs} pairs, fewer for calls that take long")
        for name, call, routine, n, divisor in (row for row in ROWS if row[0] in (sys.argv[3:] or row)):
            compare_with_routine(als, la, bare, name, call, routine, n, max(5, pairs // divisor))


if __name__ == "__main__":
    main()
