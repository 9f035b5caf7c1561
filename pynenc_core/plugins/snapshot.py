"""What a process tells the processes it starts about its plugins, so that none runs with others."""

from __future__ import annotations

import sys

import attrs

from pynenc_core.errors.plugins import PluginSnapshotError
from pynenc_core.plugins.discovery import InstalledPlugin


@attrs.frozen
class PluginSnapshot:
    """The plugins in use: installed and not disabled, as (name, distribution, version), sorted. Plain data, fit for JSON."""

    plugins: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, plugins: tuple[InstalledPlugin, ...]) -> PluginSnapshot:
        """Return the snapshot of these plugins."""
        return cls(tuple(sorted((each.name, each.distribution, each.version) for each in plugins)))

    def check(self, here: PluginSnapshot) -> None:
        """Raise PluginSnapshotError when `here` is not the same set of plugins and versions as this one, the parent's."""
        if here == self:
            return
        ours, theirs = here._versions(), self._versions()
        raise PluginSnapshotError(
            tuple(_text(key, theirs[key]) for key in theirs if key not in ours),
            tuple(_text(key, ours[key]) for key in ours if key not in theirs),
            tuple(f"{_text(key, ours[key])} (was {theirs[key]})" for key in ours if key in theirs and ours[key] != theirs[key]),
            sys.executable,
        )

    def _versions(self) -> dict[tuple[str, str], str]:
        return {(name, distribution): version for name, distribution, version in self.plugins}


def _text(key: tuple[str, str], version: str) -> str:
    name, distribution = key
    return f"{name} ({distribution} {version})"
