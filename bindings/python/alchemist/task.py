"""Tasks: calls of library functions that run on the workers."""

import collections
import ctypes as C
import sys
import warnings

from . import _ffi
from .errors import AlchemistWarning
from .matrix import MatrixHandle

Progress = collections.namedtuple("Progress", "state fraction seconds text")
Progress.__doc__ = """How far a task is: its state ("queued", "running", "cancelling", "done", "failed",
"canceled"), the fraction done or None, seconds it has run, and what it does now."""

_UNSIGNED = (6, 7, 8, 9)
_REAL = (10, 11)
_COMPLEX = (12, 13)
_MATRIX = 15
_WARNING = 2


class Task:
    """A call under way: wait with result(), look with progress, end with cancel()."""

    def __init__(self, session, pointer, function):
        self._session = session
        self._pointer = pointer
        self._function = function
        self._result = None
        self._notes = ()
        self.id = _ffi.lib.task_id(pointer)
        session._adopt(self)

    @property
    def progress(self):
        """How far it is, as a Progress; one round trip while it runs."""
        progress = _ffi.TaskProgress()
        _ffi.call("task_progress", self._handle(), C.byref(progress))
        fraction = progress.fraction if progress.fraction >= 0 else None
        return Progress(_ffi.lib.task_state_name(progress.state).decode(), fraction, progress.seconds,
                        progress.text.decode("utf-8", "replace"))

    @property
    def state(self):
        """Its state, as in Progress."""
        return self.progress.state

    def done(self):
        """Whether it has ended, in whatever way."""
        return self.state in ("done", "failed", "canceled")

    def cancel(self, hard=False):
        """Ask it to end: a queued task at once, a running one when its function next looks.

        `hard` ends the whole worker group at once; all matrices of the session are lost, and the task's error names them.
        """
        _ffi.patient("task_cancel", self._handle(), C.c_bool(hard))

    def result(self, timeout=None):
        """Wait for its end and return its results; raises what the function failed with.

        Ctrl-C asks the task to end and raises KeyboardInterrupt at once; the session stays usable.
        Raises TimeoutError when `timeout` seconds were not enough: the task goes on.
        """
        if self._result is None:
            try:
                ended = _ffi.repeat("task_wait", self._handle(), None, timeout_ms=1, timeout=timeout)
            except KeyboardInterrupt:
                self._cancel_quietly()
                raise
            if not ended:
                raise TimeoutError(f"task {self.id} ({self._function.name}) has not ended within {timeout} s")
            self._notes = tuple(_notes(self._handle()))
            self._result = (self._unpack(),)
            self._announce()
        return self._result[0]

    @property
    def notes(self):
        """What the function had to say once it was done, as strings; warnings among them begin with "warning: "."""
        if self._result is None and self.done():
            self._notes = tuple(_notes(self._handle()))
        return [("warning: " if kind == _WARNING else "") + text for kind, text in self._notes]

    def _announce(self):
        """Pass warnings on as Python has them, as of the line outside this package that asked for the result."""
        frame, level = sys._getframe(), 1
        while frame.f_back and frame.f_globals.get("__package__") == __package__:
            frame, level = frame.f_back, level + 1
        for kind, text in self._notes:
            if kind == _WARNING:
                warnings.warn(text, AlchemistWarning, stacklevel=level)

    def _cancel_quietly(self):
        """Ask for cancellation without waiting for the answer: the caller is being interrupted."""
        import threading

        def run(pointer=self._pointer):
            error = _ffi.Error()
            _ffi.lib.task_cancel(pointer, False, C.byref(error))

        threading.Thread(target=run, name="alchemist-cancel", daemon=True).start()
        self._session._cancelling.append(self)  # keeps the handle until the answer is there

    def _unpack(self):
        values = _ffi.lib.task_results(self._handle())
        names = [_ffi.lib.values_name(values, k) for k in range(_ffi.lib.values_count(values))]
        results = [self._value(values, name) for name in names]
        if len(results) <= 1:
            return results[0] if results else None
        return self._function._tuple_of(names)(*results)

    def _value(self, values, name):
        """One result as a Python object."""
        kind, is_list, count = C.c_int(), C.c_bool(), C.c_size_t()
        _ffi.lib.values_describe(values, name, C.byref(kind), C.byref(is_list), C.byref(count))
        if kind.value == _MATRIX:
            entries = [self._matrix(name, k) for k in range(count.value)]
        else:
            entries = [_entry(values, name, k, kind.value) for k in range(count.value)]
        return entries if is_list.value else entries[0]

    def _matrix(self, name, index):
        pointer = C.c_void_p()
        _ffi.call("task_matrix", self._handle(), name, index, C.byref(pointer))
        return MatrixHandle(self._session, pointer)

    def _handle(self):
        if not self._pointer:
            raise ValueError(f"the session of task {self.id} was closed")
        return self._pointer

    def _release(self):
        pointer, self._pointer = self._pointer, None
        if pointer:
            _ffi.lib.task_destroy(pointer)

    def __del__(self):
        if getattr(self, "_pointer", None):
            self._release()

    def __repr__(self):
        return f"<task {self.id}: {self._function.name}>"


def _notes(pointer):
    """Kind and text of each remark of a task."""
    kind, index = C.c_int(), 0
    while (text := _ffi.lib.task_note(pointer, index, C.byref(kind))) is not None:
        yield kind.value, text.decode("utf-8", "replace")
        index += 1


def _entry(values, name, index, kind):
    lib = _ffi.lib
    if kind == 1:
        x = C.c_bool()
        lib.values_get_bool(values, name, index, C.byref(x))
    elif kind in _UNSIGNED:
        x = C.c_uint64()
        lib.values_get_uint(values, name, index, C.byref(x))
    elif kind in _REAL:
        x = C.c_double()
        lib.values_get_real(values, name, index, C.byref(x))
    elif kind in _COMPLEX:
        x, y = C.c_double(), C.c_double()
        lib.values_get_complex(values, name, index, C.byref(x), C.byref(y))
        return complex(x.value, y.value)
    elif kind == 14:
        x = C.c_char_p()
        lib.values_get_string(values, name, index, C.byref(x))
        return x.value.decode("utf-8")
    else:
        x = C.c_int64()
        lib.values_get_int(values, name, index, C.byref(x))
    return x.value
