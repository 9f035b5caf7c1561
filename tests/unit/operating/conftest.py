"""The fixture of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.operating.operated import JOBS, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    found.write("jobs.py", JOBS)
    return found
