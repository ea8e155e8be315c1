"""The workers of a session: list them, request a group, move the matrices to another group, give workers back.

The functions take a session as their first argument.
"""

import collections
import ctypes as C
import itertools
import time

from . import _ffi, transfer
from .codes import WorkerState
from .errors import StateError

Worker = collections.namedtuple("Worker", "id rank host address port state session pid")
Worker.__doc__ = """A worker slot: its number, its rank in this session's group or None, its host, address and port, its
state ("idle", "starting", "active", "releasing"), the id of the session that it serves or 0, and its process id."""


def list_workers(session, which):
    """The worker slots that a codes.WorkerFilter selects."""
    array, count = C.POINTER(_ffi.Worker)(), C.c_size_t()
    _ffi.call_interruptibly("session_list_workers", session._handle(), which, C.byref(array), C.byref(count))
    try:
        return [Worker(w.id, w.rank if w.rank >= 0 else None, w.host.decode(), w.address.decode(), w.port,
                       WorkerState(w.state).name.lower(), w.session, w.pid)
                for w in itertools.islice(array, count.value)]
    finally:
        _ffi.lib.workers_free(array)


def request_group(session, count, timeout):
    """Wait until the session has a group of `count` workers. Returns False when `timeout` seconds were not enough."""
    return _ffi.repeat("session_request_workers", session._handle(), count, _ffi.TIMEOUT, timeout=timeout)


def move_to_group(session, count, timeout, progress):
    """Wait until a new group of `count` workers has the session's matrices, and show the progress until then.

    Returns False when `timeout` seconds were not enough.
    """
    show, close = transfer.progress_bar("moving", progress)
    end = None if timeout is None else time.monotonic() + timeout
    slice_s = _ffi.SLICE_MS / 1000
    try:
        while True:
            left = slice_s if end is None else max(0, min(end - time.monotonic(), slice_s))
            if _ffi.repeat("session_move_workers", session._handle(), count, _ffi.TIMEOUT, timeout=left):
                return True
            if end is not None and time.monotonic() >= end:
                return False
            if show is not None:
                _show_move(session, show)
    finally:
        close()


def _show_move(session, show):
    done, total = C.c_int64(), C.c_int64()
    try:
        _ffi.call("session_move_progress", session._handle(), C.byref(done), C.byref(total))
    except StateError:
        return  # the new workers are still being started, or the move has just ended
    show(done.value, total.value)


def yield_slots(session, ids):
    """Give the workers in the slots with these numbers back, or all workers of the session if `ids` is None."""
    count = 0 if ids is None else len(ids)
    array = None if ids is None else (C.c_int * count)(*ids)
    _ffi.call_interruptibly("session_yield_workers", session._handle(), array, count)
