"""A local server of this process: it is started on a free port of this machine, and stopped at exit."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .errors import ConnectError
from .connection import connect


def local(workers=2, *, plugin_dirs=(), options=(), verbose=False, timeout=30):
    """Start alchemistd with `workers` worker slots, connect to it and request all of them.

    The daemon runs in an operating-system session that is not the terminal's, so that Ctrl-C does not reach it. It
    ends when the Alchemist session is closed, at exit, or when this interpreter dies for any reason.

    Args:
        workers: the number of worker processes.
        plugin_dirs: directories from which libraries can be loaded, instead of the daemon's default.
        options: further options for alchemistd, ``["--memory-limit", "1G"]`` for example.
        verbose: print what the session does.
        timeout: seconds within which the daemon must be ready.
    """
    daemon = Daemon(workers, plugin_dirs, options, timeout)
    try:
        session = connect(connection_file=daemon.connection_file, workers=workers, verbose=verbose)
    except BaseException:
        daemon.stop()
        raise
    session._on_close = daemon.stop
    session.daemon = daemon
    return session


class Daemon:
    """A running alchemistd that belongs to this process.

    If the daemon does not start, the constructor raises a ConnectError with the text that the daemon logged. The
    error's `exit_status` is None if the daemon was not ready in time. If the daemon ended, it is the number of an error
    code, ``PortError.code`` for example, or negative for a signal.
    """

    def __init__(self, workers=2, plugin_dirs=(), options=(), timeout=30):
        self._directory = tempfile.mkdtemp(prefix="alchemist-")
        self._pid = os.getpid()
        self.connection_file = os.path.join(self._directory, "connection.json")
        self.log_file = os.path.join(self._directory, "alchemistd.log")
        command = [find_daemon(), "--workers", str(workers), "--port", "0", "--connection-file", self.connection_file,
                   "--owner-pid", str(os.getpid())]
        for directory in plugin_dirs:
            command += ["--plugin-dir", os.fspath(directory)]
        command += [str(x) for x in options]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        atexit.register(self.stop)
        self._wait_ready(timeout)

    def _wait_ready(self, timeout):
        end = time.monotonic() + timeout
        while not os.path.exists(self.connection_file):
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                why = f"ended with exit status {code}" if code is not None else f"was not ready within {timeout} s"
                log = self.log()
                self.stop()
                error = ConnectError(f"alchemistd {why}:\n{log}")
                error.exit_status = code
                raise error
            time.sleep(0.01)

    def log(self):
        """The text that the daemon has logged."""
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self, timeout=10):
        """Stop the daemon and all processes that it started. May be called again.

        Kills the daemon if it has not ended `timeout` seconds after SIGTERM. Does nothing in a forked child.
        """
        atexit.unregister(self.stop)
        if os.getpid() != self._pid:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def find_daemon():
    """The path of alchemistd: from ALCHEMIST_DAEMON, in the build tree that this package is part of, or from PATH."""
    here = os.path.dirname(os.path.abspath(__file__))
    if os.environ.get("ALCHEMIST_DAEMON"):
        return os.environ["ALCHEMIST_DAEMON"]
    built = os.path.normpath(os.path.join(here, "..", "..", "..", "build", "bin", "alchemistd"))
    if os.access(built, os.X_OK):
        return built
    found = shutil.which("alchemistd")
    if found is None:
        raise FileNotFoundError(f"alchemistd was not found: ALCHEMIST_DAEMON is not set, {built} is not executable, "
                                "and PATH does not have it. Install it, or connect() to a server elsewhere.")
    return found
