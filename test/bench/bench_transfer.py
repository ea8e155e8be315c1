"""The transfer study: layout x message buffer size x aspect ratio x senders x direction, as in section VI of the paper.

usage: bench_transfer.py OUTPUT_DIRECTORY

`make bench-transfer` runs it. The environment sets the parameters (defaults in parentheses):

BENCH_GB        size of the matrix (1)
BENCH_WORKERS   number of worker processes (4)
BENCH_REPEAT    number of rounds (as many as fit into BENCH_MINUTES, but 1 to 9)
BENCH_MINUTES   planned duration (18)
BENCH_SLICE     stop after this number of minutes; a run with BENCH_RESUME=1 measures what is missing in the CSV file,
                and draws the plots when it is complete
BENCH_PATH      tcp (the default), or shm: through the shared memory of the host
BENCH_LAYOUTS, BENCH_BUFFERS_KB, BENCH_ASPECTS, BENCH_SENDERS
                lists, separated by spaces, which replace the default ones
NETNS=1         use a slow link between two network namespaces (needs root), with BENCH_RATE (1000) Mbit/s and
                BENCH_DELAY (5) ms each way; the defaults are then BENCH_GB 0.05, one aspect ratio, and 1 and 4 senders

The study writes transfer-PATH.csv and, for each direction, transfer-PATH-DIRECTION.png. A sender is a process that
attaches to the session and transfers its part of the rows, in C order. A rate is all bytes divided by the time until
the last sender has finished.
"""

import csv
import itertools
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import alchemist

NETNS = os.environ.get("NETNS") == "1"
INSIDE = "BENCH_INSIDE" in os.environ  # this process runs in the client's namespace
RATE = float(os.environ.get("BENCH_RATE", 1000))
DELAY = float(os.environ.get("BENCH_DELAY", 5))
GB = float(os.environ.get("BENCH_GB", 0.05 if NETNS else 1))
WORKERS = int(os.environ.get("BENCH_WORKERS", 4))
MINUTES = float(os.environ.get("BENCH_MINUTES", 18))
SLICE = float(os.environ.get("BENCH_SLICE", "inf"))
RESUME = os.environ.get("BENCH_RESUME") == "1"
PATH = "netns" if NETNS else os.environ.get("BENCH_PATH", "tcp")
LAYOUTS = os.environ.get("BENCH_LAYOUTS", "VC_STAR MC_MR STAR_VC default").split()
BUFFERS = [int(kb) << 10 for kb in os.environ.get("BENCH_BUFFERS_KB", "64 256 1024 4096 16384 65536 262144").split()]
ASPECTS = os.environ.get("BENCH_ASPECTS", "5:4" if NETNS else "5:4 20:1 1:20").split()
SENDERS = [int(n) for n in os.environ.get("BENCH_SENDERS", "1 4" if NETNS else "1 2 4").split()]
DIRECTIONS = ["send", "fetch"]
FIELDS = ["round", "path", "layout", "aspect", "rows", "columns", "buffer_kb", "senders", "direction", "seconds", "gb_per_s"]


def shape_of(aspect):
    m, n = map(int, aspect.split(":"))
    rows = max(1, round((GB * 1e9 / 8 * m / n) ** 0.5))
    return rows, max(1, round(GB * 1e9 / 8 / rows))


def row_range(rows, sender, senders):
    return rows * sender // senders, rows * (sender + 1) // senders


def sender_main(pipe, index, ticket, entries):
    """Serve requests (direction, buffer, matrix, shape, senders) from the pipe: answer "ready", transfer this sender's
    rows after "go", and answer "done"."""
    memory = np.empty(entries)
    memory[:] = np.arange(entries) + index
    while True:
        request = pipe.recv()
        if request is None:
            return
        direction, buffer, matrix, (rows, columns), senders = request
        first, last = row_range(rows, index, senders)
        block = memory[:(last - first) * columns].reshape(last - first, columns)
        with alchemist.attach(ticket, message_bytes=buffer, shared_memory=int(PATH == "shm")) as session:
            handle = session.matrix(matrix)
            if last > first:
                handle.fetch((first, 0, min(130, last - first), min(130, columns)))  # opens the connections
            pipe.send("ready")
            pipe.recv()
            if last > first and direction == "send":
                handle.write(block, row=first)
            elif last > first:
                handle.fetch((first, 0, last - first, columns), out=block)
            pipe.send("done")


class Senders:
    def __init__(self, ticket, count):
        context = multiprocessing.get_context("spawn")
        largest = [max((row_range(r, k, n)[1] - row_range(r, k, n)[0]) * c for n in SENDERS if k < n for r, c in map(shape_of, ASPECTS))
                   for k in range(count)]
        self.pipes = []
        for k in range(count):
            mine, theirs = context.Pipe()
            context.Process(target=sender_main, args=(theirs, k, tuple(ticket), largest[k]), daemon=True).start()
            self.pipes.append(mine)

    def run(self, direction, buffer, matrix, shape, senders):
        pipes = self.pipes[:senders]
        for pipe in pipes:
            pipe.send((direction, buffer, matrix, shape, senders))
        assert all([pipe.recv() == "ready" for pipe in pipes])
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        assert all([pipe.recv() == "done" for pipe in pipes])
        return time.perf_counter() - started

    def stop(self):
        for pipe in self.pipes:
            pipe.send(None)


KEYS = ["round", "layout", "aspect", "buffer_kb", "senders", "direction"]
NUMBERS = {"round": int, "rows": int, "columns": int, "buffer_kb": int, "senders": int}


def key_of(row):
    return tuple(row[k] for k in KEYS)


def load_rows(path):
    """The rows that an earlier run has measured."""
    if not (RESUME and os.path.exists(path)):
        return []
    with open(path, newline="") as file:
        return [{k: NUMBERS.get(k, str)(v) for k, v in row.items()} for row in csv.DictReader(file)]


def measure_block(session, senders, todo, number, layout, aspect):
    """Measure the combinations `todo` of one round, layout and aspect ratio in random order. Yields rows of the CSV
    file."""
    shape = shape_of(aspect)
    handle = session.create_matrix(shape, layout=None if layout == "default" else layout)
    handle.write(np.zeros(shape))  # warms the memory of the workers
    random.shuffle(todo)
    for buffer, count, direction in todo:
        seconds = senders.run(direction, buffer, handle.id, shape, count)
        yield dict(zip(FIELDS, (number, PATH, layout, aspect, *shape, buffer >> 10, count, direction, f"{seconds:.6f}",
                                f"{shape[0] * shape[1] * 8e-9 / seconds:.4f}")))
    handle.free()


def rounds_for(blocks, transfers, seconds):
    """The number of rounds that fit into BENCH_MINUTES, by the time of the first block."""
    estimate = seconds * blocks
    rounds = int(os.environ.get("BENCH_REPEAT", 0)) or int(min(9, max(1, MINUTES * 60 / estimate)))
    print(f"# {transfers * blocks} transfers of {GB:g} GB a round, {rounds} rounds: about {estimate * rounds / 60:.1f} minutes",
          flush=True)
    return rounds


def study(session, output):
    """Measure all rounds, or until BENCH_SLICE is over. Returns the rows, and whether the study is complete."""
    path = os.path.join(output, f"transfer-{PATH}.csv")
    rows_out = load_rows(path)
    known = set(map(key_of, rows_out))
    rounds = int(os.environ.get("BENCH_REPEAT", 0)) or (max(row["round"] for row in rows_out) + 1 if rows_out else 0)
    combinations = list(itertools.product(BUFFERS, SENDERS, DIRECTIONS))
    blocks = list(itertools.product(ASPECTS, LAYOUTS))
    senders = Senders(session.ticket, max(SENDERS))
    started, number = time.monotonic(), 0
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows_out)
        while number < (rounds or 1):
            for aspect, layout in blocks:
                todo = [(b, n, d) for b, n, d in combinations if (number, layout, aspect, b >> 10, n, d) not in known]
                for row in measure_block(session, senders, todo, number, layout, aspect) if todo else ():
                    rows_out.append(row)
                    writer.writerow(row)
                    file.flush()
                    if time.monotonic() - started > SLICE * 60:
                        total = len(combinations) * len(blocks) * (rounds or 1)
                        print(f"# {len(rows_out)} of {total} measured: BENCH_RESUME=1 measures the rest", flush=True)
                        senders.stop()
                        return rows_out, False
                if not rounds:
                    rounds = rounds_for(len(blocks), len(combinations), time.monotonic() - started)
            number += 1
    senders.stop()
    return rows_out, True


def medians(rows, *keys):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in keys), []).append(float(row["gb_per_s"]))
    return groups


def report(rows):
    """Print, for each value of each dimension, the median rate over all other dimensions, and the median ratio to the
    rate of a reference value that is measured in the same round with everything else equal. Other load on the machine
    disturbs the ratio less than the rate. The manual page quotes these figures."""
    references = {"buffer_kb": 4096, "layout": "VC_STAR", "aspect": "5:4", "senders": 1}
    rates = {tuple(row[k] for k in FIELDS[:3] + ["aspect", "buffer_kb", "senders", "direction"]): float(row["gb_per_s"])
             for row in rows}
    names = FIELDS[:3] + ["aspect", "buffer_kb", "senders", "direction"]
    print(f"{'direction':10s} {'dimension':10s} {'value':>9s} {'GB/s':>8s}   ratio to the reference with all else equal")
    for direction, (key, reference) in itertools.product(DIRECTIONS, references.items()):
        at = names.index(key)
        for value in dict.fromkeys(sorted((row[key] for row in rows), key=lambda v: (isinstance(v, str), v))):
            chosen = {k: v for k, v in rates.items() if k[-1] == direction and k[at] == value}
            ratios = [v / rates[other] for k, v in chosen.items() if (other := k[:at] + (reference,) + k[at + 1:]) in rates]
            middle = f"{statistics.median(ratios):6.2f} to {reference}" if ratios else ""
            print(f"{direction:10s} {key:10s} {value:>9} {statistics.median(chosen.values()):8.3f}   {middle}")


def plot(rows, output, title):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for direction in DIRECTIONS:
        groups = medians([r for r in rows if r["direction"] == direction], "aspect", "senders", "layout", "buffer_kb")
        figure, axes = pyplot.subplots(len(ASPECTS), len(SENDERS), sharex=True, sharey=True, squeeze=False,
                                       figsize=(4 * len(SENDERS) + 1, 2.9 * len(ASPECTS) + 1))
        for (a, aspect), (s, count) in itertools.product(enumerate(ASPECTS), enumerate(SENDERS)):
            for k, layout in enumerate(LAYOUTS):
                values = [groups[aspect, count, layout, b >> 10] for b in BUFFERS]
                middle = [statistics.median(v) for v in values]
                spread = [[m - min(v) for m, v in zip(middle, values)], [max(v) - m for m, v in zip(middle, values)]]
                axes[a][s].errorbar([(b >> 10) * (1 + 0.06 * k) for b in BUFFERS], middle, yerr=spread, marker="o", ms=3,
                                    lw=1.2, capsize=2, label=layout)
            axes[a][s].set_xscale("log", base=4)
            axes[a][s].set_xticks([b >> 10 for b in BUFFERS], [size_label(b) for b in BUFFERS], fontsize=8)
            axes[a][s].set_xlim((BUFFERS[0] >> 10) / 1.5, (BUFFERS[-1] >> 10) * 1.9)
            axes[a][s].minorticks_off()
            axes[a][s].grid(alpha=0.3)
            axes[a][s].set_title(f"rows:columns {aspect}, {count} sender{'s' * (count > 1)}", fontsize=9)
        for panels in axes:
            panels[0].set_ylabel("GB/s")
        for panel in axes[-1]:
            panel.set_xlabel("message buffer")
        axes[0][0].set_ylim(0, 1.05 * max(map(max, groups.values())))
        figure.suptitle(f"{direction}: {title}", fontsize=11)
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=len(names), fontsize=9, frameon=False)
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(os.path.join(output, f"transfer-{PATH}-{direction}.png"), dpi=110)
        pyplot.close(figure)


def size_label(size):
    return f"{size >> 20}M" if size >= 1 << 20 else f"{size >> 10}K"


def title():
    link = f", {RATE:g} Mbit/s and {DELAY:g} ms each way" if NETNS else ", shared memory" if PATH == "shm" else ", loopback TCP"
    return f"{GB:g} GB float64, {WORKERS} workers{link}; medians, smallest and largest"


def measure(output, **where):
    with alchemist.connect(workers=WORKERS, shared_memory=int(PATH == "shm"), **where) as session:
        rows, finished = study(session, output)
    if finished:
        report(rows)
        plot(rows, output, title())


def start_daemon(directory, prefix=(), options=()):
    connection = os.path.join(directory, "connection.json")
    daemon = subprocess.Popen([*prefix, os.environ["ALCHEMIST_DAEMON"], "--workers", str(WORKERS), "--port", "0",
                               "--log-level", "warning", "--connection-file", connection, "--owner-pid",
                               str(os.getpid()), *options], stdout=subprocess.DEVNULL)
    while not os.path.exists(connection):
        if daemon.poll() is not None:
            raise SystemExit("alchemistd did not start")
        time.sleep(0.05)
    return daemon, connection


def main():
    output = sys.argv[1]
    os.makedirs(output, exist_ok=True)
    if INSIDE:
        measure(output, address=os.environ["BENCH_ADDRESS"], connection_file=os.environ["BENCH_INSIDE"])
        return
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    print(f"# {time.strftime('%F', time.gmtime())}, {os.cpu_count()} cores, {model}; {title()}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        if NETNS:
            import delay_line
            with delay_line.Link(RATE, DELAY) as link:
                daemon, connection = start_daemon(directory, link.server, ["--bind", link.server_address, "--insecure"])
                try:
                    link.run_client([sys.executable, *sys.argv], connection)
                finally:
                    daemon.terminate()
                    daemon.wait()
            return
        daemon, connection = start_daemon(directory)
        try:
            measure(output, connection_file=connection)
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
