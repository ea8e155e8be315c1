"""Files of the workers' host: data sets as matrices, and all matrices of a session in one file."""

import collections
import json
import operator
import os

import numpy as np

from .errors import NotFoundError
from .layout import Layout, block_cyclic
from .matrix import MatrixHandle

DataSet = collections.namedtuple("DataSet", "shape dtype attributes")
DataSet.__doc__ = """What an HDF5 file says of a data set: its shape, its type as NumPy calls it, its attributes."""

_END = 2**63 - 1  # whatever lies beyond the last one is cut off
_LAYOUT, _WORKERS = "alchemist_layout", "alchemist_workers"


class Files:
    """What a session does with files that its workers reach: see alchemistd --data-dir.

    Paths are those of the workers' host; relative ones begin in the first of the server's data directories, which no
    path or link may leave. All of it is done by the library "hdf5", which is loaded when it is first needed and whose
    functions (als.load_library("hdf5")) can be submitted, watched and cancelled; delete() is there alone.
    """

    def load_from_hdf5(self, file, dataset, rows=None, columns=None, dtype=None, layout=None, copies=1):
        """Read a data set into a matrix, all workers at once. Returns its handle.

        Args:
            file: its path on the workers' host.
            dataset: its name in the file, "group/name" for example; two dimensions, or one, which becomes a column.
            rows, columns: slices as of an array, or None for all; steps are positive.
            dtype: of the matrix; None: the smallest that holds the data set's values. A value that does not fit is an
                error; where digits are rounded away a note says so.
            layout: a name, a Layout, or None for the default.
            copies: put the columns side by side so many times, for studies of scaling.

        The matrix is named after the data set, or as it was when save() wrote it.
        """
        return self._hdf5().read(os.fsdecode(file), dataset, _range(rows, "rows"), _range(columns, "columns"),
                                 "" if dtype is None else np.dtype(dtype).name, "" if layout is None else str(layout),
                                 operator.index(copies))

    def save_to_hdf5(self, matrix, file, dataset, mode="a", overwrite=False):
        """Write a matrix as a data set, all workers at once, as h5py would: contiguous, in C order.

        Args:
            dataset: its name; missing groups are made.
            mode: "a" adds to the file, which is made if it is missing; "x" makes a new file, which must not exist;
                "w" makes a new file in the place of one that may exist.
            overwrite: with mode "a": replace a data set of this name, which is an error otherwise; never a group.
        """
        self._hdf5().write(matrix, os.fsdecode(file), dataset, mode, overwrite)

    def list_hdf5(self, file):
        """What an HDF5 file holds: a dict of DataSet (shape, dtype, attributes) by name; links are not listed."""
        found = self._hdf5().list(os.fsdecode(file))
        return {name: DataSet(tuple(int(x) for x in shape.split(",") if x), dtype, json.loads(attributes))
                for name, dtype, shape, attributes in zip(*found)}

    def save(self, file, matrices=None, overwrite=False):
        """Save matrices with their names and layouts in one HDF5 file; restore() makes them anew.

        Functions that are running end first. The file appears when it is complete; until then, and if saving fails, one
        that was there stays as it was. A matrix that is not written completely is an error.

        Args:
            matrices: handles, or one; or a dict of them by the names of their data sets; None: all of the session.
            overwrite: replace a file that exists, which is an error otherwise.

        Returns a dict of the handles by the names of their data sets.
        """
        named = _named(self.list_matrices() if matrices is None else matrices)
        if not named:
            raise ValueError("nothing to save: no matrices " + ("in this session" if matrices is None else "given"))
        labels = [handle.name for handle in named.values()]
        self._hdf5().save(list(named.values()), list(named), labels, os.fsdecode(file), overwrite)
        return named

    def restore(self, file):
        """Make the matrices that save() wrote anew. Returns a dict of handles by the names of their data sets.

        The number of workers may be another one: the blocks stay, and the grid of workers is chosen anew. What the
        session has stays: names of matrices may be there twice. When one cannot be made, none is.
        """
        saved = {name: d for name, d in self.list_hdf5(file).items() if _LAYOUT in d.attributes}
        if not saved:
            raise NotFoundError(f"file {os.fsdecode(file)!r} holds no matrix that save() wrote; load_from_hdf5() reads others")
        made = {}
        try:
            for name, d in saved.items():
                made[name] = self.load_from_hdf5(file, name, dtype=d.dtype, layout=self._fitting(d.attributes))
        except BaseException:
            for handle in made.values():
                self._discard(handle)
            raise
        return made

    def _hdf5(self):
        return self.libraries.get("hdf5") or self.load_library("hdf5")

    def _fitting(self, attributes):
        layout = Layout(attributes[_LAYOUT])
        if layout.name == "BLOCK_CYCLIC" and attributes.get(_WORKERS) != str(len(self.workers)):
            layout = block_cyclic(*layout.block)
        return layout


def _range(part, what):
    """A slice as the library takes it: first, end, step. Only the library knows how many there are."""
    if part is None:
        return []
    if not isinstance(part, slice):
        raise TypeError(f"{what}: a slice expected, slice(100, 200) for example, not {part!r}")
    numbers = (default if x is None else operator.index(x)
               for x, default in ((part.start, 0), (part.stop, _END), (part.step, 1)))
    return [max(-_END, min(x, _END)) for x in numbers]


def _named(matrices):
    """Matrices by the names of their data sets: their own, if they have one that nobody else has."""
    handles = [matrices] if isinstance(matrices, MatrixHandle) else matrices
    named = dict(handles) if isinstance(handles, dict) else {}
    handles = list(named.values() if named else handles)
    for h in handles:
        if not isinstance(h, MatrixHandle):
            raise TypeError(f"a matrix handle expected, not {type(h).__name__}: send_matrix() makes one")
    if named:
        return named
    for h in handles:
        name = h.name.replace("/", "_") or f"matrix_{h.id}"
        named[name if name not in named and name not in (".", "..") else f"{name}_{h.id}"] = h
    return named
