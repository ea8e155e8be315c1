"""Send and fetch from Python beside a raw socket that moves the same bytes on as many streams.

usage: bench_python.py MEGABYTES PAIRS

Prints `name value unit` rows: medians over interleaved pairs, with the smallest and largest.
"""

import multiprocessing
import socket
import statistics
import sys
import threading
import time

import numpy as np

import alchemist

WORKERS = 3


def row(name, values, unit):
    print(f"{name:44s} {statistics.median(values):10.3f} {unit:6s} [{min(values):.3f} .. {max(values):.3f}]", flush=True)


def peer(port_out, size):
    """The other end of the raw transfer: for each connection a byte says which way, then `size` bytes go."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port_out.send(listener.getsockname()[1])

    def serve(connection):
        memory = bytearray(size)  # warm after the first round
        memory[:] = b"\1" * size
        while True:
            way = connection.recv(1)
            if not way:
                return
            if way == b"w":
                view = memoryview(memory)
                while view:
                    view = view[connection.recv_into(view, min(len(view), 1 << 20)):]
                connection.sendall(b".")
            else:
                connection.sendall(memory)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


class Raw:
    """Streams to `peer`, each moving its share of the bytes."""

    def __init__(self, size, streams):
        ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=peer, args=(theirs, size // streams),
                                                                    daemon=True)
        self.process.start()
        port = ours.recv()
        self.parts = [np.zeros(size // streams, dtype=np.uint8) for _ in range(streams)]
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(streams)]

    def move(self, way):
        def one(s, part):
            s.sendall(way)
            view = memoryview(part)
            if way == b"w":
                s.sendall(view)
                s.recv(1)
            else:
                while view:
                    view = view[s.recv_into(view, min(len(view), 1 << 20)):]

        begun = time.perf_counter()
        threads = [threading.Thread(target=one, args=pair) for pair in zip(self.sockets, self.parts)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return time.perf_counter() - begun


def main():
    megabytes, pairs = int(sys.argv[1]), int(sys.argv[2])
    cols = 1000
    rows = megabytes * 10**6 // (8 * cols)
    A = np.random.default_rng(0).random((rows, cols))
    out = np.zeros_like(A)
    raw = Raw(A.nbytes, WORKERS)
    raw.move(b"w"), raw.move(b"r")
    print(f"# Python, {A.nbytes / 1e6:.0f} MB float64 in C order, {WORKERS} workers, {pairs} pairs; ratio: share of the raw socket's rate")
    with alchemist.connect(workers=WORKERS, shared_memory=0) as als:  # TCP, as the socket beside it
        for layout in ("VC_STAR", "MC_MR", None):
            handle = als.create_matrix(A.shape, layout=layout)
            handle.write(A)
            name = (layout or "default").lower()
            for verb, way, act in (("send", b"w", lambda: handle.write(A)), ("fetch", b"r", lambda: handle.fetch(out=out))):
                ours, theirs = [], []
                for _ in range(pairs):
                    begun = time.perf_counter()
                    act()
                    ours.append(time.perf_counter() - begun)
                    theirs.append(raw.move(way))
                row(f"python_{verb}_{name}", [A.nbytes / t / 1e9 for t in ours], "GB/s")
                row(f"python_{verb}_{name}_raw_socket", [A.nbytes / t / 1e9 for t in theirs], "GB/s")
                row(f"python_{verb}_{name}_ratio", [b / a for a, b in zip(ours, theirs)], "")
            assert np.array_equal(out, A)
            handle.free()
    raw.process.kill()


if __name__ == "__main__":
    main()
