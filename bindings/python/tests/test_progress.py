"""The progress of a transfer: it is passed to the caller's function, or shown as a bar if the output is visible."""

import sys
import types

import numpy as np
import pytest

from alchemist import _ffi, transfer


class Bar:
    """Replaces tqdm's bar, and records what is shown."""

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
    """Standard error is a terminal, and the clock advances by a second whenever it is read."""
    seconds = iter(range(1 << 30))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(transfer, "time", types.SimpleNamespace(monotonic=lambda: float(next(seconds))))
    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    Bar.made = []
    return monkeypatch


def test_the_callers_function_replaces_the_bar(terminal):
    def mine(done, total):
        pass

    shown, close = transfer.progress_bar("sending", mine)
    assert shown is mine and close() is None and not Bar.made


def test_there_is_no_bar_without_a_terminal(terminal):
    terminal.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    terminal.delitem(sys.modules, "ipykernel", raising=False)
    shown, close = transfer.progress_bar("sending")
    assert shown is None and close() is None


def test_there_is_a_bar_in_a_notebook(terminal):
    terminal.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    terminal.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert transfer.progress_bar("sending")[0] is not None


def test_the_bar_appears_after_a_second(terminal):
    shown, close = transfer.progress_bar("sending")
    shown(10, 100)
    assert not Bar.made, "not within the first second"
    shown(20, 100)
    shown(30, 200)
    close()
    (made,) = Bar.made
    assert made.desc == "sending" and made.shown == [(20, 100), (30, 200)] and made.closed
    assert made.options["unit"] == "B" and made.options["unit_scale"] and not made.options["leave"]


def test_a_short_transfer_has_no_bar(terminal):
    shown, close = transfer.progress_bar("sending")
    shown(10, 100)
    close()
    assert not Bar.made


def test_there_is_no_bar_without_tqdm(terminal):
    terminal.setitem(sys.modules, "tqdm.auto", None)
    shown, close = transfer.progress_bar("sending")
    for done in range(5):
        shown(done, 5)
    close()
    assert not Bar.made


def test_a_progress_function_gets_growing_numbers_up_to_the_size(als):
    seen = []
    a = np.random.default_rng(0).random((6000, 5000))
    als.send_matrix(a, progress=lambda done, total: seen.append((done, total)))
    assert all(0 <= done <= total == a.nbytes for done, total in seen) and seen == sorted(seen)


def test_sends_and_fetches_show_a_bar_each(als, terminal):
    terminal.setattr(_ffi, "SLICE_MS", 1)
    a = np.random.default_rng(0).random((6000, 3000))  # 144 MB take many slices
    handle = als.send_matrix(a)
    assert np.array_equal(als.fetch_matrix(handle), a)
    assert [made.desc for made in Bar.made] == ["sending", "fetching"] and all(made.closed for made in Bar.made)
    for made in Bar.made:
        assert all(0 <= done <= total == a.nbytes for done, total in made.shown) and made.shown == sorted(made.shown)
