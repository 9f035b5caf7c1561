"""All settings of one app: every layer merged, each value with its origin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import attrs

from pynenc_core.config import (
    CORE_SECTIONS,
    ClientDataSettings,
    OrchestratorSettings,
    PynencSettings,
    RunnerSettings,
    SettingsSection,
    TaskSettings,
    govern,
)
from pynenc_core.configuration.conversion import ConversionError, from_text, from_value, to_plain
from pynenc_core.configuration.files import find_pyproject, read_file
from pynenc_core.configuration.layers import (
    CODE,
    FILEPATH,
    TASK,
    Entry,
    read_config_file,
    read_decorator,
    read_environment,
    read_overrides,
    task_key,
)
from pynenc_core.configuration.sections import FieldInfo, Section, Sections, check_agreements
from pynenc_core.errors.configuration import InvalidSettingError, SettingsFrozenError, UnknownSectionError
from pynenc_core.redaction import redacted

S = TypeVar("S", bound=SettingsSection)

DEFAULT = "default"
ASSIGNED = "code, assigned"

Step = Literal["files", "operator", "code"]

_LONGEST_SHOWN = 80
_CONFIG_FILEPATH = "config_filepath="


@attrs.frozen
class SettingOrigin:
    """One line of `pynenc config show --origin`: a setting, its value as it may be shown, and where that comes from."""

    key: str
    """`field`, `section.field`, or `task.<task>.<field>` for one task."""
    value: object
    origin: str
    summary: str = ""

    @property
    def is_default(self) -> bool:
        """Whether nobody set it."""
        return self.origin == DEFAULT


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    sections: Iterable[type[SettingsSection]] = CORE_SECTIONS,
    plugin_sections: Callable[[], Mapping[str, str]] = dict,
    config_filepath: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Read all layers: `overrides` (code), the environment, the file named by PYNENC__FILEPATH, `config_filepath`, the
    nearest pyproject.toml with a table `[tool.pynenc]` from `cwd` upward, the defaults; the first that has a value wins.

    `plugin_sections` gives the targets of plugins' settings classes by section; it is called when a section is mentioned
    that the core does not have. Raises a ConfigurationError: a key that nothing reads, a value that does not fit, a file
    that cannot be used. Relative paths begin at `cwd` (the current directory by default).
    """
    environ = os.environ if environ is None else environ
    found = Sections(sections, plugin_sections)
    settings = Settings(found)
    folder = cwd if cwd is not None else _current_directory()
    if folder is not None and (pyproject := find_pyproject(folder)):
        settings.add(read_config_file(pyproject, "", found))
    folder = folder or Path()
    if config_filepath:
        settings.add(read_config_file(read_file(folder / config_filepath, _CONFIG_FILEPATH), _CONFIG_FILEPATH, found))
    if named := environ.get(FILEPATH):
        settings.add(read_config_file(read_file(folder / named, FILEPATH), FILEPATH, found), step="operator")
    settings.add(read_environment(environ, found), step="operator")
    settings.apply(overrides or {})
    settings.check()
    return settings


@attrs.define(eq=False)
class _TaskLayers:
    """What is set for one task by name, in three steps around its decorator."""

    files: dict[str, Entry] = attrs.Factory(dict[str, Entry])
    operator: dict[str, Entry] = attrs.Factory(dict[str, Entry])
    code: dict[str, Entry] = attrs.Factory(dict[str, Entry])

    def all(self) -> Iterable[Entry]:
        """Return one entry for each option, the highest."""
        return {**self.files, **self.operator, **self.code}.values()


class Settings:
    """The settings of one app, by section. Until `freeze()` they may be assigned to: `settings.runner.max_threads = 4`.

    Sections are built when they are first asked for; what a section's values are checked against is its class.
    """

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._entries: dict[tuple[str, str], Entry] = {}
        self._tasks: dict[str, _TaskLayers] = {}
        self._built: dict[str, SettingsSection] = {}
        self._frozen = False

    @property
    def app(self) -> PynencSettings:
        """The app's own settings."""
        return self.section(PynencSettings)

    @property
    def runner(self) -> RunnerSettings:
        """What runners go by."""
        return self.section(RunnerSettings)

    @property
    def orchestrator(self) -> OrchestratorSettings:
        """What the core's rules go by."""
        return self.section(OrchestratorSettings)

    @property
    def client_data(self) -> ClientDataSettings:
        """What the store for large values goes by."""
        return self.section(ClientDataSettings)

    @property
    def task(self) -> TaskSettings:
        """The options of tasks that are set for all of them."""
        return self.section(TaskSettings)

    @property
    def frozen(self) -> bool:
        """Whether the app has started, so that nothing can be changed any more."""
        return self._frozen

    def section(self, cls: type[S]) -> S:
        """Return the section of this class, always the same object.

        Raises UnknownSectionError when neither the core nor an installed plugin has it, InvalidSettingError when one of
        its values does not fit.
        """
        built = self._built.get(cls.section)
        if built is None and self._sections.has(cls.section):
            built = self._build(self._sections.get(cls.section))
        if not isinstance(built, cls):
            raise UnknownSectionError(cls.__qualname__, cls.section, "", tuple(self._sections.names()))
        return built

    def apply(self, overrides: Mapping[str, object], origin: str = CODE) -> None:
        """Set values by name: `field`, `section.field`, `task.<task id>.<field>`, or nested mappings of them.

        Raises SettingsFrozenError, or as `load_settings` does.
        """
        if overrides and self._frozen:
            raise SettingsFrozenError(next(iter(overrides)))
        self.add(read_overrides(overrides, self._sections, origin), step="code")

    def freeze(self) -> None:
        """Refuse every change from now on; called when the app starts. Raises SettingsDisagreeError."""
        self._check_agreements()
        self._frozen = True

    def task_options(self, task_id: str, decorated: Mapping[str, object] | None = None) -> TaskSettings:
        """Return the options of one task in the order that `TaskSettings` documents. `decorated` are its decorator's arguments.

        Raises UnknownSettingError or InvalidSettingError.
        """
        section, layers = self._sections.get(TASK), self._tasks.get(task_key(task_id), _TaskLayers())
        decorator = {entry.field: entry for entry in read_decorator(task_id, decorated or {}, self._sections)}
        options = attrs.evolve(self.task)
        entries = {**layers.files, **decorator, **layers.operator, **layers.code}
        for name, entry in entries.items():
            setattr(options, name, _converted(entry, section.fields[name]))
        check_agreements(options, section, lambda field: _origin(entries.get(field)) or _origin(self._entries.get((TASK, field))))
        govern(options, _refuse)
        return options

    def unread_tasks(self, task_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the origins of options for tasks that are not among `task_ids`: perhaps misspelt, perhaps not imported here."""
        known = {task_key(task_id) for task_id in task_ids}
        return tuple(sorted({entry.origin for key, layers in self._tasks.items() if key not in known for entry in layers.all()}))

    def origins(self) -> list[SettingOrigin]:
        """Return every setting of every section, plugins' included, and what is set for single tasks, each with its origin."""
        lines: list[SettingOrigin] = []
        for section in map(self._sections.get, ["", *self._sections.names()]):
            built = self._build(section)
            for field in section.fields.values():
                entry = self._entries.get((section.name, field.name))
                shown = redacted(getattr(built, field.name), secret=field.secret)
                lines.append(SettingOrigin(_dotted(section.name, field.name), shown, entry.origin if entry else DEFAULT, field.summary))
        fields = self._sections.get(TASK).fields
        for key, layers in sorted(self._tasks.items()):
            for entry in layers.all():
                field = fields[entry.field]
                shown = redacted(_converted(entry, field), secret=field.secret)
                lines.append(SettingOrigin(_dotted(TASK, key, field.name), shown, entry.origin, field.summary))
        return lines

    def snapshot(self) -> dict[str, object]:
        """Return what is set, as plain JSON data, for `apply` in a process that this one starts, over what that one loads.

        Left out are the defaults, and what files set for single tasks, which would else win over their decorators. It
        holds secrets as they are: hand it over a pipe, not in arguments or variables.
        """
        plain: dict[str, object] = {}
        for name, field in self._entries:
            plain[_dotted(name, field)] = to_plain(getattr(self._build(self._sections.get(name)), field))
        fields = self._sections.get(TASK).fields
        for key, layers in self._tasks.items():
            for entry in (*layers.operator.values(), *layers.code.values()):
                plain[_dotted(TASK, key, entry.field)] = to_plain(_converted(entry, fields[entry.field]))
        return plain

    def add(self, entries: Iterable[Entry], *, step: Step = "files") -> None:
        """Put entries over those that are there already; `step` says on which side of the decorators a task's own ones are."""
        for entry in entries:
            if entry.task:
                getattr(self._tasks.setdefault(entry.task, _TaskLayers()), step)[entry.field] = entry
                continue
            self._entries[entry.section, entry.field] = entry
            built = self._built.get(entry.section)
            if built is not None:
                object.__setattr__(built, entry.field, _converted(entry, self._sections.get(entry.section).fields[entry.field]))

    def check(self) -> None:
        """Raise InvalidSettingError for the first value that does not fit, of all that are set anywhere and not overridden.

        Raises SettingsDisagreeError for the first two that do not go together.
        """
        self._check_agreements()
        fields = self._sections.get(TASK).fields
        for layers in self._tasks.values():
            for entry in layers.all():
                _converted(entry, fields[entry.field])

    def _check_agreements(self) -> None:
        for name in dict.fromkeys(section for section, _ in self._entries):
            section = self._sections.get(name)
            origins = {field: _origin(self._entries.get((name, field))) for field in section.fields}
            check_agreements(self._build(section), section, origins.__getitem__)

    def _build(self, section: Section) -> SettingsSection:
        built = self._built.get(section.name)
        if built is None:
            found = {field: self._entries.get((section.name, field)) for field in section.fields}
            built = section.cls(**{name: _converted(entry, section.fields[name]) for name, entry in found.items() if entry})
            govern(built, self._assign)
            self._built[section.name] = built
        return built

    def _assign(self, section: SettingsSection, name: str, value: object) -> object:
        """Decide about `settings.<section>.<name> = value`."""
        if self._frozen:
            raise SettingsFrozenError(_dotted(section.section, name))
        (entry,) = read_overrides({section.section: {name: value}} if section.section else {name: value}, self._sections, ASSIGNED)
        converted = _converted(entry, self._sections.get(section.section).fields[name])
        self._entries[section.section, name] = entry
        return converted


def _origin(entry: Entry | None) -> str:
    return entry.origin if entry else ""


def _refuse(section: SettingsSection, name: str, value: object) -> object:
    del value
    raise SettingsFrozenError(_dotted(section.section, name))


def _converted(entry: Entry, field: FieldInfo) -> object:
    try:
        if entry.is_text and isinstance(entry.value, str):
            return from_text(entry.value, field.annotation)
        return from_value(entry.value, field.annotation)
    except ConversionError as error:
        shown = repr(redacted(entry.value, secret=field.secret))[:_LONGEST_SHOWN]
        raise InvalidSettingError(entry.origin, _dotted(entry.section, field.name), str(error), shown) from None


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _current_directory() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # somebody removed it; nothing can be found there
        return None
