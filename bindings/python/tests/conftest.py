"""Shares the daemon fixtures of the integration tests."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "test" / "integration"))

from importlib import util as _util  # noqa: E402

_spec = _util.spec_from_file_location("integration_conftest",
                                      pathlib.Path(__file__).parents[3] / "test" / "integration" / "conftest.py")
_module = _util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
sys.modules.setdefault("integration_conftest", _module)
daemon, own_daemon, als = _module.daemon, _module.own_daemon, _module.als
