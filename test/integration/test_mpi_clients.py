"""Parallel programs as clients.

Three MPI ranks write their local ScaLAPACK pieces to four workers and read them back. See mpi_client.c.
"""

import os
import shutil
import subprocess

import numpy as np
import pytest

import alchemist
from harness import BUILD, PATIENCE, SANITIZED, TOP

pytestmark = pytest.mark.skipif(SANITIZED, reason="mpiexec.mpich's programs are built without the sanitizer")

M, N = 517, 301
LAYOUTS = [None, "VC_STAR", "STAR_VC", "MC_MR", "MC_STAR", "STAR_STAR", "block_cyclic(1,1)", "block_cyclic(5,9,4,1)",
           "block_cyclic(600,7,1,4)"]
# Local pieces: process grid, block size, process that has the first block.
PIECES = [("3x1", "64x64", "0,0"), ("1x3", "1x1", "0,2"), ("1x2", "5x48", "0,1"), ("2x1", "1x64", "1,0"),
          ("3x1", "8x1000", "2,0"), ("1x1", "7x3", "0,0")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "mpi_client"
    subprocess.run(["mpicc.mpich", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", f"-I{TOP}/include",
                    "-o", path, TOP / "test" / "integration" / "mpi_client.c", f"-L{BUILD}/lib", "-lalchemist-client",
                    f"-Wl,-rpath,{BUILD}/lib"], check=True)
    libraries = subprocess.run(["ldd", BUILD / "lib" / "libalchemist-client.so"], capture_output=True, text=True).stdout
    assert "mpi" not in libraries, "the client library must not bring its own MPI into an MPI program"
    return path


@pytest.fixture
def four(daemon):
    """A session with four workers."""
    with daemon.connect(workers=4) as session:
        yield session


def entries(m=M, n=N):
    """The matrix that mpi_client writes and expects."""
    return np.arange(m)[:, None] + np.arange(n)[None, :] / 65536


def mpi(program, als, *jobs, ranks=3):
    address, session, key = als.ticket
    environment = {**os.environ, "ALCHEMIST_TICKET": f"{address} {session} {key}", "UCX_TLS": "self,sm"}
    return subprocess.run([shutil.which("mpiexec.mpich"), "-n", str(ranks), program, *jobs], env=environment,
                          capture_output=True, text=True, timeout=50 * PATIENCE)


def job(verb, handle, piece, i0=0, j0=0, m=M, n=N):
    grid, blocks, source = piece
    return f"{verb}:{handle.id}:{grid}:{blocks}:{source}:{i0},{j0}:{m}x{n}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pieces_of_every_grid_are_written_and_read_in_every_layout(program, four, layout):
    jobs, handles = [], []
    for k, piece in enumerate(PIECES):
        handles.append(four.create_matrix((M, N), layout=layout))
        jobs += [job("write", handles[-1], piece), job("read", handles[-1], PIECES[(k + 1) % len(PIECES)])]
    ended = mpi(program, four, *jobs)
    assert ended.returncode == 0, ended.stderr
    for handle in handles:
        assert np.asarray(handle).tobytes() == entries().tobytes()


@pytest.mark.parametrize("layout", [None, "STAR_VR", "block_cyclic(3,5)"])
def test_a_matrix_sent_by_python_is_read_as_local_pieces(program, four, layout):
    handle = four.send_matrix(entries(), layout=layout)
    ended = mpi(program, four, *[job("read", handle, piece) for piece in PIECES])
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def part(program, four):
    """A matrix of which a parallel program wrote and read one rectangle: the matrix of its descriptor."""
    handle = four.create_matrix((M, N), layout="block_cyclic(16,1)")
    piece = ("3x1", "5x7", "1,0")
    ended = mpi(program, four, *[job(verb, handle, piece, 100, 33, 250, 91) for verb in ("write", "read")])
    assert ended.returncode == 0, ended.stderr
    return handle


def test_local_pieces_may_be_a_part_of_the_matrix(part):
    assert part[100:350, 33:124].tobytes() == entries()[100:350, 33:124].tobytes()


def test_local_pieces_beyond_the_written_part_are_incomplete(program, four, part):
    ended = mpi(program, four, job("read", part, ("1x3", "1x1", "0,0"), 90, 33, 250, 91))
    assert ended.returncode != 0 and "INCOMPLETE" in ended.stderr and "not written" in ended.stderr


@pytest.mark.parametrize("shape, piece", [((1600000, 3), ("3x1", "7x2", "0,0")), ((1500, 1400), ("1x3", "3x1", "0,0"))],
                         ids=["columns longer than a message", "pieces longer than a message"])
def test_pieces_that_need_several_messages_are_written_and_read(program, four, shape, piece):
    handle = four.create_matrix(shape, layout="block_cyclic(64,1)")
    ended = mpi(program, four, *[job(verb, handle, piece, 0, 0, *shape) for verb in ("write", "read")])
    assert ended.returncode == 0, ended.stderr
    assert np.asarray(handle).tobytes() == entries(*shape).tobytes()


@pytest.mark.parametrize("piece, place, error", [
    (("0x1", "4x4", "0,0"), {}, "EINVAL"), (("3x1", "4x4", "3,0"), {}, "EINVAL"),
    (("3x1", "4x4", "0,0"), {"i0": 1}, "ERANGE"), (("3x1", "4x4", "0,0"), {"n": N + 1}, "ERANGE"),
], ids=["grid without processes", "source outside the grid", "rows outside the matrix", "columns outside the matrix"])
def test_an_invalid_piece_is_refused_and_writes_nothing(program, four, piece, place, error):
    handle = four.create_matrix((M, N))
    ended = mpi(program, four, job("write", handle, piece, **place))
    assert ended.returncode != 0 and error in ended.stderr
    with pytest.raises(alchemist.AlchemistError):
        np.asarray(handle)
