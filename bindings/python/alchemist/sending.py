"""The send of a matrix: an array in one transfer or in stages, or row blocks as they are produced."""

import numpy as np

from . import sources, transfer


class Sender:
    """One send of a matrix: its source is given to send(), the arguments say where to and how.

    The arguments are those of AlchemistSession.send_matrix().
    """

    def __init__(self, session, shape, dtype, layout, name, progress, into, resume):
        if resume and into is None:
            raise ValueError("resume=True needs into=, the handle of the incomplete matrix")
        if into is not None and (layout is not None or name is not None):
            raise ValueError(f"matrix {into.id}, which into= gives, already has its layout and name: layout= and name= "
                             "must be None")
        self._session, self._into = session, into
        self._shape = None if shape is None else tuple(shape)
        self._dtype, self._layout, self._name, self._progress = dtype, layout, name, progress
        self._start = "matrix_write_missing_start" if resume else "matrix_write_start"

    def send(self, matrix):
        """Send the matrix. Returns its handle and the times of each worker. A new matrix is freed on failure."""
        if sources.is_file_array(matrix):
            self._shape = matrix.shape if self._shape is None else self._shape
            matrix = sources.slices_of(matrix)
        return self._send_blocks(matrix) if sources.is_blocks(matrix) else self._send_array(matrix)

    def _send_array(self, matrix):
        array = sources.as_array(matrix, "the array")
        wanted = sources.matrix_dtype(array.dtype, self._dtype)
        if self._shape is not None and self._shape not in (array.shape, (None, array.shape[1])):
            raise ValueError(f"the array has shape {array.shape}, but shape {self._shape} was announced")
        if self._into is not None and array.shape != self._into.shape:
            raise ValueError(f"the array has shape {array.shape}, but matrix {self._into.id} has {self._into.shape}")
        handle = self._into
        if handle is None:
            with self._session._console.stage("Sending array info to Alchemist ..."):
                handle = self._session.create_matrix(array.shape, wanted, self._layout, self._name)
        with self._stage(array.dtype, wanted):
            show, close = transfer.progress_bar("sending", self._progress)
            try:
                timings = handle._write_array(self._start, array, 0, 0, self._dtype, show)
            except BaseException:
                self._discard(handle)
                raise
            finally:
                close()
        return handle, timings

    def _send_blocks(self, blocks):
        rows, cols = (None, None) if self._shape is None else self._shape
        if self._into is not None:
            if self._shape is not None and self._shape != self._into.shape:
                raise ValueError(f"shape {self._shape} was announced, but matrix {self._into.id} has "
                                 f"{self._into.shape}")
            rows, cols = self._into.shape
        dtype = None if self._dtype is None else np.dtype(self._dtype)
        if dtype is not None:
            transfer.dtype_code(dtype)
        show, close = transfer.progress_bar("sending", self._progress)

        def make_writer(given):
            if self._into is not None:
                self._into._check_blocks_dtype(given)
            total = None if rows is None else rows * staged.columns * given.itemsize
            return sources.Writer(self._session, self._into, given, self._start, show, total)

        def make_matrix(rows, columns, given):
            return self._session.create_matrix((rows, columns), given, self._layout, self._name)

        staged = sources.Rows(make_writer, make_matrix, rows, cols, dtype)
        with self._stage("blocks", "blocks" if dtype is None else dtype):
            try:
                for block in blocks:
                    staged.add(block)
                timings = staged.finish()
            except BaseException:
                self._discard(staged.abort())
                raise
            finally:
                close()
        return staged.writer.handle, timings

    def _stage(self, given, wanted):
        if given != wanted:
            self._session._console.line(f"Converting {given} to {wanted} on the way")
        return self._session._console.stage("Sending array data to Alchemist ...")

    def _discard(self, handle):
        """Free the matrix of a failed send, if the send made one."""
        if self._into is None and handle is not None:
            self._session._discard(handle)
