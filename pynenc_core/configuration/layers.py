"""Reads one layer of the configuration into entries: which setting, which value, and where it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import attrs

from pynenc_core.config import TaskSettings
from pynenc_core.configuration.files import ConfigFile
from pynenc_core.configuration.sections import APP, Section, Sections
from pynenc_core.errors.configuration import InvalidSettingError, UnknownSectionError, UnknownSettingError

PREFIX = "PYNENC__"
FILEPATH = "PYNENC__FILEPATH"
CODE = "code"
TASK = TaskSettings.section

_NO_TABLE = "it is a section, so its value must be a table"


@attrs.frozen(eq=False)
class Entry:
    """One value of one setting in one layer; `task` is the normalised id of the task it is for, empty for all."""

    section: str
    task: str
    field: str
    value: object = attrs.field(repr=False)
    origin: str
    is_text: bool = False


def task_key(task_id: str) -> str:
    """Return a task's id as variables can write it: upper case, with "__" for each dot."""
    return task_id.replace(".", "__").upper()


def read_environment(environ: Mapping[str, str], sections: Sections) -> Iterator[Entry]:
    """Yield what the variables `PYNENC__...` say. Raises UnknownSettingError or UnknownSectionError for those that nothing reads."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and name != FILEPATH:
            section, task, field = _place(name, sections)
            yield Entry(section.name, task, field, environ[name], _variable_origin(name), is_text=True)


def _place(variable: str, sections: Sections) -> tuple[Section, str, str]:
    """Return the section, the task's key (empty for all) and the field that a variable is about."""
    first, *rest = variable.removeprefix(PREFIX).split("__")
    origin = _variable_origin(variable)
    section = sections.find(first) if rest else sections.get(APP)
    if section is None:
        raise _unknown_section(origin, first.lower(), sections)
    *task, field = rest or [first]
    if task and section.name != TASK:
        raise _unknown_setting(origin, "__".join(rest).lower(), section, sections, _variable)
    if field.lower() not in section.fields:
        raise _unknown_setting(origin, field.lower(), section, sections, _variable)
    return section, "__".join(task).upper(), field.lower()


def read_config_file(file: ConfigFile, named_by: str, sections: Sections) -> Iterator[Entry]:
    """Yield what a file says; `named_by` is added to origins when not empty. Raises what `read_overrides` raises."""
    suffix = f" ({named_by})" if named_by else ""
    place = _Place(lambda section: file.place(section) + suffix, lambda section, field: f"`{field}` in {file.place(section)}")
    yield from _read_tables(file.content, sections, place)


def read_overrides(overrides: Mapping[str, object], sections: Sections, origin: str = CODE) -> Iterator[Entry]:
    """Yield what code says: `field`, `section.field` and `task.<task id>.<field>`, or nested mappings of them.

    Raises UnknownSettingError or UnknownSectionError for what nothing reads, InvalidSettingError for a section that is
    not a table.
    """
    nested: dict[str, object] = {}
    for key, value in overrides.items():
        section, dot, rest = key.partition(".")
        if not dot:
            _merge(nested, key, value)
        elif section == TASK and "." in rest:
            task, _, field = rest.rpartition(".")
            _merge(nested, TASK, {task: {field: value}})
        else:
            _merge(nested, section, {rest: value})
    yield from _read_tables(nested, sections, _Place(lambda _: origin, _dotted))


def read_decorator(task_id: str, options: Mapping[str, object], sections: Sections) -> Iterator[Entry]:
    """Yield the options that a task's decorator gives. Raises UnknownSettingError."""
    section, origin = sections.get(TASK), f"the decorator of {task_id}"
    for name, value in options.items():
        if name not in section.fields:
            raise _unknown_setting(origin, name, section, sections, lambda _, field: field)
        yield Entry(TASK, task_key(task_id), name, value, origin)


@attrs.frozen(eq=False)
class _Place:
    """How a layer names its parts: where a section stands, and how a setting would be written there."""

    of: Callable[[str], str]
    spell: Callable[[str, str], str]


def _read_tables(content: Mapping[str, object], sections: Sections, place: _Place) -> Iterator[Entry]:
    app = sections.get(APP)
    for key, value in content.items():
        if key in app.fields:
            yield Entry(APP, "", key, value, place.of(APP))
            continue
        section = sections.find(key) if isinstance(value, Mapping) or key in sections.names() else None
        if section is None and isinstance(value, Mapping):
            raise _unknown_section(place.of(APP), key, sections)
        if section is None:
            raise _unknown_setting(place.of(APP), key, app, sections, place.spell)
        if not isinstance(value, Mapping):
            raise InvalidSettingError(place.of(APP), key, _NO_TABLE)
        table = cast("Mapping[str, object]", value)
        if section.name == TASK:
            yield from _read_tasks("", table, section, sections, place)
            continue
        for field, each in table.items():
            if field not in section.fields:
                raise _unknown_setting(place.of(section.name), field, section, sections, place.spell)
            yield Entry(section.name, "", field, each, place.of(section.name))


def _read_tasks(task: str, table: Mapping[str, object], section: Section, sections: Sections, place: _Place) -> Iterator[Entry]:
    """Yield task options: those for all, and, in tables below (by quoted task ids or nested ones alike), those for one task.

    A name that is both an option and the beginning of a module must be quoted with the rest of the task's id.
    """
    for key, value in table.items():
        where = place.of(f'{TASK}."{task}"' if task else TASK)
        if key in section.fields:
            yield Entry(TASK, task_key(task), key, value, where)
        elif isinstance(value, Mapping):
            inner = f"{task}.{key}" if task else key
            yield from _read_tasks(inner, cast("Mapping[str, object]", value), section, sections, place)
        else:
            raise _unknown_setting(where, key, section, sections, place.spell)


def _merge(into: dict[str, object], key: str, value: object) -> None:
    there = into.get(key)
    if isinstance(value, Mapping) and isinstance(there, dict):
        for inner, each in cast("Mapping[str, object]", value).items():
            _merge(cast("dict[str, object]", there), inner, each)
    else:
        into[key] = dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else value


def _variable_origin(variable: str) -> str:
    return f"environment variable {variable}"


def _variable(section: str, field: str) -> str:
    return PREFIX + "__".join(part for part in (section, field) if part).upper()


def _dotted(section: str, field: str) -> str:
    return ".".join(part for part in (section, field) if part)


def _unknown_setting(
    origin: str,
    key: str,
    section: Section,
    sections: Sections,
    spell: Callable[[str, str], str],
) -> UnknownSettingError:
    """Return the error, with the same name in other sections as the first guess, then what looks like it."""
    elsewhere = [spell(other.name, key) for other in sections.loaded() if key in other.fields]
    near = elsewhere or [spell(section.name, name) for name in _near(key, section.fields)]
    if not near:
        near = [spell(other.name, name) for other in sections.loaded() for name in _near(key, other.fields)][:1]
    return UnknownSettingError(origin, key, tuple(near), () if near or section.name in {APP, TASK} else tuple(sorted(section.fields)))


def _unknown_section(origin: str, name: str, sections: Sections) -> UnknownSectionError:
    names = sections.names()
    return UnknownSectionError(origin, name, next(iter(_near(name, names)), ""), tuple(names))


def _near(word: str, words: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # late: needed for a message only

    return get_close_matches(word, list(words), n=2, cutoff=0.7)
