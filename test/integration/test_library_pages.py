"""The manual pages: those that are made from what the libraries say of themselves, and what all refer to."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import BUILD

PAGES = sorted((BUILD / "man").glob("*.7"))
WRITTEN = sorted((pathlib.Path(__file__).parents[2] / "man").glob("*.[178]"))


def test_there_are_pages():
    assert "alchemist-linalg.7" in [page.name for page in PAGES]


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_sound_roff(page):
    run = subprocess.run(["groff", "-man", "-ww", "-Tutf8", str(page)], capture_output=True, timeout=60,
                         env={**os.environ, "LD_PRELOAD": ""})  # a sanitizer is not for groff
    assert run.returncode == 0 and run.stderr == b"", run.stderr.decode()


def test_pages_refer_to_pages_there_are():
    """By .Xr (mdoc) or .BR (man): other pages than Alchemist's own would need a machine that has them."""
    there = {page.name for page in PAGES + WRITTEN}
    for page in PAGES + WRITTEN:
        for name, section in re.findall(r"^(?:\.Xr|\.BR) +(alchemist\S*) +\(?(\d)\)?", page.read_text().replace("\\-", "-"), re.M):
            assert f"{name}.{section}" in there, f"{page.name} refers to {name}({section})"


def test_every_function_is_on_its_page(daemon):
    with daemon.connect(workers=1) as als:
        for page in PAGES:
            text = page.read_text().replace("\\-", "-").replace("\\e", "\\")
            for function in als.load_library(page.stem.removeprefix("alchemist-")).functions.values():
                assert f".SS {function.name}\n" in text
                for parameter in function._parameters + function._results:
                    assert f".I {parameter.name}\n" in text, f"{page.name}: {function.name}: {parameter.name}"
