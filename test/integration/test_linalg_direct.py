"""Direct methods of the library linalg: residuals within a bound for each type, on hard inputs, and comparisons with
NumPy and SciPy."""

import re
import warnings

import numpy as np
import pytest
import scipy.linalg

import alchemist
from harness import Daemon
from linalg_session import als, daemon, la, rng, send  # noqa: F401
from linalg_inputs import (DTYPES, LAYOUTS, assert_close, eps, graded, hilbert, orthogonal, positive, random, size,
                           with_values)

N = 83  # not a multiple of the block sizes 64, 33, 32, 7 and 5


def fetch(*handles):
    arrays = tuple(np.asarray(h) for h in handles)
    return arrays if len(arrays) > 1 else arrays[0]


# ---- products and sums ----

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul_agrees_with_numpy_in_every_layout(la, send, rng, dtype, layout):
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


@pytest.mark.parametrize("left", DTYPES + ["int32", "int64"])
def test_matmul_computes_in_the_type_of_numpy(la, send, rng, left):
    for right in DTYPES + ["int32", "int64"]:
        a, b = random(rng, 3, 4, "float64").astype(left), random(rng, 4, 2, "float64").astype(right)
        expected = np.result_type(left, right)
        expected = np.dtype("float64") if expected.kind == "i" else expected
        assert fetch(la.matmul(send(a), send(b))).dtype == expected, (left, right)


def test_matmul_with_an_imaginary_factor_is_complex(la, send, rng):
    real = random(rng, 3, 3)
    assert_close(fetch(la.matmul(send(real), send(real), alpha=1j)), 1j * real @ real, 1e-13)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 1), (50, 1, 50), (0, 5, 3), (5, 0, 3), (5, 3, 0), (0, 0, 0),
                                   (2000, 2, 2), (2, 2000, 3)])
def test_matmul_handles_edge_shapes(la, send, rng, shape):
    m, k, n = shape
    a, b = random(rng, m, k), random(rng, k, n)
    got = fetch(la.matmul(send(a), send(b)))
    assert got.shape == (m, n)
    assert_close(got, a @ b, 1e-12 * max(k, 1))


def test_matmul_propagates_nan(la, send):
    a = np.ones((4, 4))
    a[1, 2] = np.nan
    got = fetch(la.matmul(send(a), send(np.eye(4))))
    assert np.isnan(got[1]).all() and not np.isnan(got[[0, 2, 3]]).any()


def test_matmul_refuses_shapes_that_do_not_match(la, send):
    with pytest.raises(ValueError, match=r"op\(a\) is 3 x 4 and op\(b\) is 3 x 4: the inner dimensions 4 and 3 differ"):
        la.matmul(send(np.ones((3, 4))), send(np.ones((3, 4))))
    with pytest.raises(ValueError, match="c is 2 x 2, but the product is 3 x 3"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), c=send(np.ones((2, 2))))


def test_matmul_refuses_unknown_transpositions(la, send):
    with pytest.raises(ValueError, match="transpose_a is 'Q', but must be N, T or C"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), transpose_a="Q")


def test_matmul_refuses_beta_without_c(la, send):
    with pytest.raises(ValueError, match=r"beta is 3\+0i, but c, of which it is the factor, was not given"):
        la.matmul(send(np.ones((3, 3))), send(np.ones((3, 3))), beta=3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [False, True])
def test_gram_is_exactly_hermitian(la, send, rng, dtype, rows):
    a = random(rng, N, 37, dtype)
    expected = a @ a.conj().T if rows else a.conj().T @ a
    got = fetch(la.gram(send(a), rows=rows))
    assert got.dtype == dtype and np.array_equal(got, got.conj().T)
    assert_close(got, expected, 40 * N * eps(a))


def test_gram_of_no_rows_is_zero(la, send):
    assert fetch(la.gram(send(np.zeros((0, 3))))).tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize("dtype", DTYPES + ["int64", "int32"])
def test_transpose_keeps_type_and_bits(la, send, rng, dtype):
    a = (10 * random(rng, 30, 41, "float64")).astype(dtype)
    got = fetch(la.transpose(send(a)))
    assert got.dtype == dtype and np.array_equal(got, a.T)


def test_transpose_conjugates_on_request(la, send, rng):
    z = random(rng, 5, 6, "complex64")
    assert np.array_equal(fetch(la.transpose(send(z), conjugate=True)), z.conj().T)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_add_works_in_every_layout(la, send, rng, layout):
    a, b = random(rng, N, 23), random(rng, N, 23)
    A = send(a, layout)
    both = la.add(A, send(b, layout), 2, -3)
    assert_close(fetch(both), 2 * a - 3 * b, 1e-14 * 20)
    assert both.layout == A.layout
    assert_close(fetch(la.add(A, send(b))), a + b, 1e-15 * 10)
    assert np.array_equal(fetch(A), a)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scale_works_in_every_layout(la, send, rng, layout):
    a = random(rng, N, 23)
    A = send(a, layout)
    tripled = la.scale(A, 3)
    assert np.array_equal(fetch(tripled), 3 * a) and tripled.layout == A.layout
    assert np.array_equal(fetch(la.scale(A, 1j)), 1j * a)
    assert np.array_equal(fetch(A), a)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_add_refuses_different_shapes(la, send, layout):
    with pytest.raises(ValueError, match="a is 83 x 23 and b is 2 x 2: matrices of different shapes cannot be added"):
        la.add(send(np.ones((N, 23)), layout), send(np.ones((2, 2))))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trace_agrees_with_numpy_in_every_layout(la, send, rng, layout):
    a = random(rng, N, 29)
    A = send(a, layout)
    for offset in (0, 1, -2, 28, -82, 500):
        assert_close(la.trace(A, offset), np.trace(a, offset), 1e-13, offset)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_norms_agree_with_numpy_in_every_layout(la, send, rng, layout):
    a = random(rng, N, 29)
    A = send(a, layout)
    for order in ("fro", 1, -1, np.inf, -np.inf):
        expected = np.linalg.norm(a, order)
        assert_close(la.norm(A, order), expected, 1e-13 * expected, order)
    assert la.norm(A, "max") == np.max(np.abs(a))
    assert la.norm(A) == la.norm(A, "fro") == la.norm(A, None)


def matrix_of_type(rng, dtype):
    return (10 * random(rng, 20, 30, dtype if np.dtype(dtype).kind == "c" else "float64")).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES + ["int64", "int32"])
def test_norms_agree_with_numpy_for_every_type(la, send, rng, dtype):
    a = matrix_of_type(rng, dtype)
    A = send(a)
    for order in ("fro", 1, np.inf):
        expected = np.linalg.norm(a.astype("complex128"), order)
        assert_close(la.norm(A, order), expected, 1e-13 * expected, order)


@pytest.mark.parametrize("dtype", DTYPES + ["int64", "int32"])
def test_trace_is_complex_only_for_complex_matrices(la, send, rng, dtype):
    a = matrix_of_type(rng, dtype)
    trace = la.trace(send(a))
    assert isinstance(trace, complex if a.dtype.kind == "c" else float)
    assert_close(trace, np.trace(a.astype("complex128")), 1e-12)


def test_frobenius_norm_neither_overflows_nor_underflows(la, send):
    assert_close(la.norm(send(np.full((3, 3), 1e300))), 3e300, 1e286)
    assert_close(la.norm(send(np.full((3, 3), 1e-300))), 3e-300, 1e-314)


def test_norms_of_zero_and_empty_matrices_are_zero(la, send):
    assert la.norm(send(np.zeros((4, 2)))) == 0
    assert la.norm(send(np.zeros((0, 2))), 1) == 0


def test_a_nan_entry_makes_norms_nan(la, send):
    bad = np.ones((70, 70))
    bad[65, 3] = np.nan
    for order in ("fro", "max", 1, np.inf, -1):
        assert np.isnan(la.norm(send(bad), order)), order


def test_an_infinite_entry_makes_norms_infinite(la, send):
    bad = np.ones((70, 70))
    bad[65, 3] = np.inf
    assert la.norm(send(bad)) == la.norm(send(bad), 1) == np.inf


@pytest.mark.parametrize("order", [3, 1.0000001])
def test_norm_refuses_unknown_orders(la, send, order):
    with pytest.raises(ValueError, match=f"ord is '{order}', but must be"):
        la.norm(send(np.ones((2, 2))), order)


# ---- systems of equations ----

def assert_solved(a, x, b, n):
    """Assert that the normwise backward error of x is small."""
    worst = size(a.astype("complex128") @ x - b) / (size(a) * size(x) + size(b))
    assert worst <= 20 * max(n, 1) * eps(a), f"{worst:.3g}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_solve_is_backward_stable_in_every_layout(la, send, rng, dtype, layout):
    a, b = random(rng, N, N, dtype), random(rng, N, 5, dtype)
    A = send(a, layout)
    x = fetch(la.solve(A, send(b)))
    assert x.dtype == dtype
    assert_solved(a, x, b, N)
    assert np.array_equal(fetch(A), a)
    assert_close(x, np.linalg.solve(a, b), 1e4 * N * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_is_backward_stable_on_hard_systems(la, send, rng, dtype):
    """Residuals are small even where the solution has no correct digit."""
    systems = {"hilbert": hilbert(12, dtype), "graded": graded(rng, 60, dtype),
               "orthogonal": orthogonal(rng, 70, dtype),
               "clustered": with_values(rng, 66, 66, [1] * 33 + [1e-3] * 33, dtype),
               "one": np.full((1, 1), 3, dtype), "permuted": np.eye(65, dtype=dtype)[::-1]}
    for name, a in systems.items():
        n = len(a)
        b = random(rng, n, 1, dtype)
        x = fetch(la.solve(send(a), send(b)))
        assert x.shape == b.shape, name
        assert_solved(a, x, b, 4 * n)


def test_solve_handles_empty_systems(la, send):
    assert fetch(la.solve(send(np.zeros((0, 0))), send(np.zeros((0, 3))))).shape == (0, 3)
    assert fetch(la.solve(send(np.eye(5)), send(np.zeros((5, 0))))).shape == (5, 0)


def test_solve_converts_integers_and_notes_it(la, send):
    whole = np.array([[2, 1], [1, 3]])
    task = la.solve.submit(send(whole), send(np.array([[3.0], [5.0]], dtype="float32")))
    x = fetch(task.result())
    assert x.dtype == "float64"
    assert_close(whole @ x, [[3], [5]], 1e-14)
    assert any("a was converted from int64 to float64" in note for note in task.notes)


def test_solve_takes_complex_right_hand_sides_of_integers(la, send):
    whole, b = np.array([[2, 1], [1, 3]]), np.array([[1j], [2]])
    assert_solved(whole, fetch(la.solve(send(whole), send(b))), b, 2)


def test_solve_refuses_shapes_that_do_not_match(la, send):
    with pytest.raises(ValueError, match="linalg.solve: a is 3 x 5, but must be square"):
        la.solve(send(np.ones((3, 5))), send(np.ones((3, 1))))
    with pytest.raises(ValueError, match="a has 3 rows, but b has 4"):
        la.solve(send(np.eye(3)), send(np.ones((4, 1))))


def singular_matrix(rng, dtype):
    a = random(rng, 70, 70, dtype)
    a[:, 66] = 0
    return a


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", ["solve", "inv"])
def test_a_zero_pivot_is_named(la, send, rng, dtype, function):
    arguments = [send(singular_matrix(rng, dtype))] + ([send(np.ones((70, 1)))] if function == "solve" else [])
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix: a has a zero pivot in column 66") as error:
        getattr(la, function)(*arguments)
    assert isinstance(error.value, alchemist.NumericError)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_zero_matrix_of_order_one_has_no_inverse(la, send, dtype):
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        la.inv(send(np.zeros((1, 1), dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_determinant_of_a_singular_matrix_is_zero(la, send, rng, dtype):
    a = singular_matrix(rng, dtype)
    assert la.det(send(a)) == 0
    sign, logabs = la.slogdet(send(a))
    assert sign == 0 and logabs == -np.inf


def matrix_with_two_bad_entries(value):
    bad = np.eye(70)
    bad[68, 2] = bad[66, 69] = value
    return bad


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", ["default", "VC_STAR"])
def test_the_first_entry_that_is_not_finite_is_named(la, send, value, layout):
    bad = matrix_with_two_bad_entries(value)
    for call in (lambda A: la.solve(A, send(np.eye(70))), la.inv, la.det, la.slogdet, la.lu, la.expm):
        with pytest.raises(alchemist.NumericError, match=r"a: entry \(66, 69\) is NaN or infinite"):
            call(send(bad, layout))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_of_the_right_hand_side_that_is_not_finite_is_named(la, send, value):
    with pytest.raises(alchemist.NumericError, match=r"b: entry \(66, 69\)"):
        la.solve(send(np.eye(70)), send(matrix_with_two_bad_entries(value)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("upper, place", [(False, r"\(68, 2\)"), (True, r"\(66, 69\)")])
def test_cholesky_names_entries_of_its_triangle_that_are_not_finite(la, send, value, upper, place):
    with pytest.raises(alchemist.NumericError, match=f"a: entry {place}"):
        la.cholesky(send(matrix_with_two_bad_entries(value)), upper=upper)


# ---- factors ----

SHAPES = [(N, N), (N, 31), (31, N), (1, 1), (1, 70), (70, 1), (0, 3), (3, 0), (1000, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_lu_agrees_with_scipy(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    p, l, u = fetch(*la.lu(send(a)))
    k = min(shape)
    assert p.shape == (shape[0], shape[0]) and l.shape == (shape[0], k) and u.shape == (k, shape[1])
    assert np.array_equal(np.tril(l, -1) + np.eye(*l.shape), l) and np.array_equal(np.triu(u), u)
    # The pivot of complex entries is the largest by |re| + |im|, so |l| may exceed 1.
    assert np.max(np.abs(l), initial=0) <= 1.5
    assert_close(p @ l @ u, a, 30 * max(shape) * eps(a))
    if a.size and np.dtype(dtype).kind != "c":
        assert np.array_equal(p, scipy.linalg.lu(a)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_lu_returns_the_permutation_as_row_numbers(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    rows, l, u = fetch(*la.lu(send(a), p_indices=True))
    assert rows.dtype == "int64" and rows.shape == (shape[0], 1)
    assert_close(l[rows[:, 0]] @ u, a, 30 * max(shape) * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_lu_with_permute_l_returns_p_l_and_u(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    p, l, u = fetch(*la.lu(send(a)))
    both = la.lu(send(a), permute_l=True)
    assert both._fields == ("l", "u")
    assert np.array_equal(fetch(both.l), p @ l) and np.array_equal(fetch(both.u), u)


def test_a_singular_matrix_has_lu_factors(la, send):
    p, l, u = fetch(*la.lu(send(np.ones((70, 70)))))
    assert_close(p @ l @ u, np.ones((70, 70)), 1e-14)
    assert not u[1:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cholesky_factors_have_small_residuals_in_every_layout(la, send, rng, dtype, layout):
    a = positive(rng, N, dtype)
    l = fetch(la.cholesky(send(a, layout)))
    assert l.dtype == dtype and np.array_equal(np.tril(l), l) and (np.diagonal(l).real > 0).all()
    assert size(l @ l.conj().T - a) <= 10 * N * eps(a) * size(a)
    u = fetch(la.cholesky(send(a, layout), upper=True))
    assert np.array_equal(np.triu(u), u)
    assert size(u.conj().T @ u - a) <= 10 * N * eps(a) * size(a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("upper", [False, True])
def test_cho_solve_is_backward_stable_in_every_layout(la, send, rng, dtype, layout, upper):
    a, b = positive(rng, N, dtype), random(rng, N, 3, dtype)
    factor = la.cholesky(send(a, layout), upper=upper)
    assert_solved(a, fetch(la.cho_solve(factor, send(b), lower=not upper)), b, 10 * N)


def test_cholesky_reads_one_triangle(la, send, rng):
    a = positive(rng, 70)
    half = np.tril(a) + np.triu(np.full((70, 70), np.nan), 1)
    assert np.array_equal(fetch(la.cholesky(send(half))), fetch(la.cholesky(send(a))))
    assert np.array_equal(fetch(la.cholesky(send(half.T), upper=True)), fetch(la.cholesky(send(a), upper=True)))


def test_cholesky_names_the_minor_that_is_not_positive(la, send, rng):
    a = positive(rng, 70)
    a[66, 66] = -1
    with pytest.raises(np.linalg.LinAlgError,
                       match="not positive definite: its leading minor of order 67 is not positive"):
        la.cholesky(send(a))
    with pytest.raises(np.linalg.LinAlgError, match="order 1 "):
        la.cholesky(send(np.zeros((3, 3))), upper=True)


def test_cho_solve_names_a_zero_on_the_diagonal(la, send):
    with pytest.raises(np.linalg.LinAlgError, match=r"Singular matrix: c\[1, 1\] is zero"):
        la.cho_solve(send(np.diag([1.0, 0.0])), send(np.ones((2, 1))))


def test_cholesky_handles_orders_zero_and_one(la, send):
    assert fetch(la.cholesky(send(np.zeros((0, 0))))).shape == (0, 0)
    assert fetch(la.cholesky(send(np.array([[4.0]])))).tolist() == [[2]]


def test_cholesky_factors_a_nearly_singular_matrix(la, send):
    """Hilbert's matrix of order 12 is barely positive definite."""
    h = hilbert(12)
    l = fetch(la.cholesky(send(h)))
    assert_close(l @ l.T, h, 1e-15)


QR_SHAPES = [(N, N), (N, 31), (31, N), (1, 1), (1, 70), (300, 1), (0, 3), (3, 0), (0, 0)]
QR_LAYOUTS = ["default", "block_cyclic(33,33,2,1)", "VC_STAR"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", QR_SHAPES)
def test_complete_qr_has_a_square_q(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    for layout in QR_LAYOUTS:
        q, r = fetch(*la.qr(send(a, layout), mode="complete"))
        assert q.shape == (shape[0], shape[0]) and r.shape == shape and q.dtype == r.dtype == dtype
        assert np.array_equal(np.triu(r), r)
        assert_close(q.conj().T @ q, np.eye(shape[0]), 20 * max(shape) * eps(a))
        assert_close(q @ r, a, 20 * max(shape) * eps(a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", QR_SHAPES)
def test_raw_qr_returns_the_reflectors_of_lapack(la, send, rng, dtype, shape):
    a = random(rng, *shape, dtype)
    for layout in QR_LAYOUTS:
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
def test_tsqr_is_stable_for_whole_and_partial_blocks(la, send, rng, dtype, columns):
    """Each worker factors blocks of 32 reflectors. The inputs have whole blocks, a partial block, linearly dependent
    columns, and columns of zeros."""
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
def test_lstsq_determines_the_rank_in_single_precision(la, send, rng, dtype):
    """NumPy compares values in float32 with the eps of float64, so it counts values that are zero but for rounding."""
    a, b = random(rng, N, 5, dtype) @ random(rng, 5, 40, dtype), random(rng, N, 2, dtype)
    solved = la.lstsq(send(a), send(b))
    assert solved.rank == la.matrix_rank(send(a)) == 5 and np.linalg.lstsq(a, b, rcond=None)[2] == 40
    assert fetch(solved.residuals).size == 0
    x = np.linalg.lstsq(a, b, rcond=N * eps(a))[0]
    assert_close(fetch(solved.x), x, 1e3 * eps(a) * np.max(np.abs(x)))


def test_lstsq_refuses_nan_as_rcond(la, send):
    with pytest.raises(ValueError, match="rcond is NaN"):
        la.lstsq(send(np.eye(3)), send(np.ones((3, 1))), np.nan)


# ---- inverse, determinant, exponential ----

@pytest.mark.parametrize("dtype", DTYPES)
def test_inv_has_small_residuals(la, send, rng, dtype):
    for a in (random(rng, N, N, dtype), orthogonal(rng, 65, dtype), np.full((1, 1), 4, dtype), graded(rng, 30, dtype)):
        x = fetch(la.inv(send(a)))
        assert x.dtype == dtype
        n = len(a)
        assert size(a.astype("complex128") @ x - np.eye(n)) <= 40 * n * eps(a) * size(a) * size(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inv_of_an_empty_matrix_is_empty(la, send, dtype):
    assert fetch(la.inv(send(np.zeros((0, 0), dtype)))).shape == (0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_det_and_slogdet_agree_with_numpy(la, send, rng, dtype):
    for a in (random(rng, N, N, dtype), orthogonal(rng, 65, dtype), np.eye(70, dtype=dtype)[::-1],
              np.zeros((0, 0), dtype), np.full((1, 1), -2, dtype)):
        sign, logabs = np.linalg.slogdet(a.astype("complex128" if a.dtype.kind == "c" else "float64"))
        got_sign, got_logabs = la.slogdet(send(a))
        bound = 1000 * max(len(a), 1) * eps(a)
        assert_close(got_sign, sign, bound)
        assert_close(got_logabs, logabs, bound * max(1, abs(logabs)))
        det = la.det(send(a))
        assert isinstance(det, complex if a.dtype.kind == "c" else float)
        assert_close(det / (sign * np.exp(logabs)), 1, 10 * bound)


def test_slogdet_does_not_overflow_where_det_does(la, send):
    assert la.det(send(1e10 * np.eye(70))) == np.inf
    assert_close(la.slogdet(send(1e10 * np.eye(70))).logabsdet, 700 * np.log(10), 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", [0, 1e-3, 0.1, 0.8, 2, 4, 30])
def test_expm_agrees_with_scipy_for_every_degree(la, send, rng, dtype, norm):
    a = random(rng, 40, 40, "complex128" if np.dtype(dtype).kind == "c" else "float64")
    a = (norm * a / np.linalg.norm(a, 1)).astype(dtype)
    got = fetch(la.expm(send(a)))
    expected = scipy.linalg.expm(a.astype("complex128"))
    assert got.dtype == dtype
    assert size(got - expected) <= 200 * (1 + norm) * eps(a) * size(expected)


def test_expm_is_right_for_matrices_with_known_exponentials(la, send):
    assert np.array_equal(fetch(la.expm(send(np.zeros((66, 66))))), np.eye(66))
    assert_close(fetch(la.expm(send(np.diag([1.0, -2.0, 3.0])))), np.diag(np.exp([1, -2, 3])), 1e-14 * 40)
    nilpotent = np.triu(np.ones((4, 4)), 1)
    assert_close(fetch(la.expm(send(nilpotent))), scipy.linalg.expm(nilpotent), 1e-14)
    rotation = np.array([[0, -np.pi], [np.pi, 0]])
    assert_close(fetch(la.expm(send(rotation))), -np.eye(2), 1e-13)
    assert fetch(la.expm(send(np.zeros((0, 0))))).shape == (0, 0)


def test_expm_warns_of_overflow(la, send):
    with pytest.warns(alchemist.AlchemistWarning, match="overflow"):
        assert not np.isfinite(fetch(la.expm(send(np.diag([1e4, 1.0]))))).all()


def test_expm_warns_of_a_norm_that_costs_all_digits(la, send):
    with pytest.warns(alchemist.AlchemistWarning, match=r"norm of a, 1e\+308, is beyond 1/eps"):
        assert not fetch(la.expm(send(np.diag([-1e300, -1e308])))).any()
    with pytest.warns(alchemist.AlchemistWarning, match="overflow"):
        with pytest.warns(alchemist.AlchemistWarning, match="norm of a, inf, is beyond 1/eps"):
            la.expm(send(np.full((2, 2), -1e308)))


# ---- notes and documentation ----

def test_a_note_names_the_layouts_of_a_relayout(la, send, rng):
    task = la.inv.submit(send(random(rng, 70, 70), "VC_STAR"))
    task.result()
    assert task.notes == ["linalg.inv: a was relaid out from VC_STAR to block_cyclic(32,32,1,3)"]


@pytest.mark.parametrize("layout", ["default", "block_cyclic(32,32,1,2)"])
def test_a_matrix_that_is_used_in_place_has_no_note(la, send, rng, layout):
    A = send(random(rng, 70, 70), layout)
    task = la.inv.submit(A)
    result = task.result()
    assert task.notes == []
    assert result.layout == A.layout


def test_a_note_is_no_warning(la, send, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        la.inv(send(random(rng, 70, 70), "VC_STAR"))


@pytest.mark.parametrize("name", ["eig", "eigvals"])
def test_functions_that_are_not_offered_name_an_alternative(la, send, name):
    function = getattr(la, name)
    with pytest.raises(alchemist.UnsupportedError, match="is not offered: .*eigh"):
        function(send(np.eye(3)))
    assert "Not offered" in function.__doc__


def test_every_function_documents_method_source_memory_errors_and_arguments(la):
    for name, function in la.functions.items():
        assert function.summary.endswith("."), name
        for parameter in function._parameters + function._results:
            assert parameter.doc, f"{name}: {parameter.name}"
        if "Not offered" not in function.__doc__:
            for topic in ("Method", r"[Ss]ource|\b(19|20)\d\d\b", "[Mm]emory", "[Ee]rror"):
                assert re.search(topic, function.__doc__), (name, topic)


# ---- memory ----

MEMORY = 16 << 20


def largest_allocation(als):
    """Bytes of the largest local piece that fits on each of two workers now."""
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
def small_memory():
    """A session of two workers with a memory limit of 16 MiB each."""
    d = Daemon(2, "--memory-limit", str(MEMORY))
    with d.connect(workers=2) as session:
        yield session
    d.stop()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_passes_the_memory_check_has_enough_memory(small_memory, rng, name):
    """Every refusal is one of the memory check, and all memory is free after the call."""
    la = small_memory.load_library("linalg")
    b = random(rng, 1000, 20) if "tall" in name else random(rng, 200, 7)
    given = [small_memory.send_matrix(random(rng, 200, 200), layout="MC_MR"), small_memory.send_matrix(b)]
    room = largest_allocation(small_memory)
    low, high, refusals = 0, room, set()
    while high - low > 4096:
        middle = (low + high) // 16 * 8
        ballast = small_memory.create_matrix(((room - middle) // 4, 1), layout="VC_STAR")
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
    assert largest_allocation(small_memory) == room
    for matrix in given:
        matrix.free()


def test_a_call_that_fails_frees_its_memory(small_memory, rng):
    la = small_memory.load_library("linalg")
    room = largest_allocation(small_memory)
    bad = random(rng, 100, 100)
    bad[99, 99] = np.nan
    tall = random(rng, 900, 3)
    tall[899, 2] = np.inf
    given = [small_memory.send_matrix(x, layout="MC_MR") for x in (bad, tall, np.zeros((90, 90)), -np.eye(90))]
    for function, k in ((la.solve, 0), (la.inv, 0), (la.qr, 0), (la.lu, 0), (la.expm, 0), (la.cholesky, 0),
                        (la.pinv, 0), (la.qr, 1), (la.lstsq, 1), (la.inv, 2), (la.solve, 2), (la.cholesky, 2),
                        (la.cholesky, 3)):
        with pytest.raises(alchemist.NumericError):
            function(given[k], given[k]) if function in (la.solve, la.lstsq) else function(given[k])
    for matrix in given:
        matrix.free()
    assert not small_memory.list_matrices() and largest_allocation(small_memory) == room


# ---- numbers of workers, and sizes ----

@pytest.mark.parametrize("workers", [1, 2, 5, 7])
@pytest.mark.parametrize("layout", [None, "block_cyclic(32,32,1,1)", "STAR_VR"])
def test_results_agree_with_numpy_on_any_number_of_workers(daemon, rng, workers, layout):
    with daemon.connect(workers=workers) as als:
        la = als.load_library("linalg")
        a, b = random(rng, N, N), random(rng, N, 2)
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
        with pytest.raises(alchemist.LimitError, match="is 50000 x 50000 with 2500000000 entries on one worker, but "
                                                       "ScaLAPACK's 32-bit indices allow at most 2147483647"):
            la.matmul(a, a, transpose_b="T")
        assert la.norm(a, 1) == 50000
