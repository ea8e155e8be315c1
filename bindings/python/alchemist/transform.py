"""Matrices from matrices on the workers: what every handle can do without a library."""

import ctypes as C

import numpy as np

from . import _ffi, transfer
from .layout import as_layout

_TRANSPOSE, _CONJUGATE, _UNSAFE, _IN_PLACE = 1, 2, 4, 8
_CASTING = {"same_kind": 0, "unsafe": _UNSAFE}


class Transforms:
    """Relayout, conversion, transposes and copies, each a task on the workers: nothing travels to the client."""

    def relayout(self, layout, in_place=False, name=None):
        """The same entries in another layout: a new handle, or this one (`in_place`) once all workers have them.

        In place the matrix keeps its id, its old memory is freed, and no other task may use it meanwhile; handles
        that others made of it must refresh().
        """
        return self.submit_transform(layout=as_layout(layout), in_place=in_place, name=name).result()

    def astype(self, dtype, casting="same_kind", in_place=False, name=None):
        """The entries converted to another dtype: a new handle, or this one (`in_place`).

        Integers become integers, floats or complex; floats become floats or complex; complex become complex.
        Floats become integers only with ``casting="unsafe"``, which cuts fractions off; complex never become real.
        A value that the new dtype cannot hold is a RangeError with its place: nothing overflows silently.
        """
        return self.submit_transform(dtype=dtype, casting=casting, in_place=in_place, name=name).result()

    def transpose(self, conjugate=False, layout=None, in_place=False, name=None):
        """The transpose, in the same layout if no other is given: a new handle, or this one (`in_place`)."""
        return self.submit_transform(layout=None if layout is None else as_layout(layout), transpose=True,
                                     conjugate=conjugate, in_place=in_place, name=name).result()

    def copy(self, name=None):
        """A copy on the workers: a new handle."""
        return self.submit_transform(name=name).result()

    def submit_transform(self, layout=None, dtype=None, transpose=False, conjugate=False, casting="same_kind",
                         in_place=False, name=None):
        """Start any of these, or several at once, and return the Task; its result is the handle."""
        if casting not in _CASTING:
            raise ValueError(f"casting is {casting!r}: " + " or ".join(map(repr, _CASTING)))
        flags = _CASTING[casting] | _TRANSPOSE * bool(transpose) | _CONJUGATE * bool(conjugate)
        flags |= _IN_PLACE * bool(in_place)
        number = 0 if dtype is None else transfer.dtype_number(np.dtype(dtype))
        pointer = C.c_void_p()
        _ffi.patient("matrix_transform_submit", self._handle(), None if layout is None else C.byref(as_layout(layout)._c),
                     C.c_int(number), C.c_uint(flags), _ffi.text(name), C.byref(pointer))
        return _task(self, pointer, in_place)

    def _follow(self):
        """Learn what the matrix is now."""
        _ffi.patient("matrix_refresh", self._handle())
        self._learn()
        return self


class _Operation:
    name = "transform"


def _task(handle, pointer, in_place):
    from .task import Task

    class Transform(Task):
        """A transform under way: its result is a handle, in place the one that it was called on."""

        def _unpack(self):
            return handle._follow() if in_place else super()._unpack()

    return Transform(handle._session, pointer, _Operation)
