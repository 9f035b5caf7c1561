"""What can be set for this backend: `[tool.pynenc.sqlite]`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import attrs
from msgspec import Meta

from pynenc_core.config import SettingsSection, setting


@attrs.define(kw_only=True)
class SQLiteSettings(SettingsSection):
    """Where and how the file is kept: `[tool.pynenc.sqlite]`."""

    section: ClassVar[str] = "sqlite"

    path: str = setting("", "the file, where no URL names one; empty: `.pynenc/<app_id>.db` under the current directory")
    synchronous: Literal["normal", "full"] = setting(
        "normal", "`full` keeps every commit through a power cut, at the price of a disk flush each"
    )
    busy_timeout_sec: Annotated[float, Meta(gt=0)] = setting(30.0, "seconds to wait for the turn to write before giving up")
    checkpoint_pages: Annotated[int, Meta(ge=1)] = setting(2000, "pages of 4 KiB in the log after which it is written back to the file")
