"""Transfers of rectangles between NumPy arrays and the workers, and the progress bar of a transfer."""

import ctypes as C
import sys
import time
import warnings

import numpy as np

from . import _ffi
from .codes import DType

# The code of each NumPy dtype that a matrix can have.
CODE_OF = {np.dtype(code.name.lower()): code for code in DType}
DTYPE_OF = {code: dtype for dtype, code in CODE_OF.items()}


def dtype_code(dtype):
    """The code of a dtype. The TypeError for any other dtype names those that a matrix can have."""
    dtype = np.dtype(dtype)
    if dtype not in CODE_OF:
        names = ", ".join(d.name for d in CODE_OF)
        raise TypeError(f"dtype {dtype} is not one of {names}: convert the entries with .astype() first")
    return CODE_OF[dtype]


class Pending:
    """A transfer in flight. It borrows the array until close(), which must be called in any case.

    `start` is "matrix_write_start", "matrix_write_missing_start" or "matrix_read_start".
    """

    def __init__(self, start, session, handle, rect, array):
        size = array.dtype.itemsize
        row_stride, col_stride = (array.strides[0] // size, array.strides[1] // size)
        self._array, self._workers = array, session.worker_count
        self._transfer = C.c_void_p()
        _ffi.call_interruptibly(start, handle, C.byref(_ffi.Rect(*rect)), C.c_void_p(array.ctypes.data),
                                C.c_int64(row_stride), C.c_int64(col_stride), C.byref(self._transfer),
                                orphaned=self.close)

    def wait(self, progress=None):
        """Wait for the end; Ctrl-C interrupts. `progress` is called with the bytes done and the bytes in all."""
        if progress is None:
            _ffi.repeat("transfer_wait", self._transfer, _ffi.TIMEOUT)
        else:
            done, total = C.c_int64(), C.c_int64()
            while not _ffi.repeat("transfer_wait", self._transfer, _ffi.TIMEOUT, timeout=_ffi.SLICE_MS / 1000):
                _ffi.lib.transfer_progress(self._transfer, C.byref(done), C.byref(total))
                progress(done.value, total.value)
        resent = _ffi.lib.transfer_resent(self._transfer)
        if resent:
            warnings.warn(f"{resent} message{'s were' if resent > 1 else ' was'} damaged on the way and sent again: "
                          "the network is not reliable", RuntimeWarning, stacklevel=2)

    def timings(self):
        """The times of each worker that took part, after the end."""
        timings = (_ffi.Timing * max(1, self._workers))()
        count = _ffi.lib.transfer_timings(self._transfer, timings, len(timings))
        return [timings[k] for k in range(min(count, len(timings)))]

    def close(self):
        """Return the array. A transfer that has not ended is canceled, and ends at its next frame."""
        transfer, self._transfer = self._transfer, None
        if transfer:
            _ffi.lib.transfer_destroy(transfer)


def run(start, session, handle, rect, array, progress=None):
    """Transfer one rectangle, and return the times of each worker; Ctrl-C interrupts. For `start` see Pending."""
    pending = Pending(start, session, handle, rect, array)
    try:
        pending.wait(progress)
        return pending.timings()
    finally:
        pending.close()


def progress_bar(text, progress=None):
    """The function that shows the progress of a transfer, and the function that ends the display.

    The first is the caller's `progress` if there is one. Otherwise it shows a tqdm bar once the transfer has lasted a
    second, if tqdm is installed and the output is a terminal or a notebook; it is None where no bar can be seen.
    """
    if progress is not None or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return progress, lambda: None
    state = {"bar": None, "start": time.monotonic()}

    def progress(done, total):
        if state["bar"] is None and time.monotonic() - state["start"] > 1:
            try:
                from tqdm.auto import tqdm  # imported only when a bar is shown, because the import is slow
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
