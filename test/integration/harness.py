"""What the tests share that need a daemon: one on a free port, and looks at its processes."""

import json
import os
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("ALCHEMIST_BUILD", TOP / "build")).absolute()
DAEMON = os.environ.get("ALCHEMIST_DAEMON", str(BUILD / "bin" / "alchemistd"))
SANITIZED = bool(os.environ.get("ALCHEMIST_SANITIZED"))
PATIENCE = 4 if SANITIZED else 1  # stretches what a test waits for on a slow build

sys.path.insert(0, str(TOP / "bindings" / "python"))

import alchemist  # noqa: E402


def wait_for(condition, seconds, what="the condition"):
    """Poll until `condition()` is true; fail after `seconds`. Returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come about within {seconds} s"
        time.sleep(0.02)


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def shared_memory():
    """What lies in /dev/shm now."""
    return set(os.listdir("/dev/shm"))


class Daemon(alchemist.Daemon):
    """A daemon with the test plugins, whose log the test can read."""

    def __init__(self, workers=3, *options):
        super().__init__(workers, [BUILD / "plugins", BUILD / "test" / "plugins"], ["--fail-grace", "1000", *options],
                         timeout=30 * PATIENCE)

    @property
    def port(self):
        return self.connection["port"]

    @property
    def connection(self):
        with open(self.connection_file) as file:
            return json.load(file)

    def connect(self, workers=None, **options):
        return alchemist.connect(connection_file=self.connection_file, workers=workers, **options)

    def idle(self):
        """Whether all slots are idle, asked by a session of its own."""
        with self.connect() as session:
            return all(w.state == "idle" for w in session.list_all_workers())
