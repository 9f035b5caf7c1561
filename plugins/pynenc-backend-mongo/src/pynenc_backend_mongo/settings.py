"""What can be set for this backend: `[tool.pynenc.mongo]`."""

from __future__ import annotations

from typing import Annotated, ClassVar

import attrs
from msgspec import Meta

from pynenc_core.config import SettingsSection, setting


@attrs.define(kw_only=True)
class MongoSettings(SettingsSection):
    """How a MongoDB server is used: `[tool.pynenc.mongo]`."""

    section: ClassVar[str] = "mongo"

    url: str = setting("mongodb://localhost/pynenc", "server and database, where the app's URL does not name them: beside another backend")
    write_concern: str = setting("majority", "how many members have a write before it counts: `majority` or a number; `w` in the URL wins")
    timeout_sec: Annotated[float, Meta(gt=0)] = setting(
        5.0, "seconds to look for a usable server when connecting; `serverSelectionTimeoutMS` in the URL wins"
    )
    reply_timeout_sec: Annotated[float, Meta(gt=0)] = setting(
        8.0, "seconds for one call, the driver's own retries included, after which its connection is given up"
    )
    server_time: bool = setting(True, "go by the server's clock; False: by this machine's, where all machines are kept in step")
    longest_poll_sec: Annotated[float, Meta(gt=0)] = setting(
        1.25, "seconds between two looks of who has waited long, where there are no change streams"
    )
