"""The options with which a session is opened: where the server is, and the fields of alch_session_options_t."""

import ctypes as C
import os

from . import _ffi


def join_address(address, port):
    """The address as the C library takes it, "host:port" for example; None if neither part is given."""
    if port is None:
        return address
    return f"{'localhost' if address is None else address}:{int(port)}"


def session_options(address, token, connection_file, options):
    """The options as a C struct. `options` are the fields that are numbers, by name."""
    c = _ffi.SessionOptions()
    _ffi.lib.session_options_init(C.byref(c))
    c.name = b"python"
    for name, value in (("address", address), ("token", token), ("connection_file", connection_file)):
        if value is not None:
            setattr(c, name, _ffi.encode(os.fspath(value)))
    numbers = [n for n, c_type in _ffi.SessionOptions._fields_ if c_type in (C.c_int, C.c_int64)]
    for name, value in options.items():
        if name not in numbers:
            raise TypeError(f"there is no session option {name!r}. The options are " + ", ".join(numbers))
        setattr(c, name, value)
    return c
