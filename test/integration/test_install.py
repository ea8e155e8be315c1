"""What `make install` puts somewhere works from there, without the build tree."""

import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

import alchemist
from harness import BUILD, SANITIZED

TOP = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(SANITIZED, reason="the installed tree is tested without sanitizers")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "install", f"O={os.path.relpath(BUILD, TOP)}", f"DESTDIR={root}", "PREFIX=/opt/alchemist"], cwd=TOP, check=True)
    return root / "opt" / "alchemist"


def pkg_config(root, *arguments):
    sysroot = str(root)[:-len("/opt/alchemist")]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(root / "lib" / "pkgconfig")}
    text = subprocess.run(["pkg-config", *arguments], env=environment, check=True, capture_output=True, text=True).stdout
    return text.replace("/opt/alchemist", sysroot + "/opt/alchemist").split()


def test_what_is_there(root):
    for path in ("bin/alchemistd", "include/alchemist/alchemist.h", "include/alchemist/plugin.h", "lib/libalchemist.so.0",
                 "lib/libalchemist-client.so.0", "lib/alchemist/plugins/testlib.so", "share/man/man8/alchemistd.8",
                 "share/man/man7/alchemist-linalg.7"):
        assert (root / path).exists(), path
    version = subprocess.run([root / "bin" / "alchemistd", "--version"], capture_output=True, text=True,
                             env={**os.environ, "LD_LIBRARY_PATH": str(root / "lib")}, check=True).stdout
    assert alchemist.__version__ in version


def symbols(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


def needed(path):
    out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return {line.split("[")[1].rstrip("]") for line in out.splitlines() if "(NEEDED)" in line}


def test_only_our_symbols_are_exported(root):
    for name in ("libalchemist.so.0", "libalchemist-client.so.0"):
        assert all(s.startswith("alch_") for s in symbols(root / "lib" / name))
    assert symbols(root / "lib" / "libalchemist-client.so.0") <= symbols(root / "lib" / "libalchemist.so.0")
    assert "alch_server_main" not in symbols(root / "lib" / "libalchemist-client.so.0")
    assert not any(s.startswith("MPI_") for s in symbols(root / "lib" / "libalchemist.so.0"))


def test_the_client_library_needs_neither_mpi_nor_blas(root):
    assert needed(root / "lib" / "libalchemist-client.so.0") <= {"libc.so.6", "ld-linux-x86-64.so.2", "libjansson.so.4"}


def test_a_c_program_against_the_installed_tree(root, tmp_path, monkeypatch):
    program = tmp_path / "client"
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, TOP / "test" / "integration" / "client.c",
                    *pkg_config(root, "--cflags", "--libs", "alchemist-client"), "-lm"], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(root / "lib"))
    monkeypatch.setenv("ALCHEMIST_DAEMON", str(root / "bin" / "alchemistd"))
    plugins = pkg_config(root, "--variable=plugindir", "alchemist")[0]
    daemon = alchemist.Daemon(3, [plugins])
    try:
        ended = subprocess.run([program], env={**os.environ, "ALCHEMIST_CONNECTION": daemon.connection_file},
                               capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stdout + ended.stderr + daemon.log()
        assert ended.stdout
    finally:
        daemon.stop()


@pytest.mark.parametrize("compiler", [["mpicc.mpich"], pytest.param(["mpicxx.mpich", "-x", "c++"], marks=pytest.mark.skipif(
    shutil.which("g++") is None, reason="g++ is not installed"))], ids=["C", "C++"])
def test_a_plugin_against_the_installed_tree(root, tmp_path, compiler):
    """plugins/hello is a template: it builds outside the tree, as C++ too."""
    (tmp_path / "plugins").mkdir()
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", tmp_path / "plugins" / "hello.so",
                    *(TOP / "plugins" / "hello").glob("*.c"), *pkg_config(root, "--cflags", "alchemist")], check=True)
    daemon = alchemist.Daemon(2, [tmp_path / "plugins"])
    try:
        with alchemist.connect(connection_file=daemon.connection_file, workers=2) as als:
            lib = als.load_library("hello", tmp_path / "plugins" / "hello.so")
            assert "there" in lib.hello("there")
    finally:
        daemon.stop()


def example(path, name):
    """A source file out of a manual page: what lies between its marks."""
    text = path.read_text()
    begin, end = f'.\\" Begin of {name}\n', f'.\\" End of {name}\n'
    return text[text.index(begin) + len(begin):text.index(end)].replace("\\e", "\\")


def test_the_library_of_the_manual(root, tmp_path, monkeypatch):
    """Extracted from the installed page, compiled as it says, outside of the tree."""
    page = root / "share" / "man" / "man7" / "alchemist-plugin.7"
    source = example(page, "means.c")
    assert len(source.splitlines()) < 100
    (tmp_path / "means.c").write_text(source)
    command = re.search(r"mpicc\.mpich .*?means\.c", page.read_text(), re.DOTALL).group().replace("\\e\n", "")
    flags = " ".join(pkg_config(root, "--cflags", "alchemist"))
    command = command.replace("$(pkg-config --cflags alchemist)", flags) + " -Wall -Wextra -Werror"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    monkeypatch.setenv("ALCHEMIST_DAEMON", str(root / "bin" / "alchemistd"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(root / "lib"))
    daemon = alchemist.Daemon(3, [tmp_path])
    try:
        with alchemist.connect(connection_file=daemon.connection_file, workers=3) as als:
            means = als.load_library("means")
            a = np.random.default_rng(1).standard_normal((501, 37))
            for layout in (None, "STAR_VC", "MC_MR"):
                mine = np.asarray(means.column_means(als.send_matrix(a, layout=layout)))
                assert np.allclose(mine, a.mean(axis=0)[None, :], rtol=1e-13, atol=1e-13)
            with pytest.raises(alchemist.WrongTypeError, match="float64"):
                means.column_means(als.send_matrix(a.astype("f4")))
            assert "A (matrix): float64, in any layout" in means.column_means.__doc__
    finally:
        daemon.stop()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", sorted(p.name for p in (TOP / "man").glob("*.[178]")))
def test_manual_pages_are_well_formed(page):
    ended = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", TOP / "man" / page], capture_output=True, text=True)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
