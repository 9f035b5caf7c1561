"""The fixture of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.cli.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.below(tmp_path)
