"""More than 2^31 entries: a float32 matrix on one worker, sent and fetched by blocks of rows that are made and checked
one at a time. `make test-large`; LARGE_ROWS and LARGE_COLUMNS (50000 x 43000) change its size."""

import os
import time

import numpy as np

from harness import Daemon

ROWS = int(os.environ.get("LARGE_ROWS", 50000))
COLUMNS = int(os.environ.get("LARGE_COLUMNS", 43000))
BLOCK = 1000


def block(first, rows):
    """Every entry is a function of its position, exact in float32 and different in neighbours near and far."""
    linear = (np.arange(first, first + rows, dtype=np.int64) * COLUMNS)[:, None] + np.arange(COLUMNS)[None, :]
    return (linear * 2654435761 % 16777213).astype(np.float32)


def available():
    with open("/proc/meminfo") as file:
        return {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}["MemAvailable"]


def passed(what, begun):
    seconds = time.monotonic() - begun
    print(f"{what:28s} {seconds:7.1f} s  {ROWS * COLUMNS * 4 / seconds / 1e9:5.2f} GB/s (made and checked included)", flush=True)


def main():
    need = ROWS * COLUMNS * 4 + (2 << 30)
    if available() < need:
        raise SystemExit(f"not enough memory: {need >> 20} MiB needed, {available() >> 20} MiB available")
    daemon = Daemon(1)
    try:
        with daemon.connect(workers=1) as als:
            handle = als.create_matrix((ROWS, COLUMNS), np.float32)
            assert handle.shape == (ROWS, COLUMNS) and handle.nbytes == ROWS * COLUMNS * 4
            begun = time.monotonic()
            for first in range(0, ROWS, BLOCK):
                handle.write(block(first, min(BLOCK, ROWS - first)), row=first)
            passed("sent by blocks of rows", begun)
            begun = time.monotonic()
            for first in range(0, ROWS, BLOCK):
                rows = min(BLOCK, ROWS - first)
                assert np.array_equal(handle[first:first + rows], block(first, rows)), f"rows {first}.."
            passed("fetched by blocks of rows", begun)
            last = handle[ROWS - 3:, COLUMNS - 5:]
            assert np.array_equal(last, block(ROWS - 3, 3)[:, -5:])
            column = handle[:, COLUMNS - 1:]
            assert all(column[i, 0] == block(i, 1)[0, -1] for i in (0, 1, ROWS // 2, ROWS - 1))
            handle.free()
    finally:
        daemon.stop()
    print(f"{ROWS} x {COLUMNS} = {ROWS * COLUMNS} entries (2^31 = {1 << 31}): exact")


if __name__ == "__main__":
    main()
