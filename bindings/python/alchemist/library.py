"""Libraries that the workers loaded, as objects with documented functions."""

import collections
import ctypes as C
import inspect
import keyword
import numbers

import numpy as np

from . import _ffi
from .describe import describe, listing
from .errors import WrongTypeError
from .matrix import MatrixHandle
from .task import Task

_ANNOTATIONS = {1: bool, 10: float, 11: float, 12: complex, 13: complex, 14: str, 15: MatrixHandle}


class Library:
    """A library loaded in a session: its functions are attributes, as its documentation says.

    ``help(lib)`` and ``help(lib.function)`` show what the library itself says.
    """

    def __init__(self, session, pointer):
        lib = _ffi.lib
        try:
            self._name = lib.library_name(pointer).decode()
            self._version = lib.library_version(pointer).decode()
            summary = lib.library_summary(pointer).decode()
            count = lib.library_function_count(pointer)
            self._functions = collections.OrderedDict()
            for k in range(count):
                function = Function(session, self._name, lib.library_function(pointer, k).contents)
                self._functions[function.name] = function
        finally:
            lib.library_destroy(pointer)
        self.__doc__ = listing(f"{self._name} {self._version}: {summary}",
                               [(f._call, f.summary) for f in self._functions.values()])

    @property
    def name(self):
        """The library's own name."""
        return self._name

    @property
    def version(self):
        """The library's version."""
        return self._version

    @property
    def functions(self):
        """Its functions by name."""
        return dict(self._functions)

    def __getattr__(self, name):
        functions = self.__dict__.get("_functions", {})
        if name in functions:
            return functions[name]
        raise AttributeError(f"library {self.__dict__.get('_name')!r} has no function {name!r}: "
                             + ", ".join(functions))

    def __dir__(self):
        return sorted(set(super().__dir__()) | set(self._functions))

    def __repr__(self):
        return f"<library {self._name} {self._version}: {', '.join(self._functions)}>"


class Function:
    """A function of a library. Call it, or submit() it and wait later."""

    def __init__(self, session, library, c):
        self._session = session
        self.library = library
        self.name = self.__name__ = c.name.decode()
        self.__qualname__ = f"{library}.{self.name}"
        self.signature = c.signature.decode()
        self.summary = c.summary.decode()
        self._parameters = [_Parameter(c.parameters[k]) for k in range(c.parameter_count)]
        self._results = [_Parameter(c.results[k]) for k in range(c.result_count)]
        self._tuples = {}
        self.__signature__ = inspect.Signature([p.inspected() for p in self._parameters])
        returns = ", ".join(r.name for r in self._results)
        self._call = f"{self.name}{self.__signature__}".replace(MatrixHandle.__module__ + ".", "")
        self._call += f" -> {returns}" if returns else ""
        self.__doc__ = describe(self._call, self.summary,
                                [p.described() for p in self._parameters], [r.described() for r in self._results],
                                c.doc.decode())

    def submit(self, *args, **kwargs):
        """Start the call and return a Task at once."""
        return self._submit(self._bind(args, kwargs), 0)

    def __call__(self, *args, **kwargs):
        """Run the call and return its results: one, or a named tuple in the order of the signature."""
        values = self._bind(args, kwargs)
        with self._session._console.task(self, values):
            task = self._submit(values, _ffi.SLICE_MS)
            result = task.result()
        for note in task.notes:
            self._session._console.line(note)
        return result

    def _bind(self, args, kwargs):
        """Arguments by name; the driver checks types and what is missing."""
        if len(args) > len(self._parameters):
            raise WrongTypeError(f"{self.__qualname__}: {len(args)} arguments given, at most {len(self._parameters)} "
                                 f"expected: {self.signature}")
        bound = collections.OrderedDict((p.name, x) for p, x in zip(self._parameters, args))
        for name, x in kwargs.items():
            name = name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name
            if name in bound:
                raise WrongTypeError(f"{self.__qualname__}: argument {name!r} is given twice")
            if name not in (p.name for p in self._parameters):
                raise WrongTypeError(f"{self.__qualname__}: no parameter {name!r}: {self.signature}")
            bound[name] = x
        optional = {p.name: p for p in self._parameters if p.default is not None}
        return collections.OrderedDict((k, _as_text(x) if k in optional and optional[k].type == 14 else x)
                                       for k, x in bound.items() if x is not None or k not in optional)

    def _tuple_of(self, names):
        """The type of these results together: a call may leave out what was not asked for."""
        names = tuple(name.decode() for name in names)
        if names not in self._tuples:
            self._tuples[names] = collections.namedtuple(self.name + "_result", names, rename=True)
        return self._tuples[names]

    def _submit(self, bound, wait_ms):
        values = _ffi.lib.values_create()
        pointer = C.c_void_p()
        try:
            for name, x in bound.items():
                _set(values, self, name, x)
            _ffi.call("task_submit", self._session._handle(), self.library.encode(), self.name.encode(), values,
                      wait_ms, C.byref(pointer))
        finally:
            _ffi.lib.values_destroy(values)
        return Task(self._session, pointer, self)

    def __repr__(self):
        return f"<function {self.__qualname__}: {self.signature}>"


def _as_text(x):
    """A number given for an option that is text goes as text: norm(A, 1), norm(A, np.inf)."""
    if not isinstance(x, numbers.Real) or isinstance(x, (bool, np.bool_)):
        return x
    return f"{x:g}" if float(f"{x:g}") == x else repr(float(x))


class _Parameter:
    """One parameter or result of a function, with what Python needs to know of it."""

    def __init__(self, c):
        self.name = c.name.decode()
        self.type = c.type
        self.list = c.list
        self.default = c.default_text.decode() if c.optional and c.default_text is not None else None
        self.doc = c.doc.decode()

    def described(self):
        kind = _ffi.lib.type_name(self.type).decode() + ("[]" if self.list else "")
        return self.name, kind, self.doc

    def inspected(self):
        annotation = list if self.list else _ANNOTATIONS.get(self.type, int)
        name = self.name + "_" if keyword.iskeyword(self.name) else self.name
        default = inspect.Parameter.empty if self.default is None else _Shown(self.default)
        return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


class _Shown(str):
    """A default as the signature writes it, or as Python writes it where that differs."""

    def __repr__(self):
        return {"none": "None", "true": "True", "false": "False"}.get(str(self), str(self))


def _set(values, function, name, x):
    """Put one argument into a set of values, by what it is in Python."""
    key = name.encode()
    entry = _scalar(x)
    if entry is not None:
        code = getattr(_ffi.lib, "values_set_" + entry[0])(values, key, *entry[1])
    elif isinstance(x, (list, tuple, range)) or (isinstance(x, np.ndarray) and x.ndim == 1):
        code = _set_list(values, function, key, list(x))
    else:
        hint = ": send it with send_matrix() first" if isinstance(x, np.ndarray) else ""
        raise WrongTypeError(f"{function.__qualname__}: parameter {name!r}: {type(x).__name__} cannot be passed{hint}")
    if code:
        raise WrongTypeError(f"{function.__qualname__}: parameter {name!r}: {_ffi.lib.strerror(code).decode()}")


def _scalar(x):
    """The kind of a scalar and its C arguments; None for what is not a scalar."""
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
        return "string", (_ffi.text(x),)
    return None


# From the widest kind that a list holds to the narrowest, with the C type of its array.
_LISTS = [
    ("matrix", "matrices", C.c_uint64), ("string", "strings", C.c_char_p), ("complex", "complexes", C.c_double),
    ("real", "reals", C.c_double), ("uint", "uints", C.c_uint64), ("int", "ints", C.c_int64),
    ("bool", "bools", C.c_bool),
]
_EMPTY = {1: "bool", 10: "real", 11: "real", 12: "complex", 13: "complex", 14: "string", 15: "matrix"}


def _set_list(values, function, key, items):
    entries = [_scalar(x) for x in items]
    if None in entries:
        raise WrongTypeError(f"{function.__qualname__}: parameter {key.decode()!r}: lists hold scalars of one type")
    kinds = {kind for kind, _ in entries}
    if not kinds:
        declared = [p.type for p in function._parameters if p.name == key.decode()]
        kinds = {_EMPTY.get(declared[0], "int") if declared else "int"}
    if len(kinds) > 1 and not kinds <= {"int", "uint", "real", "complex"}:
        raise WrongTypeError(f"{function.__qualname__}: parameter {key.decode()!r}: a list of {', '.join(sorted(kinds))}")
    kind, plural, c_type = next(row for row in _LISTS if row[0] in kinds)
    if kind == "complex":
        flat = [part for x in items for part in (complex(x).real, complex(x).imag)]
    else:
        flat = [arguments[0] for _, arguments in entries]
    array = (c_type * len(flat))(*flat)
    return getattr(_ffi.lib, "values_set_" + plural)(values, key, array, len(items))
