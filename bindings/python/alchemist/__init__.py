"""Alchemist: fast distributed linear algebra of MPI libraries, called from Python.

    import alchemist, numpy as np
    with alchemist.local(workers=3) as als:              # or alchemist.connect("host:24960", workers=3)
        lib = als.load_library("TestLib")
        A = als.send_matrix(np.random.rand(1000, 200))   # a handle: the entries are on the workers
        S, U, V = lib.truncated_svd(A, rank=10)          # these are handles too
        print(np.asarray(S)[::-1].T, U[:5, :2])          # the entries are fetched here

``AlchemistSession`` is the interface of the paper.
"""

from . import _ffi
from .connection import attach, connect
from .errors import *  # noqa: F401,F403
from .errors import __all__ as _errors
from .layout import Layout, block_cyclic
from .library import Function, Library
from .local import Daemon, local
from .matrix import MatrixHandle
from .paper import AlchemistSession
from .session import Ticket
from .task import Progress, Task
from .workers import Worker

__version__ = _ffi.lib.version().decode()
__all__ = ["AlchemistSession", "Daemon", "Function", "Layout", "Library", "MatrixHandle", "Progress", "Task", "Ticket",
           "Worker", "attach", "block_cyclic", "connect", "local", *_errors]
