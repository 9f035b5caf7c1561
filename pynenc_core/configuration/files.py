"""Finds and parses configuration files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import attrs

from pynenc_core.errors.configuration import ConfigFileError
from pynenc_core.plugins.discovery import describe

PYPROJECT = "pyproject.toml"


@attrs.frozen(eq=False)
class ConfigFile:
    """What a file says: its tables, and how its place is called in messages (`prefix` stands before a section's name)."""

    label: str
    prefix: str
    content: Mapping[str, object]

    def place(self, section: str) -> str:
        """Return where in the file a section stands, as in "a.toml [runner]"."""
        table = ".".join(part for part in (self.prefix, section) if part)
        return f"{self.label} [{table}]" if table else self.label


def find_pyproject(start: Path) -> ConfigFile | None:
    """Return the nearest `pyproject.toml` with a table `[tool.pynenc]`, from `start` upward; None when there is none."""
    for folder in (start, *start.parents):
        path = folder / PYPROJECT
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        # a cheap look first: most projects' files need no parsing then
        if b"pynenc" in raw and (found := _read_toml(path, raw, "the search for pyproject.toml")).prefix:
            return found
    return None


def read_file(path: Path, named_by: str) -> ConfigFile:
    """Return what a file in TOML, JSON or YAML says: its table `tool.pynenc` where it has one, else all of it.

    Raises ConfigFileError, which quotes nothing of the file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigFileError(named_by, str(path), error.strerror or describe(error)) from error
    match path.suffix.lower():
        case ".toml":
            return _read_toml(path, raw, named_by)
        case ".json":
            return _part(path, _parse_json(path, raw, named_by), named_by)
        case ".yaml" | ".yml":
            return _part(path, _parse_yaml(path, raw, named_by), named_by)
        case other:
            problem = f"its format is unknown ({other or 'no ending'}); it must end in .toml, .json, .yaml or .yml"
            raise ConfigFileError(named_by, str(path), problem)


def _read_toml(path: Path, raw: bytes, named_by: str) -> ConfigFile:
    import tomllib  # late: 3 ms that are needed only where there is a file

    try:
        return _part(path, tomllib.loads(raw.decode()), named_by)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigFileError(named_by, str(path), describe(error)) from error


def _parse_json(path: Path, raw: bytes, named_by: str) -> object:
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        problem = f"it is not JSON: {error.msg} in line {error.lineno}"
        raise ConfigFileError(named_by, str(path), problem) from error
    except UnicodeDecodeError as error:
        raise ConfigFileError(named_by, str(path), describe(error)) from error


def _parse_yaml(path: Path, raw: bytes, named_by: str) -> object:
    try:
        import yaml  # late: an optional extra
    except ImportError as error:
        raise ConfigFileError(named_by, str(path), _NO_YAML) from error
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        # the error's own text quotes the file
        mark = getattr(error, "problem_mark", None)
        problem = f"it is not YAML: {getattr(error, 'problem', '')}" + (f" in line {mark.line + 1}" if mark else "")
        raise ConfigFileError(named_by, str(path), problem) from error


_NO_YAML = 'reading YAML needs an extra: pip install "pynenc-core[yaml]"'
_NO_TABLE = "it does not hold a table of settings"


def _part(path: Path, content: object, named_by: str) -> ConfigFile:
    whole = _table(content if content is not None else {}, path, named_by)
    tool = whole.get("tool")
    if isinstance(tool, dict) and "pynenc" in tool:
        return ConfigFile(str(path), "tool.pynenc", _table(cast("object", tool["pynenc"]), path, named_by))
    return ConfigFile(str(path), "", whole)


def _table(content: object, path: Path, named_by: str) -> Mapping[str, object]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in cast("dict[object, object]", content)):
        raise ConfigFileError(named_by, str(path), _NO_TABLE)
    return cast("dict[str, object]", content)
