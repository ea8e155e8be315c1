"""What a session that talks prints: the lines and tables of the paper's Figure 3."""

import time

_KINDS = {"matrix": "MATRIX ID", "int": "INT", "uint": "UINT", "real": "FLOAT", "complex": "COMPLEX", "bool": "BOOL",
          "string": "STRING", None: "LIST"}


class Quiet:
    """Prints nothing."""

    def begin(self, text):
        return None

    def end(self, begun, text=None):
        pass

    def line(self, text):
        pass

    def task_started(self, function, arguments):
        return None

    def task_done(self, begun):
        pass


class Console(Quiet):
    """Prints progress lines; each begins when work starts and ends with its time."""

    def begin(self, text):
        print(text, end="", flush=True)
        return time.perf_counter()

    def end(self, begun, text=None):
        print(text if text is not None else f" done ({time.perf_counter() - begun:.4e}s)", flush=True)

    def line(self, text):
        print(text, flush=True)

    def task_started(self, function, arguments):
        from .library import _scalar

        self.line("List of input parameters:")
        for name, x in arguments.items():
            entry = _scalar(x)
            kind = entry[0] if entry else None
            self.line(f"{name} ({_KINDS[kind]}) = {entry[1][0] if kind == 'matrix' else x}")
        return self.begin(f"Alchemist started task '{function.name}' ...")

    def task_done(self, begun):
        self.end(begun)


def print_timings(title, workers, timings):
    """The table of transfer times in seconds, a row for each worker of the group, also where nothing went."""
    times = {t.slot: (t.serialize, t.send, t.receive, t.deserialize) for t in timings}
    print(title)
    print("-----")
    print("Worker | Serialization time | Send time | Receive time | Deserialization time")
    print("-----")
    for worker in workers:
        print(f"{worker.id} | " + " | ".join(f"{x:.4e}" for x in times.get(worker.id, (0.0,) * 4)))
    print("-----", flush=True)
