"""Tasks: calls of library functions that run on the workers."""

import collections
import ctypes as C
import sys
import threading
import warnings

from . import _ffi
from .codes import NoteKind, TaskState
from .errors import AlchemistWarning

Progress = collections.namedtuple("Progress", "state fraction seconds text")
Progress.__doc__ = """The progress of a task: its state ("queued", "running", "cancelling", "done", "failed",
"canceled"), the fraction that is done or None, the seconds that it has run, and what it does now."""


class Task:
    """A call that was submitted: wait for it with result(), look at its progress, end it with cancel()."""

    def __init__(self, session, pointer, name, unpack):
        """Take the C handle of a task. `unpack(task)` makes the Python result once the task is done."""
        self._session = session
        self._pointer = pointer
        self._name = name
        self._unpack = unpack
        self._result = None
        self._notes = ()
        self.id = _ffi.lib.task_id(pointer)
        session._adopt(self)

    @property
    def progress(self):
        """The progress of the task, as a Progress. Asks the server unless the task has ended."""
        progress = self._ask_progress()
        fraction = progress.fraction if progress.fraction >= 0 else None
        return Progress(_ffi.lib.task_state_name(progress.state).decode(), fraction, progress.seconds,
                        progress.text.decode("utf-8", "replace"))

    @property
    def state(self):
        """The state of the task, as in Progress."""
        return self.progress.state

    def done(self):
        """Whether the task has ended: it is done, has failed or was canceled."""
        return self._ask_progress().state in (TaskState.DONE, TaskState.FAILED, TaskState.CANCELED)

    def cancel(self, hard=False):
        """Ask the task to end. A queued task ends at once, a running one when its function next checks for a cancel.

        `hard` ends the whole worker group at once. All matrices of the session are then lost; the task's error names
        them.
        """
        _ffi.call_interruptibly("task_cancel", self._handle(), C.c_bool(hard))

    def result(self, timeout=None):
        """Wait for the end of the task and return its results. Raises the error of a task that failed.

        Ctrl-C asks the task to end and raises KeyboardInterrupt at once; the session stays usable.
        Raises TimeoutError when `timeout` seconds were not enough; the task keeps running.
        """
        if self._result is None:
            try:
                ended = _ffi.repeat("task_wait", self._handle(), _ffi.TIMEOUT, timeout=timeout)
            except KeyboardInterrupt:
                self._request_cancel()
                raise
            if not ended:
                raise TimeoutError(f"task {self.id} ({self._name}) has not ended within {timeout} s")
            self._notes = tuple(_read_notes(self._handle()))
            self._result = (self._unpack(self),)
            self._issue_warnings()
        return self._result[0]

    @property
    def notes(self):
        """The notes that the function left once it is done, as strings. A warning begins with "warning: "."""
        if self._result is None and self.done():
            self._notes = tuple(_read_notes(self._handle()))
        return [("warning: " if kind == NoteKind.WARNING else "") + text for kind, text in self._notes]

    def _issue_warnings(self):
        """Issue the function's warnings as Python warnings of the line outside this package that wanted the result."""
        frame, level = sys._getframe(), 1
        while frame.f_back and frame.f_globals.get("__package__") == __package__:
            frame, level = frame.f_back, level + 1
        for kind, text in self._notes:
            if kind == NoteKind.WARNING:
                warnings.warn(text, AlchemistWarning, stacklevel=level)

    def _request_cancel(self):
        """Ask the task to end without waiting for the answer, because the caller is being interrupted."""
        def run(pointer=self._pointer):
            error = _ffi.Error()
            _ffi.lib.task_cancel(pointer, False, C.byref(error))

        threading.Thread(target=run, name="alchemist-cancel", daemon=True).start()
        self._session._canceling.append(self)  # keeps the C handle until the answer has arrived

    def _ask_progress(self):
        progress = _ffi.TaskProgress()
        _ffi.call("task_progress", self._handle(), C.byref(progress))
        return progress

    def _result_values(self):
        """The results of a task that is done, as the C library holds them."""
        return _ffi.lib.task_results(self._handle())

    def _open_matrix(self, name, index=0):
        """A C handle of a matrix among the results of a task that is done."""
        pointer = C.c_void_p()
        _ffi.call("task_matrix", self._handle(), name, index, C.byref(pointer))
        return pointer

    def _handle(self):
        if not self._pointer:
            raise ValueError(f"task {self.id} cannot be used any more: its session is closed")
        return self._pointer

    def _release(self):
        pointer, self._pointer = self._pointer, None
        if pointer:
            _ffi.lib.task_destroy(pointer)

    def __del__(self):
        if getattr(self, "_pointer", None):
            self._release()

    def __repr__(self):
        return f"<task {self.id}: {self._name}>"


def _read_notes(pointer):
    """The kind and the text of each note that a task left."""
    kind, index = C.c_int(), 0
    while (text := _ffi.lib.task_note(pointer, index, C.byref(kind))) is not None:
        yield kind.value, text.decode("utf-8", "replace")
        index += 1
