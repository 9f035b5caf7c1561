"""The contract of diagnostics on every saboteur, and on an honest plugin; run by test_diagnostics.py, which reads who was caught."""

from __future__ import annotations

from kit.diagnostics_saboteurs import DIAGNOSTICS_SABOTEURS, Honest
from pynenc_testkit.contracts import DiagnosticsContract


def _cases() -> dict[str, type]:
    subjects: tuple[type[Honest], ...] = (Honest, *DIAGNOSTICS_SABOTEURS)
    body = {"deadline": 0.5, "__module__": __name__}
    return {f"Test{each.__name__}": type(f"Test{each.__name__}", (each, DiagnosticsContract), body) for each in subjects}


globals().update(_cases())
