"""Fixtures: settings loaded in a place of their own, and a settings class as a plugin brings it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pynenc_core.configuration import Settings, load_settings
from unit.configuration.sources import Load

TWIN = """
from typing import ClassVar
import attrs
from pynenc_core.config import Limit, SettingsSection, setting

@attrs.define(kw_only=True)
class TwinSettings(SettingsSection):
    section: ClassVar[str] = "twin"
    disabled: bool = setting(False, "turns it off")
    tags: frozenset[str] = setting(frozenset(), "what it is about")
    level: float | None = setting(None, "how much")
    limit: Limit | None = setting(None, "how many may use it")
    key: str = setting("", "what it signs with", secret=True)
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(
        overrides: Mapping[str, object] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        plugin_sections: Callable[[], Mapping[str, str]] = dict,
        config_filepath: str | Path | None = None,
        cwd: Path | None = None,
    ) -> Settings:
        return load_settings(
            overrides, environ=environ or {}, plugin_sections=plugin_sections, config_filepath=config_filepath, cwd=cwd or tmp_path
        )

    return load


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The target of a plugin's settings class, in a module that is not imported yet."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "plug_settings.py").write_text(TWIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(modules))
    yield "plug_settings:TwinSettings"
    sys.modules.pop("plug_settings", None)
