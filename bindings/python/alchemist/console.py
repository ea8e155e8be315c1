"""What a session that talks prints: the lines and tables of the paper's Figure 3."""

import contextlib
import time

_KINDS = {"matrix": "MATRIX ID", "int": "INT", "uint": "UINT", "real": "FLOAT", "complex": "COMPLEX", "bool": "BOOL",
          "string": "STRING", None: "LIST"}


class Quiet:
    """Prints nothing."""

    def stage(self, text, done=None):
        """A context for work: its line begins with `text` and ends with `done` or the time it took, or how it failed."""
        return contextlib.nullcontext()

    def line(self, text):
        pass

    def task(self, function, arguments):
        """The context of a call."""
        return contextlib.nullcontext()


class Console(Quiet):
    """Prints progress lines; each begins when work starts and ends with its time."""

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
        from .library import _scalar

        self.line("List of input parameters:")
        for name, x in arguments.items():
            entry = _scalar(x)
            kind = entry[0] if entry else None
            self.line(f"{name} ({_KINDS[kind]}) = {entry[1][0] if kind == 'matrix' else x}")
        return self.stage(f"Alchemist started task '{function.name}' ...")


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
