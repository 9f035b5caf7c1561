"""What the plugin adds to `PynencBuilder`."""

from __future__ import annotations

from collections.abc import Mapping


def mongo(url: str = "mongodb://localhost/pynenc") -> Mapping[str, object]:
    """Keep everything in a MongoDB database: `mongodb://user:password@host:port/database?options`."""
    return {"url": url}
