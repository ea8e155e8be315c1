"""linalg's direct methods: residuals with a bound for each type on hard inputs, and what SciPy says of the same."""

import re
import warnings

import numpy as np
import pytest
import scipy.linalg

import alchemist
from harness import Daemon, wait_for
from linalg_session import als, daemon, la, rng, send  # noqa: F401
from linalg_inputs import (DTYPES, LAYOUTS, assert_close, eps, graded, hilbert, orthogonal, positive, random, size,
                           with_values)

N = 83  # blocks of 64, 33, 32, 7 and 5 do not divide it


def fetch(*handles):
    arrays = tuple(np.asarray(h) for h in handles)
    return arrays if len(arrays) > 1 else arrays[0]


# ---- products and sums ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul_in_every_layout(la, send, rng, dtype, layout):
    a, b = random(rng, 41, N, dtype), random(rng, N, 19, dtype)
    got = fetch(la.matmul(send(a, layout), send(b)))
    assert got.dtype == dtype
    assert_close(got, a @ b, 4 * N * eps(a) * np.max(np.abs(a)) * np.max(np.abs(b)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_transposes_scales_and_accumulates(la, send, rng, dtype):
    a, b, c = random(rng, N, 31, dtype), random(rng, 17, N, dtype), random(rng, 31, 17, dtype)
    alpha, beta = (2 - 1j, 0.5j) if np.dtype(dtype).kind == "c" else (2.0, -0.5)
    for op, f in (("T", np.transpose), ("C", lambda x: x.conj().T)):
        handle = send(c)
        got = fetch(la.matmul(send(a), send(b), transpose_a=op, transpose_b=op, alpha=alpha, beta=beta, c=handle))
        assert got.dtype == dtype
        assert_close(got, alpha * f(a) @ f(b) + beta * c, 100 * N * eps(a))
        assert np.array_equal(fetch(handle), c)


def test_matmul_in_the_type_that_numpy_takes(la, send, rng):
    types = ["float64", "float32", "complex128", "complex64", "int32", "int64"]
    for left in types:
        for right in types:
            a, b = random(rng, 3, 4, "float64").astype(left), random(rng, 4, 2, "float64").astype(right)
            expected = np.result_type(left, right)
            expected = np.dtype("float64") if expected.kind == "i" else expected
            assert fetch(la.matmul(send(a), send(b))).dtype == expected, (left, right)
    real = random(rng, 3, 3)
    assert_close(fetch(la.matmul(send(real), send(real), alpha=1j)), 1j * real @ real, 1e-13)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 1), (50, 1, 50), (0, 5, 3), (5, 0, 3), (5, 3, 0), (0, 0, 0),
                                   (2000, 2, 2), (2, 2000, 3)])
def test_matmul_of_edge_shapes(la, send, rng, shape):
    m, k, n = shape
    a, b = random(rng, m, k), random(rng, k, n)
    got = fetch(la.matmul(send(a), send(b)))
    assert got.shape == (m, n)
    assert_close(got, a @ b, 1e-12 * max(k, 1))


def test_matmul_lets_nan_pass(la, send):
    a = np.ones((4, 4))
    a[1, 2] = np.nan
    got = fetch(la.matmul(send(a), send(np.eye(4))))
    assert np.isnan(got[1]).all() and not np.isnan(got[[0, 2, 3]]).any()


def test_matmul_refuses_what_does_not_fit(la, send):
    with pytest.raises(ValueError, match="3 x 4 cannot be multiplied by 3 x 4: 4 is not 3"):
        la.matmul(send(np.ones((3, 4))), send(np.ones((3, 4))))
    with pytest.raises(ValueError, match="transpose_a is 'Q': N, T or C"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), transpose_a="Q")
    with pytest.raises(ValueError, match="c is 2 x 2, the product 3 x 3"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), c=send(np.ones((2, 2))))
    with pytest.raises(ValueError, match=r"beta is 3\+0i, but there is no c"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), beta=3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gram_is_exactly_symmetric(la, send, rng, dtype):
    a = random(rng, N, 37, dtype)
    for rows in (False, True):
        expected = a @ a.conj().T if rows else a.conj().T @ a
        got = fetch(la.gram(send(a), rows=rows))
        assert got.dtype == dtype and np.array_equal(got, got.conj().T)
        assert_close(got, expected, 40 * N * eps(a))
    assert fetch(la.gram(send(np.zeros((0, 3))))).tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize("dtype", DTYPES + ["int64", "int32"])
def test_transpose_is_exact(la, send, rng, dtype):
    a = (10 * random(rng, 30, 41, "float64")).astype(dtype)
    assert np.array_equal(fetch(la.transpose(send(a))), a.T)
    assert fetch(la.transpose(send(a))).dtype == dtype
    z = random(rng, 5, 6, "complex64")
    assert np.array_equal(fetch(la.transpose(send(z), conjugate=True)), z.conj().T)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_add_and_scale_in_every_layout(la, send, rng, layout):
    a, b = random(rng, N, 23), random(rng, N, 23)
    A = send(a, layout)
    both = la.add(A, send(b, layout), 2, -3)
    assert_close(fetch(both), 2 * a - 3 * b, 1e-14 * 20)
    assert both.layout == A.layout
    assert_close(fetch(la.add(A, send(b))), a + b, 1e-15 * 10)
    tripled = la.scale(A, 3)
    assert np.array_equal(fetch(tripled), 3 * a) and tripled.layout == A.layout
    assert np.array_equal(fetch(la.scale(A, 1j)), 1j * a)
    assert np.array_equal(fetch(A), a)
    with pytest.raises(ValueError, match="83 x 23, b 2 x 2: they cannot be added"):
        la.add(A, send(np.ones((2, 2))))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trace_and_norms_in_every_layout(la, send, rng, layout):
    a = random(rng, N, 29)
    A = send(a, layout)
    for offset in (0, 1, -2, 28, -82, 500):
        assert_close(la.trace(A, offset), np.trace(a, offset), 1e-13, offset)
    for order in ("fro", 1, -1, np.inf, -np.inf):
        expected = np.linalg.norm(a, order)
        assert_close(la.norm(A, order), expected, 1e-13 * expected, order)
    assert la.norm(A, "max") == np.max(np.abs(a))
    assert la.norm(A) == la.norm(A, "fro") == la.norm(A, None)


def test_norms_of_every_type_and_of_what_overflows(la, send, rng):
    for dtype in DTYPES + ["int64", "int32"]:
        a = (10 * random(rng, 20, 30, dtype if np.dtype(dtype).kind == "c" else "float64")).astype(dtype)
        A = send(a)
        for order in ("fro", 1, np.inf):
            expected = np.linalg.norm(a.astype("complex128"), order)
            assert_close(la.norm(A, order), expected, 1e-13 * expected, (dtype, order))
        trace = la.trace(A)
        assert isinstance(trace, complex if a.dtype.kind == "c" else float)
        assert_close(trace, np.trace(a.astype("complex128")), 1e-12, dtype)
    assert_close(la.norm(send(np.full((3, 3), 1e300))), 3e300, 1e286)
    assert_close(la.norm(send(np.full((3, 3), 1e-300))), 3e-300, 1e-314)
    assert la.norm(send(np.zeros((4, 2)))) == 0
    assert la.norm(send(np.zeros((0, 2))), 1) == 0
    bad = np.ones((70, 70))
    bad[65, 3] = np.nan
    for order in ("fro", "max", 1, np.inf, -1):
        assert np.isnan(la.norm(send(bad), order)), order
    bad[65, 3] = np.inf
    assert la.norm(send(bad)) == la.norm(send(bad), 1) == np.inf
    for order in (3, 1.0000001):
        with pytest.raises(ValueError, match=f"ord is '{order}'"):
            la.norm(send(bad), order)


# ---- systems of equations ----

def assert_solved(a, x, b, n):
    """The normwise backward error of a solution."""
    worst = size(a.astype("complex128") @ x - b) / (size(a) * size(x) + size(b))
    assert worst <= 20 * max(n, 1) * eps(a), f"{worst:.3g}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_solve_in_every_layout(la, send, rng, dtype, layout):
    a, b = random(rng, N, N, dtype), random(rng, N, 5, dtype)
    A = send(a, layout)
    x = fetch(la.solve(A, send(b)))
    assert x.dtype == dtype
    assert_solved(a, x, b, N)
    assert np.array_equal(fetch(A), a)
    assert_close(x, np.linalg.solve(a, b), 1e4 * N * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_hard_systems(la, send, rng, dtype):
    """Residuals are small even where the solution is hopeless."""
    systems = {"hilbert": hilbert(12, dtype), "graded": graded(rng, 60, dtype), "orthogonal": orthogonal(rng, 70, dtype),
               "clustered": with_values(rng, 66, 66, [1] * 33 + [1e-3] * 33, dtype),
               "one": np.full((1, 1), 3, dtype), "permuted": np.eye(65, dtype=dtype)[::-1]}
    for name, a in systems.items():
        n = len(a)
        b = random(rng, n, 1, dtype)
        x = fetch(la.solve(send(a), send(b)))
        assert x.shape == b.shape, name
        assert_solved(a, x, b, 4 * n)


def test_solve_of_edge_shapes_and_types(la, send, rng):
    assert fetch(la.solve(send(np.zeros((0, 0))), send(np.zeros((0, 3))))).shape == (0, 3)
    assert fetch(la.solve(send(np.eye(5)), send(np.zeros((5, 0))))).shape == (5, 0)
    whole = np.array([[2, 1], [1, 3]])
    task = la.solve.submit(send(whole), send(np.array([[3.0], [5.0]], dtype="float32")))
    x = fetch(task.result())
    assert x.dtype == "float64"
    assert_close(whole @ x, [[3], [5]], 1e-14)
    assert any("a: converted from int64 to float64" in note for note in task.notes)
    assert_solved(whole, fetch(la.solve(send(whole), send(np.array([[1j], [2]])))), np.array([[1j], [2]]), 2)
    with pytest.raises(ValueError, match="linalg.solve: a is 3 x 5: a square matrix is expected"):
        la.solve(send(np.ones((3, 5))), send(np.ones((3, 1))))
    with pytest.raises(ValueError, match="a has 3 rows, b has 4"):
        la.solve(send(np.eye(3)), send(np.ones((4, 1))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_singular_matrices_are_named(la, send, rng, dtype):
    a = random(rng, 70, 70, dtype)
    a[:, 66] = 0
    for call in (lambda: la.solve(send(a), send(np.ones((70, 1)))), lambda: la.inv(send(a))):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix: a has a zero pivot in column 66") as error:
            call()
        assert isinstance(error.value, alchemist.NumericError)
    assert la.det(send(a)) == 0
    sign, logabs = la.slogdet(send(a))
    assert sign == 0 and logabs == -np.inf
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        la.inv(send(np.zeros((1, 1), dtype)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_entries_that_are_not_finite_are_named(la, send, value):
    good, bad = np.eye(70), np.eye(70)
    bad[68, 2] = bad[66, 69] = value
    place = r"a: entry \(66, 69\) is NaN or infinite"
    for layout in ("default", "VC_STAR"):
        for call in (lambda A: la.solve(A, send(good)), la.inv, la.det, la.slogdet, la.lu, la.expm):
            with pytest.raises(alchemist.NumericError, match=place):
                call(send(bad, layout))
    with pytest.raises(alchemist.NumericError, match=r"b: entry \(66, 69\)"):
        la.solve(send(good), send(bad))
    with pytest.raises(alchemist.NumericError, match=r"a: entry \(68, 2\)"):
        la.cholesky(send(bad))
    with pytest.raises(alchemist.NumericError, match=place):
        la.cholesky(send(bad), upper=True)


# ---- factors ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (N, 31), (31, N), (1, 1), (1, 70), (70, 1), (0, 3), (3, 0), (1000, 1)])
def test_lu_as_scipy_has_it(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    p, l, u = fetch(*la.lu(send(a)))
    k = min(shape)
    assert p.shape == (shape[0], shape[0]) and l.shape == (shape[0], k) and u.shape == (k, shape[1])
    assert np.array_equal(np.tril(l, -1) + np.eye(*l.shape), l) and np.array_equal(np.triu(u), u)
    assert np.max(np.abs(l), initial=0) <= 1.5  # of complex entries the pivot is the largest by |re| + |im|
    assert_close(p @ l @ u, a, 30 * max(shape) * eps(a))
    if a.size and np.dtype(dtype).kind != "c":
        assert np.array_equal(p, scipy.linalg.lu(a)[0])
    rows, l, u = fetch(*la.lu(send(a), p_indices=True))
    both = la.lu(send(a), permute_l=True)
    assert both._fields == ("l", "u") and np.array_equal(fetch(both.l), p @ l) and np.array_equal(fetch(both.u), u)
    assert rows.dtype == "int64" and rows.shape == (shape[0], 1)
    assert_close(l[rows[:, 0]] @ u, a, 30 * max(shape) * eps(a))


def test_lu_of_a_singular_matrix(la, send):
    p, l, u = fetch(*la.lu(send(np.ones((70, 70)))))
    assert_close(p @ l @ u, np.ones((70, 70)), 1e-14)
    assert u[1:].any() == False  # noqa: E712


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cholesky_in_every_layout(la, send, rng, dtype, layout):
    a = positive(rng, N, dtype)
    b = random(rng, N, 3, dtype)
    lower = la.cholesky(send(a, layout))
    l = fetch(lower)
    assert l.dtype == dtype and np.array_equal(np.tril(l), l) and (np.diagonal(l).real > 0).all()
    assert size(l @ l.conj().T - a) <= 10 * N * eps(a) * size(a)
    upper = la.cholesky(send(a, layout), upper=True)
    u = fetch(upper)
    assert np.array_equal(np.triu(u), u)
    assert size(u.conj().T @ u - a) <= 10 * N * eps(a) * size(a)
    assert_solved(a, fetch(la.cho_solve(lower, send(b))), b, 10 * N)
    assert_solved(a, fetch(la.cho_solve(upper, send(b), lower=False)), b, 10 * N)


def test_cholesky_reads_one_triangle(la, send, rng):
    a = positive(rng, 70)
    half = np.tril(a) + np.triu(np.full((70, 70), np.nan), 1)
    assert np.array_equal(fetch(la.cholesky(send(half))), fetch(la.cholesky(send(a))))
    assert np.array_equal(fetch(la.cholesky(send(half.T), upper=True)), fetch(la.cholesky(send(a), upper=True)))


def test_what_is_not_positive_definite_is_named(la, send, rng):
    a = positive(rng, 70)
    a[66, 66] = -1
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite: its leading minor of order 67 is not"):
        la.cholesky(send(a))
    with pytest.raises(np.linalg.LinAlgError, match="order 1 "):
        la.cholesky(send(np.zeros((3, 3))), upper=True)
    with pytest.raises(np.linalg.LinAlgError, match=r"Singular matrix: c\[1, 1\] is zero"):
        la.cho_solve(send(np.diag([1.0, 0.0])), send(np.ones((2, 1))))
    assert fetch(la.cholesky(send(np.zeros((0, 0))))).shape == (0, 0)
    assert fetch(la.cholesky(send(np.array([[4.0]])))).tolist() == [[2]]
    # Hilbert's matrix of order 12 is positive definite by a hair.
    h = hilbert(12)
    l = fetch(la.cholesky(send(h)))
    assert_close(l @ l.T, h, 1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, N), (N, 31), (31, N), (1, 1), (1, 70), (300, 1), (0, 3), (3, 0), (0, 0)])
def test_qr_complete_and_raw_as_numpy_has_them(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    for layout in ("default", "block_cyclic(33,33,2,1)", "VC_STAR"):
        q, r = fetch(*la.qr(send(a, layout), mode="complete"))
        assert q.shape == (shape[0], shape[0]) and r.shape == shape and q.dtype == r.dtype == dtype
        assert np.array_equal(np.triu(r), r)
        assert_close(q.conj().T @ q, np.eye(shape[0]), 20 * max(shape) * eps(a))
        assert_close(q @ r, a, 20 * max(shape) * eps(a))
        raw = la.qr(send(a, layout), "raw")
        assert raw._fields == ("h", "tau")
        h, tau = fetch(*raw)
        assert h.shape == shape[::-1] and tau.shape == (min(shape), 1) and h.dtype == tau.dtype == dtype
        if a.size:
            form, = scipy.linalg.get_lapack_funcs(["ungqr" if np.dtype(dtype).kind == "c" else "orgqr"], [a])
            q = form(np.asfortranarray(h.T[:, :min(shape)]), tau[:, 0])[0]
            assert_close(q @ np.triu(h.T)[:min(shape)], a, 20 * max(shape) * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 32, 45])
def test_tall_qr_in_blocks(la, send, rng, dtype, columns):
    """Blocks of 32 reflectors on each worker: whole ones, a rest, linear dependence, and columns of zeros."""
    a = random(rng, 48 * columns + 5, columns, dtype)
    dependent, empty = a.copy(), a.copy()
    dependent[:, columns // 2:] = a[:, :1]
    empty[:, :columns // 2 + 1] = 0
    for x in (a, dependent, empty, np.zeros_like(a)):
        task = la.qr.submit(send(x))
        q, r = fetch(*task.result())
        assert any("TSQR" in note for note in task.notes)
        assert size(q.conj().T @ q - np.eye(columns)) <= 60 * columns * eps(x)
        assert size(q @ r - x) <= 60 * columns * eps(x) * size(x) + 1e-300
        assert np.array_equal(np.triu(r), r)
        alone = fetch(la.qr(send(x), "r"))
        assert_close(alone, r, 60 * columns * eps(x) * size(x))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_rank_of_least_squares_is_that_of_the_type(la, send, rng, dtype):
    """NumPy looks at float32 with the eps of float64 and finds what rounding left of zeros."""
    a, b = random(rng, N, 5, dtype) @ random(rng, 5, 40, dtype), random(rng, N, 2, dtype)
    solved = la.lstsq(send(a), send(b))
    assert solved.rank == la.matrix_rank(send(a)) == 5 and np.linalg.lstsq(a, b, rcond=None)[2] == 40
    assert fetch(solved.residuals).size == 0
    x = np.linalg.lstsq(a, b, rcond=N * eps(a))[0]
    assert_close(fetch(solved.x), x, 1e3 * eps(a) * np.max(np.abs(x)))
    with pytest.raises(ValueError, match="rcond is nan"):
        la.lstsq(send(a), send(b), np.nan)


# ---- inverse, determinant, exponential ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_inv(la, send, rng, dtype):
    for a in (random(rng, N, N, dtype), orthogonal(rng, 65, dtype), np.full((1, 1), 4, dtype), graded(rng, 30, dtype)):
        x = fetch(la.inv(send(a)))
        assert x.dtype == dtype
        n = len(a)
        assert size(a.astype("complex128") @ x - np.eye(n)) <= 40 * n * eps(a) * size(a) * size(x)
    assert fetch(la.inv(send(np.zeros((0, 0), dtype)))).shape == (0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_det_and_slogdet(la, send, rng, dtype):
    for a in (random(rng, N, N, dtype), orthogonal(rng, 65, dtype), np.eye(70, dtype=dtype)[::-1], np.zeros((0, 0), dtype),
              np.full((1, 1), -2, dtype)):
        sign, logabs = np.linalg.slogdet(a.astype("complex128" if a.dtype.kind == "c" else "float64"))
        got_sign, got_logabs = la.slogdet(send(a))
        bound = 1000 * max(len(a), 1) * eps(a)
        assert_close(got_sign, sign, bound)
        assert_close(got_logabs, logabs, bound * max(1, abs(logabs)))
        det = la.det(send(a))
        assert isinstance(det, complex if a.dtype.kind == "c" else float)
        assert_close(det / (sign * np.exp(logabs)), 1, 10 * bound)
    assert la.det(send(1e10 * np.eye(70))) == np.inf
    assert_close(la.slogdet(send(1e10 * np.eye(70))).logabsdet, 700 * np.log(10), 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", [0, 1e-3, 0.1, 0.8, 2, 4, 30])
def test_expm(la, send, rng, dtype, norm):
    a = random(rng, 40, 40, "complex128" if np.dtype(dtype).kind == "c" else "float64")
    a = (norm * a / np.linalg.norm(a, 1)).astype(dtype)
    got = fetch(la.expm(send(a)))
    expected = scipy.linalg.expm(a.astype("complex128"))
    assert got.dtype == dtype
    assert size(got - expected) <= 200 * (1 + norm) * eps(a) * size(expected)


def test_expm_of_known_matrices(la, send):
    assert np.array_equal(fetch(la.expm(send(np.zeros((66, 66))))), np.eye(66))
    assert_close(fetch(la.expm(send(np.diag([1.0, -2.0, 3.0])))), np.diag(np.exp([1, -2, 3])), 1e-14 * 40)
    nilpotent = np.triu(np.ones((4, 4)), 1)
    assert_close(fetch(la.expm(send(nilpotent))), scipy.linalg.expm(nilpotent), 1e-14)
    rotation = np.array([[0, -np.pi], [np.pi, 0]])
    assert_close(fetch(la.expm(send(rotation))), -np.eye(2), 1e-13)
    assert fetch(la.expm(send(np.zeros((0, 0))))).shape == (0, 0)
    with pytest.warns(alchemist.AlchemistWarning, match="overflow"):
        assert not np.isfinite(fetch(la.expm(send(np.diag([1e4, 1.0]))))).all()
    with pytest.warns(alchemist.AlchemistWarning, match=r"norm of a, 1e\+308, is beyond 1/eps"):
        assert not fetch(la.expm(send(np.diag([-1e300, -1e308])))).any()
    with pytest.warns(alchemist.AlchemistWarning, match="overflow"):
        with pytest.warns(alchemist.AlchemistWarning, match="norm of a, inf, is beyond 1/eps"):
            la.expm(send(np.full((2, 2), -1e308)))


# ---- what is said ----

def test_relayout_is_told_and_its_absence_too(la, send, rng):
    a = random(rng, 70, 70)
    task = la.inv.submit(send(a, "VC_STAR"))
    task.result()
    assert task.notes == ["linalg.inv: a: relaid out from VC_STAR to block_cyclic(32,32,1,3)"]
    for layout in ("default", "block_cyclic(32,32,1,2)"):
        task = la.inv.submit(send(a, layout))
        result = task.result()
        assert task.notes == []
        assert result.layout == send(a, layout).layout
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        la.inv(send(a, "VC_STAR"))


def test_eig_says_what_there_is_instead(la, send):
    for function in (la.eig, la.eigvals):
        with pytest.raises(alchemist.UnsupportedError, match="is not offered: .*eigh"):
            function(send(np.eye(3)))
        assert "Not offered" in function.__doc__


def test_every_function_is_documented(la):
    for name, function in la.functions.items():
        assert function.summary.endswith("."), name
        for parameter in function._parameters + function._results:
            assert parameter.doc, f"{name}: {parameter.name}"
        if "Not offered" not in function.__doc__:
            for said in ("Method", r"[Ss]ource|\b(19|20)\d\d\b", "[Mm]emory", "[Ee]rror"):
                assert re.search(said, function.__doc__), (name, said)


MEMORY = 16 << 20


def most(als):
    """Bytes of the largest matrix that fits on each of two workers now."""
    low, high = 0, MEMORY
    while low < high:
        middle = (low + high + 8) // 16 * 8
        try:
            als.create_matrix((middle // 4, 1), layout="VC_STAR").free()
            low = middle
        except alchemist.LimitError:
            high = middle - 8
    return low


OPERATIONS = {
    "qr": lambda la, a, b: la.qr(a),
    "qr tall": lambda la, a, b: la.qr(b),
    "qr tall, r": lambda la, a, b: la.qr(b, "r"),
    "qr complete": lambda la, a, b: la.qr(a, "complete"),
    "qr raw": lambda la, a, b: la.qr(a, "raw"),
    "lu": lambda la, a, b: la.lu(a),
    "inv": lambda la, a, b: la.inv(a),
    "transpose": lambda la, a, b: la.transpose(a),
    "add": lambda la, a, b: la.add(a, a),
    "matmul": lambda la, a, b: la.matmul(a, b),
    "lstsq": lambda la, a, b: la.lstsq(a, b),
    "expm": lambda la, a, b: la.expm(a),
}


@pytest.fixture(scope="module")
def narrow():
    d = Daemon(2, "--memory-limit", str(MEMORY))
    with d.connect(workers=2) as session:
        yield session
    d.stop()


@pytest.mark.parametrize("name", OPERATIONS)
def test_memory_is_asked_for_as_it_is_taken(narrow, rng, name):
    """With so much free that the question is passed there is enough, with less nothing begins; all of it comes back."""
    la = narrow.load_library("linalg")
    b = random(rng, 1000, 20) if "tall" in name else random(rng, 200, 7)
    given = [narrow.send_matrix(random(rng, 200, 200), layout="MC_MR"), narrow.send_matrix(b)]
    room = most(narrow)
    low, high, refusals = 0, room, set()
    while high - low > 4096:
        middle = (low + high) // 16 * 8
        ballast = narrow.create_matrix(((room - middle) // 4, 1), layout="VC_STAR")
        try:
            results = OPERATIONS[name](la, *given)
            high = middle
            for matrix in results if isinstance(results, tuple) else [results]:
                if isinstance(matrix, alchemist.MatrixHandle):
                    matrix.free()
        except alchemist.LimitError as error:
            refusals.add(str(error).partition(" on worker")[0])
            low = middle
        ballast.free()
    assert len(refusals) == 1 and f"linalg.{name.partition(' ')[0]}: workspace: needs" in refusals.pop()
    assert most(narrow) == room
    for matrix in given:
        matrix.free()


def test_memory_of_what_failed_comes_back(narrow, rng):
    la = narrow.load_library("linalg")
    room = most(narrow)
    bad = random(rng, 100, 100)
    bad[99, 99] = np.nan
    tall = random(rng, 900, 3)
    tall[899, 2] = np.inf
    given = [narrow.send_matrix(x, layout="MC_MR") for x in (bad, tall, np.zeros((90, 90)), -np.eye(90))]
    for function, k in ((la.solve, 0), (la.inv, 0), (la.qr, 0), (la.lu, 0), (la.expm, 0), (la.cholesky, 0), (la.pinv, 0),
                        (la.qr, 1), (la.lstsq, 1), (la.inv, 2), (la.solve, 2), (la.cholesky, 2), (la.cholesky, 3)):
        with pytest.raises(alchemist.NumericError):
            function(given[k], given[k]) if function in (la.solve, la.lstsq) else function(given[k])
    for matrix in given:
        matrix.free()
    assert not narrow.list_matrices() and most(narrow) == room


@pytest.mark.parametrize("workers", [1, 2, 5, 7])
def test_any_number_of_workers(daemon, rng, workers):
    with daemon.connect(workers=workers) as als:
        la = als.load_library("linalg")
        a, b = random(rng, N, N), random(rng, N, 2)
        for layout in (None, "block_cyclic(32,32,1,1)", "STAR_VR"):
            A, B = als.send_matrix(a, layout=layout), als.send_matrix(b)
            assert_close(fetch(la.matmul(A, B)), a @ b, 1e-12)
            assert_solved(a, fetch(la.solve(A, B)), b, N)
            p, l, u = fetch(*la.lu(A))
            assert_close(p @ l @ u, a, 1e-12)
            q, r = fetch(*la.qr(A, "complete"))
            assert_close(q @ r, a, 1e-12)
            assert_close(fetch(la.lu(A, permute_l=True).l), p @ l, 0)
            assert_close(fetch(la.cho_solve(la.cholesky(la.add(la.gram(A), als.send_matrix(np.eye(N)))), B)),
                         np.linalg.solve(a.T @ a + np.eye(N), b), 1e-10)
            assert_close(la.slogdet(A).logabsdet, np.linalg.slogdet(a)[1], 1e-11)
            assert_close(la.norm(A, 1), np.linalg.norm(a, 1), 1e-11)


def test_sizes_beyond_32_bits_are_refused_with_the_limit(daemon):
    with daemon.connect(workers=1) as als:
        la = als.load_library("linalg")
        a = als.send_matrix(np.ones((50000, 1)))
        with pytest.raises(alchemist.LimitError, match="50000 x 50000 with 2500000000 entries on one worker: ScaLAPACK's "
                                                       "32-bit indices end at 2147483647"):
            la.matmul(a, a, transpose_b="T")
        assert la.norm(a, 1) == 50000
