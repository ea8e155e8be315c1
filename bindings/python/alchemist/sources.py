"""Data that can be sent: arrays as they are in memory, and data that is staged (conversions, iterables of row blocks).

Staged data goes through two buffers of bounded size. While one of them is sent the other is filled, so that the
conversion, or the production of the next block, overlaps with the transfer.
"""

import numpy as np

from . import transfer

STAGE_BYTES = 32 << 20  # the size of one buffer; a single row that is larger makes it larger
BATCH_BYTES = 4 << 20  # small blocks are collected until they have this size


def as_array(data, what="the data"):
    """Data as an array of two dimensions: itself if it is one. Data of one dimension becomes a column."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(_describe_ragged(data, what) or f"{what} is not an array: {error}") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"a matrix has two dimensions, but {what} has {array.ndim}")
    return array


def _describe_ragged(rows, what):
    """An error text that names the first row of a list whose length differs; None if there is no such row."""
    lengths = [len(row) if hasattr(row, "__len__") else None for row in rows]
    for k, length in enumerate(lengths):
        if length != lengths[0]:
            count = "one entry" if length is None else f"{length} entries"
            return f"{what} is ragged: row {k} has {count}, but row 0 has {'one' if lengths[0] is None else lengths[0]}"
    return None


def is_blocks(data):
    """Whether data is an iterable of row blocks, rather than an array or something that becomes one."""
    if isinstance(data, (list, tuple)):
        return len(data) > 0 and getattr(data[0], "ndim", 0) == 2
    return (hasattr(data, "__iter__") and not hasattr(data, "__array__") and not hasattr(data, "__array_interface__")
            and not isinstance(data, (str, bytes, bytearray, memoryview, dict, set, frozenset)))


def is_file_array(data):
    """Whether data is an array in a file that is read slice by slice: a data set of h5py or zarr."""
    return type(data).__module__.split(".")[0] in ("h5py", "zarr") and getattr(data, "ndim", 0) == 2


def slices_of(data):
    """The row blocks of an array in a file."""
    step = max(1, STAGE_BYTES // max(1, data.shape[1] * data.dtype.itemsize))
    return (data[i:i + step] for i in range(0, data.shape[0], step))


def matrix_dtype(given, dtype):
    """The dtype of the matrix for data of dtype `given`, which is converted to `dtype` unless that is None.

    Raises TypeError if a matrix cannot have the dtype, or if the conversion is impossible.
    """
    given = np.dtype(given)
    if dtype is None:
        wanted = given.newbyteorder("=")
        transfer.dtype_code(wanted)
        return wanted
    wanted = np.dtype(dtype)
    transfer.dtype_code(wanted)
    if given.kind not in "biufc":
        raise TypeError(f"entries of dtype {given} are not numbers: they cannot be converted to {wanted}")
    if given.kind == "c" and wanted.kind != "c":
        raise TypeError(f"{given} cannot be converted to {wanted} without losing the imaginary part: take .real first")
    return wanted


def is_sent_in_place(array, dtype):
    """Whether an array can be sent to a matrix of a dtype from the memory where it is, without staging."""
    size = array.dtype.itemsize
    return (array.dtype == dtype and array.dtype.isnative and array.flags.aligned
            and not any(s % size for s in array.strides))


def _copy_converted(into, array):
    """Copy with conversion. Fractions are cut off, but a value that does not fit is an error."""
    dtype = into.dtype
    if dtype.kind == "i" and array.dtype.kind in "iuf" and array.size and array.dtype != dtype:
        low, high = array.min(), array.max()
        # Compare with the power of two above the highest integer: every floating-point type holds it exactly, which is
        # not true of the highest integer itself.
        limit = 2.0 ** (8 * dtype.itemsize - 1)
        if array.dtype.kind == "f":
            low, high = float(low), float(high)
            fits = -limit <= np.trunc(low) and high < limit
        else:
            fits = np.iinfo(dtype).min <= int(low) and int(high) <= np.iinfo(dtype).max
        if not fits:
            raise ValueError(f"values from {low} to {high} do not fit {dtype}")
    try:
        with np.errstate(over="raise", invalid="raise"):
            np.copyto(into, array, casting="unsafe")
    except FloatingPointError:
        raise ValueError(f"a value of dtype {array.dtype} does not fit {dtype}") from None


class Writer:
    """Writes staged rectangles into a matrix, with one transfer in flight.

    `handle` may be None at first, and must be set before the first write. After an error, the entries that workers
    have acknowledged stay in the matrix.
    """

    def __init__(self, session, handle, dtype, start="matrix_write_start", progress=None, total=None):
        self.handle = handle
        self.sent = 0  # bytes that were sent, with all replicas
        self._session, self._dtype, self._start = session, np.dtype(dtype), start
        self._progress, self._total, self._done = progress, total, 0
        self._stages = [np.empty(0, np.uint8), np.empty(0, np.uint8)]
        self._pending, self._pending_bytes = None, 0
        self._timings = {}

    def stage(self, shape, order="C"):
        """The free buffer, as an array of the matrix's dtype."""
        count = shape[0] * shape[1]
        if self._stages[0].nbytes < count * self._dtype.itemsize:
            self._stages[0] = np.empty(count * self._dtype.itemsize, np.uint8)
        return self._stages[0][:count * self._dtype.itemsize].view(self._dtype).reshape(shape, order=order)

    def send(self, staged, row, col):
        """Wait for the transfer in flight, then start to send the array that stage() returned."""
        self.wait()
        rect = (row, col, *staged.shape)
        self._pending = transfer.Pending(self._start, self._session, self.handle._handle(), rect, staged)
        self._pending_bytes = staged.nbytes
        self._stages.reverse()

    def wait(self):
        """Wait for the end of the transfer in flight, if there is one."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.wait(self._show_progress)
            for timing in pending.timings():
                self._add_timing(timing)
        finally:
            pending.close()
        self._done += self._pending_bytes
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _show_progress(self, done, total):
        # A transfer that resumes counts what it sends; the progress counts what the stage holds.
        if self._progress is not None:
            self._progress(self._done + int(self._pending_bytes * done / max(1, total)), self._total)

    def _add_timing(self, timing):
        self.sent += timing.bytes
        known = self._timings.setdefault(timing.slot, timing)
        if known is not timing:
            for name in ("bytes", "messages", "serialize", "send", "receive", "deserialize"):
                setattr(known, name, getattr(known, name) + getattr(timing, name))

    def write(self, array, row, col):
        """Send an array through the stages, in slices along the dimension in which its memory is contiguous."""
        m, n = array.shape
        by_columns = abs(array.strides[0]) < abs(array.strides[1])
        length, line = (n, m) if by_columns else (m, n)
        step = max(1, STAGE_BYTES // max(1, line * self._dtype.itemsize))
        for k in range(0, length if line else 0, step):
            part = array[:, k:k + step] if by_columns else array[k:k + step]
            staged = self.stage(part.shape, "F" if by_columns else "C")
            _copy_converted(staged, part)
            self.send(staged, row + (0 if by_columns else k), col + (k if by_columns else 0))

    def finish(self):
        """Wait until everything is written. Returns the times of each worker."""
        self.wait()
        return list(self._timings.values())

    def abort(self):
        """Cancel the transfer in flight, which ends at its next frame."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.close()


class Rows:
    """Accepts row blocks, checks them, collects small ones, and passes them to a Writer.

    Args:
        make_writer: returns the Writer for a dtype. If that has no handle, the matrix is made when the first rows are
            there.
        make_matrix: makes a matrix of (rows, columns, dtype) and returns its handle.
        rows: the number of rows; None if it is not known, and the matrix grows.
        columns: the number of columns; None for that of the first block.
        dtype: converts the blocks to this dtype; None for the dtype of the first block.
    """

    def __init__(self, make_writer, make_matrix, rows, columns, dtype):
        self.count, self.blocks = 0, 0  # rows and blocks accepted
        self.rows, self.columns, self.dtype = rows, columns, None if dtype is None else np.dtype(dtype)
        self.writer = None
        self._make_writer, self._make_matrix, self._convert = make_writer, make_matrix, dtype is not None
        self._sent = 0
        self._staged, self._used = None, 0

    def add(self, item):
        """Accept the next block, or the next row if it has one dimension."""
        block = self._check_block(item)
        self.blocks += 1
        self.count += block.shape[0]
        if self.rows is not None and self.count > self.rows:
            raise ValueError(f"more rows came than the {self.rows} that were announced: {self.count} at least")
        if self.writer is None:
            self.writer = self._make_writer(self.dtype)
        row_bytes = max(1, self.columns * self.dtype.itemsize)
        batch, most = max(1, BATCH_BYTES // row_bytes), max(1, STAGE_BYTES // row_bytes)
        for k in range(0, block.shape[0], most):
            part = block[k:k + most]
            if self._used and self._used + part.shape[0] > self._staged.shape[0]:
                self._send_staged()
            if not self._used:
                self._staged = self.writer.stage((max(batch, part.shape[0]), self.columns))
            _copy_converted(self._staged[self._used:self._used + part.shape[0]], part)
            self._used += part.shape[0]
            if self._used >= batch:
                self._send_staged()

    def _check_block(self, item):
        k = self.blocks
        block = as_array(item, f"block {k}")
        if np.ndim(item) == 1:
            block = block.T  # as_array() makes a column of it, but it is one row
        if self.columns is None:
            self.columns = block.shape[1]
        if block.shape[1] != self.columns:
            raise ValueError(f"block {k} has {block.shape[1]} columns, but the matrix has {self.columns}")
        wanted = matrix_dtype(block.dtype, self.dtype if self._convert else None)
        if self.dtype is None:
            self.dtype = wanted
        if wanted != self.dtype:
            raise TypeError(f"block {k} has dtype {block.dtype}, but the matrix has {self.dtype}: "
                            f"dtype={self.dtype.name!r} converts the blocks")
        return block

    def _provide_rows(self, rows):
        """Make the matrix, or grow it, so that it has `rows` rows. It can grow only with no transfer in flight."""
        if self.writer.handle is None:
            self.writer.handle = self._make_matrix(rows if self.rows is None else self.rows, self.columns, self.dtype)
        elif self.rows is None:
            self.writer.wait()
            self.writer.handle._grow(rows - self.writer.handle.shape[0])

    def _send_staged(self):
        staged, self._used = self._staged[:self._used], 0
        self._provide_rows(self._sent + staged.shape[0])
        self.writer.send(staged, self._sent, 0)
        self._sent += staged.shape[0]

    def finish(self):
        """Send the rest after the last block, and wait until it is written. Returns the times of each worker."""
        if self.rows is not None and self.count < self.rows:
            raise ValueError(f"fewer rows came than were announced: {self.count} of {self.rows}")
        if self.columns is None or self.dtype is None:
            raise ValueError("there are no blocks to send, and shape= and dtype= do not say which shape and dtype the "
                             "matrix has")
        if self.writer is None:
            self.writer = self._make_writer(self.dtype)
        if self._used:
            self._send_staged()
        elif self.writer.handle is None:
            self._provide_rows(0)
        return self.writer.finish()

    def abort(self):
        """Cancel the transfer in flight. Returns the handle of the matrix, if there is one."""
        if self.writer is None:
            return None
        self.writer.abort()
        return self.writer.handle
