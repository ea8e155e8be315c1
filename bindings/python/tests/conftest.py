"""The tests of the binding use the fixtures of the integration tests: a real daemon on a free port."""

import importlib.util
import pathlib
import sys

_INTEGRATION = pathlib.Path(__file__).parents[3] / "test" / "integration"
sys.path.insert(0, str(_INTEGRATION))  # for harness.py

# Both files are called conftest.py, so an import would find this one.
_spec = importlib.util.spec_from_file_location("integration_fixtures", _INTEGRATION / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
daemon, own_daemon, als = _fixtures.daemon, _fixtures.own_daemon, _fixtures.als
