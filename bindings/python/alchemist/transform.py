"""Matrices made from a matrix on the workers: what every handle can do without a library."""

import ctypes as C

import numpy as np

from . import _ffi, transfer
from .codes import TransformFlag
from .layout import as_layout
from .task import Task

_CASTING = {"same_kind": TransformFlag(0), "unsafe": TransformFlag.UNSAFE}


class Transforms:
    """Relayout, conversion, transposes and copies. Each is a task on the workers; no entry travels to the client."""

    def relayout(self, layout, in_place=False, name=None):
        """The same entries in another layout: a new handle, or this one (`in_place`) once all workers have them.

        In place, the matrix keeps its id and the workers free its old memory. No other task can use the matrix until
        the relayout has ended, and other handles of the matrix must call refresh() afterwards.
        """
        return self.submit_transform(layout=as_layout(layout), in_place=in_place, name=name).result()

    def astype(self, dtype, casting="same_kind", in_place=False, name=None):
        """The entries converted to another dtype: a new handle, or this one (`in_place`).

        Integers become integers, floats or complex; floats become floats or complex; complex become complex.
        Floats become integers only with ``casting="unsafe"``, which cuts fractions off; complex never become real.
        If the new dtype cannot hold a value, a RangeError names its place: nothing overflows silently.
        """
        return self.submit_transform(dtype=dtype, casting=casting, in_place=in_place, name=name).result()

    def transpose(self, conjugate=False, layout=None, in_place=False, name=None):
        """The transpose, in the same layout unless another is given: a new handle, or this one (`in_place`)."""
        return self.submit_transform(layout=None if layout is None else as_layout(layout), transpose=True,
                                     conjugate=conjugate, in_place=in_place, name=name).result()

    def copy(self, name=None):
        """A copy on the workers: a new handle."""
        return self.submit_transform(name=name).result()

    def submit_transform(self, layout=None, dtype=None, transpose=False, conjugate=False, casting="same_kind",
                         in_place=False, name=None):
        """Start one of these transforms, or several at once, and return the Task. Its result is the handle."""
        if casting not in _CASTING:
            raise ValueError(f"casting is {casting!r}, but must be " + " or ".join(map(repr, _CASTING)))
        flags = _CASTING[casting]
        for wanted, flag in ((transpose, TransformFlag.TRANSPOSE), (conjugate, TransformFlag.CONJUGATE),
                             (in_place, TransformFlag.IN_PLACE)):
            flags |= flag if wanted else 0
        code = 0 if dtype is None else transfer.dtype_code(np.dtype(dtype))
        pointer = C.c_void_p()
        _ffi.call_interruptibly("matrix_transform_submit", self._handle(),
                                None if layout is None else C.byref(as_layout(layout)._c), C.c_int(code),
                                C.c_uint(flags), _ffi.encode(name), C.byref(pointer))
        return Task(self._session, pointer, "transform", self._refreshed if in_place else self._new_handle)

    def _refreshed(self, _task):
        """The result of a transform in place: this handle, which now describes the new matrix."""
        return self.refresh()

    def _new_handle(self, task):
        """The result of a transform that made a new matrix."""
        return type(self)(self._session, task._open_matrix(b"B"))
