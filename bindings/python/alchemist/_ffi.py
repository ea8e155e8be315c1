"""The C library, loaded through ctypes: its functions and structs, and the ways to call it.

This module loads libalchemist-client, which needs no MPI, and turns error codes into exceptions. It looks for the
library at ALCHEMIST_LIBRARY, next to this package, in the build tree that this package is part of, and where the
system's loader looks.

There are three ways to call a function that can fail:

* call() for a function that returns at once;
* call_interruptibly() for a function that may wait for a peer;
* repeat() for a function that takes a timeout and returns ALCH_EAGAIN when that has passed.
"""

import ctypes as C
import os
import threading
import time

from . import errors

SONAME = "libalchemist-client.so.0"
# The longest wait of one C call. Python handles Ctrl-C only between two calls.
SLICE_MS = 100
# Stands for the argument of repeat() that takes the timeout of one call in milliseconds.
TIMEOUT = object()

_OK = 0
_EAGAIN = errors.code_of("ALCH_EAGAIN")


class Error(C.Structure):
    _fields_ = [("code", C.c_int), ("rank", C.c_int), ("text", C.c_char * 1024)]


class Layout(C.Structure):
    _fields_ = [("dist", C.c_int), ("mb", C.c_int64), ("nb", C.c_int64), ("nprow", C.c_int), ("npcol", C.c_int)]


class Rect(C.Structure):
    _fields_ = [("i", C.c_int64), ("j", C.c_int64), ("m", C.c_int64), ("n", C.c_int64)]


class SessionOptions(C.Structure):
    _fields_ = [
        ("struct_size", C.c_size_t),
        ("address", C.c_char_p),
        ("connection_file", C.c_char_p),
        ("token", C.c_char_p),
        ("name", C.c_char_p),
        ("connect_timeout_ms", C.c_int),
        ("request_timeout_ms", C.c_int),
        ("transfer_timeout_ms", C.c_int),
        ("message_bytes", C.c_int64),
        ("messages_in_flight", C.c_int),
        ("transfer_threads", C.c_int),
        ("shared_memory", C.c_int),
        ("idle_timeout_ms", C.c_int),
        ("checksum", C.c_int),
    ]


class Worker(C.Structure):
    _fields_ = [
        ("id", C.c_int),
        ("rank", C.c_int),
        ("port", C.c_int),
        ("state", C.c_int),
        ("session", C.c_uint64),
        ("pid", C.c_int),
        ("host", C.c_char * 256),
        ("address", C.c_char * 256),
    ]


class MatrixInfo(C.Structure):
    _fields_ = [
        ("id", C.c_uint64),
        ("rows", C.c_int64),
        ("cols", C.c_int64),
        ("dtype", C.c_int),
        ("layout", Layout),
        ("workers", C.c_int),
        ("replicas", C.c_int),
        ("bytes", C.c_int64),
        ("name", C.c_char * 64),
        ("busy", C.c_char * 128),
    ]


class Local(C.Structure):
    """The local piece of a block-cyclic matrix that one process of a parallel program has; see alch_local_t."""

    _fields_ = [
        ("m", C.c_int64),
        ("n", C.c_int64),
        ("mb", C.c_int64),
        ("nb", C.c_int64),
        ("rsrc", C.c_int),
        ("csrc", C.c_int),
        ("nprow", C.c_int),
        ("npcol", C.c_int),
        ("myrow", C.c_int),
        ("mycol", C.c_int),
        ("lld", C.c_int64),
        ("i0", C.c_int64),
        ("j0", C.c_int64),
    ]


class Timing(C.Structure):
    _fields_ = [
        ("worker", C.c_int),
        ("slot", C.c_int),
        ("bytes", C.c_int64),
        ("messages", C.c_int64),
        ("serialize", C.c_double),
        ("send", C.c_double),
        ("receive", C.c_double),
        ("deserialize", C.c_double),
    ]


class Parameter(C.Structure):
    _fields_ = [
        ("name", C.c_char_p),
        ("type", C.c_int),
        ("list", C.c_bool),
        ("optional", C.c_bool),
        ("default_text", C.c_char_p),
        ("doc", C.c_char_p),
    ]


class Function(C.Structure):
    _fields_ = [
        ("name", C.c_char_p),
        ("signature", C.c_char_p),
        ("summary", C.c_char_p),
        ("doc", C.c_char_p),
        ("parameters", C.POINTER(Parameter)),
        ("parameter_count", C.c_size_t),
        ("results", C.POINTER(Parameter)),
        ("result_count", C.c_size_t),
    ]


class TaskProgress(C.Structure):
    _fields_ = [
        ("id", C.c_uint64),
        ("state", C.c_int),
        ("fraction", C.c_double),
        ("seconds", C.c_double),
        ("text", C.c_char * 256),
    ]


_P, _S, _I, _L, _U, _Z, _D, _B = (
    C.c_void_p, C.c_char_p, C.c_int, C.c_int64, C.c_uint64, C.c_size_t, C.c_double, C.c_bool)
_R = C.POINTER
_E = _R(Error)
_PP = _R(_P)

# Result type and argument types of every function that Python uses, in the order of the headers.
_PROTOTYPES = {
    "strerror": (_S, [_I]),
    "version": (_S, []),
    "dist_name": (_S, [_I]),
    "layout_parse": (_I, [_S, _R(Layout), _E]),
    "layout_format": (_P, [_R(Layout), _S, _Z]),
    "session_options_init": (None, [_R(SessionOptions)]),
    "session_open": (_I, [_R(SessionOptions), _PP, _E]),
    "session_attach": (_I, [_R(SessionOptions), _U, _S, _PP, _E]),
    "session_close": (_I, [_P, _E]),
    "session_destroy": (None, [_P]),
    "session_id": (_U, [_P]),
    "session_address": (_S, [_P]),
    "session_server_version": (_S, [_P]),
    "session_key": (None, [_P, _S]),
    "session_list_workers": (_I, [_P, _I, _R(_R(Worker)), _R(_Z), _E]),
    "workers_free": (None, [_R(Worker)]),
    "session_request_workers": (_I, [_P, _I, _I, _E]),
    "session_move_workers": (_I, [_P, _I, _I, _E]),
    "session_move_progress": (_I, [_P, C.POINTER(C.c_int64), C.POINTER(C.c_int64), _E]),
    "session_yield_workers": (_I, [_P, _R(_I), _Z, _E]),
    "session_test_string": (_I, [_P, _S, _PP, _E]),
    "matrix_create": (_I, [_P, _L, _L, _I, _R(Layout), _S, _PP, _E]),
    "matrix_open": (_I, [_P, _U, _PP, _E]),
    "matrix_free": (_I, [_P, _E]),
    "matrix_destroy": (None, [_P]),
    "matrix_info": (_I, [_P, _R(MatrixInfo), _E]),
    "matrix_facts": (_R(MatrixInfo), [_P]),
    "matrix_refresh": (_I, [_P, _E]),
    "matrix_transform_submit": (_I, [_P, _R(Layout), _I, C.c_uint, _S, _PP, _E]),
    "matrix_open_all": (_I, [_P, _R(_R(_P)), _R(_Z), _E]),
    "matrix_grow": (_I, [_P, _L, _E]),
    "matrix_missing": (_I, [_P, _R(Rect), _Z, _R(_Z), _E]),
    "matrix_write_missing_start": (_I, [_P, _R(Rect), _P, _L, _L, _PP, _E]),
    "matrix_write_start": (_I, [_P, _R(Rect), _P, _L, _L, _PP, _E]),
    "matrix_read_start": (_I, [_P, _R(Rect), _P, _L, _L, _PP, _E]),
    "matrix_write_local_start": (_I, [_P, _R(Local), _P, _PP, _E]),
    "matrix_read_local_start": (_I, [_P, _R(Local), _P, _PP, _E]),
    "transfer_wait": (_I, [_P, _I, _E]),
    "transfer_progress": (None, [_P, _R(_L), _R(_L)]),
    "transfer_resent": (_L, [_P]),
    "transfer_timings": (_Z, [_P, _R(Timing), _Z]),
    "transfer_destroy": (None, [_P]),
    "type_name": (_S, [_I]),
    "values_create": (_P, []),
    "values_destroy": (None, [_P]),
    "values_set_bool": (_I, [_P, _S, _B]),
    "values_set_int": (_I, [_P, _S, _L]),
    "values_set_uint": (_I, [_P, _S, _U]),
    "values_set_real": (_I, [_P, _S, _D]),
    "values_set_complex": (_I, [_P, _S, _D, _D]),
    "values_set_string": (_I, [_P, _S, _S]),
    "values_set_matrix": (_I, [_P, _S, _U]),
    "values_set_bools": (_I, [_P, _S, _R(_B), _Z]),
    "values_set_ints": (_I, [_P, _S, _R(_L), _Z]),
    "values_set_uints": (_I, [_P, _S, _R(_U), _Z]),
    "values_set_reals": (_I, [_P, _S, _R(_D), _Z]),
    "values_set_complexes": (_I, [_P, _S, _R(_D), _Z]),
    "values_set_strings": (_I, [_P, _S, _R(_S), _Z]),
    "values_set_matrices": (_I, [_P, _S, _R(_U), _Z]),
    "values_count": (_Z, [_P]),
    "values_name": (_S, [_P, _Z]),
    "values_describe": (_I, [_P, _S, _R(_I), _R(_B), _R(_Z)]),
    "values_get_bool": (_I, [_P, _S, _Z, _R(_B)]),
    "values_get_int": (_I, [_P, _S, _Z, _R(_L)]),
    "values_get_uint": (_I, [_P, _S, _Z, _R(_U)]),
    "values_get_real": (_I, [_P, _S, _Z, _R(_D)]),
    "values_get_complex": (_I, [_P, _S, _Z, _R(_D), _R(_D)]),
    "values_get_string": (_I, [_P, _S, _Z, _R(_S)]),
    "library_load": (_I, [_P, _S, _S, _I, _PP, _E]),
    "library_destroy": (None, [_P]),
    "library_name": (_S, [_P]),
    "library_version": (_S, [_P]),
    "library_summary": (_S, [_P]),
    "library_function_count": (_Z, [_P]),
    "library_function": (_R(Function), [_P, _Z]),
    "library_list": (_I, [_P, _B, _R(_R(_S)), _R(_Z), _E]),
    "names_free": (None, [_R(_S)]),
    "task_state_name": (_S, [_I]),
    "task_submit": (_I, [_P, _S, _S, _P, _I, _PP, _E]),
    "task_wait": (_I, [_P, _I, _E]),
    "task_progress": (_I, [_P, _R(TaskProgress), _E]),
    "task_cancel": (_I, [_P, _B, _E]),
    "task_id": (_U, [_P]),
    "task_results": (_P, [_P]),
    "task_matrix": (_I, [_P, _S, _Z, _PP, _E]),
    "task_note": (_S, [_P, _Z, _R(_I)]),
    "task_destroy": (None, [_P]),
}


def _candidates():
    here = os.path.dirname(os.path.abspath(__file__))
    if os.environ.get("ALCHEMIST_LIBRARY"):
        yield os.environ["ALCHEMIST_LIBRARY"]
        return
    yield os.path.join(here, SONAME)
    yield os.path.join(here, "..", "..", "..", "build", "lib", SONAME)
    yield SONAME


def _load():
    tried = []
    for path in _candidates():
        try:
            return C.CDLL(path)
        except OSError as error:
            tried.append(f"  {path}: {error}")
    raise ImportError("libalchemist-client was not found (ALCHEMIST_LIBRARY can be set to its path). These places were "
                      "tried:\n" + "\n".join(tried))


class _Library:
    """The functions of the C library without their prefix, with their types."""

    def __init__(self):
        library = _load()
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, "alch_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


lib = _Library()
free = C.CDLL(None).free  # for memory that the caller of a library function must free()
free.argtypes, free.restype = [C.c_void_p], None


def encode(text):
    """A string as C takes it; None stays None."""
    if text is None:
        return None
    if "\0" in text:
        raise ValueError(f"{text!r} holds a NUL character, which no name or text can have")
    return text.encode("utf-8")


def _raise_for(code, error):
    """Raise the exception of an error code, with the text that the library wrote."""
    if code != _OK:
        raise errors.from_code(code, error.text.decode("utf-8", "replace") or lib.strerror(code).decode(), error.rank)


def call(name, *arguments):
    """Call a function that returns at once. The error detail, its last argument in C, is added here."""
    error = Error(rank=-1)
    _raise_for(getattr(lib, name)(*arguments, C.byref(error)), error)


def call_interruptibly(name, *arguments, orphaned=None):
    """Call a function that may wait for a peer, in a way that Ctrl-C can interrupt.

    The call runs in a new thread. When the caller is interrupted, the call continues until it returns or its
    deadline passes; its arguments are kept alive until then. If such a call succeeds, `orphaned` is called to
    release what it made.
    """
    if threading.current_thread() is not threading.main_thread():
        call(name, *arguments)  # Python delivers Ctrl-C to the main thread only
        return
    error, outcome, done = Error(rank=-1), [], threading.Event()
    lock, abandoned = threading.Lock(), []

    def run():
        code = getattr(lib, name)(*arguments, C.byref(error))
        with lock:
            outcome.append(code)
            is_abandoned = bool(abandoned)
        done.set()
        if is_abandoned and code == _OK and orphaned is not None:
            orphaned()

    threading.Thread(target=run, name="alchemist-" + name, daemon=True).start()
    try:
        while not done.wait(SLICE_MS / 1000):
            pass
    except BaseException:
        with lock:
            abandoned.append(True)
            has_ended = bool(outcome)
        if has_ended and outcome[0] == _OK and orphaned is not None:
            orphaned()
        raise
    _raise_for(outcome[0], error)


def repeat(name, *arguments, timeout=None):
    """Call a function again and again while it returns ALCH_EAGAIN.

    One of the arguments is TIMEOUT; each call gets at most SLICE_MS in its place, so that Ctrl-C is seen between two
    calls. Returns False when `timeout` seconds were not enough; None sets no limit.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        slice_ms = SLICE_MS
        if end is not None:
            slice_ms = max(0, min(SLICE_MS, int((end - time.monotonic()) * 1000)))
        error = Error(rank=-1)
        code = getattr(lib, name)(*(slice_ms if x is TIMEOUT else x for x in arguments), C.byref(error))
        if code != _EAGAIN:
            _raise_for(code, error)
            return True
        if end is not None and time.monotonic() >= end:
            return False
