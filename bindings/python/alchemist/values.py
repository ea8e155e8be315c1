"""Typed values of the C library: the arguments of a call, and the results of a task."""

import ctypes as C
import numbers

import numpy as np

from . import _ffi
from .codes import Type
from .errors import WrongTypeError
from .matrix import MatrixHandle

# The kind of a type: the C library sets and gets values of all types of one kind through the same functions.
KIND_OF = {
    Type.BOOL: "bool",
    Type.INT8: "int", Type.INT16: "int", Type.INT32: "int", Type.INT64: "int",
    Type.UINT8: "uint", Type.UINT16: "uint", Type.UINT32: "uint", Type.UINT64: "uint",
    Type.FLOAT32: "real", Type.FLOAT64: "real",
    Type.COMPLEX64: "complex", Type.COMPLEX128: "complex",
    Type.STRING: "string",
    Type.MATRIX: "matrix",
}

# The C type that a scalar of a kind is read into. Complex numbers are read into two doubles.
_SCALARS = {"bool": C.c_bool, "int": C.c_int64, "uint": C.c_uint64, "real": C.c_double, "string": C.c_char_p}

# The kinds of lists, with the plural in the name of the C function and the C type of the array. A list that holds
# numbers of several kinds takes the first of them here, which can hold the others.
_LISTS = [
    ("matrix", "matrices", C.c_uint64), ("string", "strings", C.c_char_p), ("complex", "complexes", C.c_double),
    ("real", "reals", C.c_double), ("uint", "uints", C.c_uint64), ("int", "ints", C.c_int64),
    ("bool", "bools", C.c_bool),
]
_NUMBERS = {"int", "uint", "real", "complex"}


def scalar(x):
    """The kind of a scalar and its arguments in C; None if x is not a scalar."""
    if isinstance(x, MatrixHandle):
        return "matrix", (x._handle() and x.id,)
    if isinstance(x, (bool, np.bool_)):
        return "bool", (bool(x),)
    if isinstance(x, numbers.Integral):
        x = int(x)
        if -2**63 <= x < 2**63:
            return "int", (x,)
        if 0 <= x < 2**64:
            return "uint", (x,)
        raise WrongTypeError(f"{x} does not fit in 64 bits")
    if isinstance(x, numbers.Real):
        return "real", (float(x),)
    if isinstance(x, numbers.Complex):
        return "complex", (complex(x).real, complex(x).imag)
    if isinstance(x, str):
        return "string", (_ffi.encode(x),)
    return None


def set_argument(values, function, parameter, x):
    """Add an argument to a set of values, with the type that it has in Python. The driver converts it.

    Args:
        values: the set of values, an alch_values_t.
        function: the name of the function, for error texts.
        parameter: the library.Parameter that the argument is for.
        x: a scalar, or a list or one-dimensional array of scalars.
    """
    what = f"{function}: parameter {parameter.name!r}"
    key = parameter.name.encode()
    entry = scalar(x)
    if entry is not None:
        code = getattr(_ffi.lib, "values_set_" + entry[0])(values, key, *entry[1])
    elif isinstance(x, (list, tuple, range)) or (isinstance(x, np.ndarray) and x.ndim == 1):
        code = _set_list(values, what, key, list(x), parameter.type)
    else:
        hint = ": send it with send_matrix() first" if isinstance(x, np.ndarray) else ""
        raise WrongTypeError(f"{what}: {type(x).__name__} cannot be passed{hint}")
    if code:
        raise WrongTypeError(f"{what}: {_ffi.lib.strerror(code).decode()}")


def _set_list(values, what, key, items, declared):
    entries = [scalar(x) for x in items]
    if None in entries:
        item = items[entries.index(None)]
        raise WrongTypeError(f"{what}: the list holds {type(item).__name__}, but must hold scalars of one type")
    kinds = {kind for kind, _ in entries}
    if not kinds:  # as a list with entries: small integers are "int" whatever the parameter's type is
        kinds = {"int"} if KIND_OF[declared] == "uint" else {KIND_OF[declared]}
    if len(kinds) > 1 and not kinds <= _NUMBERS:
        raise WrongTypeError(f"{what}: the list holds {', '.join(sorted(kinds))}, but must hold scalars of one type")
    kind, plural, c_type = next(row for row in _LISTS if row[0] in kinds)
    if kind == "complex":
        flat = [part for x in items for part in (complex(x).real, complex(x).imag)]
    else:
        flat = [arguments[0] for _, arguments in entries]
    array = (c_type * len(flat))(*flat)
    return getattr(_ffi.lib, "values_set_" + plural)(values, key, array, len(items))


def read_results(task):
    """The names of the results of a task that is done, and the results as Python objects."""
    values = task._result_values()
    names = [_ffi.lib.values_name(values, k) for k in range(_ffi.lib.values_count(values))]
    return [name.decode() for name in names], [_read_result(task, values, name) for name in names]


def _read_result(task, values, name):
    c_type, is_list, count = C.c_int(), C.c_bool(), C.c_size_t()
    _ffi.lib.values_describe(values, name, C.byref(c_type), C.byref(is_list), C.byref(count))
    kind = KIND_OF[c_type.value]
    if kind == "matrix":
        entries = [MatrixHandle(task._session, task._open_matrix(name, k)) for k in range(count.value)]
    else:
        entries = [_read_entry(values, name, k, kind) for k in range(count.value)]
    return entries if is_list.value else entries[0]


def _read_entry(values, name, index, kind):
    """One entry of a value: entry 0 of a scalar."""
    read = getattr(_ffi.lib, "values_get_" + kind)
    if kind == "complex":
        real, imaginary = C.c_double(), C.c_double()
        read(values, name, index, C.byref(real), C.byref(imaginary))
        return complex(real.value, imaginary.value)
    x = _SCALARS[kind]()
    read(values, name, index, C.byref(x))
    return x.value.decode("utf-8") if kind == "string" else x.value
