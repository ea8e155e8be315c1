"""Input matrices and comparisons for the tests of the library linalg."""

import numpy as np

DTYPES = ["float64", "float32", "complex128", "complex64"]
# Layouts for a session of several workers: the default, grids with idle workers, block sizes that do not divide the
# order of a matrix, and layouts that ScaLAPACK cannot use in place.
LAYOUTS = ["default", "block_cyclic(64,64,1,1)", "block_cyclic(33,33,2,1)", "block_cyclic(7,5)", "VC_STAR", "STAR_STAR",
           "MC_MR", "CIRC_CIRC"]


def eps(x):
    """The eps of the type in which linalg computes with this matrix."""
    kind = np.asarray(x).dtype
    return np.finfo(kind).eps if kind.kind in "fc" else np.finfo("float64").eps


def random(rng, m, n, dtype="float64"):
    """Normally distributed entries."""
    x = rng.standard_normal((m, n))
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal((m, n))
    return x.astype(dtype)


def orthogonal(rng, n, dtype="float64"):
    """A random orthogonal (unitary) matrix."""
    return np.linalg.qr(random(rng, n, n, dtype))[0].astype(dtype)


def with_values(rng, m, n, values, dtype="float64"):
    """A random m x n matrix with these singular values."""
    values = np.asarray(values, dtype="float64")
    u = np.linalg.qr(random(rng, m, len(values), "complex128" if np.dtype(dtype).kind == "c" else "float64"))[0]
    v = np.linalg.qr(random(rng, n, len(values), "complex128" if np.dtype(dtype).kind == "c" else "float64"))[0]
    return (u * values @ v.conj().T).astype(dtype)


def positive(rng, n, dtype="float64", condition=1e3):
    """A random Hermitian positive definite matrix with this condition number."""
    q = orthogonal(rng, n, "complex128" if np.dtype(dtype).kind == "c" else "float64")
    a = (q * np.geomspace(1, 1 / condition, n) @ q.conj().T).astype(dtype)
    return (a + a.conj().T) / 2


def hilbert(n, dtype="float64"):
    """Hilbert's matrix, which is nearly singular."""
    i = np.arange(n)
    return (1 / (i[:, None] + i + 1)).astype(dtype)


def graded(rng, n, dtype="float64"):
    """A random matrix whose rows decrease by ten orders of magnitude."""
    return (np.geomspace(1, 1e-10, n)[:, None] * random(rng, n, n, dtype)).astype(dtype)


def assert_close(got, expected, bound, what=""):
    """Assert that no entry of got - expected exceeds the bound, and that none is NaN."""
    worst = np.max(np.abs(np.asarray(got) - np.asarray(expected)), initial=0)
    assert worst <= bound, f"{what}: {worst:.3g} exceeds {bound:.3g}"


def size(x):
    """Frobenius norm in double precision, above zero so that it can be divided by."""
    return float(np.linalg.norm(np.asarray(x).astype("complex128"))) + np.finfo("float64").tiny
