"""linalg's orthogonal and spectral methods: residuals, orthogonality and values with a bound for each type on hard
inputs, and what NumPy and SciPy say of the same."""

import re
import time

import numpy as np
import pytest
import scipy.linalg

import alchemist
from harness import Daemon, wait_for
from linalg_session import als, daemon, la, rng, send  # noqa: F401
from linalg_inputs import DTYPES, LAYOUTS, eps, graded, hilbert, orthogonal, positive, random, with_values

N = 83  # blocks of 32, 24, 16, 7 and 5 do not divide it
# Bounds in eps, for matrices of order 100 to 400: rounding errors of n^2 operations add up like sqrt(n) to n.
VALUES, RESIDUAL, ORTHOGONAL = 60, 300, 150


def fetch(*handles):
    arrays = tuple(np.asarray(h) for h in handles)
    return arrays if len(arrays) > 1 else arrays[0]


def values_of(handle):
    return np.asarray(handle).ravel()


def wide(x):
    """In double precision, as what is compared with."""
    return np.asarray(x).astype("complex128" if np.asarray(x).dtype.kind == "c" else "float64")


def norm(a):
    return np.linalg.norm(wide(a), 2) if a.size else 0.0


def check_orthonormal(q, what):
    worst = np.abs(q.conj().T @ q - np.eye(q.shape[1])).max(initial=0)
    assert worst <= ORTHOGONAL * eps(q), f"{what}: columns are orthonormal to {worst / eps(q):.0f} eps only"


def check_svd(a, results, k=None, full=False):
    """Everything that a decomposition, whole or truncated, has to be."""
    u, s, vh = (np.asarray(h) for h in results)
    s, least = s.ravel(), min(a.shape)
    k = least if k is None else k
    assert u.dtype == vh.dtype == a.dtype and s.dtype == a.real.dtype
    if full:
        assert u.shape == (a.shape[0],) * 2 and vh.shape == (a.shape[1],) * 2
        check_orthonormal(u, "full U")
        check_orthonormal(vh.conj().T, "full V")
        u, vh = u[:, :k], vh[:k]
    assert u.shape == (a.shape[0], k) and s.shape == (k,) and vh.shape == (k, a.shape[1])
    if not k:
        return
    expected = np.linalg.svd(wide(a), compute_uv=False)
    unit = eps(a) * max(expected[0], np.finfo(a.dtype).tiny)
    assert np.all(np.diff(s) <= 0) and s[-1] >= 0
    assert np.abs(s - expected[:k]).max() <= VALUES * unit, f"values are wrong by {np.abs(s - expected[:k]).max() / unit:.0f}"
    check_orthonormal(u, "U")
    check_orthonormal(vh.conj().T, "V")
    right = np.linalg.norm(wide(a) @ wide(vh).conj().T - wide(u) * s, axis=0).max()
    left = np.linalg.norm(wide(a).conj().T @ wide(u) - wide(vh).conj().T * s, axis=0).max()
    assert max(left, right) <= RESIDUAL * unit, f"residuals are {left / unit:.0f} and {right / unit:.0f}"


def inputs(rng, dtype):
    """Square, tall and wide; singular, graded, clustered, orthogonal, zero."""
    yield "random", random(rng, N, N, dtype)
    yield "tall", random(rng, 4 * N, N, dtype)
    yield "wide", random(rng, N, 2 * N, dtype)
    yield "hilbert", hilbert(N, dtype)
    yield "graded", graded(rng, N, dtype)
    yield "geometric", with_values(rng, N, N, 0.5 ** np.arange(N), dtype)
    yield "of rank 5", random(rng, 2 * N, 5, dtype) @ random(rng, 5, N, dtype)
    yield "clusters", with_values(rng, N, N, np.r_[np.full(30, 1.0), np.full(30, 1e-3), np.full(N - 60, 1e-6)], dtype)
    yield "orthogonal", orthogonal(rng, N, dtype)
    yield "zero", np.zeros((N, 30), dtype)


# ---- svd ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_svd(la, send, rng, dtype):
    for what, a in inputs(rng, dtype):
        print(what)
        check_svd(a, la.svd(send(a)))
        s = values_of(la.svdvals(send(a)))
        expected = np.linalg.svd(wide(a), compute_uv=False)
        assert np.abs(s - expected).max() <= VALUES * eps(a) * max(expected[0], 1e-30)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3000, 3), (3, 3000), (2, 2), (0, 5), (5, 0), (0, 0)])
def test_svd_of_edge_shapes(la, send, rng, shape):
    a = random(rng, *shape)
    check_svd(a, la.svd(send(a)))
    if min(shape):
        check_svd(a, la.svd(send(a), k=1), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (N + 9, N), (N, N + 9), (3 * N, N), (40, 170), (1, 9), (9, 1), (0, 3), (3, 0)])
def test_svd_with_full_matrices(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    check_svd(a, la.svd(send(a), full_matrices=True), full=True)
    a[:, : shape[1] // 2] = 0
    check_svd(a, la.svd(send(a), True), full=True)


def test_svd_without_vectors(la, send, rng):
    a = random(rng, 220, 190)
    expected = np.linalg.svd(a, compute_uv=False)
    for options, count in (({}, 190), ({"full_matrices": True}, 190), ({"k": 3}, 3), ({"k": 189}, 189)):
        s = values_of(la.svd(send(a), compute_uv=False, **options))
        np.testing.assert_allclose(s, expected[:count], atol=VALUES * eps(a) * expected[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_svd_in_every_layout(la, send, rng, layout):
    a = random(rng, 150, N, "complex64")
    check_svd(a, la.svd(send(a, layout), full_matrices=True), full=True)
    a = random(rng, 170, 190)
    check_svd(a, la.svd(send(a, layout), k=4), 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncated_svd(la, send, rng, dtype):
    a = random(rng, 300, 200, dtype)
    task = la.svd.submit(send(a), k=5)
    check_svd(a, task.result(), 5)
    assert any("block steps" in note and "residual" in note for note in task.notes)
    for what, a, k in [("wide", random(rng, 170, 400, dtype), 3), ("hilbert", hilbert(200, dtype), 6),
                       ("zero", np.zeros((180, 170), dtype), 3), ("unit", np.eye(300, 200, dtype=dtype), 12),
                       ("of rank 3", random(rng, 250, 3, dtype) @ random(rng, 3, 200, dtype), 8),
                       ("falling", with_values(rng, 220, 200, 0.5 ** np.arange(200), dtype), 15),
                       ("twenty copies", with_values(rng, 220, 200, np.r_[np.full(20, 2.0), np.linspace(1.9, 0, 180)],
                                                     dtype), 15)]:
        print(what)
        check_svd(a, la.svd(send(a), k=k), k)


def test_truncated_svd_keeps_small_values(la, send, rng):
    """A method that squares a loses everything below sqrt(eps) of the largest value."""
    values = np.r_[10.0 ** -np.arange(13), np.full(190, 1e-15)]
    a = with_values(rng, 400, 203, values)
    s = values_of(la.svd(send(a), k=12).s)
    np.testing.assert_allclose(s, values[:12], atol=60 * eps(a))


def test_svd_near_full_rank_computes_all(la, send, rng):
    a = random(rng, 60, 50)
    task = la.svd.submit(send(a), k=49)
    check_svd(a, task.result(), 49)
    assert any("no room for an iteration" in note for note in task.notes)


def test_svd_without_convergence_says_how_far_it_came(la, send, rng):
    with pytest.raises(alchemist.NumericError, match=r"no convergence within 9 block steps .* of 5 values .* residual"):
        la.svd(send(random(rng, 400, 300)), k=5, maxiter=9)


def test_svd_refuses(la, send, rng):
    a = send(random(rng, 30, 20))
    with pytest.raises(alchemist.RangeError, match="k is 21: 1 to 20 is possible for 30 x 20"):
        la.svd(a, k=21)
    for tol in (-1, 1, np.nan, np.inf):
        with pytest.raises(alchemist.RangeError, match=f"tol is -?{abs(tol)}: from 0"):
            la.svd(a, k=2, tol=tol)
    with pytest.raises(alchemist.RangeError, match="maxiter is -3"):
        la.svd(a, k=2, maxiter=-3)
    with pytest.raises(ValueError, match="k = 2 with full_matrices=True"):
        la.svd(a, full_matrices=True, k=2)
    with pytest.raises(ValueError, match="maxiter goes with k"):
        la.svd(a, maxiter=10)
    bad = random(rng, 200, 190)
    bad[11, 3] = np.nan
    for call in (lambda h: la.svd(h), lambda h: la.svd(h, k=2), la.svdvals, lambda h: la.rsvd(h, 2), la.pca, la.qr,
                 la.pinv, lambda h: la.lstsq(h, h)):
        with pytest.raises(alchemist.NumericError, match=r"entry \(11, 3\) is NaN or infinite"):
            call(send(bad))


def test_scaling_of_extreme_entries(la, send, rng):
    for factor in (1e-290, 1e290):
        a = random(rng, 200, 180) * factor
        s = values_of(la.svd(send(a), k=3).s)
        np.testing.assert_allclose(s, np.linalg.svd(a / factor, compute_uv=False)[:3] * factor, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cond_and_rank(la, send, rng, dtype):
    for a in (random(rng, 60, 40, dtype), random(rng, 50, 7, dtype) @ random(rng, 7, 60, dtype), hilbert(12, dtype)):
        assert la.matrix_rank(send(a)) == np.linalg.matrix_rank(a)
    a = with_values(rng, 60, 50, np.geomspace(1, 1e-3, 50), dtype)
    assert la.cond(send(a)) == pytest.approx(1e3, rel=1e4 * eps(a))
    assert la.matrix_rank(send(a), tol=0.1) == np.linalg.matrix_rank(a, tol=0.1)
    assert la.cond(send(np.zeros((3, 3), dtype))) == np.inf
    assert la.matrix_rank(send(np.zeros((0, 3), dtype))) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_condition_numbers_of_all_kinds(la, send, rng, dtype):
    for a in (with_values(rng, N, N, np.geomspace(1, 1e-2, N), dtype), random(rng, 1, 1, dtype), 1e20 * np.eye(4, dtype=dtype)):
        for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"):
            assert la.cond(send(a), p) == pytest.approx(np.linalg.cond(wide(a), p), rel=1e4 * eps(a)), p
    singular = np.zeros((3, 3), dtype)
    for p in (2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"):
        assert la.cond(send(singular), p) == np.inf
    singular[0, 0] = 1
    assert la.cond(send(singular), 1) == la.cond(send(singular), "fro") == np.inf and la.cond(send(singular), -2) == 0


def test_cond_refuses(la, send, rng):
    tall = send(random(rng, 5, 3))
    assert la.cond(tall) > 1
    with pytest.raises(ValueError, match="5 x 3: p = '1' needs a square matrix"):
        la.cond(tall, 1)
    with pytest.raises(ValueError, match="p is '3'"):
        la.cond(tall, 3)
    with pytest.raises(ValueError, match="0 x 3: an empty matrix"):
        la.cond(send(np.zeros((0, 3))))


# ---- randomized ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_rsvd(la, send, rng, dtype):
    values = 0.7 ** np.arange(150)
    a = with_values(rng, 300, 150, values, dtype)
    for k in (1, 8, 150):
        u, s, vh, error = la.rsvd(send(a), k)
        u, s, vh = fetch(u, s, vh)
        check_orthonormal(u, "U")
        check_orthonormal(vh.conj().T, "V")
        left = norm(wide(a) - wide(u) * s.ravel() @ wide(vh))
        assert left <= error <= 100 * max(left, 30 * eps(a))
        assert np.abs(s.ravel() - values[:k]).max() <= 100 * eps(a)
    flat = random(rng, 120, 60, dtype)  # all values alike: what is missed is nearly everything
    u, s, vh, error = la.rsvd(send(flat), 5)
    left = norm(wide(flat) - wide(fetch(u)) * values_of(s) @ wide(fetch(vh)))
    assert left <= error <= 10 * left
    again = values_of(la.rsvd(send(a, "block_cyclic(24,24,2,1)"), 8).s)
    np.testing.assert_allclose(again, values[:8], atol=100 * eps(a))
    for arguments, reason in (((0,), "k is 0"), ((1, -2), "oversamples is -2"), ((1, 0, -3), "power_iterations is -3")):
        with pytest.raises(alchemist.RangeError, match=reason):
            la.rsvd(send(a), *arguments)


# ---- pca ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0, 3, 1e5])
def test_pca(la, send, rng, dtype, offset):
    """Also where means are so large that products with the matrix itself would lose the variation."""
    x = (with_values(rng, 400, 200, 0.8 ** np.arange(200), dtype) + offset * random(rng, 1, 200, dtype)).astype(dtype)
    mean = wide(x).mean(axis=0)
    mean += (wide(x) - mean).mean(axis=0)  # NumPy's sum loses as many digits as there are rows
    _, s, vh = np.linalg.svd(wide(x) - mean, full_matrices=False)
    # What rounding the input itself to its type does to the variation.
    slack = (200 + 20 * offset) * eps(x)
    for k in (4, 0):
        got = la.pca(send(x), n_components=k)
        count = k or 200
        components, values = wide(fetch(got.components)), values_of(got.singular_values)
        assert np.abs(values - s[:count]).max() <= slack
        np.testing.assert_allclose(values_of(got.mean), mean, atol=100 * eps(x) * (1 + offset) * 4)
        np.testing.assert_allclose(values_of(got.explained_variance), s[:count]**2 / 399, atol=slack)
        np.testing.assert_allclose(values_of(got.explained_variance_ratio), s[:count]**2 / (s**2).sum(), atol=slack)
        check_orthonormal(fetch(got.components).conj().T, "components")
        peaks = components[np.arange(count), np.abs(components).argmax(axis=1)]
        assert np.all(peaks.real > 0) and np.abs(peaks.imag).max() <= 10 * eps(x)
        if offset < 10:
            along = np.abs(np.sum(components[:3] * vh[:3].conj(), axis=1))
            np.testing.assert_allclose(along, 1, atol=1e4 * eps(x))


def test_pca_is_that_of_scikit_learn(la, send, rng):
    """Its formulas: signs by svd_flip(u_based_decision=False), variances with m - 1."""
    x = with_values(rng, 300, 190, 0.9 ** np.arange(190)) + 5 * random(rng, 1, 190)
    _, s, vh = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    vh *= np.sign(vh[np.arange(190), np.abs(vh).argmax(axis=1)])[:, None]
    for k in (5, None):
        got = la.pca(send(x), k)
        np.testing.assert_allclose(fetch(got.components)[:5], vh[:5], atol=1e-10)
        np.testing.assert_allclose(values_of(got.explained_variance)[:5], s[:5] ** 2 / 299, rtol=1e-10)


def test_pca_refuses(la, send, rng):
    x = send(random(rng, 30, 20))
    with pytest.raises(alchemist.RangeError, match="tol is 5"):
        la.pca(x, 2, tol=5)
    with pytest.raises(alchemist.RangeError, match="maxiter is -1"):
        la.pca(x, 2, maxiter=-1)
    with pytest.raises(ValueError, match="tol goes with n_components"):
        la.pca(x, tol=0.1)
    with pytest.raises(alchemist.RangeError, match="n_components is 21: 1 to 20 is possible for 30 x 20"):
        la.pca(x, 21)
    with pytest.raises(ValueError, match="1 x 4: two samples"):
        la.pca(send(np.ones((1, 4))))


# ---- eigh ----

def check_eigh(la, send, a, b=None, lower=True, **subset):
    half = np.tril if lower else np.triu
    # What inverse iteration leaves where values are 0.001 of the largest apart: some hundreds of eps.
    orthogonal_to = 4 * ORTHOGONAL if "subset_by_index" in subset else ORTHOGONAL
    w, v = la.eigh(send(half(a)), None if b is None else send(half(b)), lower=lower, **subset)
    w, v = values_of(w), fetch(v)
    expected = scipy.linalg.eigh(wide(a), None if b is None else wide(b), eigvals_only=True, **subset)
    also = values_of(la.eigvalsh(send(half(a)), None if b is None else send(half(b)), lower=lower, **subset))
    assert w.shape == also.shape == expected.shape and v.shape == (len(a), len(w)) and v.dtype == a.dtype
    if not len(w):
        return
    metric = np.eye(len(a)) if b is None else wide(b)
    unit = eps(a) * max(norm(a), 1e-30) * (1 if b is None else np.linalg.norm(np.linalg.inv(metric), 2))
    assert np.abs(w - expected).max() <= VALUES * unit and np.abs(also - expected).max() <= VALUES * unit
    assert np.abs(v.conj().T @ metric @ v - np.eye(len(w))).max() <= orthogonal_to * eps(a) * np.linalg.cond(metric)
    assert np.abs(wide(a) @ v - metric @ v * w).max() <= RESIDUAL * eps(a) * norm(a) * np.linalg.cond(metric)


def hermitian(rng, n, dtype):
    a = random(rng, n, n, dtype)
    return ((a + a.conj().T) / 2).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh(la, send, rng, dtype):
    check_eigh(la, send, hermitian(rng, 150, dtype))
    check_eigh(la, send, hermitian(rng, N, dtype), lower=False)
    check_eigh(la, send, hilbert(N, dtype))
    check_eigh(la, send, np.eye(N, dtype=dtype))
    check_eigh(la, send, np.zeros((N, N), dtype))
    q = orthogonal(rng, N, dtype)
    cluster = (q * np.r_[np.full(40, 1.0), np.full(N - 40, -1e-3)] @ q.conj().T).astype(dtype)
    check_eigh(la, send, (cluster + cluster.conj().T) / 2)
    for n in (0, 1, 2, 3):
        check_eigh(la, send, hermitian(rng, n, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_of_subsets(la, send, rng, dtype):
    a = hermitian(rng, 140, dtype)
    for subset in ([0, 0], [0, 4], [130, 139], [60, 79], [0, 139]):
        check_eigh(la, send, a, subset_by_index=subset)
    check_eigh(la, send, a, subset_by_value=[-1.5, 3.25])
    check_eigh(la, send, a, subset_by_value=[1e5, 2e5])
    for end in (14, 25):  # by inverse iteration, and cut from all
        check_eigh(la, send, np.eye(N, dtype=dtype), subset_by_index=[5, end])
    check_eigh(la, send, hilbert(N, dtype), lower=False, subset_by_index=[75, N - 1])


@pytest.mark.parametrize("glue", [1e-14, 1e-8])
def test_eigh_of_subsets_in_tight_clusters(la, send, glue):
    """Glued Wilkinson matrices: twenty values each that agree to eps, where robust representations (DSTEMR) fail."""
    d = np.tile(np.abs(np.arange(21.0) - 10), 20)
    e = np.ones(419)
    e[20::21] = glue
    a = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    for subset in ([0, 51], [200, 240]):
        check_eigh(la, send, a, subset_by_index=subset)
    check_eigh(la, send, a, subset_by_value=[9.5, 12])


@pytest.mark.parametrize("dtype", DTYPES)
def test_generalized_eigh(la, send, rng, dtype):
    a, b = hermitian(rng, N, dtype), positive(rng, N, dtype, 50)
    check_eigh(la, send, a, b)
    check_eigh(la, send, a, b, lower=False)
    check_eigh(la, send, a, b, subset_by_index=[2, 9])
    check_eigh(la, send, a, b, subset_by_value=[-0.5, 3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_of_generalized_eigh(la, send, rng, dtype):
    a, b = hermitian(rng, N, dtype), positive(rng, N, dtype, 50)
    for kind in (2, 3):
        w, v = fetch(*la.eigh(send(a), send(b), type=kind))
        expected, _ = scipy.linalg.eigh(wide(a), wide(b), type=kind)
        also = values_of(la.eigvalsh(send(a), send(b), type=kind))
        unit = eps(a) * norm(a) * norm(b)
        assert np.abs(w.ravel() - expected).max() <= VALUES * unit and np.abs(also - expected).max() <= VALUES * unit
        first, second = (wide(a), wide(b)) if kind == 2 else (wide(b), wide(a))
        assert np.abs(first @ (second @ v) - v * w.ravel()).max() <= RESIDUAL * unit * np.linalg.cond(wide(b))
        metric = wide(b) if kind == 2 else np.linalg.inv(wide(b))
        assert np.abs(v.conj().T @ metric @ v - np.eye(N)).max() <= ORTHOGONAL * eps(a) * np.linalg.cond(wide(b))


def test_eigh_refuses(la, send, rng):
    a = hermitian(rng, 20, "float64")
    b = np.eye(20)
    b[12, 12] = -1
    with pytest.raises(alchemist.NumericError, match="leading minor of order 13 of b is not positive definite"):
        la.eigh(send(a), send(b))
    with pytest.raises(ValueError, match="square"):
        la.eigh(send(np.ones((3, 4))))
    with pytest.raises(alchemist.RangeError, match="first <= last < 20"):
        la.eigh(send(a), subset_by_index=[3, 20])
    with pytest.raises(ValueError, match="subset_by_value has length 3"):
        la.eigh(send(a), subset_by_value=[3, 4, 5])
    with pytest.raises(ValueError, match="cannot both"):
        la.eigvalsh(send(a), subset_by_index=[3, 4], subset_by_value=[0, 1])
    with pytest.raises(alchemist.RangeError, match="type is 4"):
        la.eigh(send(a), send(a), type=4)


# ---- qr ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (170, 60), (60, 170), (4000, 4), (4, 4000), (3000, 1), (1, 1), (1, 9), (9, 1)])
def test_qr(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    task = la.qr.submit(send(a))
    q, r = fetch(*task.result())
    least = min(shape)
    assert any("TSQR" in note for note in task.notes) == (shape in [(4000, 4), (3000, 1)])
    assert q.shape == (shape[0], least) and r.shape == (least, shape[1]) and q.dtype == r.dtype == a.dtype
    check_orthonormal(q, "Q")
    assert np.abs(wide(q) @ wide(r) - a).max() <= RESIDUAL * eps(a) * max(norm(a), 1)
    assert not np.tril(r, -1).any()
    alone = fetch(la.qr(send(a), mode="r"))
    np.testing.assert_allclose(np.abs(alone), np.abs(r), atol=100 * eps(a) * norm(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_qr_of_hard_matrices(la, send, rng, dtype):
    tall = random(rng, 900, 2, dtype) @ random(rng, 2, 9, dtype)
    for a in (hilbert(N, dtype), graded(rng, N, dtype), np.zeros((N, 40), dtype), tall, np.zeros((900, 3), dtype)):
        q, r = fetch(*la.qr(send(a)))
        check_orthonormal(q, "Q")
        assert np.abs(wide(q) @ wide(r) - a).max() <= RESIDUAL * eps(a) * max(norm(a), 1)


def test_qr_of_nothing_and_unknown_modes(la, send):
    for shape in ((0, 4), (4, 0), (0, 0)):
        q, r = fetch(*la.qr(send(np.zeros(shape))))
        assert q.shape == (shape[0], 0) and r.shape == (0, shape[1])
    with pytest.raises(ValueError, match="mode is 'x'"):
        la.qr(send(np.eye(3)), mode="x")


# ---- lstsq and pinv ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, n, rank, k", [(300, 50, 50, 3), (200, 170, 170, 1), (90, 200, 90, 4), (200, 80, 30, 2),
                                           (N, N, N, 2), (80, 200, 20, 2), (1, 5, 1, 1), (5, 1, 1, 2), (0, 3, 0, 2),
                                           (4, 0, 0, 2), (50, 20, 0, 1)])
def test_lstsq_and_pinv(la, send, rng, dtype, m, n, rank, k):
    a = with_values(rng, m, n, np.geomspace(10, 1, rank), dtype) if rank else np.zeros((m, n), dtype)
    b = random(rng, m, k, dtype)
    expected = np.linalg.lstsq(wide(a), wide(b), rcond=max(m, n) * eps(a))
    x, residuals, got, s = la.lstsq(send(a), send(b))
    x, residuals, s = fetch(x), values_of(residuals), values_of(s)
    assert got == expected[2] == rank and x.shape == (n, k) and x.dtype == a.dtype
    assert residuals.shape == expected[1].shape
    assert np.abs(s - expected[3]).max(initial=0) <= 10 * VALUES * eps(a)
    assert np.abs(x - expected[0]).max(initial=0) <= 10 * RESIDUAL * eps(a) * (1 + norm(b))
    assert np.abs(residuals - expected[1]).max(initial=0) <= RESIDUAL * eps(a) * norm(b) ** 2
    p = fetch(la.pinv(send(a)))
    assert p.shape == (n, m)
    if rank:
        assert np.abs(wide(p) - np.linalg.pinv(wide(a), rcond=1e-4)).max() <= 10 * RESIDUAL * eps(a)
    else:
        assert not p.any()


def test_pinv_takes_rcond_and_rtol(la, send, rng):
    a = with_values(rng, 60, 10, np.geomspace(1, 1e-8, 10))
    for options in ({"rcond": 1e-5}, {"rtol": 1e-5}):
        assert norm(fetch(la.pinv(send(a), **options)) - np.linalg.pinv(a, 1e-5)) <= 1e-8 * 1e5
    with pytest.raises(ValueError, match="give one of them"):
        la.pinv(send(a), 1e-5, 1e-5)
    for name in ("rcond", "rtol"):
        with pytest.raises(alchemist.RangeError, match=f"{name} is nan"):
            la.pinv(send(a), **{name: np.nan})
    with pytest.raises(alchemist.RangeError, match="tol is nan"):
        la.matrix_rank(send(a), np.nan)


def test_lstsq_takes_rcond(la, send, rng):
    a, b = with_values(rng, 60, 10, np.geomspace(1, 1e-8, 10)), random(rng, 60, 1)
    for rcond in (1e-5, 1e-3, 0):
        x, _, rank, _ = la.lstsq(send(a), send(b), rcond=rcond)
        expected = np.linalg.lstsq(a, b, rcond=rcond)
        assert rank == expected[2]
        assert norm(fetch(x) - expected[0]) <= 1e-6 * norm(expected[0])
    with pytest.raises(ValueError, match="60 x 10, b has 59 rows"):
        la.lstsq(send(a), send(b[1:]))


# ---- numbers of workers ----

@pytest.mark.parametrize("workers", [1, 2, 4, 5, 6, 7])
def test_any_number_of_workers(daemon, rng, workers):
    with daemon.connect(workers=workers) as als:
        la, send = als.load_library("linalg"), als.send_matrix
        for layout in (None, "block_cyclic(16,16,1,1)"):
            keep = lambda x: als.send_matrix(np.asarray(x), layout=layout)
            a = random(rng, 230, 160)
            check_svd(a, la.svd(keep(a)))
            check_svd(a, la.svd(keep(a), k=3), 3)
            check_eigh(la, keep, hermitian(rng, 70, "complex128"))
            check_eigh(la, keep, hermitian(rng, 70, "float64"), subset_by_index=[1, 5])
            q, r = fetch(*la.qr(keep(random(rng, 900, 5))))
            check_orthonormal(q, "Q")
            tiny = random(rng, 3, 2)  # fewer entries than workers
            check_svd(tiny, la.svd(keep(tiny)))
            got = la.pca(keep(a), n_components=2)
            s = np.linalg.svd(a - a.mean(axis=0), compute_uv=False)
            np.testing.assert_allclose(values_of(got.singular_values), s[:2], rtol=1e-12)


# ---- memory, progress, cancel ----

def test_memory_is_checked_before_anything_is_allocated(own_daemon, rng):
    with own_daemon(2, "--memory-limit", "12M").connect(workers=2) as als:
        la = als.load_library("linalg")
        a = als.send_matrix(random(rng, 700, 700))
        before = len(als.list_matrices())
        for call in (la.svd, la.eigh, la.pinv, lambda h: la.svd(h, k=200), lambda h: la.rsvd(h, 300)):
            with pytest.raises(alchemist.LimitError, match="limit"):
                call(a)
            assert len(als.list_matrices()) == before
        assert la.matrix_rank(als.send_matrix(np.eye(5))) == 5


@pytest.mark.parametrize("name, arguments", [("svd", {"k": 40, "tol": 0.0, "maxiter": 100000}),
                                             ("rsvd", {"k": 20, "power_iterations": 100000}),
                                             ("pca", {"n_components": 40, "maxiter": 100000})])
def test_iterations_report_and_stop_when_cancelled(la, send, rng, name, arguments):
    # Values as close as those of an orthogonal matrix with noise take many steps.
    a = np.linalg.qr(rng.standard_normal((900, 900)))[0] + 1e-9 * rng.standard_normal((900, 900))
    task = getattr(la, name).submit(send(a), **arguments)
    wait_for(lambda: "step" in task.progress.text or "product" in task.progress.text, 10, "progress")
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(alchemist.CanceledError, match="canceled after"):
        task.result(timeout=10)
    assert time.monotonic() - begun < 5
    assert la.matrix_rank(send(np.eye(4))) == 4


def test_a_direct_call_shows_that_it_is_cancelling(own_daemon, rng):
    with own_daemon(2).connect(workers=2) as als:
        la = als.load_library("linalg")
        a = als.send_matrix(random(rng, 1500, 1500))
        task = la.svd.submit(a)
        wait_for(lambda: "bidiagonal" in task.progress.text, 10, "the reduction")
        task.cancel()
        assert task.state == "cancelling"
        with pytest.raises(alchemist.CanceledError):
            task.result(timeout=30)
        assert a.shape == (1500, 1500) and la.matrix_rank(als.send_matrix(np.eye(3))) == 3
        task = la.svd.submit(a)
        wait_for(lambda: "bidiagonal" in task.progress.text, 10, "the reduction")
        task.cancel(hard=True)
        with pytest.raises(alchemist.CanceledError, match=rf"matrices are lost: matrix {a.id} \(1500 x 1500, float64\)"):
            task.result(timeout=10)
        with pytest.raises(alchemist.GroupLostError):
            np.asarray(a)


def test_every_function_says_method_memory_and_limits(la):
    for name in ("svd", "svdvals", "cond", "matrix_rank", "rsvd", "pca", "eigh", "eigvalsh", "qr", "lstsq", "pinv"):
        text = getattr(la, name).__doc__
        assert "Method" in text and "emory" in text, name
        for p in getattr(la, name).__signature__.parameters:
            assert re.search(rf"\n *{p.rstrip('_')} \(.*\): \S", text), f"{name}: {p} is not documented"
