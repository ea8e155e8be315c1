"""Layouts: how the entries of a matrix are placed on the workers.

A layout is given by its name ("VC_STAR", any of Elemental's 14), as
``block_cyclic(mb, nb, nprow, npcol)`` for ScaLAPACK's, or as None for the
default, ScaLAPACK's with blocks of 32 on the squarest grid.
"""

import ctypes as C

from . import _ffi

NAMES = tuple(_ffi.lib.dist_name(k).decode() for k in range(1, 15))


class Layout:
    """A layout; compares equal to, and is made from, its text."""

    def __init__(self, text):
        self._c = _ffi.Layout()
        _ffi.call("layout_parse", _ffi.text(str(text)), C.byref(self._c))

    @classmethod
    def _from_c(cls, c):
        layout = cls.__new__(cls)
        layout._c = _ffi.Layout(c.dist, c.mb, c.nb, c.nprow, c.npcol)
        return layout

    @property
    def name(self):
        """"VC_STAR" for example; "BLOCK_CYCLIC" for ScaLAPACK's."""
        return _ffi.lib.dist_name(self._c.dist).decode()

    @property
    def block(self):
        """Rows and columns of a block; (0, 0): not chosen yet."""
        return self._c.mb, self._c.nb

    @property
    def grid(self):
        """Rows and columns of the grid of workers; (0, 0): not chosen yet."""
        return self._c.nprow, self._c.npcol

    def __str__(self):
        text = C.create_string_buffer(128)
        _ffi.lib.layout_format(C.byref(self._c), text, len(text))
        return text.value.decode()

    def __repr__(self):
        return f"Layout({str(self)!r})"

    def __eq__(self, other):
        if isinstance(other, str):
            return str(self).lower() == other.lower() or self.name.lower() == other.lower()
        return isinstance(other, Layout) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))


def block_cyclic(mb=0, nb=0, nprow=0, npcol=0):
    """ScaLAPACK's layout with blocks of mb x nb on a grid of nprow x npcol; 0: chosen for you."""
    return Layout._from_c(_ffi.Layout(0, mb, nb, nprow, npcol))


def as_layout(layout):
    """A Layout from a Layout, a name or None (the default)."""
    if layout is None:
        return block_cyclic()
    return layout if isinstance(layout, Layout) else Layout(layout)
