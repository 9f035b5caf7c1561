"""What the plugin adds to `PynencBuilder`."""

from __future__ import annotations

from collections.abc import Mapping


def redis(url: str = "redis://") -> Mapping[str, object]:
    """Keep everything on a server; `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`."""
    return {"url": url}
