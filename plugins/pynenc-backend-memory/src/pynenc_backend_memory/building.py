"""What the plugin adds to `PynencBuilder`."""

from __future__ import annotations

from collections.abc import Mapping


def memory(name: str = "") -> Mapping[str, object]:
    """Keep everything in the memory of this process; apps that give the same name and app id share what they store."""
    return {"url": f"memory://{name}"}
