"""What can be set for this backend: `[tool.pynenc.redis]`."""

from __future__ import annotations

from typing import Annotated, ClassVar

import attrs
from msgspec import Meta

from pynenc_core.config import SettingsSection, setting

_Seconds = Annotated[float, Meta(gt=0, lt=1_000_000)]


@attrs.define(kw_only=True)
class RedisSettings(SettingsSection):
    """How the server is reached: `[tool.pynenc.redis]`."""

    section: ClassVar[str] = "redis"

    url: str = setting("redis://localhost:6379/0", "the server, where the app names only the scheme")
    connect_timeout_sec: _Seconds = setting(5.0, "seconds until a server that does not accept counts as unreachable")
    reply_timeout_sec: _Seconds = setting(8.0, "seconds until a connection without a reply is given up and made anew")
