"""Sessions: a client's connection to Alchemist, with its workers, matrices and libraries."""

import collections
import ctypes as C
import itertools
import os
import time
import weakref

import numpy as np

from . import _ffi, sources, transfer
from .console import Console, Quiet, print_timings
from .errors import ConnectError, GroupLostError, NotFoundError, StateError
from .files import Files
from .layout import as_layout
from .library import Library
from .matrix import MatrixHandle

Worker = collections.namedtuple("Worker", "id rank host address port state session pid")
Worker.__doc__ = """A worker slot: its number, its rank in this session's group or None, host, address and port,
state ("idle", "starting", "active", "releasing"), whom it serves (0: nobody) and its process."""

Ticket = collections.namedtuple("Ticket", "address id key")
Ticket.__doc__ = """What another process needs to attach to a session: see AlchemistSession.ticket and attach()."""

_STATES = ("idle", "starting", "active", "releasing")
_FILTERS = {"all": 0, "active": 1, "inactive": 2, "assigned": 3}


class AlchemistSession(Files):
    """A session with an Alchemist server.

    The interface of the paper (``connect_to_alchemist``, ``request_workers``,
    ``load_library``, ``send_matrix``, ``fetch_matrix``, ``run_task``, ...), which prints
    what it does; sessions from ``alchemist.connect()`` and ``alchemist.local()`` are the same,
    but silent. Use it as a context manager, or close() it.
    """

    def __init__(self, verbose=True):
        self._console = Console() if verbose else Quiet()
        self._pointer = None
        self._pid = os.getpid()
        self._owned = weakref.WeakSet()
        self._cancelling = collections.deque(maxlen=64)
        self._on_close = None
        self.worker_count = 0
        self.libraries = {}
        self._console.line("Starting Alchemist session ... ready")

    # -- connection --

    def connect_to_alchemist(self, address=None, port=None, *, token=None, connection_file=None, **options):
        """Connect to a server and open the session.

        Args:
            address: its host, or "host:port"; None: the server of this machine, found by its connection file.
            port: its port, 24960 if not given.
            token: its token (64 hexadecimal digits); None: from the connection file.
            connection_file: path of that file; None: found in the standard places.
            options: other fields of alch_session_options_t, ``connect_timeout_ms=5000`` for example;
                ``shared_memory=0`` moves matrices by TCP also within a host; ``checksum=1`` has all
                payload checked by CRC32C.
        """
        where = _join(address, port)
        with self._console.stage(f"Connecting to Alchemist at {where or 'the local server'} ...",
                                 "Connected to Alchemist!"):
            c = _options(where, token, connection_file, options)
            pointer = C.c_void_p()
            _ffi.patient("session_open", C.byref(c), C.byref(pointer))
            self._opened(pointer)
        return self

    connect = connect_to_alchemist

    def _attach(self, ticket, options):
        c = _options(ticket.address, None, None, options)
        pointer = C.c_void_p()
        _ffi.patient("session_attach", C.byref(c), C.c_uint64(ticket.id), _ffi.text(ticket.key), C.byref(pointer))
        self._opened(pointer)
        self.worker_count = len(self._workers("assigned"))
        return self

    def _opened(self, pointer):
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
        """The session's id, never reused by one server."""
        return _ffi.lib.session_id(self._handle())

    @property
    def address(self):
        """"host:port" of the server."""
        return _ffi.lib.session_address(self._handle()).decode()

    @property
    def server_version(self):
        """The server's version."""
        return _ffi.lib.session_server_version(self._handle()).decode()

    @property
    def ticket(self):
        """What attach() needs in another process: keep it secret, it holds the session's key."""
        key = C.create_string_buffer(65)
        _ffi.lib.session_key(self._handle(), key)
        return Ticket(self.address, self.id, key.value.decode())

    def close(self):
        """End the session: its workers, matrices and tasks are freed. May be called again."""
        pointer, self._pointer = self._pointer, None
        if pointer:
            for thing in list(self._owned):
                thing._release()
            self._cancelling.clear()
            try:
                if os.getpid() == self._pid:
                    _ffi.patient("session_close", pointer)
            except ConnectError:
                pass  # the server is gone, and the session with it
            finally:
                _ffi.lib.session_destroy(pointer)
        # In a forked child the server belongs to the parent.
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

    def _adopt(self, thing):
        self._owned.add(thing)

    # -- workers --

    def request_workers(self, num_workers, timeout=None, *, move=False, progress=None):
        """Ask for a group of workers and wait until it is ready. Returns them.

        Raises TimeoutError when `timeout` seconds were not enough (asking again goes on waiting).

        Args:
            move: when the session has workers already, take its matrices along to the new ones, which are started
                beside the old ones: there must be free slots for both. Handles stay valid, here and in processes that
                are attached; libraries are loaded again, and begin anew. Until the end matrices can be read only, and
                there can be no tasks (BusyError). If it fails all stays as it was. Ctrl-C and a timeout let it go on;
                asking for as many workers as there are ends it.
            progress: with move, called with (bytes done, bytes in all); None: a tqdm bar as in send_matrix().
        """
        self._console.line(f"Requesting {num_workers} workers from Alchemist")
        ready = self._move if move else self._start
        if not ready(int(num_workers), timeout, progress):
            raise TimeoutError(f"{num_workers} workers were not ready within {timeout} s")
        workers = self._workers("assigned")
        self.worker_count = len(workers)
        if move:
            self._follow_matrices()
        else:
            self.libraries.clear()
        self._console.line(f"Total allocated {len(workers)} workers:")
        for w in workers:
            self._console.line(f"Worker-{w.id} on {w.host} at {w.address}:{w.port}")
        return workers

    def _start(self, count, timeout, _):
        return _ffi.repeat("session_request_workers", self._handle(), count, None, timeout_ms=2, timeout=timeout)

    def _move(self, count, timeout, progress):
        shown, close = transfer.bar("moving", progress)
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                left = _ffi.SLICE_MS / 1000 if end is None else end - time.monotonic()
                if _ffi.repeat("session_move_workers", self._handle(), count, None, timeout_ms=2,
                               timeout=max(0, min(left, _ffi.SLICE_MS / 1000))):
                    return True
                if end is not None and time.monotonic() >= end:
                    return False
                if shown is not None:
                    self._show_move(shown)
        finally:
            close()

    def _show_move(self, shown):
        done, total = C.c_int64(), C.c_int64()
        try:
            _ffi.call("session_move_progress", self._handle(), C.byref(done), C.byref(total))
        except StateError:
            return  # it has ended, or the workers are only being started
        shown(done.value, total.value)

    def _follow_matrices(self):
        """Handles tell at once how their matrices lie now."""
        for thing in list(self._owned):
            if isinstance(thing, MatrixHandle) and thing._pointer:
                try:
                    thing.refresh()
                except (NotFoundError, GroupLostError):
                    pass  # freed, or lost with an earlier group

    def yield_workers(self, yielded_workers=None):
        """Give workers back: all, or those with the given numbers. Returns those that are left."""
        ids = None if yielded_workers is None else [int(w) for w in yielded_workers]
        array = None if ids is None else (C.c_int * len(ids))(*ids)
        _ffi.patient("session_yield_workers", self._handle(), array, 0 if ids is None else len(ids))
        left = self._workers("assigned")
        self.worker_count = len(left)
        self._console.line(f"Yielded workers; {len(left)} are left")
        return left

    def list_all_workers(self):
        """All worker slots of the server."""
        return self._listed("all")

    def list_active_workers(self):
        """Those that serve some session."""
        return self._listed("active")

    def list_inactive_workers(self):
        """Those that are idle."""
        return self._listed("inactive")

    def list_assigned_workers(self):
        """Those that serve this session."""
        return self._listed("assigned")

    @property
    def workers(self):
        """Those that serve this session, in the order of their ranks."""
        return self._workers("assigned")

    def _listed(self, which):
        workers = self._workers(which)
        self._console.line(f"List of {which} workers ({len(workers)}):")
        for w in workers:
            self._console.line(f"  Worker-{w.id:03d} on {w.host} at {w.address}:{w.port} - {w.state.upper()}")
        return workers

    def _workers(self, which):
        array, count = C.POINTER(_ffi.Worker)(), C.c_size_t()
        _ffi.patient("session_list_workers", self._handle(), _FILTERS[which], C.byref(array), C.byref(count))
        try:
            return [Worker(w.id, w.rank if w.rank >= 0 else None, w.host.decode(), w.address.decode(), w.port,
                           _STATES[w.state], w.session, w.pid) for w in itertools.islice(array, count.value)]
        finally:
            _ffi.lib.workers_free(array)

    # -- test strings --

    def send_test_string(self, text="This is a test string from an Alchemist client"):
        """Have the server echo a string; returns the echo."""
        reply = C.c_void_p()
        _ffi.patient("session_test_string", self._handle(), text.encode("utf-8"), C.byref(reply))
        try:
            return C.string_at(reply).decode("utf-8")
        finally:
            _ffi.free(reply)

    def request_test_string(self):
        """A string that comes back from the server."""
        return self.send_test_string("This is a test string from Alchemist")

    # -- matrices --

    def send_matrix(self, matrix, print_times=False, layout=None, name=None, progress=None, *, dtype=None, shape=None,
                    into=None, resume=False):
        """Send a matrix to the workers and return its handle.

        Args:
            matrix: an array of two dimensions (one dimension: a column) with any strides, which is sent as it lies,
                memory-mapped files too; or a list of rows; or an iterable of row blocks, a generator for example,
                that need not fit in memory (a block of one dimension is a row): the next block is produced while
                one is sent. float64, float32, complex128, complex64, int64 or int32; other types are refused,
                never converted silently.
            print_times: print the table of transfer times per worker.
            layout: a name ("VC_STAR"), a Layout, or None for ScaLAPACK's default.
            name: for your own orientation, at most 63 bytes.
            progress: called with (bytes done, bytes in all or None); None: a tqdm bar on sends of over a second,
                if tqdm is installed.
            dtype: convert the entries to it, block by block: fractions are cut off where it is an integer type,
                a value that does not fit is an error.
            shape: (rows, columns) of an iterable; rows may be None. Without it the matrix grows with the blocks.
            into: a handle to write to instead of a new matrix; after an interrupt its matrix stays, incomplete.
            resume: only send what `into` lacks: the rest of what was interrupted.
        """
        if resume and into is None:
            raise ValueError("resume=True needs into=, the handle of the matrix that is incomplete")
        if into is not None and (layout is not None or name is not None):
            raise ValueError("the matrix of into= has its layout and name already")
        if sources.is_sliceable(matrix):
            shape = matrix.shape if shape is None else shape
            matrix = sources.slices_of(matrix)
        if sources.is_blocks(matrix):
            handle, timings = self._send_blocks(matrix, shape, dtype, layout, name, progress, into, resume)
        else:
            handle, timings = self._send_array(matrix, shape, dtype, layout, name, progress, into, resume)
        if print_times:
            print_timings("\nData transfer times breakdown", self.workers, timings)
        return handle

    def _send_array(self, matrix, shape, dtype, layout, name, progress, into, resume):
        array = sources.as_array(matrix, "the array")
        wanted = sources.target(array.dtype, dtype)
        if shape is not None and tuple(shape) not in (array.shape, (None, array.shape[1])):
            raise ValueError(f"the array has shape {array.shape}, {tuple(shape)} was announced")
        if into is not None and array.shape != into.shape:
            raise ValueError(f"the array has shape {array.shape}, matrix {into.id} {into.shape}")
        handle = into if into is not None else self._announce(array.shape, wanted, layout, name)
        start = "matrix_write_missing_start" if resume else "matrix_write_start"
        with self._sending(array.dtype, wanted):
            shown, close = transfer.bar("sending", progress)
            try:
                timings = handle._put(start, array, 0, 0, dtype, shown)
            except BaseException:
                if into is None:
                    self._discard(handle)
                raise
            finally:
                close()
        return handle, timings

    def _send_blocks(self, blocks, shape, dtype, layout, name, progress, into, resume):
        rows, cols = (None, None) if shape is None else shape
        if into is not None:
            if shape is not None and tuple(shape) != into.shape:
                raise ValueError(f"shape {tuple(shape)} was announced, matrix {into.id} has {into.shape}")
            rows, cols = into.shape
        dtype = None if dtype is None else np.dtype(dtype)
        if dtype is not None:
            transfer.dtype_number(dtype)
        shown, close = transfer.bar("sending", progress)

        def writer(given):
            if into is not None and given != into.dtype:
                raise TypeError(f"matrix {into.id} has dtype {into.dtype}, the blocks {given}: dtype= converts")
            start = "matrix_write_missing_start" if resume else "matrix_write_start"
            total = None if rows is None else rows * state.columns * given.itemsize
            return sources.Writer(self, into, given, start, shown, total)

        def make(rows, columns, given):
            return self.create_matrix((rows, columns), given, layout, name)

        state = sources.Rows(writer, make, rows, cols, dtype)
        with self._sending("blocks", "blocks" if dtype is None else dtype):
            try:
                for block in blocks:
                    state.add(block)
                timings = state.finish()
            except BaseException:
                handle = state.abort()
                if into is None and handle is not None:
                    self._discard(handle)
                raise
            finally:
                close()
        return state.writer.handle, timings

    def _announce(self, shape, dtype, layout, name):
        with self._console.stage("Sending array info to Alchemist ..."):
            return self.create_matrix(shape, dtype, layout, name)

    def _sending(self, given, wanted):
        if given != wanted:
            self._console.line(f"Converting {given} to {wanted} on the way")
        return self._console.stage("Sending array data to Alchemist ...")

    def create_matrix(self, shape, dtype=np.float64, layout=None, name=None):
        """Create a matrix whose entries are not written yet: see MatrixHandle.write()."""
        rows, cols = shape
        number = transfer.dtype_number(dtype)
        pointer = C.c_void_p()
        _ffi.patient("matrix_create", self._handle(), int(rows), int(cols), number, C.byref(as_layout(layout)._c),
                     _ffi.text(name), C.byref(pointer))
        return MatrixHandle(self, pointer)

    def fetch_matrix(self, handle, print_times=False, out=None, progress=None):
        """Fetch a whole matrix as an array; parts are fetched by slicing the handle."""
        title = handle.name or f"matrix {handle.id}"
        with self._console.stage(f"Fetching data for array {title} from Alchemist ..."):
            shown, close = transfer.bar("fetching", progress)
            try:
                array, timings = handle._read(None, out, shown)
            finally:
                close()
        if print_times:
            print_timings(f"\nData transfer times breakdown for array {title}", self.workers, timings)
        return array

    def matrix(self, matrix_id):
        """A handle for the matrix with an id, made by another process for example."""
        pointer = C.c_void_p()
        _ffi.patient("matrix_open", self._handle(), C.c_uint64(matrix_id), C.byref(pointer))
        return MatrixHandle(self, pointer)

    def list_matrices(self):
        """Handles of all matrices of the session."""
        array, count = C.POINTER(C.c_void_p)(), C.c_size_t()
        _ffi.patient("matrix_open_all", self._handle(), C.byref(array), C.byref(count))
        try:
            return [MatrixHandle(self, C.c_void_p(pointer)) for pointer in itertools.islice(array, count.value)]
        finally:
            _ffi.free(array)

    def _discard(self, handle):
        """Free what a failed send left behind; the error that is under way counts, not this one."""
        try:
            _ffi.call("matrix_free", handle._handle())
        except Exception:  # the group may be gone, and the matrix with it
            pass
        handle._release()

    # -- libraries and tasks --

    def load_library(self, name, path=None, timeout=None):
        """Load a library on the workers and return it: its functions are attributes.

        Args:
            name: its name, looked for in the server's plugin directories.
            path: a path on the workers' host that lies in one of these directories; None: by name.
        """
        pointer = C.c_void_p()
        path = None if path is None else _ffi.text(os.fspath(path))
        if not _ffi.repeat("library_load", self._handle(), _ffi.text(name), path, None, C.byref(pointer),
                           timeout_ms=3, timeout=timeout):
            raise TimeoutError(f"library {name!r} was not loaded within {timeout} s")
        library = Library(self, pointer)
        self.libraries[library.name] = library
        self._console.line(f"Library '{library.name}' successfully loaded.")
        return library

    def list_available_libraries(self):
        """Names of the libraries in the server's plugin directories."""
        return self._library_names(False)

    def list_loaded_libraries(self):
        """Names of the libraries that this session loaded."""
        return self._library_names(True)

    def _library_names(self, loaded_only):
        array, count = C.POINTER(C.c_char_p)(), C.c_size_t()
        _ffi.patient("library_list", self._handle(), C.c_bool(loaded_only), C.byref(array), C.byref(count))
        try:
            return [array[k].decode() for k in range(count.value)]
        finally:
            _ffi.lib.names_free(array)

    def run_task(self, library, function, *args, **kwargs):
        """Run a function of a library, given as an object or by its name."""
        if isinstance(library, str):
            library = self.libraries.get(library) or self.load_library(library)
        return getattr(library, function)(*args, **kwargs)

    # -- HDF5 files of this machine --

    def read_from_hdf5(self, filename, dataset):
        """Read a data set of a file of this machine as an array (needs h5py)."""
        import h5py

        with h5py.File(filename, "r") as file:
            return file[dataset][()]

    def send_hdf5(self, filename, dataset, print_times=False, layout=None, dtype=None):
        """Send a data set of a file of this machine to the workers, read in blocks (needs h5py)."""
        import h5py

        with h5py.File(filename, "r") as file:
            return self.send_matrix(file[dataset], print_times, layout, dtype=dtype)


def connect(address=None, workers=None, *, port=None, token=None, connection_file=None, verbose=False, **options):
    """Connect to a server and return a session, with a group of `workers` if given.

    Args:
        address: "host:port", or None for the server of this machine (found by its connection file).
        workers: how many workers to ask for.
    Further arguments are those of AlchemistSession.connect_to_alchemist().
    """
    session = AlchemistSession(verbose=verbose)
    session.connect_to_alchemist(address, port, token=token, connection_file=connection_file, **options)
    try:
        if workers is not None:
            session.request_workers(workers)
    except BaseException:
        session.close()
        raise
    return session


def attach(ticket, **options):
    """Attach to the session that a ticket is of, from another process or host.

    The end of an attached session does not end the session that it is attached to.
    """
    return AlchemistSession(verbose=False)._attach(Ticket(*ticket), options)


def _join(address, port):
    if address is None and port is None:
        return None
    return address if port is None else f"{'localhost' if address is None else address}:{int(port)}"


def _options(address, token, connection_file, options):
    c = _ffi.SessionOptions()
    _ffi.lib.session_options_init(C.byref(c))
    c.name = b"python"
    for name, value in (("address", address), ("token", token), ("connection_file", connection_file)):
        if value is not None:
            setattr(c, name, _ffi.text(os.fspath(value)))
    numbers = [n for n, kind in _ffi.SessionOptions._fields_ if kind in (C.c_int, C.c_int64)]
    for name, value in options.items():
        if name not in numbers:
            raise TypeError(f"unknown option {name!r}: " + ", ".join(numbers))
        setattr(c, name, value)
    return c
