"""The binding's tests use the fixtures of the integration tests: a real daemon on a free port."""

import pathlib
import sys

_SHARED = pathlib.Path(__file__).parents[3] / "test" / "integration"
sys.path.insert(0, str(_SHARED))

import importlib.util  # noqa: E402

_spec = importlib.util.spec_from_file_location("integration_fixtures", _SHARED / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
daemon, own_daemon, als = _fixtures.daemon, _fixtures.own_daemon, _fixtures.als
