"""Which libraries the workers accept, and how the refusals read."""

import inspect
import os
import pydoc
import shutil

import numpy as np
import pytest

import alchemist
from harness import BUILD

PLUGINS = BUILD / "plugins"
TEST = BUILD / "test" / "plugins"


@pytest.mark.parametrize("name, text", [
    ("wrongabi", r"ABI"),
    ("wrongsize", r"size"),
    ("wrongmpi", r"MPICH.*Open MPI|Open MPI.*MPICH"),
    ("nosymbol", r"alch_plugin"),
    ("badsignature", r"signature|expected"),
    ("openmpi1", r"Open MPI"),
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
