"""Moving rectangles between NumPy arrays and workers."""

import ctypes as C
import sys
import time

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


def strided(array):
    """An array whose strides are whole entries, in native byte order: itself whenever possible."""
    size = array.dtype.itemsize
    if not array.dtype.isnative or any(s % size for s in array.strides) or not array.flags.aligned:
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return array


def run(start, session, handle, rect, array, progress=None):
    """Move one rectangle, seeing Ctrl-C; returns the times per worker.

    `start` is "matrix_write_start" or "matrix_read_start". `progress` is called
    with bytes done and in all while the transfer runs.
    """
    size = array.dtype.itemsize
    transfer = C.c_void_p()
    rows, cols = (array.strides[0] // size, array.strides[1] // size)
    _ffi.patient(start, handle, C.byref(_ffi.Rect(*rect)), C.c_void_p(array.ctypes.data), C.c_int64(rows),
                 C.c_int64(cols), C.byref(transfer))
    try:
        _wait(transfer, progress)
        timings = (_ffi.Timing * max(1, session.worker_count))()
        count = _ffi.lib.transfer_timings(transfer, timings, len(timings))
        return [timings[k] for k in range(min(count, len(timings)))]
    finally:
        # After an interrupt this asks the transfer to end at the next frame and waits for it: the array is borrowed.
        _ffi.lib.transfer_destroy(transfer)


def _wait(transfer, progress):
    if progress is None:
        _ffi.repeat("transfer_wait", transfer, None, timeout_ms=1)
        return
    done, total = C.c_int64(), C.c_int64()
    while not _ffi.repeat("transfer_wait", transfer, None, timeout_ms=1, timeout=_ffi.SLICE_MS / 1000):
        _ffi.lib.transfer_progress(transfer, C.byref(done), C.byref(total))
        progress(done.value, total.value)


def bar(text):
    """A progress function that shows a tqdm bar on transfers that last over a second.

    Only where somebody looks: on a terminal or in a notebook, if tqdm is installed.
    """
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return None, lambda: None
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
            state["bar"].n = done
            state["bar"].refresh()

    def close():
        if state["bar"] is not None:
            state["bar"].close()

    return progress, close
