"""HDF5 files on the workers' host: matrices from and to data sets, and all matrices of a session in one file."""

import collections
import json
import operator
import os

import numpy as np

from .errors import NotFoundError
from .layout import Layout, block_cyclic
from .matrix import MatrixHandle

DataSet = collections.namedtuple("DataSet", "shape dtype attributes")
DataSet.__doc__ = """The description of a data set in an HDF5 file: shape, type as NumPy names it, attributes."""

_END = 2**63 - 1  # the library replaces an index beyond the last row or column by the end
_LAYOUT, _WORKERS = "alchemist_layout", "alchemist_workers"


class Files:
    """The methods of a session for HDF5 files that its workers can reach: see alchemistd --data-dir.

    Paths are those of the workers' host. A relative path begins in the first of the server's data directories; no path
    and no link may leave these directories. The library "hdf5" does the work, and is loaded when it is first needed.
    Its functions (als.load_library("hdf5")) can also be submitted, watched and canceled; only the library has delete().
    """

    def load_from_hdf5(self, file, dataset, rows=None, columns=None, dtype=None, layout=None, copies=1):
        """Read a data set into a matrix, all workers at once. Returns its handle.

        Args:
            file: the path of the file on the workers' host.
            dataset: the name of the data set in the file, "group/name" for example. It has two dimensions, or one,
                which becomes a column.
            rows, columns: slices as of an array, with a positive step, or None for all.
            dtype: the dtype of the matrix; None for the smallest that holds the data set's values. A value that does
                not fit is an error; if values are rounded, a note says so.
            layout: a name, a Layout, or None for the default.
            copies: repeat the columns this many times, one copy next to the other, for studies of scaling.

        The matrix gets the name of the data set, or the name that it had when save() wrote it.
        """
        return self._hdf5().read(os.fsdecode(file), dataset, _range(rows, "rows"), _range(columns, "columns"),
                                 "" if dtype is None else np.dtype(dtype).name, "" if layout is None else str(layout),
                                 operator.index(copies))

    def save_to_hdf5(self, matrix, file, dataset, mode="a", overwrite=False):
        """Write a matrix as a data set, all workers at once, as h5py would: contiguous, in C order.

        Args:
            dataset: the name of the data set. Missing groups are created.
            mode: "a" adds to the file, and creates it if it is missing; "x" creates a file, which must not exist yet;
                "w" creates a file, and replaces one that exists.
            overwrite: with mode "a", replace a data set of this name, which is an error otherwise. A group is never
                replaced.
        """
        self._hdf5().write(matrix, os.fsdecode(file), dataset, mode, overwrite)

    def list_hdf5(self, file):
        """The data sets of an HDF5 file: a dict of DataSet (shape, dtype, attributes) by name. Links are not listed."""
        found = self._hdf5().list(os.fsdecode(file))
        return {name: DataSet(tuple(int(x) for x in shape.split(",") if x), dtype, json.loads(attributes))
                for name, dtype, shape, attributes in zip(*found)}

    def save(self, file, matrices=None, overwrite=False):
        """Save matrices with their names and layouts in one HDF5 file, from which restore() creates them again.

        Tasks that were submitted before end first. The file appears when it is complete. Until then, and if the save
        fails, an existing file stays as it was. A matrix that is not completely written is an error.

        Args:
            matrices: handles, or one handle, or a dict of handles by the names of their data sets; None for all
                matrices of the session.
            overwrite: replace a file that exists, which is an error otherwise.

        Returns a dict of the handles by the names of their data sets.
        """
        named = _named(self.list_matrices() if matrices is None else matrices)
        if not named:
            raise ValueError("there is nothing to save: " + ("the session has no matrices" if matrices is None
                                                             else "matrices= is empty"))
        labels = [handle.name for handle in named.values()]
        self._hdf5().save(list(named.values()), list(named), labels, os.fsdecode(file), overwrite)
        return named

    def restore(self, file):
        """Make the matrices that save() wrote. Returns a dict of handles by the names of their data sets.

        The session may have another number of workers than the one that saved: the block sizes stay, and the grid of
        workers is chosen for the new number. The matrices that the session already has stay, so two may have one
        name. If one matrix cannot be created, none is.
        """
        saved = {name: d for name, d in self.list_hdf5(file).items() if _LAYOUT in d.attributes}
        if not saved:
            raise NotFoundError(f"file {os.fsdecode(file)!r} holds no matrix that save() wrote; load_from_hdf5() reads "
                                "other data sets")
        made = {}
        try:
            for name, d in saved.items():
                made[name] = self.load_from_hdf5(file, name, dtype=d.dtype, layout=self._saved_layout(d.attributes))
        except BaseException:
            for handle in made.values():
                self._discard(handle)
            raise
        return made

    def _hdf5(self):
        return self.libraries.get("hdf5") or self.load_library("hdf5")

    def _saved_layout(self, attributes):
        """The layout that save() noted. Its grid is chosen again if the number of workers has changed."""
        layout = Layout(attributes[_LAYOUT])
        if layout.name == "BLOCK_CYCLIC" and attributes.get(_WORKERS) != str(len(self.workers)):
            layout = block_cyclic(*layout.block)
        return layout


def _range(part, what):
    """A slice as the library takes it: first, end, step. Only the library knows the size that negative numbers need."""
    if part is None:
        return []
    if not isinstance(part, slice):
        raise TypeError(f"{what} is {part!r}, but must be a slice, slice(100, 200) for example")
    numbers = (default if x is None else operator.index(x)
               for x, default in ((part.start, 0), (part.stop, _END), (part.step, 1)))
    return [max(-_END, min(x, _END)) for x in numbers]


def _named(matrices):
    """Matrices by the names of their data sets: the keys of a dict, or else the matrices' own names made unique."""
    handles = [matrices] if isinstance(matrices, MatrixHandle) else matrices
    named = dict(handles) if isinstance(handles, dict) else {}
    handles = list(named.values() if named else handles)
    for h in handles:
        if not isinstance(h, MatrixHandle):
            raise TypeError(f"{type(h).__name__} is not a matrix handle: send_matrix() makes one")
    if named:
        return named
    for h in handles:
        name = h.name.replace("/", "_") or f"matrix_{h.id}"
        named[name if name not in named and name not in (".", "..") else f"{name}_{h.id}"] = h
    return named
