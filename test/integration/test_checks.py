"""The checks of names in lib/: each violation is found. A copy of the tree is broken in one place."""

import shutil
import subprocess

import pytest

from harness import TOP


@pytest.fixture
def tree(tmp_path):
    """A copy of lib/ and of the checking script."""
    shutil.copytree(TOP / "lib", tmp_path / "lib")
    (tmp_path / "test" / "tools").mkdir(parents=True)
    shutil.copy(TOP / "test" / "tools" / "check-names", tmp_path / "test" / "tools")
    return tmp_path


def check(tree):
    return subprocess.run([tree / "test" / "tools" / "check-names"], capture_output=True, text=True, check=False)


def test_the_tree_has_no_violation(tree):
    result = check(tree)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("path, old, new, complaint", [
    ("lib/client/pool.h", "#endif\n", "void alchi_drv_close(void);\n#endif\n",
     "alchi_drv_close does not begin with alchi_cli_"),
    ("lib/store/mem.c", "#include", "int\nfree_all(void)\n{\n    return 0;\n}\n#include", "free_all does not begin"),
    ("lib/net/text.h", "#endif\n", "void alchi_rank_text(void);\n#endif\n", "alchi_rank_text does not begin"),
    ("lib/driver/slots.h", "ALCHI_DRIVER_SLOTS_H", "ALCHI_SLOTS_H", "guard is ALCHI_SLOTS_H, not ALCHI_DRIVER_SLOTS_H"),
    ("lib/wire/frame.h", "#endif\n", "typedef struct {\n    int x;\n} alchi_channel_t;\n#endif\n",
     "type alchi_channel_t is defined in"),
    ("lib/wire/frame.c", "#include", "int\nalchi_connect(void)\n{\n    return 0;\n}\n#include",
     "function alchi_connect is defined in"),
], ids=["another_area", "no_prefix", "area_prefix_in_a_shared_area", "guard", "type_twice", "function_twice"])
def test_a_violation_is_found(tree, path, old, new, complaint):
    text = (tree / path).read_text()
    assert old in text
    (tree / path).write_text(new.join(text.rsplit(old, 1)) if old == "#endif\n" else
                             text.replace(old, new) if old.startswith("ALCHI") else text.replace(old, new, 1))
    result = check(tree)
    assert result.returncode == 1 and complaint in result.stdout


def test_a_file_name_of_two_areas_is_found(tree):
    shutil.copy(tree / "lib" / "client" / "pool.c", tree / "lib" / "store" / "pool.c")
    assert "pool.c is a file of client and of store" in check(tree).stdout
