"""What can be configured."""

from __future__ import annotations

from typing import ClassVar

import attrs

from pynenc_core.config import Amount, SettingsSection, setting


@attrs.define(kw_only=True)
class InlineSettings(SettingsSection):
    """The section `[tool.pynenc.inline]`."""

    section: ClassVar[str] = "inline"

    stop_when_idle_sec: Amount = setting(0.0, "seconds without anything to do after which the runner ends; 0: never")
