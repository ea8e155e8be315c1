"""Moving rectangles between NumPy arrays and workers."""

import ctypes as C
import sys
import time
import warnings

import numpy as np

from . import _ffi

# NumPy's name of each entry type, with the number that the C library uses.
DTYPES = {
    np.dtype(np.float64): 1,
    np.dtype(np.float32): 2,
    np.dtype(np.complex128): 3,
    np.dtype(np.complex64): 4,
    np.dtype(np.int64): 5,
    np.dtype(np.int32): 6,
}
DTYPE_OF = {number: dtype for dtype, number in DTYPES.items()}


def dtype_number(dtype):
    """The number of a dtype; TypeError names those that are supported."""
    dtype = np.dtype(dtype)
    if dtype not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        raise TypeError(f"dtype {dtype} is not one of {names}: convert with .astype() first")
    return DTYPES[dtype]


class Pending:
    """A transfer under way; close() it in any case.

    `start` is "matrix_write_start", "matrix_write_missing_start" or "matrix_read_start".
    """

    def __init__(self, start, session, handle, rect, array):
        size = array.dtype.itemsize
        rows, cols = (array.strides[0] // size, array.strides[1] // size)
        self._array, self._workers = array, session.worker_count
        self._transfer = C.c_void_p()
        _ffi.patient(start, handle, C.byref(_ffi.Rect(*rect)), C.c_void_p(array.ctypes.data), C.c_int64(rows),
                     C.c_int64(cols), C.byref(self._transfer), orphaned=self.close)

    def wait(self, progress=None):
        """Wait for the end, seeing Ctrl-C; `progress` is called with bytes done and in all meanwhile."""
        _wait(self._transfer, progress)
        resent = _ffi.lib.transfer_resent(self._transfer)
        if resent:
            warnings.warn(f"{resent} message{'s were' if resent > 1 else ' was'} damaged on the way and sent again: "
                          "the network is not sound", RuntimeWarning, stacklevel=2)

    def timings(self):
        """Times per worker, after the end."""
        timings = (_ffi.Timing * max(1, self._workers))()
        count = _ffi.lib.transfer_timings(self._transfer, timings, len(timings))
        return [timings[k] for k in range(min(count, len(timings)))]

    def close(self):
        """Unless it has ended the transfer ends at the next frame; then the array is no longer borrowed."""
        transfer, self._transfer = self._transfer, None
        if transfer:
            _ffi.lib.transfer_destroy(transfer)


def run(start, session, handle, rect, array, progress=None):
    """Move one rectangle, seeing Ctrl-C; returns the times per worker. See Pending."""
    pending = Pending(start, session, handle, rect, array)
    try:
        pending.wait(progress)
        return pending.timings()
    finally:
        pending.close()


def _wait(transfer, progress):
    if progress is None:
        _ffi.repeat("transfer_wait", transfer, None, timeout_ms=1)
        return
    done, total = C.c_int64(), C.c_int64()
    while not _ffi.repeat("transfer_wait", transfer, None, timeout_ms=1, timeout=_ffi.SLICE_MS / 1000):
        _ffi.lib.transfer_progress(transfer, C.byref(done), C.byref(total))
        progress(done.value, total.value)


def bar(text, progress=None):
    """The caller's progress function, or one that shows a tqdm bar on transfers that last over a second; and its end.

    A bar only where somebody looks: on a terminal or in a notebook, if tqdm is installed.
    """
    if progress is not None or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return progress, lambda: None
    state = {"bar": None, "start": time.monotonic()}

    def progress(done, total):
        if state["bar"] is None and time.monotonic() - state["start"] > 1:
            try:
                from tqdm.auto import tqdm  # slow to import: only when it is needed
            except ImportError:
                state["start"] = float("inf")
                return
            state["bar"] = tqdm(total=total, desc=text, unit="B", unit_scale=True, leave=False)
        if state["bar"] is not None:
            state["bar"].n, state["bar"].total = done, total
            state["bar"].refresh()

    def close():
        if state["bar"] is not None:
            state["bar"].close()

    return progress, close
