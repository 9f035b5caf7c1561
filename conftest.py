"""Keeps a run that promised to test installed wheels from testing the source tree.

`nox` sets PYNENC_TEST_WHEELS=1. Without it (`.venv/bin/pytest` while developing) whatever is importable is tested.
"""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Refuse to start when one of our packages comes from anywhere but this environment's site-packages."""
    if os.environ.get("PYNENC_TEST_WHEELS") != "1":
        return
    strays = list(_strays())
    if strays:
        pytest.exit("this run tests installed wheels only, but\n  " + "\n  ".join(strays), returncode=4)


def _strays() -> Iterator[str]:
    """Yield a line for each of our distributions that is not a plain installation."""
    installed = Path(sysconfig.get_path("purelib")).resolve()
    ours = [dist for dist in distributions() if dist.name.startswith("pynenc")]
    if not ours:
        yield "no pynenc distribution is installed"
    for dist in ours:
        if _editable(dist):
            yield f"{dist.name} {dist.version} is installed as editable"
        module = dist.name.replace("-", "_")  # every distribution here is named after its package
        spec = find_spec(module)
        origin = spec.origin if spec else None
        if origin is None or not Path(origin).resolve().is_relative_to(installed):
            yield f"{module} would be imported from {origin or 'nowhere'}, not from {installed}"


def _editable(dist: Distribution) -> bool:
    origin = dist.read_text("direct_url.json")
    return bool(origin and json.loads(origin).get("dir_info", {}).get("editable"))
