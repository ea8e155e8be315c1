"""Orthogonal and spectral methods of the library linalg: residuals, orthogonality and values within a bound for each
type, on hard inputs, and comparisons with NumPy and SciPy."""

import re
import time

import numpy as np
import pytest
import scipy.linalg

import alchemist
from harness import PATIENCE, wait_for
from linalg_session import als, daemon, la, rng, send  # noqa: F401
from linalg_inputs import DTYPES, LAYOUTS, eps, graded, hilbert, orthogonal, positive, random, with_values

N = 83  # not a multiple of the block sizes 32, 24, 16, 7 and 5
# Bounds in eps, for matrices of order 100 to 400: the rounding errors of n^2 operations grow like sqrt(n) to n.
VALUES, RESIDUAL, ORTHOGONAL = 60, 300, 150


def fetch(*handles):
    arrays = tuple(np.asarray(h) for h in handles)
    return arrays if len(arrays) > 1 else arrays[0]


def values_of(handle):
    return np.asarray(handle).ravel()


def wide(x):
    """A copy in double precision, as reference results have it."""
    return np.asarray(x).astype("complex128" if np.asarray(x).dtype.kind == "c" else "float64")


def norm(a):
    return np.linalg.norm(wide(a), 2) if a.size else 0.0


def check_orthonormal(q, what):
    worst = np.abs(q.conj().T @ q - np.eye(q.shape[1])).max(initial=0)
    assert worst <= ORTHOGONAL * eps(q), f"{what}: the columns deviate from orthonormality by {worst / eps(q):.0f} eps"


def check_svd(a, results, k=None, full=False):
    """Check shapes, types, values, orthogonality and residuals of a dense or truncated decomposition."""
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
    assert np.abs(s - expected[:k]).max() <= VALUES * unit, \
        f"the values are wrong by {np.abs(s - expected[:k]).max() / unit:.0f} eps"
    check_orthonormal(u, "U")
    check_orthonormal(vh.conj().T, "V")
    right = np.linalg.norm(wide(a) @ wide(vh).conj().T - wide(u) * s, axis=0).max()
    left = np.linalg.norm(wide(a).conj().T @ wide(u) - wide(vh).conj().T * s, axis=0).max()
    assert max(left, right) <= RESIDUAL * unit, f"the residuals are {left / unit:.0f} and {right / unit:.0f} eps"


def inputs(rng, dtype):
    """Names and matrices: square, tall and wide; singular, graded, clustered, orthogonal, zero."""
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
def test_svd_is_accurate_on_hard_matrices(la, send, rng, dtype):
    for what, a in inputs(rng, dtype):
        print(what)
        check_svd(a, la.svd(send(a)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_svdvals_are_accurate_on_hard_matrices(la, send, rng, dtype):
    for what, a in inputs(rng, dtype):
        print(what)
        s = values_of(la.svdvals(send(a)))
        expected = np.linalg.svd(wide(a), compute_uv=False)
        assert np.abs(s - expected).max() <= VALUES * eps(a) * max(expected[0], 1e-30)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3000, 3), (3, 3000), (2, 2), (0, 5), (5, 0), (0, 0)])
def test_svd_handles_edge_shapes(la, send, rng, shape):
    a = random(rng, *shape)
    check_svd(a, la.svd(send(a)))
    if min(shape):
        check_svd(a, la.svd(send(a), k=1), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (N + 9, N), (N, N + 9), (3 * N, N), (40, 170), (1, 9), (9, 1), (0, 3),
                                   (3, 0)])
def test_full_svd_has_bases_of_the_null_spaces(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    check_svd(a, la.svd(send(a), full_matrices=True), full=True)
    a[:, : shape[1] // 2] = 0
    check_svd(a, la.svd(send(a), True), full=True)


def test_svd_without_vectors_returns_the_same_values(la, send, rng):
    a = random(rng, 220, 190)
    expected = np.linalg.svd(a, compute_uv=False)
    for options, count in (({}, 190), ({"full_matrices": True}, 190), ({"k": 3}, 3), ({"k": 189}, 189)):
        s = values_of(la.svd(send(a), compute_uv=False, **options))
        np.testing.assert_allclose(s, expected[:count], atol=VALUES * eps(a) * expected[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_svd_is_accurate_in_every_layout(la, send, rng, layout):
    a = random(rng, 150, N, "complex64")
    check_svd(a, la.svd(send(a, layout), full_matrices=True), full=True)
    a = random(rng, 170, 190)
    check_svd(a, la.svd(send(a, layout), k=4), 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncated_svd_notes_steps_and_residual(la, send, rng, dtype):
    a = random(rng, 300, 200, dtype)
    task = la.svd.submit(send(a), k=5)
    check_svd(a, task.result(), 5)
    assert any("block steps" in note and "residual" in note for note in task.notes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncated_svd_is_accurate_on_hard_matrices(la, send, rng, dtype):
    for what, a, k in [("wide", random(rng, 170, 400, dtype), 3), ("hilbert", hilbert(200, dtype), 6),
                       ("zero", np.zeros((180, 170), dtype), 3), ("unit", np.eye(300, 200, dtype=dtype), 12),
                       ("of rank 3", random(rng, 250, 3, dtype) @ random(rng, 3, 200, dtype), 8),
                       ("falling", with_values(rng, 220, 200, 0.5 ** np.arange(200), dtype), 15),
                       ("twenty copies", with_values(rng, 220, 200, np.r_[np.full(20, 2.0), np.linspace(1.9, 0, 180)],
                                                     dtype), 15)]:
        print(what)
        check_svd(a, la.svd(send(a), k=k), k)


def test_truncated_svd_is_accurate_for_values_below_sqrt_eps(la, send, rng):
    """A method that squares the matrix loses all values below sqrt(eps) times the largest one."""
    values = np.r_[10.0 ** -np.arange(13), np.full(190, 1e-15)]
    a = with_values(rng, 400, 203, values)
    s = values_of(la.svd(send(a), k=12).s)
    np.testing.assert_allclose(s, values[:12], atol=60 * eps(a))


def test_svd_with_k_near_the_order_computes_all_values(la, send, rng):
    a = random(rng, 60, 50)
    task = la.svd.submit(send(a), k=49)
    check_svd(a, task.result(), 49)
    assert any("k is 49 of 50, which is too many for the iteration" in note for note in task.notes)


def test_svd_that_does_not_converge_names_steps_and_residual(la, send, rng):
    with pytest.raises(alchemist.NumericError,
                       match=r"did not converge within 9 block steps .* of 5 values .* residual is .* limit is"):
        la.svd(send(random(rng, 400, 300)), k=5, maxiter=9)


def test_svd_refuses_options_out_of_range(la, send, rng):
    a = send(random(rng, 30, 20))
    with pytest.raises(alchemist.RangeError, match="k is 21, but must be 1 to 20 for a matrix of 30 x 20"):
        la.svd(a, k=21)
    for tol in (-1, 1, np.nan, np.inf):
        with pytest.raises(alchemist.RangeError, match=f"tol is -?{abs(tol)}, but must be at least 0 and below 1"):
            la.svd(a, k=2, tol=tol)
    with pytest.raises(alchemist.RangeError, match="maxiter is -3, but must not be negative"):
        la.svd(a, k=2, maxiter=-3)


def test_svd_refuses_options_that_exclude_each_other(la, send, rng):
    a = send(random(rng, 30, 20))
    with pytest.raises(ValueError, match="k is 2, but full_matrices=True needs all vectors"):
        la.svd(a, full_matrices=True, k=2)
    with pytest.raises(ValueError, match="maxiter was given without k"):
        la.svd(a, maxiter=10)


def test_an_entry_that_is_not_finite_is_named(la, send, rng):
    bad = random(rng, 200, 190)
    bad[11, 3] = np.nan
    for call in (lambda h: la.svd(h), lambda h: la.svd(h, k=2), la.svdvals, lambda h: la.rsvd(h, 2), la.pca, la.qr,
                 la.pinv, lambda h: la.lstsq(h, h)):
        with pytest.raises(alchemist.NumericError, match=r"entry \(11, 3\) is NaN or infinite"):
            call(send(bad))


@pytest.mark.parametrize("factor", [1e-290, 1e290])
def test_truncated_svd_does_not_overflow_or_underflow(la, send, rng, factor):
    a = random(rng, 200, 180) * factor
    s = values_of(la.svd(send(a), k=3).s)
    np.testing.assert_allclose(s, np.linalg.svd(a / factor, compute_uv=False)[:3] * factor, rtol=1e-12)


# ---- rank and condition number ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_matrix_rank_agrees_with_numpy(la, send, rng, dtype):
    for a in (random(rng, 60, 40, dtype), random(rng, 50, 7, dtype) @ random(rng, 7, 60, dtype), hilbert(12, dtype)):
        assert la.matrix_rank(send(a)) == np.linalg.matrix_rank(a)
    a = with_values(rng, 60, 50, np.geomspace(1, 1e-3, 50), dtype)
    assert la.matrix_rank(send(a), tol=0.1) == np.linalg.matrix_rank(a, tol=0.1)
    assert la.matrix_rank(send(np.zeros((0, 3), dtype))) == 0


def test_matrix_rank_refuses_nan_as_tol(la, send):
    with pytest.raises(alchemist.RangeError, match="tol is NaN"):
        la.matrix_rank(send(np.eye(3)), np.nan)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cond_of_a_rectangular_matrix_is_the_ratio_of_singular_values(la, send, rng, dtype):
    a = with_values(rng, 60, 50, np.geomspace(1, 1e-3, 50), dtype)
    assert la.cond(send(a)) == pytest.approx(1e3, rel=1e4 * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cond_agrees_with_numpy_in_every_norm(la, send, rng, dtype):
    for a in (with_values(rng, N, N, np.geomspace(1, 1e-2, N), dtype), random(rng, 1, 1, dtype),
              1e20 * np.eye(4, dtype=dtype)):
        for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"):
            assert la.cond(send(a), p) == pytest.approx(np.linalg.cond(wide(a), p), rel=1e4 * eps(a)), p


@pytest.mark.parametrize("dtype", DTYPES)
def test_cond_of_a_singular_matrix_is_infinite(la, send, dtype):
    singular = np.zeros((3, 3), dtype)
    assert la.cond(send(singular)) == np.inf
    for p in (2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"):
        assert la.cond(send(singular), p) == np.inf
    singular[0, 0] = 1
    assert la.cond(send(singular), 1) == la.cond(send(singular), "fro") == np.inf and la.cond(send(singular), -2) == 0


def test_cond_refuses_unsuitable_matrices_and_unknown_norms(la, send, rng):
    tall = send(random(rng, 5, 3))
    assert la.cond(tall) > 1
    with pytest.raises(ValueError, match="5 x 3, but p = '1' needs a square matrix"):
        la.cond(tall, 1)
    with pytest.raises(ValueError, match="p is '3', but must be"):
        la.cond(tall, 3)
    with pytest.raises(ValueError, match="0 x 3: an empty matrix"):
        la.cond(send(np.zeros((0, 3))))


# ---- randomized ----

def decaying_matrix(rng, dtype):
    """A matrix with the singular values 0.7^i, and these values."""
    values = 0.7 ** np.arange(150)
    return with_values(rng, 300, 150, values, dtype), values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 8, 150])
def test_rsvd_is_accurate_and_bounds_its_error(la, send, rng, dtype, k):
    a, values = decaying_matrix(rng, dtype)
    u, s, vh, error = la.rsvd(send(a), k)
    u, s, vh = fetch(u, s, vh)
    check_orthonormal(u, "U")
    check_orthonormal(vh.conj().T, "V")
    left = norm(wide(a) - wide(u) * s.ravel() @ wide(vh))
    assert left <= error <= 100 * max(left, 30 * eps(a))
    assert np.abs(s.ravel() - values[:k]).max() <= 100 * eps(a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rsvd_bounds_its_error_where_values_do_not_decrease(la, send, rng, dtype):
    """All values are similar, so the basis misses almost everything."""
    flat = random(rng, 120, 60, dtype)
    u, s, vh, error = la.rsvd(send(flat), 5)
    left = norm(wide(flat) - wide(fetch(u)) * values_of(s) @ wide(fetch(vh)))
    assert left <= error <= 10 * left


@pytest.mark.parametrize("dtype", DTYPES)
def test_rsvd_is_accurate_in_another_layout(la, send, rng, dtype):
    a, values = decaying_matrix(rng, dtype)
    s = values_of(la.rsvd(send(a, "block_cyclic(24,24,2,1)"), 8).s)
    np.testing.assert_allclose(s, values[:8], atol=100 * eps(a))


@pytest.mark.parametrize("arguments, reason", [((0,), "k is 0, but must be 1 to 20"),
                                               ((1, -2), "oversamples is -2, but must not be negative"),
                                               ((1, 0, -3), "power_iterations is -3, but must be 0 to")])
def test_rsvd_refuses_arguments_out_of_range(la, send, rng, arguments, reason):
    with pytest.raises(alchemist.RangeError, match=reason):
        la.rsvd(send(random(rng, 30, 20)), *arguments)


# ---- pca ----

def samples(rng, dtype, offset):
    """400 samples of 200 features with means of size `offset`, and their means."""
    x = (with_values(rng, 400, 200, 0.8 ** np.arange(200), dtype) + offset * random(rng, 1, 200, dtype)).astype(dtype)
    mean = wide(x).mean(axis=0)
    mean += (wide(x) - mean).mean(axis=0)  # the rounding errors of NumPy's first sum grow with the number of rows
    return x, mean


def rounding_of(x, offset):
    """How much rounding the samples to their type changes their variation."""
    return (200 + 20 * offset) * eps(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0, 3, 1e5])
@pytest.mark.parametrize("k", [4, 0])
def test_pca_values_are_accurate_with_small_and_large_means(la, send, rng, dtype, offset, k):
    """With an offset of 1e5, products with the matrix itself would lose the variation."""
    x, mean = samples(rng, dtype, offset)
    s = np.linalg.svd(wide(x) - mean, compute_uv=False)
    slack, count = rounding_of(x, offset), k or 200
    got = la.pca(send(x), n_components=k)
    assert np.abs(values_of(got.singular_values) - s[:count]).max() <= slack
    np.testing.assert_allclose(values_of(got.mean), mean, atol=100 * eps(x) * (1 + offset) * 4)
    np.testing.assert_allclose(values_of(got.explained_variance), s[:count]**2 / 399, atol=slack)
    np.testing.assert_allclose(values_of(got.explained_variance_ratio), s[:count]**2 / (s**2).sum(), atol=slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0, 3, 1e5])
@pytest.mark.parametrize("k", [4, 0])
def test_pca_components_are_orthonormal_with_positive_peaks(la, send, rng, dtype, offset, k):
    x, mean = samples(rng, dtype, offset)
    components = fetch(la.pca(send(x), n_components=k).components)
    check_orthonormal(components.conj().T, "components")
    components = wide(components)
    peaks = components[np.arange(k or 200), np.abs(components).argmax(axis=1)]
    assert np.all(peaks.real > 0) and np.abs(peaks.imag).max() <= 10 * eps(x)
    if offset < 10:
        vh = np.linalg.svd(wide(x) - mean, full_matrices=False)[2]
        along = np.abs(np.sum(components[:3] * vh[:3].conj(), axis=1))
        np.testing.assert_allclose(along, 1, atol=1e4 * eps(x))


def test_pca_agrees_with_the_formulas_of_scikit_learn(la, send, rng):
    """Signs are those of svd_flip(u_based_decision=False), variances are divided by m - 1."""
    x = with_values(rng, 300, 190, 0.9 ** np.arange(190)) + 5 * random(rng, 1, 190)
    _, s, vh = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    vh *= np.sign(vh[np.arange(190), np.abs(vh).argmax(axis=1)])[:, None]
    for k in (5, None):
        got = la.pca(send(x), k)
        np.testing.assert_allclose(fetch(got.components)[:5], vh[:5], atol=1e-10)
        np.testing.assert_allclose(values_of(got.explained_variance)[:5], s[:5] ** 2 / 299, rtol=1e-10)


def test_pca_refuses_options_out_of_range(la, send, rng):
    x = send(random(rng, 30, 20))
    with pytest.raises(alchemist.RangeError, match="tol is 5, but"):
        la.pca(x, 2, tol=5)
    with pytest.raises(alchemist.RangeError, match="maxiter is -1, but"):
        la.pca(x, 2, maxiter=-1)
    with pytest.raises(alchemist.RangeError, match="n_components is 21, but must be 1 to 20 for a matrix of 30 x 20"):
        la.pca(x, 21)


def test_pca_refuses_tol_without_n_components(la, send, rng):
    with pytest.raises(ValueError, match="tol was given without n_components"):
        la.pca(send(random(rng, 30, 20)), tol=0.1)


def test_pca_refuses_a_single_sample(la, send):
    with pytest.raises(ValueError, match="1 x 4, but must have at least two samples"):
        la.pca(send(np.ones((1, 4))))


# ---- eigh ----

def check_eigh(la, send, a, b=None, lower=True, **subset):
    """Check eigh and eigvalsh: shapes, types, values, orthogonality and residuals."""
    half = np.tril if lower else np.triu
    # Inverse iteration leaves some hundreds of eps where values are 0.001 of the largest one apart.
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
def test_eigh_is_accurate_from_either_triangle(la, send, rng, dtype):
    check_eigh(la, send, hermitian(rng, 150, dtype))
    check_eigh(la, send, hermitian(rng, N, dtype), lower=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_is_accurate_on_hard_matrices(la, send, rng, dtype):
    check_eigh(la, send, hilbert(N, dtype))
    check_eigh(la, send, np.eye(N, dtype=dtype))
    check_eigh(la, send, np.zeros((N, N), dtype))
    q = orthogonal(rng, N, dtype)
    cluster = (q * np.r_[np.full(40, 1.0), np.full(N - 40, -1e-3)] @ q.conj().T).astype(dtype)
    check_eigh(la, send, (cluster + cluster.conj().T) / 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_eigh_handles_small_orders(la, send, rng, dtype, n):
    check_eigh(la, send, hermitian(rng, n, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_is_accurate_for_subsets_by_index(la, send, rng, dtype):
    a = hermitian(rng, 140, dtype)
    for subset in ([0, 0], [0, 4], [130, 139], [60, 79], [0, 139]):
        check_eigh(la, send, a, subset_by_index=subset)
    check_eigh(la, send, hilbert(N, dtype), lower=False, subset_by_index=[75, N - 1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [14, 25], ids=["inverse iteration", "divide and conquer"])
def test_eigh_is_accurate_for_subsets_of_equal_eigenvalues(la, send, dtype, last):
    check_eigh(la, send, np.eye(N, dtype=dtype), subset_by_index=[5, last])


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_is_accurate_for_subsets_by_value(la, send, rng, dtype):
    a = hermitian(rng, 140, dtype)
    check_eigh(la, send, a, subset_by_value=[-1.5, 3.25])
    check_eigh(la, send, a, subset_by_value=[1e5, 2e5])


@pytest.mark.parametrize("glue", [1e-14, 1e-8])
def test_eigh_is_accurate_for_subsets_of_tight_clusters(la, send, glue):
    """Glued Wilkinson matrices have groups of twenty eigenvalues that agree to eps. DSTEMR fails on them."""
    d = np.tile(np.abs(np.arange(21.0) - 10), 20)
    e = np.ones(419)
    e[20::21] = glue
    a = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    for subset in ([0, 51], [200, 240]):
        check_eigh(la, send, a, subset_by_index=subset)
    check_eigh(la, send, a, subset_by_value=[9.5, 12])


@pytest.mark.parametrize("dtype", DTYPES)
def test_generalized_eigh_is_accurate(la, send, rng, dtype):
    a, b = hermitian(rng, N, dtype), positive(rng, N, dtype, 50)
    check_eigh(la, send, a, b)
    check_eigh(la, send, a, b, lower=False)
    check_eigh(la, send, a, b, subset_by_index=[2, 9])
    check_eigh(la, send, a, b, subset_by_value=[-0.5, 3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_generalized_eigh_of_types_2_and_3_is_accurate(la, send, rng, dtype):
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


def test_eigh_names_the_minor_of_b_that_is_not_positive(la, send, rng):
    b = np.eye(20)
    b[12, 12] = -1
    with pytest.raises(alchemist.NumericError, match="b is not positive definite: its leading minor of order 13 is"):
        la.eigh(send(hermitian(rng, 20, "float64")), send(b))


def test_eigh_refuses_a_rectangular_matrix(la, send):
    with pytest.raises(ValueError, match="a is 3 x 4, but must be square"):
        la.eigh(send(np.ones((3, 4))))


def test_eigh_refuses_unsuitable_subsets(la, send, rng):
    a = send(hermitian(rng, 20, "float64"))
    with pytest.raises(alchemist.RangeError, match="first <= last < 20 must hold"):
        la.eigh(a, subset_by_index=[3, 20])
    with pytest.raises(ValueError, match="subset_by_value has length 3, but must hold two numbers"):
        la.eigh(a, subset_by_value=[3, 4, 5])
    with pytest.raises(ValueError, match="cannot both"):
        la.eigvalsh(a, subset_by_index=[3, 4], subset_by_value=[0, 1])


def test_eigh_refuses_unknown_types(la, send):
    with pytest.raises(alchemist.RangeError, match="type is 4, but must be 1, 2 or 3"):
        la.eigh(send(np.eye(3)), send(np.eye(3)), type=4)


# ---- qr ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (170, 60), (60, 170), (4000, 4), (4, 4000), (3000, 1), (1, 1), (1, 9),
                                   (9, 1)])
def test_qr_is_accurate_and_uses_tsqr_for_skinny_matrices(la, send, rng, dtype, shape):
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
def test_qr_is_accurate_on_hard_matrices(la, send, rng, dtype):
    tall = random(rng, 900, 2, dtype) @ random(rng, 2, 9, dtype)
    for a in (hilbert(N, dtype), graded(rng, N, dtype), np.zeros((N, 40), dtype), tall, np.zeros((900, 3), dtype)):
        q, r = fetch(*la.qr(send(a)))
        check_orthonormal(q, "Q")
        assert np.abs(wide(q) @ wide(r) - a).max() <= RESIDUAL * eps(a) * max(norm(a), 1)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_qr_of_an_empty_matrix_is_empty(la, send, shape):
    q, r = fetch(*la.qr(send(np.zeros(shape))))
    assert q.shape == (shape[0], 0) and r.shape == (0, shape[1])


def test_qr_refuses_unknown_modes(la, send):
    with pytest.raises(ValueError, match="mode is 'x', but must be"):
        la.qr(send(np.eye(3)), mode="x")


# ---- lstsq and pinv ----

PROBLEMS = [(300, 50, 50, 3), (200, 170, 170, 1), (90, 200, 90, 4), (200, 80, 30, 2), (N, N, N, 2), (80, 200, 20, 2),
            (1, 5, 1, 1), (5, 1, 1, 2), (0, 3, 0, 2), (4, 0, 0, 2), (50, 20, 0, 1)]


def matrix_of_rank(rng, m, n, rank, dtype):
    return with_values(rng, m, n, np.geomspace(10, 1, rank), dtype) if rank else np.zeros((m, n), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, n, rank, k", PROBLEMS)
def test_lstsq_agrees_with_numpy(la, send, rng, dtype, m, n, rank, k):
    a, b = matrix_of_rank(rng, m, n, rank, dtype), random(rng, m, k, dtype)
    expected = np.linalg.lstsq(wide(a), wide(b), rcond=max(m, n) * eps(a))
    x, residuals, got, s = la.lstsq(send(a), send(b))
    x, residuals, s = fetch(x), values_of(residuals), values_of(s)
    assert got == expected[2] == rank and x.shape == (n, k) and x.dtype == a.dtype
    assert residuals.shape == expected[1].shape
    assert np.abs(s - expected[3]).max(initial=0) <= 10 * VALUES * eps(a)
    assert np.abs(x - expected[0]).max(initial=0) <= 10 * RESIDUAL * eps(a) * (1 + norm(b))
    assert np.abs(residuals - expected[1]).max(initial=0) <= RESIDUAL * eps(a) * norm(b) ** 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, n, rank", [problem[:3] for problem in PROBLEMS])
def test_pinv_agrees_with_numpy(la, send, rng, dtype, m, n, rank):
    a = matrix_of_rank(rng, m, n, rank, dtype)
    p = fetch(la.pinv(send(a)))
    assert p.shape == (n, m)
    if rank:
        assert np.abs(wide(p) - np.linalg.pinv(wide(a), rcond=1e-4)).max() <= 10 * RESIDUAL * eps(a)
    else:
        assert not p.any()


@pytest.mark.parametrize("name", ["rcond", "rtol"])
def test_pinv_cuts_off_small_values(la, send, rng, name):
    a = with_values(rng, 60, 10, np.geomspace(1, 1e-8, 10))
    assert norm(fetch(la.pinv(send(a), **{name: 1e-5})) - np.linalg.pinv(a, 1e-5)) <= 1e-8 * 1e5


def test_pinv_refuses_rcond_with_rtol(la, send):
    with pytest.raises(ValueError, match="rcond and rtol are two names of one parameter: give only one of them"):
        la.pinv(send(np.eye(3)), 1e-5, 1e-5)


@pytest.mark.parametrize("name", ["rcond", "rtol"])
def test_pinv_refuses_nan(la, send, name):
    with pytest.raises(alchemist.RangeError, match=f"{name} is NaN"):
        la.pinv(send(np.eye(3)), **{name: np.nan})


@pytest.mark.parametrize("rcond", [1e-5, 1e-3, 0])
def test_lstsq_cuts_off_small_values(la, send, rng, rcond):
    a, b = with_values(rng, 60, 10, np.geomspace(1, 1e-8, 10)), random(rng, 60, 1)
    x, _, rank, _ = la.lstsq(send(a), send(b), rcond=rcond)
    expected = np.linalg.lstsq(a, b, rcond=rcond)
    assert rank == expected[2]
    assert norm(fetch(x) - expected[0]) <= 1e-6 * norm(expected[0])


def test_lstsq_refuses_shapes_that_do_not_match(la, send):
    with pytest.raises(ValueError, match="a is 60 x 10, but b has 59 rows"):
        la.lstsq(send(np.ones((60, 10))), send(np.ones((59, 1))))


# ---- numbers of workers ----

@pytest.mark.parametrize("workers", [1, 2, 4, 5, 6, 7])
@pytest.mark.parametrize("layout", [None, "block_cyclic(16,16,1,1)"])
def test_results_are_accurate_on_any_number_of_workers(daemon, rng, workers, layout):
    with daemon.connect(workers=workers) as als:
        la = als.load_library("linalg")

        def keep(x):
            return als.send_matrix(np.asarray(x), layout=layout)

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

def test_a_call_without_enough_memory_creates_no_matrix(own_daemon, rng):
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
def test_iterations_report_progress_and_stop_when_canceled(la, send, rng, name, arguments):
    # The singular values of an orthogonal matrix with noise are close, so the iteration takes many steps.
    a = np.linalg.qr(rng.standard_normal((900, 900)))[0] + 1e-9 * rng.standard_normal((900, 900))
    task = getattr(la, name).submit(send(a), **arguments)
    wait_for(lambda: "step" in task.progress.text or "product" in task.progress.text, 10 * PATIENCE, "progress")
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(alchemist.CanceledError, match="canceled after"):
        task.result(timeout=10 * PATIENCE)
    assert time.monotonic() - begun < 5 * PATIENCE
    assert la.matrix_rank(send(np.eye(4))) == 4


def start_svd(als, rng):
    """Start a decomposition and wait until ScaLAPACK reduces the matrix. Returns library, matrix and task."""
    la = als.load_library("linalg")
    a = als.send_matrix(random(rng, 1500, 1500))
    task = la.svd.submit(a)
    wait_for(lambda: "bidiagonal" in task.progress.text, 10 * PATIENCE, "the reduction")
    return la, a, task


def test_a_canceled_call_of_scalapack_ends_after_the_call(own_daemon, rng):
    with own_daemon(2).connect(workers=2) as als:
        la, a, task = start_svd(als, rng)
        task.cancel()
        assert task.state == "cancelling"
        with pytest.raises(alchemist.CanceledError):
            task.result(timeout=30 * PATIENCE)
        assert a.shape == (1500, 1500) and la.matrix_rank(als.send_matrix(np.eye(3))) == 3


def test_a_hard_cancel_ends_a_call_of_scalapack_and_loses_the_matrices(own_daemon, rng):
    with own_daemon(2).connect(workers=2) as als:
        _, a, task = start_svd(als, rng)
        task.cancel(hard=True)
        with pytest.raises(alchemist.CanceledError, match=rf"lost: matrix {a.id} \(1500 x 1500, float64\)"):
            task.result(timeout=10 * PATIENCE)
        with pytest.raises(alchemist.GroupLostError):
            np.asarray(a)


def test_every_function_documents_method_memory_and_parameters(la):
    for name in ("svd", "svdvals", "cond", "matrix_rank", "rsvd", "pca", "eigh", "eigvalsh", "qr", "lstsq", "pinv"):
        text = getattr(la, name).__doc__
        assert "Method" in text and "emory" in text, name
        for p in getattr(la, name).__signature__.parameters:
            assert re.search(rf"\n *{p.rstrip('_')} \(.*\): \S", text), f"{name}: {p} is not documented"
