"""Parts of the integration tests: daemons on free ports, one polling loop, and functions that look at processes."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest.mock

TOP = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("ALCHEMIST_BUILD", TOP / "build")).absolute()
DAEMON = os.environ.get("ALCHEMIST_DAEMON", str(BUILD / "bin" / "alchemistd"))
SANITIZED = bool(os.environ.get("ALCHEMIST_SANITIZED"))
# Factor for time limits. The limits are several times what an idle machine needs. Other jobs may slow a test down, and
# code built with sanitizers is slower too.
PATIENCE = 8 if SANITIZED else 2

sys.path.insert(0, str(TOP / "bindings" / "python"))

import alchemist  # noqa: E402


def wait_for(condition, seconds, what="the condition"):
    """Call `condition()` until it returns a true value, and return that value; fail after `seconds`.

    This is the only polling loop of the tests. An exception that `condition` raises ends the wait.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"timed out after {seconds} s while waiting for {what}"
        time.sleep(0.02)


def wait_for_error(error_type, action, seconds, what=None):
    """Call `action()` until it raises `error_type`, and return that exception; fail after `seconds`."""
    def raised():
        try:
            action()
        except error_type as error:
            return error
        return None

    return wait_for(raised, seconds, what or error_type.__name__)


def run_in_threads(*functions):
    """Call all functions at once, each in its own thread, and return their results; raise the first exception."""
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_exit(pids, seconds, what="the end of the workers"):
    """Wait until none of the processes runs."""
    wait_for(lambda: not any(alive(pid) for pid in pids), seconds, what)


def can_run(*command):
    """Whether a command exists and succeeds."""
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


class Daemon(alchemist.Daemon):
    """A daemon that may load the test plugins, and whose connection file the test can read."""

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
        """Whether all worker slots are idle; opens a session to ask."""
        with self.connect() as session:
            return all(w.state == "idle" for w in session.list_all_workers())

    def wait_until_idle(self, seconds=10 * PATIENCE):
        """Wait until all worker slots are idle."""
        wait_for(self.idle, seconds, "idle worker slots")


class DaemonWithPrivateShm(Daemon):
    """A daemon whose processes have a /dev/shm that other processes on the machine do not use.

    So a file that is left in it was left by this daemon, even if other MPI jobs run at the same time. A process that
    may not create mount namespaces gets a daemon that uses the machine's /dev/shm. Then other MPI jobs can make a test
    fail.
    """

    _folder = None  # a descriptor, which keeps the files of the namespace readable when all of its processes have ended

    def __init__(self, workers=3, *options):
        private = can_run("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
        before = set() if private else set(os.listdir("/dev/shm"))
        variables = {"ALCHEMIST_DAEMON": str(TOP / "test" / "integration" / "private-shm"), "DAEMON": DAEMON}
        with unittest.mock.patch.dict(os.environ, variables if private else {}):
            super().__init__(workers, *options)
        # The prefix of a command that uses the daemon's /dev/shm. The daemon must be running.
        self.enter = ["nsenter", "-t", str(self.process.pid), "-m"] if private else []
        self._before = before
        self._folder = os.open(f"/proc/{self.process.pid}/root/dev/shm", os.O_RDONLY | os.O_DIRECTORY)

    def shared_memory(self):
        """The names of the files that have been created in the daemon's /dev/shm and not been removed."""
        return set(os.listdir(self._folder)) - self._before

    def stop(self, timeout=10):
        super().stop(timeout)
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
