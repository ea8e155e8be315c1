"""The demo runs the paper's Figure 3, then a truncated SVD of Fashion-MNIST that is checked against NumPy.

usage: python demo.py OUTPUT_DIRECTORY

It starts a server with 3 worker slots on loopback, and stops it at the end. `make demo` runs it.
"""

import gzip
import os
import sys
import time

import numpy as np

import alchemist

IMAGES = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
RANK = 20

# The cells of Figure 3, word for word. Only the port is replaced if another process of this machine uses 24960.
FIGURE_3 = [
    """from alchemist import *
import numpy as np

als = AlchemistSession() # Start Alchemist session
als.connect_to_alchemist("0.0.0.0", 24960)""",
    "als.request_workers(3)",
    'TestLib = als.load_library("TestLib", testlib_path)',
    """A = np.random.rand(1000,1000)

A_handle = als.send_matrix(matrix=A, print_times=True, layout="VC_STAR")""",
    """rank = 10
S_handle, U_handle, V_handle = TestLib.truncated_svd(A_handle, rank)""",
    """S = als.fetch_matrix(S_handle, print_times=True)

print(np.flipud(S).transpose())""",
]


def start_server():
    """Start a server with 3 worker slots on port 24960, or on a free port if that is in use."""
    try:
        return alchemist.Daemon(3, options=["--port", "24960"]), 24960
    except alchemist.ConnectError as error:
        if error.exit_status != alchemist.PortError.code:
            raise
        print("Port 24960, or one of the three after it, is in use on this machine. The demo takes free ones.")
    daemon = alchemist.Daemon(3)
    with alchemist.connect(connection_file=daemon.connection_file) as session:
        return daemon, int(session.address.rsplit(":", 1)[1])


def run_figure_3(port, testlib_path):
    """Run the cells of Figure 3 as a notebook does, and print each. Returns the error of the singular values."""
    names = {"testlib_path": testlib_path}
    for number, cell in enumerate(FIGURE_3, start=2):
        cell = cell.replace("24960", str(port))
        print(f"In [{number}]: " + cell.replace("\n", "\n        ") + "\n")
        exec(compile(cell, f"In [{number}]", "exec"), names)
        print()
    singular = np.linalg.svd(names["A"], compute_uv=False)[:10]
    error = np.max(np.abs(np.flipud(names["S"]).ravel() - singular) / singular)
    print(f"Largest relative difference to numpy.linalg.svd: {error:.1e}\n")
    names["als"].close()
    return error


def load_images():
    """The 60,000 training images of 28 x 28 pixels as float64, one image in each row."""
    with gzip.open(IMAGES) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8, offset=16)
    return data.reshape(60000, 784).astype(np.float64)


def run_fashion_mnist(output):
    """Compute a truncated SVD on 3 workers and check it against NumPy. Returns whether all checks passed."""
    A = load_images()
    print(f"Fashion-MNIST: {A.shape[0]} x {A.shape[1]} float64, {A.nbytes / 1e6:.0f} MB; rank {RANK} on 3 workers")
    times = {}

    def timed(name, function):
        begun = time.perf_counter()
        result = function()
        times[name] = time.perf_counter() - begun
        return result

    with alchemist.connect(workers=3) as als:
        lib = als.load_library("TestLib")
        handle = timed("send A", lambda: als.send_matrix(A, name="Fashion-MNIST"))
        S_h, U_h, V_h = timed("compute on the workers", lambda: lib.truncated_svd(handle, RANK))
        S, U, V = timed("fetch U, S, V", lambda: [np.asarray(h) for h in (S_h, U_h, V_h)])
    # The largest value comes first, as in NumPy.
    s, U, V = S.ravel()[::-1], U[:, ::-1], V[:, ::-1]
    Un, sn, Vn = timed("numpy.linalg.svd, all 784", lambda: np.linalg.svd(A, full_matrices=False))

    print("\n  step                          seconds\n  " + "-" * 38)
    for name, seconds in times.items():
        print(f"  {name:28s} {seconds:8.3f}")
    print()
    ok = check(A, U, s, V, Un, sn, Vn)
    print("\nThe leading components as images: " + draw(output, s, V, sn))
    return ok


def check(A, U, s, V, Un, sn, Vn):
    """Compare with NumPy's SVD, and print each figure with its bound. Returns whether all are within their bounds."""
    optimal = np.sqrt(np.sum(sn[RANK:] ** 2))
    residual = np.linalg.norm(A - (U * s) @ V.T)
    figures = [
        ("singular values, relative difference", np.max(np.abs(s - sn[:RANK]) / sn[:RANK]), 1e-8),
        ("left subspace, |P - P_numpy|_F", projector_distance(U, Un[:, :RANK]), 1e-6),
        ("right subspace, |P - P_numpy|_F", projector_distance(V, Vn[:RANK].T), 1e-6),
        ("|A - U S V'|_F over the optimal one, less 1", abs(residual / optimal - 1), 1e-10),
    ]
    for name, value, bound in figures:
        print(f"  {name:46s} {value:9.1e}   bound {bound:.0e}   {'ok' if value <= bound else 'TOO LARGE'}")
    return all(value <= bound for _, value, bound in figures)


def projector_distance(X, Y):
    """The Frobenius norm of X X' - Y Y' for orthonormal columns, without forming the projectors."""
    rest = X - Y @ (Y.T @ X)
    return np.sqrt(2) * np.linalg.norm(rest)


def draw(output, s, V, sn):
    """Draw the leading right singular vectors and the spectrum. Returns the path of the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 7.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[2.2, 1])
    for k, axes in enumerate(upper.subplots(2, 6).flat):
        image = V[:, k].reshape(28, 28)
        image = image * np.sign(image.sum())
        bound = np.abs(image).max()
        axes.imshow(image, cmap="RdBu_r", vmin=-bound, vmax=bound)
        axes.set_title(f"{k + 1}: $\\sigma$ = {s[k]:,.0f}", fontsize=9)
        axes.set_axis_off()
    upper.suptitle("Fashion-MNIST: leading components, computed by 3 Alchemist workers")
    axes = lower.subplots()
    axes.semilogy(np.arange(1, 61), sn[:60], ".", color="0.6", label="numpy.linalg.svd")
    axes.semilogy(np.arange(1, RANK + 1), s, "o", mfc="none", color="C3", label="truncated_svd on the workers")
    axes.set_xlabel("component")
    axes.set_ylabel("singular value")
    axes.legend()
    path = os.path.join(output, "fashion-mnist.png")
    figure.savefig(path, dpi=110)
    return os.path.abspath(path)


def main():
    output = sys.argv[1]
    build = os.environ.get("ALCHEMIST_BUILD", "build")
    daemon, port = start_server()
    # The sessions below find the server by this file, as they find one that a user starts.
    os.environ["ALCHEMIST_CONNECTION"] = daemon.connection_file
    try:
        print(f"alchemistd {alchemist.__version__} with 3 worker slots is ready on port {port}\n")
        close = run_figure_3(port, os.path.abspath(os.path.join(build, "plugins", "testlib.so"))) < 1e-8
        ok = run_fashion_mnist(output)
    finally:
        daemon.stop()
    print("Demo finished: " + ("all checks passed." if ok and close else "A CHECK FAILED."))
    return 0 if ok and close else 1


if __name__ == "__main__":
    sys.exit(main())
