"""What can be sent: arrays as they lie; and what has to be staged: conversions, iterables of row blocks.

Staged data goes through two buffers of bounded size. One is sent while the other is
filled, so that converting, or producing the next block, overlaps with the transfer.
"""

import numpy as np

from . import transfer

STAGE_BYTES = 32 << 20  # of one buffer; a single row that is larger makes it larger
BATCH_BYTES = 4 << 20  # small blocks are put together until there are so many bytes


def as_array(data, what="the data"):
    """Data as an array of two dimensions, itself if it is one; one dimension is a column."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(_ragged(data, what) or f"{what}: {error}") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"a matrix has two dimensions, {what} {array.ndim}")
    return array


def _ragged(rows, what):
    """Which row of a list is the odd one."""
    lengths = [len(row) if hasattr(row, "__len__") else None for row in rows]
    for k, length in enumerate(lengths):
        if length != lengths[0]:
            count = "one entry" if length is None else f"{length} entries"
            return f"{what} is ragged: row {k} has {count}, row 0 {'one' if lengths[0] is None else lengths[0]}"
    return None


def is_blocks(data):
    """Whether data is an iterable of row blocks, rather than something that is an array."""
    if isinstance(data, (list, tuple)):
        return len(data) > 0 and getattr(data[0], "ndim", 0) == 2
    return (hasattr(data, "__iter__") and not hasattr(data, "__array__") and not hasattr(data, "__array_interface__")
            and not isinstance(data, (str, bytes, bytearray, memoryview, dict, set, frozenset)))


def is_sliceable(data):
    """Whether data is an array in a file, read slice by slice: a data set of h5py or zarr."""
    return type(data).__module__.split(".")[0] in ("h5py", "zarr") and getattr(data, "ndim", 0) == 2


def slices_of(data):
    """The row blocks of an array in a file."""
    step = max(1, STAGE_BYTES // max(1, data.shape[1] * data.dtype.itemsize))
    return (data[i:i + step] for i in range(0, data.shape[0], step))


def target(given, dtype):
    """The matrix's dtype for data of dtype `given`: refused unless it can be stored or is to be converted."""
    given = np.dtype(given)
    if dtype is None:
        wanted = given.newbyteorder("=")
        transfer.dtype_number(wanted)
        return wanted
    wanted = np.dtype(dtype)
    transfer.dtype_number(wanted)
    if given.kind not in "biufc":
        raise TypeError(f"entries of dtype {given} are not numbers: they cannot be converted to {wanted}")
    if given.kind == "c" and wanted.kind != "c":
        raise TypeError(f"{given} cannot become {wanted} without losing the imaginary part: take .real first")
    return wanted


def as_it_lies(array, dtype):
    """Whether an array can be sent from where it is."""
    size = array.dtype.itemsize
    return (array.dtype == dtype and array.dtype.isnative and array.flags.aligned
            and not any(s % size for s in array.strides))


def _convert(into, array):
    """Copy with conversion; fractions are cut off, but a value that does not fit is an error."""
    dtype = into.dtype
    if dtype.kind == "i" and array.dtype.kind in "iuf" and array.size and array.dtype != dtype:
        low, high = array.min(), array.max()
        # The first power of two above is exact in every floating-point type, which the highest integer is not.
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
    """Writes staged rectangles into a matrix, one in flight.

    `handle` may be set later, before the first write. An error leaves what was
    acknowledged in the matrix.
    """

    def __init__(self, session, handle, dtype, start="matrix_write_start", progress=None, total=None):
        self.handle = handle
        self.sent = 0  # bytes that really went, replicas included
        self._session, self._dtype, self._start = session, np.dtype(dtype), start
        self._progress, self._total, self._done = progress, total, 0
        self._stages = [np.empty(0, np.uint8), np.empty(0, np.uint8)]
        self._flight, self._flight_bytes = None, 0
        self._timings = {}

    def stage(self, shape, order="C"):
        """The buffer that is free, as an array of the matrix's dtype."""
        count = shape[0] * shape[1]
        if self._stages[0].nbytes < count * self._dtype.itemsize:
            self._stages[0] = np.empty(count * self._dtype.itemsize, np.uint8)
        return self._stages[0][:count * self._dtype.itemsize].view(self._dtype).reshape(shape, order=order)

    def send(self, staged, row, col):
        """Start sending what stage() gave, after the end of what is in flight."""
        self.settle()
        rect = (row, col, *staged.shape)
        self._flight = transfer.Pending(self._start, self._session, self.handle._handle(), rect, staged)
        self._flight_bytes = staged.nbytes
        self._stages.reverse()

    def settle(self):
        """Wait for what is in flight."""
        if self._flight is None:
            return
        flight, self._flight = self._flight, None
        try:
            flight.wait(self._show)
            for t in flight.timings():
                self._add(t)
        finally:
            flight.close()
        self._done += self._flight_bytes
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _show(self, done, total):
        if self._progress is not None:
            self._progress(self._done + int(self._flight_bytes * done / max(1, total)), self._total)

    def _add(self, t):
        self.sent += t.bytes
        known = self._timings.setdefault(t.slot, t)
        if known is not t:
            for name in ("bytes", "messages", "serialize", "send", "receive", "deserialize"):
                setattr(known, name, getattr(known, name) + getattr(t, name))

    def write(self, array, row, col):
        """Copy an array through the stages, along the way it lies in memory."""
        m, n = array.shape
        across = abs(array.strides[0]) < abs(array.strides[1])
        length, line = (n, m) if across else (m, n)
        step = max(1, STAGE_BYTES // max(1, line * self._dtype.itemsize))
        for k in range(0, length if line else 0, step):
            part = array[:, k:k + step] if across else array[k:k + step]
            staged = self.stage(part.shape, "F" if across else "C")
            _convert(staged, part)
            self.send(staged, row + (0 if across else k), col + (k if across else 0))

    def finish(self):
        """Wait until all is written; the times per worker."""
        self.settle()
        return list(self._timings.values())

    def abort(self):
        """End what is in flight at its next frame."""
        if self._flight is not None:
            flight, self._flight = self._flight, None
            flight.close()


class Rows:
    """Takes row blocks in, checks them, puts small ones together, and hands them to a Writer.

    Args:
        writer: gives the Writer for a dtype; without a handle the matrix is made when the first rows are there.
        make: makes a matrix of (rows, columns, dtype).
        rows: how many will come; None: unknown, the matrix grows.
        columns, dtype: None: as the first block; a dtype asks for conversion to it.
    """

    def __init__(self, writer, make, rows, columns, dtype):
        self.count, self.blocks = 0, 0  # taken in
        self.rows, self.columns, self.dtype = rows, columns, dtype
        self.writer = None
        self._make_writer, self._make, self._convert = writer, make, dtype is not None
        self._sent = 0
        self._staged, self._used = None, 0

    def add(self, item):
        block = self._check(item)
        self.blocks += 1
        self.count += block.shape[0]
        if self.rows is not None and self.count > self.rows:
            raise ValueError(f"more rows came than the {self.rows} that were announced: {self.count} at least")
        self._open()
        row_bytes = max(1, self.columns * self.dtype.itemsize)
        batch, most = max(1, BATCH_BYTES // row_bytes), max(1, STAGE_BYTES // row_bytes)
        for k in range(0, block.shape[0], most):
            part = block[k:k + most]
            if self._used and self._used + part.shape[0] > self._staged.shape[0]:
                self._flush()
            if not self._used:
                self._staged = self.writer.stage((max(batch, part.shape[0]), self.columns))
            _convert(self._staged[self._used:self._used + part.shape[0]], part)
            self._used += part.shape[0]
            if self._used >= batch:
                self._flush()

    def _check(self, item):
        k = self.blocks
        block = as_array(item, f"block {k}")
        if np.ndim(item) == 1:  # one row
            block = block.T
        if self.columns is None:
            self.columns = block.shape[1]
        if block.shape[1] != self.columns:
            raise ValueError(f"block {k} has {block.shape[1]} columns, the matrix {self.columns}")
        wanted = target(block.dtype, self.dtype if self._convert else None)
        if self.dtype is None:
            self.dtype = wanted
        if wanted != self.dtype:
            raise TypeError(f"block {k} has dtype {block.dtype}, the matrix {self.dtype}: dtype= converts")
        return block

    def _open(self):
        if self.writer is None:
            self.writer = self._make_writer(self.dtype)

    def _reach(self, rows):
        """Have a matrix with so many rows; it grows while nothing of it is in flight."""
        if self.writer.handle is None:
            self.writer.handle = self._make(rows if self.rows is None else self.rows, self.columns, self.dtype)
        elif self.rows is None:
            self.writer.settle()
            self.writer.handle._grow(rows - self.writer.handle.shape[0])

    def _flush(self):
        staged, self._used = self._staged[:self._used], 0
        self._reach(self._sent + staged.shape[0])
        self.writer.send(staged, self._sent, 0)
        self._sent += staged.shape[0]

    def finish(self):
        """Everything is in: the times per worker."""
        if self.rows is not None and self.count < self.rows:
            raise ValueError(f"fewer rows came than were announced: {self.count} of {self.rows}")
        if self.columns is None or self.dtype is None:
            raise ValueError("there are no blocks to send, and nothing says which shape and dtype the matrix has")
        self._open()
        if self._used:
            self._flush()
        elif self.writer.handle is None:
            self._reach(0)
        return self.writer.finish()

    def abort(self):
        """End what is in flight. Returns the handle, if there is one."""
        if self.writer is None:
            return None
        self.writer.abort()
        return self.writer.handle
