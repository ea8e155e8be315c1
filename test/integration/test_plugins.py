"""Which libraries the workers accept, and the texts of the refusals."""

import inspect
import os
import pathlib
import pydoc
import shutil
import subprocess

import numpy as np
import pytest

import alchemist
from harness import BUILD, Daemon

TOP = pathlib.Path(__file__).parents[2]
PLUGINS = BUILD / "plugins"
TEST = BUILD / "test" / "plugins"


@pytest.mark.parametrize("name, text", [
    ("wrongabi", r"ABI.*compile it with this server's <alchemist/plugin.h>"),
    ("wrongsize", r"size"),
    ("wrongmpi", r"MPICH.*Open MPI|Open MPI.*MPICH"),
    ("nosymbol", r"alch_plugin"),
    ("badsignature", r"signature|expected"),
    ("openmpi1", r"Open MPI.*mpicc\.mpich"),
    ("openmpi2", r"Open MPI"),
    ("misnamed", r"misnamed"),
])
def test_a_library_that_does_not_fit_is_refused_and_the_group_remains(als, name, text):
    with pytest.raises(alchemist.PluginError, match=text) as caught:
        als.load_library(name)
    assert name in str(caught.value)
    total = als.load_library("hello").total(als.send_matrix(np.ones((2, 2))))
    assert total == 4, "the group does not work after the refusal"


def test_a_path_inside_a_plugin_directory_is_loaded(als, tmp_path):
    assert als.load_library("TestLib", str(PLUGINS / "testlib.so")).name == "TestLib"
    link = tmp_path / "link.so"
    link.symlink_to(PLUGINS / "testlib.so")
    als.load_library("TestLib", str(link))  # the link leads into a plugin directory


def test_a_path_outside_of_the_plugin_directories_is_refused(als, tmp_path):
    copy = tmp_path / "testlib.so"
    shutil.copy(PLUGINS / "testlib.so", copy)
    for path in (copy, PLUGINS / ".." / ".." / copy, os.path.relpath(copy, PLUGINS)):
        with pytest.raises((alchemist.NotPermittedError, alchemist.NotFoundError)):
            als.load_library("TestLib", str(path))


def test_a_missing_library_is_refused_by_name(als):
    with pytest.raises(alchemist.NotFoundError, match="missing.so"):
        als.load_library("TestLib", str(PLUGINS / "missing.so"))
    for name in ("", "../testlib", "a/b", "x" * 5000, "nul"):
        with pytest.raises(alchemist.AlchemistError):
            als.load_library(name)


def compiled(directory, name, change, *flags):
    """Compile plugins/hello under another name and with a change, as an author of a library does."""
    source = (TOP / "plugins" / "hello" / "hello.c").read_text().replace('.name = "hello"', f'.name = "{name}"')
    (directory / f"{name}.c").write_text(change(source))
    subprocess.run(["mpicc.mpich", "-shared", "-fPIC", f"-I{TOP / 'include'}", "-o", directory / f"{name}.so",
                    directory / f"{name}.c", *flags], check=True)


def calls_other(source):
    """hello.c, with a call of a function that libother defines."""
    return source.replace("int one = 1", "extern int other(void); int one = other()")


def fails_in_init(source):
    """hello.c, with an init that fails on rank 1."""
    return source.replace(
        "static const alch_plugin_t plugin = {",
        "static int start(alch_call_t *call) { return call->rank == 1 ? call->host->fail(call, ALCH_ENOENT, "
        '"no license") : ALCH_OK; }\nstatic const alch_plugin_t plugin = {.init = start,')


@pytest.fixture(scope="module")
def authored(tmp_path_factory):
    """A directory of libraries with the mistakes that their authors make; `found` is a good one."""
    directory = tmp_path_factory.mktemp("authored")
    missing = directory / "missing"
    missing.mkdir()
    (directory / "other.c").write_text("int other(void) { return 1; }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", missing / "libother.so", directory / "other.c"], check=True)
    compiled(directory, "undefined", calls_other)
    compiled(directory, "unfound", calls_other, f"-L{missing}", "-lother")
    compiled(directory, "found", calls_other, f"-L{missing}", "-lother", f"-Wl,-rpath,{missing}")
    compiled(directory, "unstarted", fails_in_init)
    compiled(directory, "shared", lambda source: source)
    (directory / "shared.so").chmod(0o757)
    return directory


@pytest.fixture(scope="module")
def author(authored):
    """A session whose server loads the libraries of `authored`."""
    d = Daemon(2, "--plugin-dir", str(authored))
    with d.connect(workers=2) as session:
        yield session
    d.stop()


@pytest.mark.parametrize("name, text", [
    ("undefined", "undefined symbol: other; link the library that defines it"),
    ("unfound", r"libother\.so: cannot open.*-Wl,-rpath"),
    ("unstarted", r"unstarted\.so: init: no license"),
    ("shared", r"shared\.so.*\(mode 0757\).*chmod o-w"),
])
def test_a_refusal_says_how_to_correct_the_library(author, name, text):
    with pytest.raises(alchemist.AlchemistError, match=text):
        author.load_library(name)


def test_a_library_that_finds_what_it_needs_is_loaded(author):
    assert "2 workers" in author.load_library("found").hello("there")


def test_a_path_must_be_absolute_and_name_a_file(author, authored):
    with pytest.raises(alchemist.PluginError, match="is not a file"):
        author.load_library("found", authored)
    with pytest.raises(alchemist.NotFoundError, match="absolute path on the workers' host"):
        author.load_library("found", "found.so")


def test_a_file_that_is_not_a_library_is_refused_by_name(own_daemon, tmp_path):
    (tmp_path / "text.so").write_text("not an ELF file")
    data = (PLUGINS / "hello.so").read_bytes()
    (tmp_path / "cut.so").write_bytes(data[:3000])
    (tmp_path / "empty.so").write_bytes(b"")
    daemon = own_daemon(2, "--plugin-dir", str(tmp_path))
    with daemon.connect(workers=2) as als:
        for name in ("text", "cut", "empty"):
            with pytest.raises(alchemist.PluginError, match=name):
                als.load_library(name)


def test_a_library_with_another_name_than_asked_for_is_refused(als):
    with pytest.raises(alchemist.AlchemistError, match="hello"):
        als.load_library("TestLib", str(PLUGINS / "hello.so"))


def test_loading_a_library_twice_lists_it_once(als):
    one, two = als.load_library("hello"), als.load_library("hello")
    assert one.version == two.version and als.list_loaded_libraries() == ["hello"]


def test_help_shows_what_a_library_says(als):
    """help() of a function shows its call, summary, parameters and results; help() of a library lists its functions."""
    for name in als.list_available_libraries():
        try:
            library = als.load_library(name)
        except alchemist.PluginError:
            continue  # a library that must be refused
        listed = pydoc.plain(pydoc.render_doc(library))
        for function in library.functions.values():
            text = pydoc.plain(pydoc.render_doc(function))
            assert function.summary and function.summary in text and function.name in listed, function
            assert f"{function.name}(" in text
            for parameter in inspect.signature(function).parameters:
                assert f" {parameter.rstrip('_')} (" in text or f" {parameter} (" in text, (function, parameter)
    text = pydoc.plain(pydoc.render_doc(als.load_library("hello").hello))
    assert 'hello(name: str = "world") -> greeting' in text
    assert "name (string): the name to greet" in text
    assert "greeting (string): names the number of workers" in text


@pytest.mark.parametrize("arguments, named, text", [
    ((), {}, "'A' is missing"),
    ((1, 2), {}, "2 arguments are given, but the function has at most 1: A:matrix"),
    ((), {"B": 1}, "no parameter 'B': A:matrix"),
    ((1,), {"A": 1}, "'A' is given twice"),
    (("x",), {}, "must be matrix, not string"),
    ((np.eye(2),), {}, "send_matrix"),
])
def test_wrong_calls_are_type_errors(als, arguments, named, text):
    """The error is that of a Python function, and names the function that was called."""
    with pytest.raises(TypeError, match=f"hello.total: .*{text}"):
        als.load_library("hello").total(*arguments, **named)
