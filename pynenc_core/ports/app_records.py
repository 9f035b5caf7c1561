"""Apps under their public names, over the storage verbs."""

from __future__ import annotations

import attrs
import msgspec

from pynenc_core.model import FORMAT
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage

APP_INFO = "app_info"
"""The kind under which each app keeps its AppInfo, with its id as the key."""


@attrs.frozen(kw_only=True)
class AppInfo:
    """What a store says of an app, so that somebody who only finds the store can name the app and import it."""

    app_id: str
    locator: str = ""
    """`module:attribute` of the app object; empty when it cannot be imported."""
    format: int = FORMAT

    def to_json(self) -> bytes:
        """Return this as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> AppInfo:
        """Return what `to_json` wrote; unknown fields are ignored. Raises msgspec.ValidationError on anything else."""
        return msgspec.json.decode(data, type=cls)


class AppRecords(CoordinationStorage):
    """What a store knows of the app whose records it keeps."""

    app: StoreView

    def store_app_info(self, info: AppInfo) -> None:
        """Store what this app is, until it is purged; the last write wins."""
        self.put_value(APP_INFO, self.app.app_id, info.to_json())

    def get_app_info(self) -> AppInfo | None:
        """Return what was stored of this app, or None."""
        found = self.get_values(APP_INFO, [self.app.app_id]).get(self.app.app_id)
        return None if found is None else AppInfo.from_json(found)

    @staticmethod
    def discover_app_infos() -> dict[str, AppInfo]:
        """Return the apps found where this backend stores when nothing is configured, by id.

        Being static, it has no store to ask: the one public name that a backend overrides, if it has such a place. What
        cannot be read is passed over. Here there is none, so nothing is found.
        """
        return {}
