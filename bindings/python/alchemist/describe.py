"""The documentation of a library and of its functions, as help() shows it."""

import textwrap

WIDTH = 100


def describe(call, summary, parameters, results, doc):
    """The help text of a function.

    `parameters` and `results` are tuples (name, type, text). The lines of `doc` that begin with a name among them are
    left out, because `text` has them already; the others become paragraphs.
    """
    known = {name for name, _, _ in parameters} | {name for name, _, _ in results}
    rest = [line for line in doc.splitlines() if line.partition(":")[0] not in known]
    parts = [call, summary, _section("Parameters", parameters), _section("Returns", results),
             "\n".join(textwrap.fill(line, WIDTH) for line in _joined_lines(rest)).strip()]
    return "\n\n".join(part for part in parts if part)


def listing(title, functions):
    """The help text of a library: `functions` are tuples (call, summary)."""
    lines = [title, "", "Functions; help() of a function shows more:", ""]
    for call, summary in functions:
        lines += [textwrap.fill(call, WIDTH, initial_indent="    ", subsequent_indent="            "),
                  f"        {summary}"]
    return "\n".join(lines)


def _joined_lines(lines):
    """The lines, with each line that continues a sentence joined to the line before it."""
    whole = []
    for line in lines:
        if whole and whole[-1] and line and whole[-1][-1] not in ".:;":
            whole[-1] += " " + line
        else:
            whole.append(line)
    return whole


def _section(title, entries):
    if not entries:
        return ""
    lines = [title]
    for name, kind, text in entries:
        lines.append(textwrap.fill(f"{name} ({kind})" + (f": {text}" if text else ""), WIDTH, initial_indent="    ",
                                   subsequent_indent="        "))
    return "\n".join(lines)
