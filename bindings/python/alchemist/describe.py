"""The documentation of a library and of its functions, as help() shows it."""

import textwrap

WIDTH = 100


def describe(call, summary, parameters, results, doc):
    """One text of what a library says of a function.

    `parameters` and `results` are tuples (name, type, text); lines of `doc` that are about one of them are there
    already, the others are paragraphs.
    """
    known = {name for name, _, _ in parameters} | {name for name, _, _ in results}
    rest = [line for line in doc.splitlines() if line.partition(":")[0] not in known]
    parts = [call, summary, _section("Parameters", parameters), _section("Returns", results),
             "\n".join(textwrap.fill(line, WIDTH) for line in _sentences(rest)).strip()]
    return "\n\n".join(part for part in parts if part)


def listing(title, functions):
    """One text of what a library has: `functions` are tuples (call, summary)."""
    lines = [title, "", "Functions; help() of one of them says more:", ""]
    for call, summary in functions:
        lines += [textwrap.fill(call, WIDTH, initial_indent="    ", subsequent_indent="            "), f"        {summary}"]
    return "\n".join(lines)


def _sentences(lines):
    """The lines, with those that go on in the middle of a sentence put together."""
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
