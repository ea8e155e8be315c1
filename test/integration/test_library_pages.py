"""The manual pages: the pages generated from the documentation in the libraries, and references between all pages."""

import os
import re
import shutil
import subprocess

import pytest

from harness import BUILD, TOP

PAGES = sorted((BUILD / "man").glob("*.7"))  # generated
WRITTEN = sorted((TOP / "man").glob("*.[178]"))


def test_the_build_makes_the_page_of_linalg():
    assert "alchemist-linalg.7" in [page.name for page in PAGES]


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_generated_page_is_formatted_without_warnings(page):
    run = subprocess.run(["groff", "-man", "-ww", "-Tutf8", str(page)], capture_output=True, timeout=60,
                         env={**os.environ, "LD_PRELOAD": ""})  # groff must not load the sanitizers
    assert run.returncode == 0 and run.stderr == b"", run.stderr.decode()


def test_pages_refer_only_to_pages_that_exist():
    """References by .Xr (mdoc) or .BR (man) to Alchemist's own pages; other pages may not be installed here."""
    existing = {page.name for page in PAGES + WRITTEN}
    for page in PAGES + WRITTEN:
        text = page.read_text().replace("\\-", "-")
        for name, section in re.findall(r"^(?:\.Xr|\.BR) +(alchemist\S*) +\(?(\d)\)?", text, re.M):
            assert f"{name}.{section}" in existing, f"{page.name} refers to {name}({section})"


def test_every_function_and_parameter_is_on_the_page_of_its_library(daemon):
    with daemon.connect(workers=1) as als:
        for page in PAGES:
            text = page.read_text().replace("\\-", "-").replace("\\e", "\\")
            for function in als.load_library(page.stem.removeprefix("alchemist-")).functions.values():
                assert f".SS {function.name}\n" in text
                for parameter in function._parameters + function._results:
                    assert f".I {parameter.name}\n" in text, f"{page.name}: {function.name}: {parameter.name}"
