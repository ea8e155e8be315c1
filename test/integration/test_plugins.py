"""Which libraries the workers accept, and how the refusals read."""

import inspect
import os
import pathlib
import pydoc
import shutil
import subprocess

import numpy as np
import pytest

import alchemist
from harness import BUILD

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
def test_refusals(als, name, text):
    with pytest.raises(alchemist.PluginError, match=text) as caught:
        als.load_library(name)
    assert name in str(caught.value)
    assert als.load_library("hello").total(als.send_matrix(np.ones((2, 2)))) == 4, "the group lives on"


def test_paths(als, tmp_path):
    assert als.load_library("TestLib", str(PLUGINS / "testlib.so")).name == "TestLib"
    copy = tmp_path / "testlib.so"
    shutil.copy(PLUGINS / "testlib.so", copy)
    for path in (copy, PLUGINS / ".." / ".." / copy, os.path.relpath(copy, PLUGINS)):
        with pytest.raises((alchemist.NotPermittedError, alchemist.NotFoundError)):
            als.load_library("TestLib", str(path))
    link = tmp_path / "link.so"
    link.symlink_to(PLUGINS / "testlib.so")
    als.load_library("TestLib", str(link))  # resolves into a listed directory
    with pytest.raises(alchemist.NotFoundError, match="missing.so"):
        als.load_library("TestLib", str(PLUGINS / "missing.so"))
    for name in ("", "../testlib", "a/b", "x" * 5000, "nul\0"[:3]):
        with pytest.raises(alchemist.AlchemistError):
            als.load_library(name)


def compiled(directory, name, change, *flags):
    """plugins/hello with another name and a change: a library that somebody has just written."""
    source = (TOP / "plugins" / "hello" / "hello.c").read_text().replace('.name = "hello"', f'.name = "{name}"')
    (directory / f"{name}.c").write_text(change(source))
    subprocess.run(["mpicc.mpich", "-shared", "-fPIC", f"-I{TOP / 'include'}", "-o", directory / f"{name}.so",
                    directory / f"{name}.c", *flags], check=True)


def test_refusals_say_what_to_do(own_daemon, tmp_path):
    missing = tmp_path / "missing"
    missing.mkdir()
    (tmp_path / "other.c").write_text("int other(void) { return 1; }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", missing / "libother.so", tmp_path / "other.c"], check=True)
    calls_other = lambda text: text.replace("int one = 1", "extern int other(void); int one = other()")
    fails = ("static int start(alch_call_t *call) { return call->rank == 1 ? call->host->fail(call, ALCH_ENOENT, "
             '"no licence") : ALCH_OK; }\nstatic const alch_plugin_t plugin = {.init = start,')
    compiled(tmp_path, "undefined", calls_other)
    compiled(tmp_path, "unfound", calls_other, f"-L{missing}", "-lother")
    compiled(tmp_path, "found", calls_other, f"-L{missing}", "-lother", f"-Wl,-rpath,{missing}")
    compiled(tmp_path, "unstarted", lambda text: text.replace("static const alch_plugin_t plugin = {", fails))
    compiled(tmp_path, "shared", lambda text: text)
    (tmp_path / "shared.so").chmod(0o757)
    daemon = own_daemon(2, "--plugin-dir", str(tmp_path))
    with daemon.connect(workers=2) as als:
        for name, text in (("undefined", "undefined symbol: other; link the library that defines it"),
                           ("unfound", r"libother\.so: cannot open.*-Wl,-rpath"),
                           ("unstarted", r"unstarted\.so: init: no licence"),
                           ("shared", r"written by everybody \(mode 0757\): chmod o-w")):
            with pytest.raises(alchemist.AlchemistError, match=text):
                als.load_library(name)
        with pytest.raises(alchemist.PluginError, match="is not a file"):
            als.load_library("found", tmp_path)
        with pytest.raises(alchemist.NotFoundError, match="absolute path on the workers' host"):
            als.load_library("found", "found.so")
        assert "2 workers" in als.load_library("found").hello("there")


def test_a_file_that_is_no_library(own_daemon, tmp_path):
    (tmp_path / "text.so").write_text("not an ELF file")
    data = (PLUGINS / "hello.so").read_bytes()
    (tmp_path / "cut.so").write_bytes(data[:3000])
    (tmp_path / "empty.so").write_bytes(b"")
    daemon = own_daemon(2, "--plugin-dir", str(tmp_path))
    with daemon.connect(workers=2) as als:
        for name in ("text", "cut", "empty"):
            with pytest.raises(alchemist.PluginError, match=name):
                als.load_library(name)


def test_another_name_than_asked(als):
    with pytest.raises(alchemist.AlchemistError, match="hello"):
        als.load_library("TestLib", str(PLUGINS / "hello.so"))


def test_loading_twice(als):
    one, two = als.load_library("hello"), als.load_library("hello")
    assert one.version == two.version and als.list_loaded_libraries() == ["hello"]


def test_help_shows_what_a_library_says(als):
    """What a user sees with help(): call, summary, parameters, results, text; and the library's list of functions."""
    for name in als.list_available_libraries():
        try:
            library = als.load_library(name)
        except alchemist.PluginError:
            continue  # the ones that are to be refused
        listed = pydoc.plain(pydoc.render_doc(library))
        for function in library.functions.values():
            text = pydoc.plain(pydoc.render_doc(function))
            assert function.summary and function.summary in text and function.name in listed, function
            assert f"{function.name}(" in text
            for parameter in inspect.signature(function).parameters:
                assert f" {parameter.rstrip('_')} (" in text or f" {parameter} (" in text, (function, parameter)
    text = pydoc.plain(pydoc.render_doc(als.load_library("hello").hello))
    assert 'hello(name: str = "world") -> greeting' in text
    assert "name (string): whom to greet" in text
    assert "greeting (string): says how many workers there are" in text


@pytest.mark.parametrize("arguments, named, text", [
    ((), {}, "'A' is missing"),
    ((1, 2), {}, "2 arguments are given, but the function has at most 1: A:matrix"),
    ((), {"B": 1}, "no parameter 'B': A:matrix"),
    ((1,), {"A": 1}, "'A' is given twice"),
    (("x",), {}, "matrix expected, got string"),
    ((np.eye(2),), {}, "send_matrix"),
])
def test_wrong_calls_are_type_errors(als, arguments, named, text):
    """As of every Python function, and with the name of the one that was called."""
    with pytest.raises(TypeError, match=f"hello.total: .*{text}"):
        als.load_library("hello").total(*arguments, **named)
