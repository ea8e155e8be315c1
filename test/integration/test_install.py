"""The tree that `make install` makes works without the build tree."""

import os
import re
import shutil
import subprocess
import types

import numpy as np
import pytest

import alchemist
from harness import BUILD, SANITIZED, TOP

pytestmark = pytest.mark.skipif(SANITIZED, reason="the installed tree is tested without sanitizers")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The prefix of an installed tree."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "install", f"O={os.path.relpath(BUILD, TOP)}", f"DESTDIR={root}",
                    "PREFIX=/opt/alchemist"], cwd=TOP, check=True)
    return root / "opt" / "alchemist"


def pkg_config(root, *arguments):
    sysroot = str(root)[:-len("/opt/alchemist")]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(root / "lib" / "pkgconfig")}
    ended = subprocess.run(["pkg-config", *arguments], env=environment, check=True, capture_output=True, text=True)
    return ended.stdout.replace("/opt/alchemist", sysroot + "/opt/alchemist").split()


@pytest.mark.parametrize("path", ["bin/alchemistd", "include/alchemist/alchemist.h", "include/alchemist/plugin.h",
                                  "lib/libalchemist.so.0", "lib/libalchemist-client.so.0",
                                  "lib/alchemist/plugins/testlib.so", "share/man/man8/alchemistd.8",
                                  "share/man/man7/alchemist-linalg.7"])
def test_install_puts_each_file_in_its_place(root, path):
    assert (root / path).exists()


def test_the_installed_daemon_runs(root):
    version = subprocess.run([root / "bin" / "alchemistd", "--version"], capture_output=True, text=True,
                             env={**os.environ, "LD_LIBRARY_PATH": str(root / "lib")}, check=True).stdout
    assert alchemist.__version__ in version


def symbols(path):
    """The dynamic symbols that a library defines."""
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


def needed(path):
    """The libraries that a library is linked with."""
    out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return {line.split("[")[1].rstrip("]") for line in out.splitlines() if "(NEEDED)" in line}


@pytest.mark.parametrize("name", ["libalchemist.so.0", "libalchemist-client.so.0"])
def test_every_exported_symbol_begins_with_alch(root, name):
    exported = symbols(root / "lib" / name)
    assert exported and all(s.startswith("alch_") for s in exported)


def test_the_client_library_exports_a_part_of_the_whole_library(root):
    client, whole = (symbols(root / "lib" / name) for name in ("libalchemist-client.so.0", "libalchemist.so.0"))
    assert client < whole
    assert "alch_server_main" in whole - client


def test_the_client_library_needs_neither_mpi_nor_blas(root):
    assert needed(root / "lib" / "libalchemist-client.so.0") <= {"libc.so.6", "ld-linux-x86-64.so.2", "libjansson.so.4"}


def test_a_c_program_built_against_the_installed_tree_runs(root, tmp_path, monkeypatch):
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


needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@pytest.mark.parametrize("compiler", [["mpicc.mpich"], pytest.param(["mpicxx.mpich", "-x", "c++"], marks=needs_cxx)],
                         ids=["C", "C++"])
def test_the_plugin_template_built_against_the_installed_tree_loads(root, tmp_path, compiler):
    """plugins/hello is the template. It builds outside of the source tree, and also as C++."""
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
    """The source file `name` in a manual page: the lines between its two marks."""
    text = path.read_text()
    begin, end = f'.\\" Begin of {name}\n', f'.\\" End of {name}\n'
    return text[text.index(begin) + len(begin):text.index(end)].replace("\\e", "\\")


@pytest.fixture(scope="module")
def means(root, tmp_path_factory):
    """The library `means` of the manual, in a session of an installed daemon.

    The source comes from the installed manual page and is compiled by the command on that page, outside of the tree.
    """
    tmp_path = tmp_path_factory.mktemp("means")
    page = root / "share" / "man" / "man7" / "alchemist-plugin.7"
    (tmp_path / "means.c").write_text(example(page, "means.c"))
    command = re.search(r"mpicc\.mpich .*?means\.c", page.read_text(), re.DOTALL).group().replace("\\e\n", "")
    flags = " ".join(pkg_config(root, "--cflags", "alchemist"))
    command = command.replace("$(pkg-config --cflags alchemist)", flags) + " -Wall -Wextra -Werror"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALCHEMIST_DAEMON", str(root / "bin" / "alchemistd"))
        patch.setenv("LD_LIBRARY_PATH", str(root / "lib"))
        daemon = alchemist.Daemon(3, [tmp_path])
    try:
        with alchemist.connect(connection_file=daemon.connection_file, workers=3) as als:
            yield types.SimpleNamespace(session=als, library=als.load_library("means"))
    finally:
        daemon.stop()


def test_the_example_of_the_manual_is_short(root):
    page = root / "share" / "man" / "man7" / "alchemist-plugin.7"
    assert 0 < len(example(page, "means.c").splitlines()) < 100


@pytest.mark.parametrize("layout", [None, "STAR_VC", "MC_MR"])
def test_the_example_of_the_manual_computes_column_means_in_every_layout(means, layout):
    a = np.random.default_rng(1).standard_normal((501, 37))
    mine = np.asarray(means.library.column_means(means.session.send_matrix(a, layout=layout)))
    assert np.allclose(mine, a.mean(axis=0)[None, :], rtol=1e-13, atol=1e-13)


def test_the_example_of_the_manual_refuses_other_types(means):
    with pytest.raises(alchemist.WrongTypeError, match="float64"):
        means.library.column_means(means.session.send_matrix(np.ones((501, 37), "f4")))


def test_the_example_of_the_manual_is_documented_in_python(means):
    assert "A (matrix): float64, in any layout" in means.library.column_means.__doc__


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", sorted(p.name for p in (TOP / "man").glob("*.[178]")))
def test_a_manual_page_is_formatted_without_warnings(page):
    ended = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", TOP / "man" / page], capture_output=True,
                           text=True)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
