"""Structs, constants and error codes in Python are those of the C headers."""

import ctypes
import enum
import pathlib
import re
import subprocess

import pytest

import alchemist
from alchemist import _ffi, codes

INCLUDE = pathlib.Path(__file__).parents[3] / "include"

STRUCTS = {
    "alch_error_t": _ffi.Error, "alch_layout_t": _ffi.Layout, "alch_rect_t": _ffi.Rect,
    "alch_session_options_t": _ffi.SessionOptions, "alch_worker_t": _ffi.Worker, "alch_matrix_info_t": _ffi.MatrixInfo,
    "alch_timing_t": _ffi.Timing, "alch_parameter_t": _ffi.Parameter, "alch_function_t": _ffi.Function,
    "alch_task_progress_t": _ffi.TaskProgress, "alch_local_t": _ffi.Local,
}

# The header of each enum, the type in C (None for macros), and the prefix of its constants.
ENUMS = {
    codes.DType: ("types.h", "alch_dtype_t", "ALCH_"),
    codes.Distribution: ("layout.h", "alch_dist_t", "ALCH_"),
    codes.WorkerFilter: ("session.h", "alch_worker_filter_t", "ALCH_WORKERS_"),
    codes.WorkerState: ("session.h", "alch_worker_state_t", "ALCH_WORKER_"),
    codes.Type: ("library.h", "alch_type_t", "ALCH_TYPE_"),
    codes.NoteKind: ("library.h", "alch_note_kind_t", "ALCH_"),
    codes.TaskState: ("task.h", "alch_task_state_t", "ALCH_TASK_"),
    codes.TransformFlag: ("task.h", None, "ALCH_TRANSFORM_"),
}


def evaluate(expressions, directory):
    """The values that the C compiler gives to integer expressions."""
    source = directory / "values.c"
    lines = "".join(f'printf("%lld\\n", (long long)({expression}));\n' for expression in expressions)
    source.write_text("#include <alchemist/alchemist.h>\n#include <stddef.h>\n#include <stdio.h>\n"
                      "int main(void) {\n" + lines + "return 0; }\n")
    program = directory / "values"
    subprocess.run(["gcc", "-I", INCLUDE, "-o", program, source], check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return [int(line) for line in printed.split()]


def constants_of(header, c_type, prefix):
    """The names of the constants of an enum, or of the macros with a prefix, in a header."""
    text = (INCLUDE / "alchemist" / header).read_text()
    if c_type is None:
        return set(re.findall(rf"^#define ({prefix}\w+) ", text, re.M))
    body = re.search(r"typedef enum (?:\w+ )?\{([^}]*)\} " + c_type + ";", text).group(1)
    return set(re.findall(r"\bALCH_\w+(?= *(?:=|,|$))", re.sub(r"/\*.*?\*/", "", body, flags=re.S), re.M))


@pytest.mark.parametrize("c_name", STRUCTS)
def test_fields_of_structs_are_where_the_c_compiler_puts_them(c_name, tmp_path):
    struct = STRUCTS[c_name]
    fields = [name for name, _ in struct._fields_]
    measured = evaluate([f"sizeof({c_name})", *(f"offsetof({c_name}, {f})" for f in fields),
                         *(f"sizeof((({c_name} *)0)->{f})" for f in fields)], tmp_path)
    assert measured == [ctypes.sizeof(struct), *(getattr(struct, f).offset for f in fields),
                        *(getattr(struct, f).size for f in fields)]


@pytest.mark.parametrize("python_enum", ENUMS, ids=lambda e: e.__name__)
def test_enums_have_the_values_of_the_c_constants(python_enum, tmp_path):
    prefix = ENUMS[python_enum][2]
    assert evaluate([prefix + member.name for member in python_enum], tmp_path) == [m.value for m in python_enum]


@pytest.mark.parametrize("python_enum", ENUMS, ids=lambda e: e.__name__)
def test_enums_lack_no_constant_of_the_header(python_enum):
    header, c_type, prefix = ENUMS[python_enum]
    assert constants_of(header, c_type, prefix) == {prefix + member.name for member in python_enum}


def test_every_enum_of_the_package_is_compared_with_a_header():
    assert set(ENUMS) == {x for x in vars(codes).values() if isinstance(x, type) and issubclass(x, enum.Enum)}


def test_every_error_code_has_its_class():
    header = (INCLUDE / "alchemist" / "error.h").read_text()
    declared = {name: int(value) for name, value in re.findall(r"X\((ALCH_E\w+), (\d+)", header)}
    classes = [x for x in vars(alchemist).values() if isinstance(x, type) and issubclass(x, alchemist.AlchemistError)]
    assert {c.name: c.code for c in classes if c is not alchemist.AlchemistError} == declared
