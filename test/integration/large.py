"""More than 2^31 entries: a float32 matrix on one worker, sent and fetched by blocks of rows that are made and checked
one at a time; and a change of layout of more than 2 GiB that lie on one worker. `make test-large`; LARGE_ROWS and
LARGE_COLUMNS (50000 x 43000) change the size of the first, LARGE_MOVED_ROWS (26000, of 21000 columns) of the second."""

import os
import time

import numpy as np

from harness import Daemon

ROWS = int(os.environ.get("LARGE_ROWS", 50000))
COLUMNS = int(os.environ.get("LARGE_COLUMNS", 43000))
MOVED_ROWS = int(os.environ.get("LARGE_MOVED_ROWS", 26000))
MOVED_COLUMNS = 21000
BLOCK = 1000


def block(first, rows, columns=COLUMNS):
    """Every entry is a function of its position, exact in float32 and different in neighbours near and far."""
    linear = (np.arange(first, first + rows, dtype=np.int64) * columns)[:, None] + np.arange(columns)[None, :]
    return (linear * 2654435761 % 16777213).astype(np.float32)


def available():
    with open("/proc/meminfo") as file:
        return {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}["MemAvailable"]


def passed(what, begun, size):
    seconds = time.monotonic() - begun
    print(f"{what:50s} {seconds:7.1f} s  {size / seconds / 1e9:5.2f} GB/s", flush=True)


def send(handle):
    rows, columns = handle.shape
    begun = time.monotonic()
    for first in range(0, rows, BLOCK):
        handle.write(block(first, min(BLOCK, rows - first), columns), row=first)
    passed("made and sent by blocks of rows", begun, handle.nbytes)


def check(handle):
    rows, columns = handle.shape
    begun = time.monotonic()
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        assert np.array_equal(handle[first:first + count], block(first, count, columns)), f"rows {first}.."
    passed("fetched and checked by blocks of rows", begun, handle.nbytes)


def many_entries():
    daemon = Daemon(1)
    try:
        with daemon.connect(workers=1) as als:
            handle = als.create_matrix((ROWS, COLUMNS), np.float32)
            assert handle.shape == (ROWS, COLUMNS) and handle.nbytes == ROWS * COLUMNS * 4
            send(handle)
            check(handle)
            last = handle[ROWS - 3:, COLUMNS - 5:]
            assert np.array_equal(last, block(ROWS - 3, 3)[:, -5:])
            column = handle[:, COLUMNS - 1:]
            assert all(column[i, 0] == block(i, 1)[0, -1] for i in (0, 1, ROWS // 2, ROWS - 1))
            handle.free()
    finally:
        daemon.stop()
    print(f"{ROWS} x {COLUMNS} = {ROWS * COLUMNS} entries (2^31 = {1 << 31}): exact", flush=True)


def changed_layout():
    """From one worker that has all to two, and back, where each entry is received."""
    daemon = Daemon(2)
    try:
        with daemon.connect(workers=2) as als:
            handle = als.create_matrix((MOVED_ROWS, MOVED_COLUMNS), np.float32, "CIRC_CIRC")
            send(handle)
            for layout in ("VC_STAR", "CIRC_CIRC"):
                begun = time.monotonic()
                handle.relayout(layout, in_place=True)
                passed(f"to {layout}", begun, handle.nbytes)
                check(handle)
            size = handle.nbytes
    finally:
        daemon.stop()
    print(f"{MOVED_ROWS} x {MOVED_COLUMNS}, {size} bytes (2^31 = {1 << 31}) on one worker: exact")


def main():
    need = max(ROWS * COLUMNS, 2 * MOVED_ROWS * MOVED_COLUMNS) * 4 + (2 << 30)
    if available() < need:
        raise SystemExit(f"not enough memory: {need >> 20} MiB needed, {available() >> 20} MiB available")
    many_entries()
    changed_layout()


if __name__ == "__main__":
    main()
