"""Files of the workers' host: data sets as matrices, and all matrices of a session in one file."""

import collections
import json

import numpy as np

from .errors import NotFoundError
from .layout import Layout, block_cyclic

DataSet = collections.namedtuple("DataSet", "shape dtype attributes")
DataSet.__doc__ = """What an HDF5 file says of a data set: its shape, its type as NumPy calls it, its attributes."""

_NAME, _LAYOUT, _WORKERS = "alchemist_name", "alchemist_layout", "alchemist_workers"


class Files:
    """What a session does with files that its workers reach: see alchemistd --data-dir.

    Paths are those of the workers' host; relative ones begin in the first of the server's data directories.
    All of it is done by the library "hdf5", which is loaded when it is first needed.
    """

    def load_from_hdf5(self, file, dataset, rows=None, columns=None, dtype=None, layout=None, copies=1):
        """Read a data set into a matrix, all workers at once. Returns its handle.

        Args:
            file: its path on the workers' host.
            dataset: its name in the file; with one dimension it becomes a column.
            rows, columns: slices, or None for all; steps are positive.
            dtype: of the matrix; None: the smallest that holds the data set's values.
            layout: a name, a Layout, or None for the default.
            copies: put the columns side by side so many times, for studies of scaling.
        """
        library = self._hdf5()
        if rows is not None or columns is not None:
            shape = self._shape(file, dataset)
            rows, columns = _range(rows, shape[0], "rows"), _range(columns, shape[1], "columns")
        return library.read(str(file), dataset, rows or [], columns or [], "" if dtype is None else np.dtype(dtype).name,
                            "" if layout is None else str(layout), int(copies))

    def save_to_hdf5(self, matrix, file, dataset, mode="a", overwrite=False):
        """Write a matrix as a data set, all workers at once, as h5py would.

        Args:
            mode: "a" adds to the file, which is made if it is missing; "x" makes a new file, which must not exist;
                "w" makes a new file in the place of one that may exist.
            overwrite: with mode "a": replace a data set of this name, which is an error otherwise.
        """
        self._hdf5().write(matrix, str(file), dataset, mode, overwrite)

    def list_hdf5(self, file):
        """What an HDF5 file holds: a dict of DataSet by name."""
        found = self._hdf5().list(str(file))
        return {name: DataSet(tuple(int(x) for x in shape.split(",") if x), dtype, json.loads(attributes))
                for name, dtype, shape, attributes in zip(*found)}

    def save(self, file, matrices=None, overwrite=False):
        """Save matrices with their names and layouts in one HDF5 file; restore() makes them anew.

        The file appears when it is complete; until then, and if saving fails, one that was there stays as it was.

        Args:
            matrices: handles; or a dict of them by the names of their data sets; None: all of the session.
            overwrite: replace a file that exists, which is an error otherwise.

        Returns a dict of the handles by the names of their data sets.
        """
        handles = self.list_matrices() if matrices is None else matrices
        named = dict(handles) if isinstance(handles, dict) else _names(handles)
        self._hdf5().save(list(named.values()), list(named), [h.name for h in named.values()], str(file), overwrite)
        return named

    def restore(self, file):
        """Make the matrices that save() wrote anew. Returns a dict of handles by the names of their data sets.

        The number of workers may be another one: the blocks stay, and the grid of workers is chosen anew.
        """
        saved = {name: d for name, d in self.list_hdf5(file).items() if _LAYOUT in d.attributes}
        if not saved:
            raise NotFoundError(f"file {str(file)!r} holds no matrix that save() wrote; load_from_hdf5() reads others")
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

    def _shape(self, file, dataset):
        listed = self.list_hdf5(file)
        # What is missing or no matrix is refused by the library, with the reason.
        shape = listed[dataset.strip("/")].shape if dataset.strip("/") in listed else ()
        return (shape + (1, 1))[:2] if shape else (0, 0)

    def _fitting(self, attributes):
        layout = Layout(attributes[_LAYOUT])
        if layout.name == "BLOCK_CYCLIC" and attributes.get(_WORKERS) != str(len(self.workers)):
            layout = block_cyclic(*layout.block)
        return layout


def _range(part, size, what):
    """A slice as the library takes it: first, end, step."""
    if part is None:
        return []
    if not isinstance(part, slice):
        raise TypeError(f"{what}: a slice expected, not {part!r}")
    first, end, step = part.indices(size)
    if step < 0:
        raise ValueError(f"{what}: steps are positive, not {step}")
    return [first, max(first, end), step]


def _names(handles):
    """Names of data sets for matrices: their own, if they have one that nobody else has."""
    named = {}
    for h in handles:
        name = h.name.replace("/", "_") or f"matrix_{h.id}"
        named[name if name not in named and name not in (".", "..") else f"{name}_{h.id}"] = h
    return named
