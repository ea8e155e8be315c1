"""The output of a verbose session: the lines and tables of the paper's Figure 3."""

import contextlib
import time

from .values import scalar

_KINDS = {"matrix": "MATRIX ID", "int": "INT", "uint": "UINT", "real": "FLOAT", "complex": "COMPLEX", "bool": "BOOL",
          "string": "STRING", None: "LIST"}


class Quiet:
    """The console of a session that prints nothing."""

    def stage(self, text, done=None):
        """The context of some work. Its line begins with `text`, and ends with `done`, the time taken, or "failed"."""
        return contextlib.nullcontext()

    def line(self, text):
        """Print one line."""

    def task(self, function, arguments):
        """The context of a call of a library function."""
        return contextlib.nullcontext()


class Console(Quiet):
    """The console of a session that prints what it does."""

    @contextlib.contextmanager
    def stage(self, text, done=None):
        print(text, end="", flush=True)
        begun = time.perf_counter()
        try:
            yield
        except BaseException as error:
            print(" failed" if isinstance(error, Exception) else " interrupted", flush=True)
            raise
        print(done if done is not None else f" done ({time.perf_counter() - begun:.4e}s)", flush=True)

    def line(self, text):
        print(text, flush=True)

    def task(self, function, arguments):
        self.line("List of input parameters:")
        for name, x in arguments.items():
            entry = scalar(x)
            kind = entry[0] if entry else None
            self.line(f"{name} ({_KINDS[kind]}) = {entry[1][0] if kind == 'matrix' else x}")
        return self.stage(f"Alchemist started task '{function.name}' ...")


def print_timings(title, workers, timings):
    """Print the transfer times in seconds, with a row for every worker of the group."""
    times = {t.slot: (t.serialize, t.send, t.receive, t.deserialize) for t in timings}
    print(title)
    print("-----")
    print("Worker | Serialization time | Send time | Receive time | Deserialization time")
    print("-----")
    for worker in workers:
        print(f"{worker.id} | " + " | ".join(f"{x:.4e}" for x in times.get(worker.id, (0.0,) * 4)))
    print("-----", flush=True)
