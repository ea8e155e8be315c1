"""Matrices beyond 32-bit limits. `make test-large` runs this program.

The first test sends and fetches a float32 matrix of more than 2^31 entries on one worker. It makes and checks one block
of rows at a time. The matrix is LARGE_ROWS x LARGE_COLUMNS (50000 x 43000). The second test changes the layout of a
matrix of which one worker holds more than 2 GiB. It is a matrix of LARGE_MOVED_ROWS x 21000 (26000 x 21000).
"""

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
    """Rows of the test matrix. Each entry is a function of its position, is exact in float32, and differs from entries
    near and far."""
    linear = (np.arange(first, first + rows, dtype=np.int64) * columns)[:, None] + np.arange(columns)[None, :]
    return (linear * 2654435761 % 16777213).astype(np.float32)


def available_memory():
    """Memory that the system can give to this program, in bytes."""
    with open("/proc/meminfo") as file:
        return {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}["MemAvailable"]


def report(what, begun, size):
    """Print the time since `begun` and the rate."""
    seconds = time.monotonic() - begun
    print(f"{what:50s} {seconds:7.1f} s  {size / seconds / 1e9:5.2f} GB/s", flush=True)


def send_blocks(handle):
    rows, columns = handle.shape
    begun = time.monotonic()
    for first in range(0, rows, BLOCK):
        handle.write(block(first, min(BLOCK, rows - first), columns), row=first)
    report("made and sent by blocks of rows", begun, handle.nbytes)


def check_blocks(handle):
    rows, columns = handle.shape
    begun = time.monotonic()
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        assert np.array_equal(handle[first:first + count], block(first, count, columns)), \
            f"rows {first} to {first + count - 1} differ"
    report("fetched and checked by blocks of rows", begun, handle.nbytes)


def test_more_than_2_31_entries_come_back():
    """On one worker."""
    daemon = Daemon(1)
    try:
        with daemon.connect(workers=1) as als:
            handle = als.create_matrix((ROWS, COLUMNS), np.float32)
            assert handle.shape == (ROWS, COLUMNS) and handle.nbytes == ROWS * COLUMNS * 4
            send_blocks(handle)
            check_blocks(handle)
            last = handle[ROWS - 3:, COLUMNS - 5:]
            assert np.array_equal(last, block(ROWS - 3, 3)[:, -5:])
            column = handle[:, COLUMNS - 1:]
            assert all(column[i, 0] == block(i, 1)[0, -1] for i in (0, 1, ROWS // 2, ROWS - 1))
            handle.free()
    finally:
        daemon.stop()
    print(f"{ROWS} x {COLUMNS} = {ROWS * COLUMNS} entries (2^31 = {1 << 31}): exact", flush=True)


def test_more_than_2_gib_on_one_worker_change_their_layout():
    """From one worker that holds all entries to two workers, and back."""
    daemon = Daemon(2)
    try:
        with daemon.connect(workers=2) as als:
            handle = als.create_matrix((MOVED_ROWS, MOVED_COLUMNS), np.float32, "CIRC_CIRC")
            send_blocks(handle)
            for layout in ("VC_STAR", "CIRC_CIRC"):
                begun = time.monotonic()
                handle.relayout(layout, in_place=True)
                report(f"to {layout}", begun, handle.nbytes)
                check_blocks(handle)
            size = handle.nbytes
    finally:
        daemon.stop()
    print(f"{MOVED_ROWS} x {MOVED_COLUMNS}, {size} bytes (2^31 = {1 << 31}) on one worker: exact")


def main():
    need = max(ROWS * COLUMNS, 2 * MOVED_ROWS * MOVED_COLUMNS) * 4 + (2 << 30)
    if available_memory() < need:
        raise SystemExit(f"the test needs {need >> 20} MiB of memory, and {available_memory() >> 20} MiB are available")
    test_more_than_2_31_entries_come_back()
    test_more_than_2_gib_on_one_worker_change_their_layout()


if __name__ == "__main__":
    main()
