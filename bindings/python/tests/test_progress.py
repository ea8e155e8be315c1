"""How far a transfer is: the caller's function, or a bar where somebody looks."""

import sys
import types

import numpy as np
import pytest

from alchemist import _ffi, transfer


class Bar:
    """In place of tqdm's: remembers what is shown."""

    made = []

    def __init__(self, total, desc, **options):
        self.total, self.desc, self.n, self.options = total, desc, 0, options
        self.shown, self.closed = [], False
        Bar.made.append(self)

    def refresh(self):
        self.shown.append((self.n, self.total))

    def close(self):
        self.closed = True


@pytest.fixture
def terminal(monkeypatch):
    """Standard error is a terminal, and a second passes whenever somebody looks at the clock."""
    seconds = iter(range(1 << 30))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(transfer, "time", types.SimpleNamespace(monotonic=lambda: float(next(seconds))))
    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    Bar.made = []
    return monkeypatch


def test_the_callers_function_takes_the_bars_place(terminal):
    def mine(done, total):
        pass

    shown, close = transfer.bar("sending", mine)
    assert shown is mine and close() is None and not Bar.made


def test_no_bar_where_nobody_looks(terminal):
    terminal.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    terminal.delitem(sys.modules, "ipykernel", raising=False)
    shown, close = transfer.bar("sending")
    assert shown is None and close() is None
    terminal.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert transfer.bar("sending")[0] is not None


def test_a_bar_after_a_second(terminal):
    shown, close = transfer.bar("sending")
    shown(10, 100)
    assert not Bar.made, "not within the first second"
    shown(20, 100)
    shown(30, 200)
    close()
    (made,) = Bar.made
    assert made.desc == "sending" and made.shown == [(20, 100), (30, 200)] and made.closed
    assert made.options["unit"] == "B" and made.options["unit_scale"] and not made.options["leave"]


def test_a_short_transfer_has_none(terminal):
    shown, close = transfer.bar("sending")
    shown(10, 100)
    close()
    assert not Bar.made


def test_without_tqdm_nothing_is_shown(terminal):
    terminal.setitem(sys.modules, "tqdm.auto", None)
    shown, close = transfer.bar("sending")
    for done in range(5):
        shown(done, 5)
    close()
    assert not Bar.made


def test_bars_of_sends_and_fetches(als, terminal):
    terminal.setattr(_ffi, "SLICE_MS", 1)
    a = np.random.default_rng(0).random((6000, 3000))  # 144 MB: many looks
    handle = als.send_matrix(a)
    assert np.array_equal(als.fetch_matrix(handle), a)
    handle.free()
    assert [made.desc for made in Bar.made] == ["sending", "fetching"] and all(made.closed for made in Bar.made)
    for made in Bar.made:
        assert all(0 <= done <= total == a.nbytes for done, total in made.shown) and made.shown == sorted(made.shown)
