"""Parallel programs as clients: three MPI ranks hand over their ScaLAPACK pieces to four workers and get them back."""

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
# grid, blocks, source
PIECES = [("3x1", "64x64", "0,0"), ("1x3", "1x1", "0,2"), ("1x2", "5x48", "0,1"), ("2x1", "1x64", "1,0"),
          ("3x1", "8x1000", "2,0"), ("1x1", "7x3", "0,0")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "mpi_client"
    subprocess.run(["mpicc.mpich", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", f"-I{TOP}/include", "-o", path,
                    TOP / "test" / "integration" / "mpi_client.c", f"-L{BUILD}/lib", "-lalchemist-client",
                    f"-Wl,-rpath,{BUILD}/lib"], check=True)
    libraries = subprocess.run(["ldd", BUILD / "lib" / "libalchemist-client.so"], capture_output=True, text=True).stdout
    assert "mpi" not in libraries
    return path


@pytest.fixture
def four(daemon):
    with daemon.connect(workers=4) as session:
        yield session


def entries(m=M, n=N):
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
def test_every_grid_to_every_layout(program, four, layout):
    jobs, handles = [], []
    for k, piece in enumerate(PIECES):
        handles.append(four.create_matrix((M, N), layout=layout))
        jobs += [job("write", handles[-1], piece), job("read", handles[-1], PIECES[(k + 1) % len(PIECES)])]
    ended = mpi(program, four, *jobs)
    assert ended.returncode == 0, ended.stderr
    for handle in handles:
        assert np.asarray(handle).tobytes() == entries().tobytes()
        handle.free()


def test_what_python_sent(program, four):
    for layout in (None, "STAR_VR", "block_cyclic(3,5)"):
        handle = four.send_matrix(entries(), layout=layout)
        ended = mpi(program, four, *[job("read", handle, piece) for piece in PIECES])
        assert ended.returncode == 0, ended.stderr
        handle.free()


def test_a_part_of_a_matrix(program, four):
    """The descriptor's matrix may be a rectangle of the Alchemist matrix; the rest stays unwritten."""
    handle = four.create_matrix((M, N), layout="block_cyclic(16,1)")
    ended = mpi(program, four, *[job(verb, handle, ("3x1", "5x7", "1,0"), 100, 33, 250, 91) for verb in ("write", "read")])
    assert ended.returncode == 0, ended.stderr
    part = handle[100:350, 33:124]
    assert part.tobytes() == entries()[100:350, 33:124].tobytes()
    ended = mpi(program, four, job("read", handle, ("1x3", "1x1", "0,0"), 90, 33, 250, 91))
    assert ended.returncode != 0 and "INCOMPLETE" in ended.stderr and "not written" in ended.stderr
    handle.free()


def test_messages_are_cut(program, four):
    """Pieces of more than one message, and columns that are longer than one."""
    for shape, piece in (((1600000, 3), ("3x1", "7x2", "0,0")), ((1500, 1400), ("1x3", "3x1", "0,0"))):
        handle = four.create_matrix(shape, layout="block_cyclic(64,1)")
        ended = mpi(program, four, *[job(verb, handle, piece, 0, 0, *shape) for verb in ("write", "read")])
        assert ended.returncode == 0, ended.stderr
        assert np.asarray(handle).tobytes() == entries(*shape).tobytes()
        handle.free()


def test_pieces_that_cannot_be(program, four):
    handle = four.create_matrix((M, N))
    for piece, place, why in ((("0x1", "4x4", "0,0"), {}, "EINVAL"), (("3x1", "4x4", "3,0"), {}, "EINVAL"),
                              (("3x1", "4x4", "0,0"), {"i0": 1}, "ERANGE"), (("3x1", "4x4", "0,0"), {"n": N + 1}, "ERANGE")):
        ended = mpi(program, four, job("write", handle, piece, **place))
        assert ended.returncode != 0 and why in ended.stderr
    with pytest.raises(alchemist.AlchemistError):
        np.asarray(handle)
    handle.free()
