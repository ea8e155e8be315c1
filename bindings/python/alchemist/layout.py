"""Layouts: how the entries of a matrix are placed on the workers.

A layout can be given in three ways: by its name (one of Elemental's 14, "VC_STAR" for example), as
``block_cyclic(mb, nb, nprow, npcol)`` for a layout of ScaLAPACK, or as None for the default. The default is
ScaLAPACK's layout with blocks of 32 x 32 on the grid that is nearest to a square.
"""

import ctypes as C

from . import _ffi
from .codes import Distribution

NAMES = tuple(_ffi.lib.dist_name(d).decode() for d in Distribution if d is not Distribution.BLOCK_CYCLIC)


class Layout:
    """A layout. It is made from its text, and compares equal to its text."""

    def __init__(self, text):
        self._c = _ffi.Layout()
        _ffi.call("layout_parse", _ffi.encode(str(text)), C.byref(self._c))

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
        """Rows and columns of a block; (0, 0) if they are not chosen yet."""
        return self._c.mb, self._c.nb

    @property
    def grid(self):
        """Rows and columns of the grid of workers; (0, 0) if they are not chosen yet."""
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
    """ScaLAPACK's layout: blocks of mb x nb on a grid of nprow x npcol. The server chooses each number that is 0."""
    return Layout._from_c(_ffi.Layout(Distribution.BLOCK_CYCLIC, mb, nb, nprow, npcol))


def as_layout(layout):
    """A Layout from a Layout, from a name, or from None (the default)."""
    if layout is None:
        return block_cyclic()
    return layout if isinstance(layout, Layout) else Layout(layout)
