"""What the plugin adds to `PynencBuilder`."""

from __future__ import annotations

from collections.abc import Mapping


def sqlite(path: str = "") -> Mapping[str, object]:
    """Keep everything in one file; without a `path` in `.pynenc/<app_id>.db` under the current directory."""
    return {"url": f"sqlite:///{path}" if path else "sqlite://"}
