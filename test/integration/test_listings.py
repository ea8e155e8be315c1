"""The listings in README.md run as printed, in order, in a fresh directory.

A listing is a fenced block whose info string says what it is:

    sh       commands, given to one shell that lives through the whole document
    python   lines, given to the interactive interpreter that a shell listing started with `python`
    c        a program, saved in the shell's directory under the name in its first comment
    output   what the listing before it prints
    text     a picture, which is not checked

The reader in this test has just run bin/quickstart. It has its own home directory, and a copy of the checkout in which
everything but bindings/ (where pip writes) is a link. Listings that a test cannot run are named in NOT_RUN.
"""

import importlib.metadata
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig

import pytest

from harness import BUILD, DAEMON, SANITIZED, TOP, wait_for

INFO_STRINGS = {"sh", "python", "c", "output", "text"}
DOCUMENTS = ("README.md", "SECURITY.md", "NEWS.md", "test/bench/MEASUREMENTS.md")

# The beginnings of the listings that are not run, and the reasons. The named tests check these listings in another way.
NOT_RUN = {
    "bin/quickstart": "installs Debian packages; see test_quickstart_*",
    "alchemistd --workers 4 --bind": "needs a second host; see test_listings_that_are_not_run_use_existing_options",
}


class Listing:
    """One fenced block of a document."""

    def __init__(self, document, line, kind, text):
        self.document, self.line, self.kind, self.text = document, line, kind, text
        self.output = None  # the text of the output listing that follows, or None

    def __repr__(self):
        return f"{self.document}:{self.line}"

    @property
    def why_not_run(self):
        return next((why for begin, why in NOT_RUN.items() if self.text.startswith(begin)), None)


def listings(document):
    """The listings of a document, each with the output that the document shows for it."""
    found, block = [], None
    for number, line in enumerate((TOP / document).read_text().splitlines(), start=1):
        if block is None and line.startswith("```"):
            block = Listing(document, number, line[3:].strip(), "")
        elif line.startswith("```"):
            if block.kind == "output":
                assert found and found[-1].output is None, f"{block}: no listing prints this output"
                found[-1].output = block.text
            else:
                found.append(block)
            block = None
        elif block is not None:
            block.text += line + "\n"
    assert block is None, f"{block} has no end"
    return found


# The parts of a shown output that differ between runs or hosts, and what they match.
VARIABLE = [
    (r"\.\.\.", r"[\s\S]*"),  # left out
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"),
    (r"\b249\d\d\b", r"\d+"),  # the default ports: the test takes free ones
    (r"\bvm\b", r"[\w.-]+"),  # the name of the host
    (r"(?<![\w.])-?\d+\.\d*(?:e[-+]\d+)?(?![\d.])", None),  # see same_number()
    (r"\s+", r"\s+"),
]


def same_number(shown, printed):
    """Times and rounding errors are printed with an exponent and may differ; other numbers agree to 5 per cent."""
    return "e" in shown or abs(float(printed) - float(shown)) <= 0.05 * abs(float(shown))


def without_padding(text):
    """NumPy fills columns with blanks, also before the first number and after the last."""
    return re.sub(r"(?<=\[)[ ]+|[ ]+(?=\])", "", text.strip())


def matches(shown, printed):
    """Whether a listing printed what the document shows."""
    pattern, numbers, position = "", [], 0
    text, printed = without_padding(shown), without_padding(printed)
    for found in re.finditer("|".join(f"({part})" for part, _ in VARIABLE), text):
        pattern += re.escape(text[position:found.start()])
        position = found.end()
        stands_for = VARIABLE[found.lastindex - 1][1]
        if stands_for is None:
            numbers.append(found.group())
            stands_for = r"(-?\d+\.?\d*(?:e[-+]\d+)?)"
        pattern += stands_for
    found = re.fullmatch(pattern + re.escape(text[position:]), printed)
    return bool(found) and all(map(same_number, numbers, found.groups()))


class Terminal:
    """A process that reads commands from a pipe; all that it and its children print goes to a file."""

    MARK = "-- end of the listing --"

    def __init__(self, command, transcript, **options):
        self.transcript, self.begin = transcript, 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=open(transcript, "ab"),
                                        stderr=subprocess.STDOUT, text=True, **options)

    def text(self):
        """What was printed since the last commands were given."""
        return self.transcript.read_bytes()[self.begin:].decode(errors="replace")

    def printed(self):
        """The same without the mark."""
        return self.text().replace(self.MARK + "\n", "")

    def run(self, commands, print_mark, seconds=300):
        """Give it commands, and wait until it has done them, or has ended, or has failed."""
        self.begin = self.transcript.stat().st_size
        self.process.stdin.write(commands + print_mark.format(self.MARK))
        self.process.stdin.flush()
        wait_for(lambda: self.MARK in self.text() or self.process.poll() is not None or failed_in_python(self.text()),
                 seconds, f"the end of {commands!r}")

    def close(self):
        self.process.stdin.close()
        return self.process.wait(60)


def failed_in_python(printed):
    return re.search(r"^(Traceback \(most|\w*Error:)", printed, re.M)


class Reader:
    """Someone who pastes the listings of a document into one terminal."""

    def __init__(self, directory):
        self.directory = directory
        self.python = None
        for name in ("home", "run", "tmp"):
            (directory / name).mkdir(mode=0o700)
        self.shell = Terminal(["bash", "--noprofile", "--norc", "-e"], directory / "shell.txt",
                              cwd=fresh_checkout(directory / "checkout"), env=environment(directory))

    def follow(self, listing):
        """Do what a listing says, and check that it prints what is shown."""
        if listing.kind == "python":
            assert self.python, f"{listing}: no shell listing before it started python"
            self.python.run(listing.text, "print('{}')\n")
            failed = failed_in_python(self.python.printed()) or self.python.process.poll() is not None
            self.check(listing, self.python, failed)
        elif listing.kind == "c":
            name = re.match(r"/\* (\w+\.c)\b", listing.text).group(1)
            (self.state()[1] / name).write_text(listing.text)
        else:
            self.leave_python()
            commands, starts_python = re.subn(r"^python\n\Z", "", listing.text, flags=re.M)
            self.type(commands)
            self.check(listing, self.shell, self.shell.process.poll() is not None)
            if starts_python:
                self.start_python()

    def check(self, listing, terminal, failed):
        assert not failed, f"{listing} failed:\n{listing.text}\nIt printed:\n{terminal.printed()}"
        if listing.output is not None:
            try:  # a server in the background prints later
                wait_for(lambda: matches(listing.output, terminal.printed()), 30 if terminal is self.shell else 0)
            except AssertionError:
                pytest.fail(f"{listing} printed\n{terminal.printed()}\ninstead of\n{listing.output}")

    def type(self, commands):
        """Give the shell commands. They are sourced from a file, so that none of them reads the next ones."""
        script = self.directory / "commands.sh"
        script.write_text(commands)
        self.shell.run(f". '{script}' </dev/null\n", "echo '{}'\n")

    def state(self):
        """The shell's environment, directory and python."""
        into = self.directory / "state"
        self.shell.run(f"{{ env -0; printf '\\0'; pwd; command -v python; }} >'{into}'\n", "echo '{}'\n")
        variables, _, rest = into.read_text().partition("\0\0")
        directory, python = (rest.splitlines() + [None])[:2]
        return dict(v.split("=", 1) for v in variables.split("\0")), pathlib.Path(directory), python

    def start_python(self):
        variables, directory, python = self.state()
        self.python = Terminal([python, "-iqu"], self.directory / "python.txt", cwd=directory, env=variables)
        self.python.run("import sys; sys.ps1 = sys.ps2 = ''\n", "print('{}')\n")

    def leave_python(self):
        python, self.python = self.python, None
        assert python is None or python.close() == 0, python.printed()

    def close(self):
        """Servers that are still running end by themselves: see ALCHEMIST_OWNER_PID."""
        if self.python:
            self.python.process.kill()
        self.shell.process.kill()


def fresh_checkout(path):
    """A directory that looks as a checkout does after bin/quickstart."""
    path.mkdir()
    for entry in TOP.iterdir():
        if entry.name not in ("bindings", "build", ".git"):
            (path / entry.name).symlink_to(entry)
    made = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(TOP / "bindings", path / "bindings", ignore=made)
    (path / "build").symlink_to(BUILD)
    return path


def environment(directory):
    """The environment of a reader's shell: no variable of this test, no fixed port, and no network for pip."""
    kept = {name: value for name, value in os.environ.items()
            if not re.match(r"ALCHEMIST_|PYTHON|PYTEST|VIRTUAL_ENV|LD_|PKG_CONFIG|PIP_NO|PREFIX$|DESTDIR$|O$", name)}
    # The output folder of a `make test O=...` that runs this test is `build` in the reader's checkout.
    kept["MAKEFLAGS"] = re.sub(r"(^|\s)O=\S+", "", os.environ.get("MAKEFLAGS", ""))
    # The pinned packages of the build serve the reader's new environment too, instead of the index of packages.
    packages = {"PYTHONPATH": sysconfig.get_path("purelib"), "PIP_NO_DEPS": "1",
                "PIP_CACHE_DIR": os.path.expanduser("~/.cache/pip")}
    if builds_wheels():
        packages.update({"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"})  # pip takes this 0 as "no isolation"
    return {**kept, **packages, "HOME": str(directory / "home"), "TMPDIR": str(directory / "tmp"),
            "XDG_RUNTIME_DIR": str(directory / "run"), "ALCHEMIST_PORT": "0", "ALCHEMIST_OWNER_PID": str(os.getpid())}


def builds_wheels():
    """Whether the setuptools that is installed here can build the package; else pip downloads one that can."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        return False
    return tuple(int(x) for x in version.split(".")[:2]) >= (70, 1)


@pytest.fixture
def reader(tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.close()


@pytest.mark.skipif(SANITIZED, reason="the listings build and install without sanitizers")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(x.kind != "text" for x in listings(d))])
def test_every_listing_runs_as_printed(document, reader, capsys):
    for listing in listings(document):
        if listing.why_not_run:
            with capsys.disabled():
                print(f"\n{listing} is not run: {listing.why_not_run}", end="")
        elif listing.kind != "text":
            reader.follow(listing)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_listing_says_what_it_is(document):
    unknown = [(listing, listing.kind) for listing in listings(document) if listing.kind not in INFO_STRINGS]
    assert not unknown


def test_the_readme_has_listings_of_all_kinds():
    found = listings("README.md")
    assert {listing.kind for listing in found} == INFO_STRINGS - {"output"}
    assert sum(listing.output is not None for listing in found) >= 5
    for begin in NOT_RUN:
        assert any(listing.text.startswith(begin) for listing in found), f"no listing begins with {begin!r}"


@pytest.mark.parametrize("shown, printed, same", [
    ("<matrix 2: 10 x 5>", "<matrix 2: 10 x 5>\n", True),
    ("<matrix 2: 10 x 5>", "<matrix 3: 10 x 5>\n", False),
    ("[1118.46 35.18]", "[1118.50   35.2 ]", True),
    ("[1118.46 35.18]", "[1118.50   45.2]", False),
    ("done (1.2e-03s)", "done (7.8e+00s)", True),
    ("done (1.2e-03s)", "failed", False),
    ("on vm at 127.0.0.1:24961", "on host-1 at 127.0.0.1:40183", True),
    ("on vm at 127.0.0.1:24961", "on host-1 at 10.0.0.1:40183", False),
    ("...\nthe sum is 21\n...", "log\nthe sum is 21\nlog", True),
    ("...\nthe sum is 21\n...", "log\nthe sum is 22\nlog", False),
])
def test_outputs_are_compared(shown, printed, same):
    assert matches(shown, printed) == same


def test_quickstart_explains_itself():
    """It installs packages, so only its help runs here."""
    text = subprocess.run([TOP / "bin" / "quickstart", "--help"], capture_output=True, text=True, check=True).stdout
    assert "make demo" in text and "--test" in text and "--deps" in text


@pytest.mark.skipif(SANITIZED, reason="the demo has no patience with a slow build")
def test_quickstart_prints_the_figure_of_the_readme(capsys, monkeypatch):
    """The part of the demo that README.md shows."""
    shown = next(listing for listing in listings("README.md") if listing.text.startswith("bin/quickstart")).output
    path = TOP / "bindings" / "python" / "examples" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    daemon, port = demo.start_server()
    try:
        monkeypatch.setenv("ALCHEMIST_CONNECTION", daemon.connection_file)
        capsys.readouterr()
        demo.run_figure_3(port, str(BUILD / "plugins" / "testlib.so"))
    finally:
        daemon.stop()
    printed = capsys.readouterr().out.partition("Largest relative difference")[0]
    assert matches(shown, printed), printed


def test_listings_that_are_not_run_use_existing_options():
    known = subprocess.run([DAEMON, "--help"], capture_output=True, text=True, check=True).stdout
    for listing in listings("README.md"):
        if listing.why_not_run and "alchemistd" in listing.text:
            for option in re.findall(r"--[\w-]+", listing.text):
                assert re.search(rf"{option}\b", known), f"{listing}: {option}"


def test_hacking_names_targets_of_the_makefile(capsys):
    """The commands of HACKING.md build and test the tree that this test runs in, so they are not run here."""
    with capsys.disabled():
        print("\nHACKING.md: commands are not run: they build and test this tree", end="")
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.M))
    named = {line.split()[1] for listing in listings("HACKING.md") for line in listing.text.splitlines()
             if re.match(r"make [a-z-]+(\s|$)", line)}
    assert named and named <= targets, named - targets


@pytest.mark.parametrize("document", [*DOCUMENTS, "HACKING.md"])
def test_paths_in_documents_exist(document):
    """Paths in backquotes that begin with a folder of the checkout; the build makes some of them."""
    folders = "|".join(re.escape(entry.name) for entry in TOP.iterdir() if entry.is_dir() and entry.name != "build")
    named = re.findall(rf"`((?:{folders})/[\w./*-]*)`", (TOP / document).read_text())
    missing = [path for path in named if not any(list(root.glob(path.rstrip("/"))) for root in (TOP, BUILD))]
    assert not missing
