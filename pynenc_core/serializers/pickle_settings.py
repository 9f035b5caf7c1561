"""What the pickle serializer is made with."""

from __future__ import annotations

from typing import ClassVar

import attrs

from pynenc_core.config import SettingsSection, setting


@attrs.define(kw_only=True, eq=False, repr=False)
class PickleSettings(SettingsSection):
    """The signing keys: `[tool.pynenc.pickle]`; better in a variable (PYNENC__PICKLE__KEY) than in a file."""

    section: ClassVar[str] = "pickle"

    key: str = setting("", "what pickles are signed with: at least 32 random bytes, shared by every process of the app", secret=True)
    key_id: str = setting("1", "names the key in what it signs, so that keys can be rotated")
    older_keys: dict[str, str] | None = setting(None, "keys by id that are still read, though nothing is signed with them", secret=True)
