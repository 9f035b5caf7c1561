"""The contract of diagnostics on a plugin that says nothing; run by test_void.py, which expects every test to fail."""

from __future__ import annotations

from kit.diagnostics_saboteurs import Void
from pynenc_testkit.contracts import DiagnosticsContract


class TestVoid(Void, DiagnosticsContract):
    pass
