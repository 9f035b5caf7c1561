"""What the tests of the configuration share: writing a file, and the signature of the loading fixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pynenc_core.configuration import Settings


class Load(Protocol):
    """`load_settings` in an empty directory and an empty environment, with what the arguments add."""

    def __call__(
        self,
        overrides: Mapping[str, object] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        plugin_sections: Callable[[], Mapping[str, str]] = dict,
        config_filepath: str | Path | None = None,
        cwd: Path | None = None,
    ) -> Settings:
        """Load."""
        ...


def write(path: Path, text: str) -> Path:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
