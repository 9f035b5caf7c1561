"""Which sections there are, and which fields with which types each has; a plugin's class is imported when it is mentioned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast, get_type_hints

import attrs

from pynenc_core.config import SettingsSection
from pynenc_core.errors.configuration import SettingsClassError, SettingsDisagreeError
from pynenc_core.plugins.discovery import describe, import_target
from pynenc_core.redaction import redacted

APP = ""
"""The name of the section of the app's own settings."""


@attrs.frozen(eq=False)
class FieldInfo:
    """One setting as its class declares it."""

    name: str
    annotation: object
    default: object
    summary: str
    secret: bool


@attrs.frozen(eq=False)
class Section:
    """One section: its class and its fields by name."""

    name: str
    cls: type[SettingsSection]
    fields: Mapping[str, FieldInfo]


class Sections:
    """The core's sections at once, those of plugins by the target of their class."""

    def __init__(self, core: Iterable[type[SettingsSection]], targets: Callable[[], Mapping[str, str]]) -> None:
        self._known: dict[str, Section] = {cls.section: _section(cls.section, cls, cls.__qualname__) for cls in core}
        self._core = frozenset(self._known)
        self._find_targets = targets
        self._targets: Mapping[str, str] | None = None

    def names(self) -> list[str]:
        """Return the names of all sections, plugins' included, sorted."""
        return sorted({*self._known, *self._plugin_targets()} - {APP})

    def has(self, name: str) -> bool:
        """Tell whether there is a section of exactly this name; asks the plugins only for one that the core does not have."""
        return name in self._known or name in self._plugin_targets()

    def loaded(self) -> tuple[Section, ...]:
        """Return the sections whose classes are imported."""
        return tuple(self._known.values())

    def find(self, word: str) -> Section | None:
        """Return the section of this name, or whose class has this name; case does not matter. None when there is none.

        Raises SettingsClassError for a plugin's class that cannot be used.
        """
        word = word.lower()
        for section in self._known.values():
            if word == section.cls.__name__.lower() or (word == section.name and word != APP):
                return section
        for name, target in self._plugin_targets().items():
            if word in {name, target.rpartition(":")[2].rpartition(".")[2].lower()}:
                return self.get(name)
        return None

    def get(self, name: str) -> Section:
        """Return the section of exactly this name. Raises KeyError, or SettingsClassError for a class that cannot be used."""
        if name not in self._known:
            target = self._plugin_targets()[name]
            try:
                cls = import_target(target)
            except Exception as error:
                raise SettingsClassError(target, name, describe(error)) from error
            self._known[name] = _section(name, cls, target)
        return self._known[name]

    def _plugin_targets(self) -> Mapping[str, str]:
        if self._targets is None:
            found = self._find_targets()
            for name, target in found.items():
                if name in self._core or name in self._known[APP].fields:
                    raise SettingsClassError(target, name, _TAKEN)
            self._targets = found
        return self._targets


_TAKEN = "the core has a section or a setting of that name"
_NO_SUBCLASS = "it is not an attrs class derived from SettingsSection"
_OWN_SETATTR = "it has validators, converters or a __setattr__ of its own, past which no assignment can be checked"
_hints: dict[object, dict[str, object]] = {}
"""The annotations of settings classes, evaluated once for a process and those forked from it: the core's take 2 ms."""


def check_agreements(values: SettingsSection, section: Section, origin: Callable[[str], str]) -> None:
    """Raise SettingsDisagreeError for the first two values that do not go together; `origin` says where a field is set, if it is."""
    for each in values.agreements:
        if each.holds(values):
            continue
        shown = [str(redacted(getattr(values, name), secret=section.fields[name].secret)) for name in (each.field, each.other)]
        key, other = (f"{section.name}.{name}" if section.name else name for name in (each.field, each.other))
        raise SettingsDisagreeError(origin(each.field) or origin(each.other), key, shown[0], other, shown[1], each.advice)


def _section(name: str, cls: object, target: str) -> Section:
    if not (isinstance(cls, type) and issubclass(cls, SettingsSection) and hasattr(cls, "__attrs_attrs__")):
        raise SettingsClassError(target, name, _NO_SUBCLASS)
    if cls.section != name:
        problem = f"its `section` is {cls.section!r}, and must be the name under which its plugin offers it"
        raise SettingsClassError(target, name, problem)
    if cls.__setattr__ is not SettingsSection.__setattr__:
        raise SettingsClassError(target, name, _OWN_SETATTR)
    try:
        hints = _hints.get(cls) or get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise SettingsClassError(target, name, describe(error)) from error
    _hints[cls] = hints
    fields: dict[str, FieldInfo] = {}
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", cls)):
        if field.default is attrs.NOTHING or isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
            problem = f"its field {field.name!r} has no plain default"
            raise SettingsClassError(target, name, problem)
        summary, secret = field.metadata.get("summary", ""), field.metadata.get("secret", False)
        fields[field.name] = FieldInfo(field.name, hints[field.name], field.default, summary, secret)
    return Section(name, cls, fields)
