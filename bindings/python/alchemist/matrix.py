"""Handles of distributed matrices."""

import ctypes as C
import time

import numpy as np

from . import _ffi, sources, transfer
from .errors import BusyError
from .layout import Layout
from .transform import Transforms

GROW_PATIENCE = 10  # seconds that a growth waits for other clients' transfers and growths
GROW_RETRY = 0.02  # seconds between two attempts


class MatrixHandle(Transforms):
    """A handle of a matrix whose entries are on the workers of a session.

    It looks like a two-dimensional array, but fetches entries only on request:
    ``np.asarray(A)`` fetches all of them, ``A[100:200, :5]`` that part alone.
    A NumPy function that gets a handle raises TypeError instead of fetching silently.
    """

    ndim = 2
    __array_ufunc__ = None  # makes A + 1 and np.add(A, 1) raise TypeError

    def __init__(self, session, pointer):
        self._session = session
        self._pointer = pointer
        self._copy_description()
        session._adopt(self)

    def _copy_description(self):
        """Copy the description that the C library has cached."""
        facts = _ffi.lib.matrix_facts(self._pointer).contents
        self.id = facts.id
        self.shape = (facts.rows, facts.cols)
        self.dtype = transfer.DTYPE_OF[facts.dtype]
        self.nbytes = facts.bytes
        self.layout = Layout._from_c(facts.layout)
        self.replicas = facts.replicas
        self.name = facts.name.decode("utf-8", "replace")

    # -- description --

    @property
    def size(self):
        """The number of entries."""
        return self.shape[0] * self.shape[1]

    @property
    def session(self):
        """The session that the matrix belongs to."""
        return self._session

    @property
    def info(self):
        """The server's current description of the matrix, as a dict. "busy" names the task that uses the matrix."""
        info = self._ask_info()
        return {
            "id": info.id, "shape": (info.rows, info.cols), "dtype": transfer.DTYPE_OF[info.dtype].name,
            "layout": str(Layout._from_c(info.layout)), "workers": info.workers, "replicas": info.replicas,
            "nbytes": info.bytes, "name": info.name.decode("utf-8", "replace"), "busy": info.busy.decode(),
        }

    def _ask_info(self):
        info = _ffi.MatrixInfo()
        _ffi.call_interruptibly("matrix_info", self._handle(), C.byref(info))
        return info

    def refresh(self):
        """Update the description after others changed the matrix: more rows, another layout. Returns the handle."""
        _ffi.call_interruptibly("matrix_refresh", self._handle())
        self._copy_description()
        return self

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        name = f", {self.name!r}" if self.name else ""
        return f"<matrix {self.id}{name}: {self.shape[0]} x {self.shape[1]} {self.dtype.name}, {self.layout}>"

    def _repr_html_(self):
        rows = [("id", self.id), ("shape", f"{self.shape[0]} &times; {self.shape[1]}"), ("dtype", self.dtype.name),
                ("bytes", f"{self.nbytes:,}"), ("layout", self.layout)]
        if self.name:
            rows.insert(1, ("name", self.name.replace("&", "&amp;").replace("<", "&lt;")))
        return "<table>" + "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in rows) + "</table>"

    # -- entries --

    def fetch(self, rect=None, out=None, progress=None):
        """Fetch a rectangle (first row, first column, rows, columns), or the whole matrix.

        `out` is an array of the rectangle's shape and the matrix's dtype, with any strides. It is filled and returned.
        """
        array, _ = self._read(rect, out, progress)
        return array

    def write(self, array, row=0, col=0, dtype=None, progress=None):
        """Write an array into the matrix, its first entry at (row, col).

        The array must have the matrix's dtype, unless dtype=handle.dtype converts it in blocks. Fractions are then
        cut off, and a value that does not fit is an error. When the write is interrupted, the entries that workers
        have acknowledged stay written, and resume() with the same arguments sends the rest.
        """
        self._write_array("matrix_write_start", array, row, col, dtype, progress)

    def resume(self, array, row=0, col=0, dtype=None, progress=None):
        """Continue an interrupted write or send: pass the same array, and only the missing entries are sent.

        `array` may also be an iterable of row blocks. Returns the number of bytes sent.
        """
        if sources.is_file_array(array):
            array = sources.slices_of(array)
        if sources.is_blocks(array):
            if (row, col) != (0, 0):
                raise ValueError("an iterable of row blocks stands for the whole matrix: row and col are "
                                 f"{row} and {col}, but must be 0")
            return sum(t.bytes for t in self._write_blocks("matrix_write_missing_start", array, dtype, progress))
        return sum(t.bytes for t in self._write_array("matrix_write_missing_start", array, row, col, dtype, progress))

    def append_rows(self, rows, dtype=None, progress=None):
        """Append a block of rows to the matrix, or one row (an array of one dimension). Updates the handle's shape.

        The entries of the matrix stay where they are. While a task uses the matrix, the call raises BusyError. When the
        transfer is interrupted, the matrix keeps the new rows, which are incomplete.
        """
        block = sources.as_array(rows, "the block")
        if np.ndim(rows) == 1:
            block = block.T
        self._check_array(block, dtype)
        if block.shape[1] != self.shape[1]:
            raise ValueError(f"the block has {block.shape[1]} columns, but matrix {self.id} has {self.shape[1]}")
        self._grow(block.shape[0])
        self._write_array("matrix_write_start", block, self.shape[0] - block.shape[0], 0, dtype, progress)

    def missing(self, most=64):
        """The entries that are not written yet, as rectangles (first row, first column, rows, columns).

        The rectangles cover all missing entries. They cover others too only if more than `most` rectangles would be
        needed to leave those out.
        """
        rects, count = (_ffi.Rect * most)(), C.c_size_t()
        _ffi.call_interruptibly("matrix_missing", self._handle(), rects, C.c_size_t(most), C.byref(count))
        return [(r.i, r.j, r.m, r.n) for r in rects[:count.value]]

    @property
    def complete(self):
        """Whether every entry is written."""
        return not self.missing(1)

    def _grow(self, rows):
        """Append rows that are not written yet."""
        end = time.monotonic() + GROW_PATIENCE
        while True:
            try:
                _ffi.call_interruptibly("matrix_grow", self._handle(), C.c_int64(rows))
                break
            except BusyError:
                # Other clients' transfers and growths end soon, so it is worth waiting for them. A task may take long.
                # The server names a use of the matrix only if it is a task or a move to other workers.
                if time.monotonic() > end or self._ask_info().busy:
                    raise
                time.sleep(GROW_RETRY)
        self._copy_description()

    def _check_array(self, array, dtype):
        """Raise TypeError unless an array can be written, converted to `dtype` unless that is None."""
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise TypeError(f"matrix {self.id} has dtype {self.dtype}: entries of {np.dtype(dtype)} cannot be stored")
        if dtype is not None:
            sources.matrix_dtype(array.dtype, dtype)
        elif array.dtype.newbyteorder("=") != self.dtype:
            raise TypeError(f"matrix {self.id} has dtype {self.dtype}, but the array has {array.dtype}: convert it "
                            f"with .astype(), or in blocks with dtype={self.dtype.name!r}")

    def _check_blocks_dtype(self, dtype):
        """Raise TypeError unless row blocks that become `dtype` have the matrix's dtype."""
        if dtype != self.dtype:
            raise TypeError(f"matrix {self.id} has dtype {self.dtype}, but the blocks have {dtype}: "
                            f"dtype={self.dtype.name!r} converts them")

    def _write_array(self, start, array, row, col, dtype, progress):
        array = sources.as_array(array, "the array")
        self._check_array(array, dtype)
        if sources.is_sent_in_place(array, self.dtype):
            rect = (row, col, *array.shape)
            return transfer.run(start, self._session, self._handle(), rect, array, progress)
        # The workers check each transfer. Without this check, the slices before the first one that leaves the matrix
        # would be written.
        if row < 0 or col < 0 or row + array.shape[0] > self.shape[0] or col + array.shape[1] > self.shape[1]:
            raise IndexError(f"{array.shape[0]} x {array.shape[1]} entries at ({row}, {col}) leave matrix {self.id} "
                             f"({self.shape[0]} x {self.shape[1]})")
        writer = sources.Writer(self._session, self, self.dtype, start, progress, array.size * self.dtype.itemsize)
        try:
            writer.write(array, row, col)
            return writer.finish()
        finally:
            writer.abort()

    def _write_blocks(self, start, blocks, dtype, progress):
        def make_writer(given):
            self._check_blocks_dtype(given)
            return sources.Writer(self._session, self, self.dtype, start, progress, self.nbytes)

        rows = sources.Rows(make_writer, None, self.shape[0], self.shape[1], dtype)
        try:
            for block in blocks:
                rows.add(block)
            return rows.finish()
        finally:
            rows.abort()

    def _read(self, rect=None, out=None, progress=None):
        rect = (0, 0, *self.shape) if rect is None else tuple(int(x) for x in rect)
        shape = rect[2:]
        if out is None:
            out = np.empty(tuple(max(0, x) for x in shape), dtype=self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.writeable:
            access = "is writeable" if out.flags.writeable else "is read-only"
            raise ValueError(f"out has shape {out.shape} and dtype {out.dtype} and {access}, but must be a writeable "
                             f"array of shape {shape} and dtype {self.dtype}")
        if any(s % self.dtype.itemsize for s in out.strides) or not out.flags.aligned:
            raise ValueError(f"out has strides of {out.strides} bytes, but must be aligned and have strides of whole "
                             f"entries ({self.dtype.itemsize} bytes)")
        timings = transfer.run("matrix_read_start", self._session, self._handle(), rect, out, progress)
        return out, timings

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(f"the entries of matrix {self.id} are on the workers: an array of them is always a copy")
        array = self.fetch()
        return array if dtype is None or np.dtype(dtype) == self.dtype else array.astype(dtype)

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} would fetch matrix {self.id} ({self.nbytes:,} bytes): "
                        "use np.asarray(handle) to fetch it, or a function of a library")

    def __iter__(self):
        raise TypeError(f"iterating over matrix {self.id} would fetch it row by row: use np.asarray(handle)")

    def __getitem__(self, key):
        """Fetch a part: indexes are integers, slices with any step, and lists of indices, as in NumPy."""
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [k if k is Ellipsis else None for k in key]:
            at = [k is Ellipsis for k in key].index(True)
            key = key[:at] + (slice(None),) * (3 - len(key)) + key[at + 1:]
        if len(key) > 2:
            raise IndexError(f"a matrix has 2 dimensions, but {len(key)} were indexed")
        key = key + (slice(None),) * (2 - len(key))
        rows, drop_row = _indices(key[0], self.shape[0], "row")
        cols, drop_col = _indices(key[1], self.shape[1], "column")
        part = np.empty((len(rows), len(cols)), dtype=self.dtype)
        for r0, r1, first_row, row_step in _runs(rows):
            for c0, c1, first_col, col_step in _runs(cols):
                # A descending run is read in ascending order, into a reversed view.
                view = part[r0:r1, c0:c1][::row_step, ::col_step]
                self._read((first_row, first_col, r1 - r0, c1 - c0), view)
        return part[0 if drop_row else slice(None), 0 if drop_col else slice(None)]

    # -- end --

    def free(self):
        """Free the matrix on the workers. The handle cannot be used afterwards."""
        _ffi.call_interruptibly("matrix_free", self._handle())
        self._release()

    def _handle(self):
        if not self._pointer:
            raise ValueError(f"matrix {self.id} was freed, or its session was closed")
        return self._pointer

    def _release(self):
        pointer, self._pointer = self._pointer, None
        if pointer:
            _ffi.lib.matrix_destroy(pointer)

    def __del__(self):
        if getattr(self, "_pointer", None):
            self._release()


def _indices(key, size, what):
    """The indices that one part of a key asks for, and whether it drops the dimension."""
    if isinstance(key, slice):
        return range(*key.indices(size)), False
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not -size <= key < size:
            raise IndexError(f"{what} {key} is out of range for a matrix with {size} {what}s")
        return range(key % size, key % size + 1), True
    array = np.asarray(key)
    if array.ndim == 1 and array.dtype == bool:
        if len(array) != size:
            raise IndexError(f"the mask has {len(array)} entries, but the matrix has {size} {what}s")
        array = np.flatnonzero(array)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise IndexError(f"a matrix is indexed by integers, slices and lists of {what}s, not {key!r}")
    if array.size and not (-size <= array.min() and array.max() < size):
        bad = array.max() if array.max() >= size else array.min()
        raise IndexError(f"{what} {bad} in the list is out of range for a matrix with {size} {what}s")
    return [int(i) % size for i in array], False


def _runs(indices):
    """Cut indices into runs of neighbors: (first place, end place, lowest index, +1 or -1)."""
    if isinstance(indices, range) and abs(indices.step) == 1:
        if len(indices):
            yield 0, len(indices), min(indices[0], indices[-1]), indices.step
        return
    start = 0
    for k in range(1, len(indices) + 1):
        if k == len(indices) or indices[k] != indices[k - 1] + 1:
            yield start, k, indices[start], 1
            start = k
