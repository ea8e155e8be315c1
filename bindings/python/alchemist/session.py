"""A session: the connection to a server, its identity and its end, and the handles of its matrices."""

import collections
import ctypes as C
import itertools
import os
import weakref

import numpy as np

from . import _ffi, transfer
from .codes import WorkerFilter
from .console import Quiet
from .errors import ConnectError, GroupLostError, NotFoundError
from .layout import as_layout
from .matrix import MatrixHandle
from .options import join_address, session_options
from .workers import list_workers

Ticket = collections.namedtuple("Ticket", "address id key")
Ticket.__doc__ = """The data that another process needs for attach(): see AlchemistSession.ticket."""


class Session:
    """A client's session with a server. See AlchemistSession, which adds the interface of the paper.

    It reports what it does to a console, which prints it or does not. Use it as a context manager, or call close().
    """

    def __init__(self, console=None):
        self._console = console or Quiet()
        self._pointer = None
        self._pid = os.getpid()
        self._owned = weakref.WeakSet()  # handles of C objects, which must be freed before the session
        self._canceling = collections.deque(maxlen=64)  # tasks that were asked to end: see Task._request_cancel()
        self._on_close = None
        self.worker_count = 0
        self.libraries = {}

    # -- connection --

    def connect_to_alchemist(self, address=None, port=None, *, token=None, connection_file=None, **options):
        """Connect to a server and open the session.

        Args:
            address: the host of the server, or "host:port"; None for the server of this machine, which is found by
                its connection file.
            port: the port, 24960 if not given.
            token: the token of the server (64 hexadecimal digits); None for the one in the connection file.
            connection_file: the path of the connection file; None to look in the standard places.
            options: other fields of alch_session_options_t, ``connect_timeout_ms=5000`` for example.
                ``shared_memory=0`` transfers matrices by TCP also within a host. ``checksum=1`` checks all matrix
                data by CRC32C.
        """
        where = join_address(address, port)
        with self._console.stage(f"Connecting to Alchemist at {where or 'the local server'} ...",
                                 "Connected to Alchemist!"):
            c_options = session_options(where, token, connection_file, options)
            pointer = C.c_void_p()
            _ffi.call_interruptibly("session_open", C.byref(c_options), C.byref(pointer))
            self._take_pointer(pointer)
        return self

    connect = connect_to_alchemist

    def _attach(self, ticket, options):
        """Attach to the session of a ticket: see attach()."""
        c_options = session_options(ticket.address, None, None, options)
        pointer = C.c_void_p()
        _ffi.call_interruptibly("session_attach", C.byref(c_options), C.c_uint64(ticket.id), _ffi.encode(ticket.key),
                                C.byref(pointer))
        self._take_pointer(pointer)
        self._update_workers()
        return self

    def _take_pointer(self, pointer):
        if self._pointer:
            _ffi.lib.session_destroy(pointer)
            raise ValueError("this session is connected already")
        self._pointer = pointer
        self._pid = os.getpid()

    @property
    def connected(self):
        """Whether the session is open."""
        return bool(self._pointer)

    @property
    def id(self):
        """The id of the session. A server never uses an id twice."""
        return _ffi.lib.session_id(self._handle())

    @property
    def address(self):
        """The address of the server, "host:port"."""
        return _ffi.lib.session_address(self._handle()).decode()

    @property
    def server_version(self):
        """The version of the server."""
        return _ffi.lib.session_server_version(self._handle()).decode()

    @property
    def ticket(self):
        """The ticket with which attach() in another process attaches to this session.

        Keep it secret: it holds the session's key.
        """
        key = C.create_string_buffer(65)
        _ffi.lib.session_key(self._handle(), key)
        return Ticket(self.address, self.id, key.value.decode())

    def send_test_string(self, text="This is a test string from an Alchemist client"):
        """Ask the server to echo a string. Returns the echo."""
        reply = C.c_void_p()
        _ffi.call_interruptibly("session_test_string", self._handle(), text.encode("utf-8"), C.byref(reply))
        try:
            return C.string_at(reply).decode("utf-8")
        finally:
            _ffi.free(reply)

    def request_test_string(self):
        """A string that comes back from the server."""
        return self.send_test_string("This is a test string from Alchemist")

    def close(self):
        """End the session: the server frees its workers, matrices and tasks. May be called again."""
        pointer, self._pointer = self._pointer, None
        if pointer:
            for owned in list(self._owned):
                owned._release()
            self._canceling.clear()
            try:
                if os.getpid() == self._pid:
                    _ffi.call_interruptibly("session_close", pointer)
            except ConnectError:
                pass  # the server has ended, and the session with it
            finally:
                _ffi.lib.session_destroy(pointer)
        # In a forked child, the session and its server belong to the parent.
        if self._on_close is not None and os.getpid() == self._pid:
            on_close, self._on_close = self._on_close, None
            on_close()

    stop = close

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        pointer = getattr(self, "_pointer", None)
        if pointer and not list(self._owned):
            self._pointer = None
            _ffi.lib.session_destroy(pointer)

    def __repr__(self):
        if not self._pointer:
            return "<Alchemist session, not connected>"
        return f"<Alchemist session {self.id} at {self.address}, {self.worker_count} workers>"

    def _handle(self):
        if not self._pointer:
            raise ValueError("this session is not connected")
        return self._pointer

    def _adopt(self, owned):
        """Remember a handle of a C object, whose _release() is called before the session is destroyed."""
        self._owned.add(owned)

    # -- workers --

    @property
    def workers(self):
        """The workers that serve this session, in the order of their ranks."""
        return list_workers(self, WorkerFilter.ASSIGNED)

    def _update_workers(self):
        """Update worker_count after the group has changed. Returns the workers of the session."""
        workers = self.workers
        self.worker_count = len(workers)
        return workers

    # -- matrices --

    def create_matrix(self, shape, dtype=np.float64, layout=None, name=None):
        """Create a matrix whose entries are not written yet: see MatrixHandle.write()."""
        rows, cols = shape
        pointer = C.c_void_p()
        _ffi.call_interruptibly("matrix_create", self._handle(), int(rows), int(cols), transfer.dtype_code(dtype),
                                C.byref(as_layout(layout)._c), _ffi.encode(name), C.byref(pointer))
        return MatrixHandle(self, pointer)

    def matrix(self, matrix_id):
        """A handle of the matrix with an id, which another process made for example."""
        pointer = C.c_void_p()
        _ffi.call_interruptibly("matrix_open", self._handle(), C.c_uint64(matrix_id), C.byref(pointer))
        return MatrixHandle(self, pointer)

    def list_matrices(self):
        """Handles of all matrices of the session."""
        array, count = C.POINTER(C.c_void_p)(), C.c_size_t()
        _ffi.call_interruptibly("matrix_open_all", self._handle(), C.byref(array), C.byref(count))
        try:
            return [MatrixHandle(self, C.c_void_p(pointer)) for pointer in itertools.islice(array, count.value)]
        finally:
            _ffi.free(array)

    def _refresh_matrices(self):
        """Update the handles of this process after the matrices have moved to other workers."""
        for owned in list(self._owned):
            if isinstance(owned, MatrixHandle) and owned._pointer:
                try:
                    owned.refresh()
                except (NotFoundError, GroupLostError):
                    pass  # the matrix was freed, or was lost with an earlier group

    def _discard(self, handle):
        """Free a matrix that a failed call has created. Ignores errors, because the caller is raising one already."""
        try:
            _ffi.call("matrix_free", handle._handle())
        except Exception:  # the group may have ended, and the matrix with it
            pass
        handle._release()
