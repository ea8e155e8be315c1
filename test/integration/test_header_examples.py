"""The examples in the first comments of the public headers compile as printed, and run against a server."""

import os
import re
import subprocess

import numpy as np
import pytest

import alchemist
from harness import BUILD, PATIENCE, SANITIZED, TOP, Daemon

FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{TOP / 'include'}"]


def example(header):
    """The code after "one way to use this API" in the first comment of a header."""
    comment = re.match(r"/\*\*(.*?)\*/", (TOP / "include" / "alchemist" / header).read_text(), re.DOTALL).group(1)
    text = "\n".join(re.sub(r"^ \* ?", "", line) for line in comment.split("\n"))
    return re.search(r"ne way to use this API.*?\n\n((?:    [^\n]*\n|\n)+)", text, re.DOTALL).group(1)


@pytest.mark.skipif(SANITIZED, reason="the examples are built without sanitizers")
def test_the_client_examples_run_one_inside_the_other(tmp_path):
    """The example of session.h has a place for the others. That of task.h needs a matrix A and a loaded library."""
    task_needs = """double entries[6] = {1, 2, 3, 4, 5, 6};
        alch_matrix_t *A = NULL;
        alch_library_t *testlib = NULL;
        if (alch_library_load(session, "testlib", NULL, 30000, &testlib, &err) ||
            alch_matrix_create(session, 3, 2, ALCH_FLOAT64, NULL, "A", &A, &err) ||
            alch_matrix_write(A, NULL, entries, 2, 1, &err))
            fprintf(stderr, "%s", err.text);\n"""
    inner = "".join("{\n" + code + "}\n" for code in
                    (example("matrix.h"), example("library.h"), task_needs + example("task.h") +
                     "alch_matrix_destroy(S);\nalch_matrix_destroy(A);\nalch_library_destroy(testlib);\n"))
    outer, count = re.subn(r" *// now: matrix\.h, library\.h, task\.h\n", lambda _: inner, example("session.h"))
    assert count == 1
    source, program = tmp_path / "examples.c", tmp_path / "examples"
    source.write_text("#include <alchemist/alchemist.h>\n#include <stdio.h>\nint\nmain(void)\n{\n" + outer +
                      "return 0;\n}\n")
    subprocess.run(["gcc", *FLAGS, "-o", program, source, f"-L{BUILD / 'lib'}", "-lalchemist-client",
                    f"-Wl,-rpath,{BUILD / 'lib'}"], check=True)
    daemon = Daemon(3)
    try:
        run = subprocess.run([program], capture_output=True, text=True, timeout=60 * PATIENCE, check=False,
                             env={**os.environ, "ALCHEMIST_CONNECTION": daemon.connection_file})
    finally:
        daemon.stop()
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(r"^total\(", run.stdout, re.MULTILINE)


@pytest.mark.skipif(SANITIZED, reason="the examples are built without sanitizers")
def test_the_library_example_adds_up_a_matrix(tmp_path):
    source = tmp_path / "sums.c"
    source.write_text(example("plugin.h"))
    subprocess.run(["mpicc.mpich", *FLAGS, "-fPIC", "-shared", "-o", tmp_path / "sums.so", source], check=True)
    (tmp_path / "sums.so").chmod(0o755)
    with alchemist.local(workers=3, options=["--plugin-dir", str(tmp_path)]) as als:
        A = als.send_matrix(np.arange(60.0).reshape(12, 5), layout="MC_STAR")
        assert als.load_library("sums").sum(A) == 1770
