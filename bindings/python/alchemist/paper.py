"""The interface of the paper: a session with the methods of its Figure 3, which print what they do."""

from . import transfer
from .codes import WorkerFilter
from .console import Console, Quiet, print_timings
from .files import Files
from .library import library_names, load_into_session
from .sending import Sender
from .session import Session
from .workers import list_workers, move_to_group, request_group, yield_slots


class AlchemistSession(Session, Files):
    """A session with an Alchemist server.

    This is the interface of the paper (``connect_to_alchemist``, ``request_workers``, ``load_library``,
    ``send_matrix``, ``fetch_matrix``, ``run_task``, ...), which prints what it does. Sessions from
    ``alchemist.connect()`` and ``alchemist.local()`` have the same interface but print nothing. Use a session as a
    context manager, or call close().
    """

    def __init__(self, verbose=True):
        super().__init__(Console() if verbose else Quiet())
        self._console.line("Starting Alchemist session ... ready")

    # -- workers --

    def request_workers(self, num_workers, timeout=None, *, move=False, progress=None):
        """Ask for a group of workers and wait until it is ready. Returns the workers.

        Raises TimeoutError when `timeout` seconds were not enough. A second call continues to wait.

        Args:
            move: move the matrices of the session from the workers that it has to the new ones. The server starts the
                new workers while the old ones still run, so there must be free slots for both. Handles stay valid, in
                this process and in those that are attached. Libraries are loaded again, and lose what they kept in the
                old workers. During the move, matrices can only be read and no task can run (BusyError). If the move
                fails, everything stays as it was. Ctrl-C and a timeout do not stop the move; a request for as many
                workers as the session has ends it.
            progress: with `move`, called with (bytes done, bytes in all); None for a tqdm bar as in send_matrix().
        """
        self._console.line(f"Requesting {num_workers} workers from Alchemist")
        if move:
            ready = move_to_group(self, int(num_workers), timeout, progress)
        else:
            ready = request_group(self, int(num_workers), timeout)
        if not ready:
            raise TimeoutError(f"{num_workers} workers were not ready within {timeout} s")
        workers = self._update_workers()
        if move:
            self._refresh_matrices()
        else:
            self.libraries.clear()
        self._console.line(f"Total allocated {len(workers)} workers:")
        for w in workers:
            self._console.line(f"Worker-{w.id} on {w.host} at {w.address}:{w.port}")
        return workers

    def yield_workers(self, yielded_workers=None):
        """Give workers back: all of them, or those with the given numbers. Returns the workers that are left."""
        yield_slots(self, None if yielded_workers is None else [int(w) for w in yielded_workers])
        left = self._update_workers()
        self._console.line(f"Yielded workers; {len(left)} are left")
        return left

    def list_all_workers(self):
        """All worker slots of the server."""
        return self._list_workers(WorkerFilter.ALL)

    def list_active_workers(self):
        """The workers that serve some session."""
        return self._list_workers(WorkerFilter.ACTIVE)

    def list_inactive_workers(self):
        """The worker slots that are idle."""
        return self._list_workers(WorkerFilter.INACTIVE)

    def list_assigned_workers(self):
        """The workers that serve this session."""
        return self._list_workers(WorkerFilter.ASSIGNED)

    def _list_workers(self, which):
        workers = list_workers(self, which)
        self._console.line(f"List of {which.name.lower()} workers ({len(workers)}):")
        for w in workers:
            self._console.line(f"  Worker-{w.id:03d} on {w.host} at {w.address}:{w.port} - {w.state.upper()}")
        return workers

    # -- matrices --

    def send_matrix(self, matrix, print_times=False, layout=None, name=None, progress=None, *, dtype=None, shape=None,
                    into=None, resume=False):
        """Send a matrix to the workers and return its handle.

        Args:
            matrix: an array of two dimensions (one dimension: a column) with any strides, which is sent from where it
                is, memory-mapped files too; or a list of rows; or an iterable of row blocks, a generator for example,
                that need not fit in memory. A block of one dimension is a row. The next block is produced while one is
                sent. The dtypes are float64, float32, complex128, complex64, int64 and int32. Other dtypes are refused,
                never converted silently.
            print_times: print the table of transfer times of each worker.
            layout: a name ("VC_STAR"), a Layout, or None for ScaLAPACK's default.
            name: a name for the matrix, of at most 63 bytes. Names need not be unique.
            progress: called with (bytes done, bytes in all or None). None: a tqdm bar on sends that last over a second,
                if tqdm is installed.
            dtype: convert the entries to this dtype, block by block. If it is an integer type, fractions are cut off; a
                value that does not fit is an error.
            shape: (rows, columns) of an iterable; rows may be None. Without it, the matrix grows with the blocks.
            into: a handle of the matrix to write to, instead of a new one. After an interrupt, the matrix stays and is
                incomplete.
            resume: send only the entries that `into` does not have yet, the rest of a send that was interrupted.
        """
        handle, timings = Sender(self, shape, dtype, layout, name, progress, into, resume).send(matrix)
        if print_times:
            print_timings("\nData transfer times breakdown", self.workers, timings)
        return handle

    def fetch_matrix(self, handle, print_times=False, out=None, progress=None):
        """Fetch a whole matrix as an array. To fetch a part, slice the handle."""
        title = handle.name or f"matrix {handle.id}"
        with self._console.stage(f"Fetching data for array {title} from Alchemist ..."):
            show, close = transfer.progress_bar("fetching", progress)
            try:
                array, timings = handle._read(None, out, show)
            finally:
                close()
        if print_times:
            print_timings(f"\nData transfer times breakdown for array {title}", self.workers, timings)
        return array

    # -- libraries and tasks --

    def load_library(self, name, path=None, timeout=None):
        """Load a library on the workers and return it. Its functions are attributes.

        Args:
            name: the name of the library, which the server looks for in its plugin directories.
            path: the path of the library on the workers' host, inside one of these directories; None to look for the
                name.
        """
        library = load_into_session(self, name, path, timeout)
        self.libraries[library.name] = library
        self._console.line(f"Library '{library.name}' successfully loaded.")
        return library

    def list_available_libraries(self):
        """The names of the libraries in the server's plugin directories."""
        return library_names(self, loaded_only=False)

    def list_loaded_libraries(self):
        """The names of the libraries that this session loaded."""
        return library_names(self, loaded_only=True)

    def run_task(self, library, function, *args, **kwargs):
        """Run a function of a library. The library is given as an object, or by its name."""
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
