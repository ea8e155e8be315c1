"""The modules of the package."""

import ast
import pathlib

import alchemist

FOLDER = pathlib.Path(alchemist.__file__).parent


def imports():
    """The modules of the package that each of its modules imports, also inside functions."""
    found = {}
    for path in FOLDER.glob("*.py"):
        found[path.stem] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                found[path.stem] |= {node.module} if node.module else {name.name for name in node.names}
    return found


def test_modules_form_no_import_circle():
    graph = imports()
    while graph:
        free = [name for name, used in graph.items() if not used & set(graph)]
        assert free, f"these modules import each other in a circle: {', '.join(graph)}"
        for name in free:
            del graph[name]


def test_every_public_name_is_there():
    for name in alchemist.__all__:
        assert getattr(alchemist, name).__doc__, name
