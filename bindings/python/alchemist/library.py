"""Libraries that the workers loaded, as objects with documented functions."""

import collections
import ctypes as C
import inspect
import keyword
import numbers
import os

import numpy as np

from . import _ffi
from .codes import Type
from .describe import describe, listing
from .errors import WrongTypeError
from .matrix import MatrixHandle
from .task import Task
from .values import KIND_OF, read_results, set_argument

_ANNOTATIONS = {"bool": bool, "int": int, "uint": int, "real": float, "complex": complex, "string": str,
                "matrix": MatrixHandle}


class Library:
    """A library that is loaded in a session. Its functions are attributes.

    ``help(lib)`` and ``help(lib.function)`` show the library's own documentation.
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
        """The library's functions by name."""
        return dict(self._functions)

    def __getattr__(self, name):
        functions = self.__dict__.get("_functions", {})
        if name in functions:
            return functions[name]
        raise AttributeError(f"library {self.__dict__.get('_name')!r} has no function {name!r}. It has "
                             + ", ".join(functions))

    def __dir__(self):
        return sorted(set(super().__dir__()) | set(self._functions))

    def __repr__(self):
        return f"<library {self._name} {self._version}: {', '.join(self._functions)}>"


class Function:
    """A function of a library. Call it, or submit() it and wait for its task later."""

    def __init__(self, session, library, c):
        self._session = session
        self.library = library
        self.name = self.__name__ = c.name.decode()
        self.__qualname__ = f"{library}.{self.name}"
        self.signature = c.signature.decode()
        self.summary = c.summary.decode()
        self._parameters = [Parameter(c.parameters[k]) for k in range(c.parameter_count)]
        self._results = [Parameter(c.results[k]) for k in range(c.result_count)]
        self._by_name = {p.name: p for p in self._parameters}
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
        arguments = self._bind(args, kwargs)
        with self._session._console.task(self, arguments):
            task = self._submit(arguments, _ffi.SLICE_MS)
            result = task.result()
        for note in task.notes:
            self._session._console.line(note)
        return result

    def _bind(self, args, kwargs):
        """The arguments by the names of their parameters. The driver checks their types, and that none is missing."""
        if len(args) > len(self._parameters):
            raise WrongTypeError(f"{self.__qualname__}: {len(args)} arguments are given, but the function has at most "
                                 f"{len(self._parameters)}: {self.signature}")
        bound = dict(zip(self._by_name, args))
        for name, x in kwargs.items():
            name = name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name
            if name in bound:
                raise WrongTypeError(f"{self.__qualname__}: argument {name!r} is given twice")
            if name not in self._by_name:
                raise WrongTypeError(f"{self.__qualname__}: the function has no parameter {name!r}: {self.signature}")
            bound[name] = x
        return {name: self._by_name[name].adapt(x) for name, x in bound.items()
                if x is not None or self._by_name[name].default is None}

    def _submit(self, arguments, wait_ms):
        values = _ffi.lib.values_create()
        pointer = C.c_void_p()
        try:
            for name, x in arguments.items():
                set_argument(values, self.__qualname__, self._by_name[name], x)
            _ffi.call("task_submit", self._session._handle(), self.library.encode(), self.name.encode(), values,
                      wait_ms, C.byref(pointer))
        finally:
            _ffi.lib.values_destroy(values)
        return Task(self._session, pointer, self.name, self._unpack)

    def _unpack(self, task):
        """The results of a task that is done: None, one result, or a named tuple."""
        names, results = read_results(task)
        if len(results) <= 1:
            return results[0] if results else None
        return self._tuple_type(names)(*results)

    def _tuple_type(self, names):
        """The type of a tuple of these results. A call can have fewer results than the signature has."""
        names = tuple(names)
        if names not in self._tuples:
            self._tuples[names] = collections.namedtuple(self.name + "_result", names, rename=True)
        return self._tuples[names]

    def __repr__(self):
        return f"<function {self.__qualname__}: {self.signature}>"


class Parameter:
    """One parameter or result of a function, as its signature describes it."""

    def __init__(self, c):
        self.name = c.name.decode()
        self.type = Type(c.type)
        self.list = c.list
        self.default = c.default_text.decode() if c.optional and c.default_text is not None else None
        self.doc = c.doc.decode()

    def described(self):
        """The name, the type and the documentation, as texts."""
        kind = _ffi.lib.type_name(self.type).decode() + ("[]" if self.list else "")
        return self.name, kind, self.doc

    def inspected(self):
        """The parameter as a signature of Python has it."""
        annotation = list if self.list else _ANNOTATIONS[KIND_OF[self.type]]
        name = self.name + "_" if keyword.iskeyword(self.name) else self.name
        default = inspect.Parameter.empty if self.default is None else _Default(self.default)
        return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)

    def adapt(self, x):
        """The argument to pass for x: a number given for an option of type string becomes text, as in norm(A, 1)."""
        is_option = self.default is not None and self.type == Type.STRING
        if not is_option or not isinstance(x, numbers.Real) or isinstance(x, (bool, np.bool_)):
            return x
        return f"{x:g}" if float(f"{x:g}") == x else repr(float(x))


class _Default(str):
    """A default as the signature writes it, or as Python writes it if that differs."""

    def __repr__(self):
        return {"none": "None", "true": "True", "false": "False"}.get(str(self), str(self))


def load_into_session(session, name, path=None, timeout=None):
    """Load a library on the workers of a session. Returns the Library."""
    pointer = C.c_void_p()
    path = None if path is None else _ffi.encode(os.fspath(path))
    if not _ffi.repeat("library_load", session._handle(), _ffi.encode(name), path, _ffi.TIMEOUT, C.byref(pointer),
                       timeout=timeout):
        raise TimeoutError(f"library {name!r} was not loaded within {timeout} s")
    return Library(session, pointer)


def library_names(session, loaded_only):
    """The names of the libraries that a session has loaded, or of those that the server offers."""
    array, count = C.POINTER(C.c_char_p)(), C.c_size_t()
    _ffi.call_interruptibly("library_list", session._handle(), C.c_bool(loaded_only), C.byref(array), C.byref(count))
    try:
        return [array[k].decode() for k in range(count.value)]
    finally:
        _ffi.lib.names_free(array)
