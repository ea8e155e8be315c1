"""Functions of the library linalg beside the bare ScaLAPACK routine on the same workers, in interleaved pairs.

usage: bench_linalg.py [ignored] PAIRS [blocks | ROW ...]

What a function costs is the time of the call as its user sees it, with all that Alchemist does; what the routine
costs is its own time on matrices and workspace that are there already. Two workers, matrices already on them.
With `blocks`, the bare routines for several block sizes instead: the default is the best for all of them together.
"""

import statistics
import sys
import time

import numpy as np

import alchemist

BLOCKS = (16, 24, 32, 48, 64, 96, 128)
ROUTINES = (("gemm", 2000), ("potrf", 2000), ("getrf", 1000), ("getrf", 2000), ("geqrf", 2000), ("syevd", 1000))
# Function, how it is called, the routine, rows and columns. Pairs that take long are fewer.
ROWS = [
    ("matmul", lambda la, A: [la.matmul(A, A)], "gemm", 2000, 1),
    ("cholesky", lambda la, A: [la.cholesky(A)], "potrf", 2000, 1),
    ("cholesky_4000", lambda la, A: [la.cholesky(A)], "potrf", 4000, 2),
    ("qr", lambda la, A: list(la.qr(A)), "geqrf", 2000, 1),
    ("eigh", lambda la, A: list(la.eigh(A)), "syevd", 1000, 1),
    ("eigh_2000", lambda la, A: list(la.eigh(A)), "syevd", 2000, 1),
    ("svd", lambda la, A: list(la.svd(A)), "gesvd", 800, 1),
    ("svd_2000", lambda la, A: list(la.svd(A)), "gesvd", 2000, 3),
]


def interval(values):
    """Median with the 95 % interval of its order statistics."""
    values, n = sorted(values), len(values)
    half = max(0, int(np.floor(n / 2 - 0.98 * np.sqrt(n))))
    return f"{statistics.median(values):10.4f} [{values[half]:.4f} .. {values[n - 1 - half]:.4f}]"


def positive(n):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((n, n))
    return (a + a.T) / 2 + 4 * np.sqrt(n) * np.eye(n)


def compare(als, la, bare, name, call, routine, n, pairs):
    if name.split("_")[0] not in la.functions:
        print(f"{name}: not in this build")
        return
    A = als.send_matrix(positive(n))
    ours, theirs = [], []
    for k in range(pairs + 1):
        begun = time.perf_counter()
        results = call(la, A)
        taken = time.perf_counter() - begun
        for handle in results:
            handle.free()
        seconds = bare.run(routine, A)
        if k:  # the first pair warms up
            ours.append(taken)
            theirs.append(seconds)
    A.free()
    print(f"linalg_{name:24s} {interval(ours)} s      n = {n}")
    print(f"bare_p{'d' + routine:25s} {interval(theirs)} s")
    print(f"linalg_{name}_over_bare".ljust(31), interval([a / b for a, b in zip(ours, theirs)]),
          "        limit 1.05", flush=True)


def blocks(als, bare, pairs):
    for routine, n in ROUTINES:
        a = positive(n)
        times = {b: [] for b in BLOCKS}
        handles = {b: als.send_matrix(a, layout=f"block_cyclic({b},{b})") for b in BLOCKS}
        for _ in range(pairs):
            for b, A in handles.items():
                times[b].append(bare.run(routine, A))
        best = min(statistics.median(t) for t in times.values())
        print(f"bare_pd{routine:8s} n = {n}: " + ", ".join(
            f"{b}: {statistics.median(t):.4f} ({statistics.median(t) / best:.2f})" for b, t in times.items()), flush=True)
        for A in handles.values():
            A.free()


def main():
    pairs = int(sys.argv[2])
    with alchemist.connect(workers=2) as als:
        la, bare = als.load_library("linalg"), als.load_library("bare")
        if "blocks" in sys.argv:
            return blocks(als, bare, pairs)
        print(f"# linalg on 2 workers beside the bare routine; {pairs} pairs, fewer of those that take long")
        for name, call, routine, n, share in (row for row in ROWS if row[0] in (sys.argv[3:] or row)):
            compare(als, la, bare, name, call, routine, n, max(5, pairs // share))


if __name__ == "__main__":
    main()
