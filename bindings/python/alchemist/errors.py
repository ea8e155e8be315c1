"""Exceptions: one class for each error code, all derived from AlchemistError.

If Python has a built-in exception that fits, the class is derived from it too, so that ``except TimeoutError`` and
``except MemoryError`` work as expected. NumericError (a matrix is singular, is not positive definite or holds NaN, or
an iteration did not converge) is also a numpy.linalg.LinAlgError.
"""

import numpy as np

__all__ = ["AlchemistError", "AlchemistWarning"]


class AlchemistWarning(RuntimeWarning):
    """A warning of a library function: its results may not be what the caller wanted."""


class AlchemistError(Exception):
    """An error of Alchemist.

    Attributes:
        code: the number of the error code (include/alchemist/error.h).
        name: the name of the error code, ``"ALCH_EBUSY"`` for example.
        rank: the worker rank that decided the error, or None.
    """

    name = "ALCH_EINTERNAL"
    code = 24

    def __init__(self, text, code=None, rank=None):
        super().__init__(text)
        if code is not None:
            self.code = code
        self.rank = rank


# Code and name as in include/alchemist/error.h; the name of the class; its further base class or classes.
_TABLE = [
    (1, "ALCH_EINVAL", "InvalidError", ValueError),
    (2, "ALCH_ENOMEM", "OutOfMemoryError", MemoryError),
    (3, "ALCH_ERANGE", "RangeError", ValueError),
    (4, "ALCH_ETYPE", "WrongTypeError", TypeError),
    (5, "ALCH_ENOENT", "NotFoundError", LookupError),
    (6, "ALCH_EBUSY", "BusyError", None),
    (7, "ALCH_ESTATE", "StateError", None),
    (8, "ALCH_ETIMEDOUT", "DeadlineError", TimeoutError),
    (9, "ALCH_ECONNECT", "ConnectError", ConnectionError),
    (10, "ALCH_EPROTO", "ProtocolError", None),
    (11, "ALCH_EAUTH", "AuthenticationError", PermissionError),
    (12, "ALCH_EVERSION", "VersionError", None),
    (13, "ALCH_ENOSLOTS", "NoSlotsError", None),
    (14, "ALCH_EGROUP", "GroupLostError", None),
    (15, "ALCH_ECANCELED", "CanceledError", None),
    (16, "ALCH_EINCOMPLETE", "IncompleteError", ValueError),
    (17, "ALCH_EPLUGIN", "PluginError", ImportError),
    (18, "ALCH_EFUNCTION", "FunctionError", None),
    (19, "ALCH_ENUMERIC", "NumericError", (ArithmeticError, np.linalg.LinAlgError)),
    (20, "ALCH_ELIMIT", "LimitError", MemoryError),
    (21, "ALCH_EFORKED", "ForkedError", None),
    (22, "ALCH_ESYSTEM", "SystemCallError", OSError),
    (23, "ALCH_EAGAIN", "NotFinishedError", None),
    (24, "ALCH_EINTERNAL", "InternalError", None),
    (25, "ALCH_EUNSUPPORTED", "UnsupportedError", NotImplementedError),
    (26, "ALCH_EPERM", "NotPermittedError", PermissionError),
    (27, "ALCH_EPORT", "PortError", None),
    (28, "ALCH_EDAMAGED", "DamagedError", None),
]


def _make(code, name, class_name, base):
    bases = () if base is None else base if isinstance(base, tuple) else (base,)
    return type(class_name, (AlchemistError, *bases),
                {"name": name, "code": code, "__module__": __name__, "__doc__": f"Error {name}."})


_BY_CODE = {}
for _row in _TABLE:
    _BY_CODE[_row[0]] = globals()[_row[2]] = _make(*_row)
    __all__.append(_row[2])


def code_of(name):
    """The number of the error code with a name, "ALCH_EAGAIN" for example."""
    return next(row[0] for row in _TABLE if row[1] == name)


def from_code(code, text, rank=-1):
    """The exception for an error code, ready to be raised. A negative rank means that no rank decided it."""
    return _BY_CODE.get(code, AlchemistError)(text, code, None if rank < 0 else rank)
