"""`pynenc plugins`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click

from pynenc_core.cli.exits import FAILED
from pynenc_core.cli.output import columns, fields
from pynenc_core.cli.session import Session, common_options, muted, pass_session
from pynenc_core.cli.stubs import stub_of_builder
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.plugins import UnknownPluginError
from pynenc_core.plugins import PluginInfo, PluginManager
from pynenc_core.plugins.kinds import ALL_KINDS
from pynenc_core.plugins.specs import Spec, TargetSpec

_CAPABILITIES = ("crosses_processes", "durable", "mem_compatible")
_NOTHING = 'no plugin is installed; pip install "pynenc-core[default]" brings a backend and a runner'


@click.group()
def plugins() -> None:
    """List and check the installed plugins."""


@plugins.command(name="list", short_help="List every plugin and what it provides.")
@common_options
@pass_session
def list_(session: Session) -> None:
    """List every installed plugin: what it provides, what that can do, and whether it works."""
    with muted():  # the table says it
        infos = session.plugins.installed()
    data = [{**attrs.asdict(info), "capabilities": capabilities(session.plugins, info.name)} for info in infos]
    session.emit(data, lambda: _listing(session.plugins, infos))
    for notice in session.plugins.notices:
        click.echo(f"warning: {notice}", err=True)


@plugins.command(short_help="Import all that plugins provide.")
@click.argument("name", required=False)
@common_options
@pass_session
def check(session: Session, name: str | None) -> None:
    """Import all that a plugin provides, or that all of them provide; the exit code is 1 when anything is wrong."""
    manager = session.plugins
    with muted():  # the report says it
        infos = [info for info in manager.installed() if name in {None, info.name}]
        if name and not infos:
            raise UnknownPluginError("plugin", name, tuple(manager.names()), broken=manager.notes())
        found = {info.name: [info.problem] if info.problem else list(_problems(manager, info.name)) for info in infos}
    data = [{"name": info.name, "state": info.state, "ok": not found[info.name], "problems": found[info.name]} for info in infos]
    session.emit(data, lambda: _report(infos, found))
    if any(found.values()):
        click.get_current_context().exit(FAILED)


@plugins.command(short_help="Write a stub of the builder for editors.")
@click.argument("folder", required=False, default="typings", type=click.Path(file_okay=False, path_type=Path))
@pass_session
def stubs(session: Session, folder: Path) -> None:
    """Write a stub of `PynencBuilder` with the methods of the installed plugins, for editors and type checkers.

    FOLDER is `typings` by default, where pyright and Pylance look by themselves. mypy takes no stub for a single module of
    an installed package, and accepts any method without it.
    """
    click.echo(stub_of_builder(session.plugins, folder))


def capabilities(manager: PluginManager, plugin: str) -> dict[str, dict[str, bool]]:
    """Return what each component of a plugin can do, by component ("runner inline")."""
    return {
        f"{label} {spec.name}": {name: bool(getattr(spec, name)) for name in _CAPABILITIES if hasattr(spec, name)}
        for label, spec in _offered(manager, plugin)
        if any(hasattr(spec, name) for name in _CAPABILITIES)
    }


def _offered(manager: PluginManager, plugin: str) -> Iterator[tuple[str, Spec]]:
    for kind in ALL_KINDS:
        for offer in manager.catalog.offers(kind):
            if offer.plugin == plugin:
                yield kind.label, offer.spec


def _problems(manager: PluginManager, plugin: str) -> Iterator[str]:
    """Yield what keeps the components of a plugin that seems to work from being used."""
    for _, spec in _offered(manager, plugin):
        if isinstance(spec, TargetSpec):
            try:
                manager.catalog.load(spec)
            except PynencError as error:
                yield str(error)


def _listing(manager: PluginManager, infos: Sequence[PluginInfo]) -> str:
    if not infos:
        return _NOTHING
    rows = [
        (
            info.name,
            f"{info.distribution} {info.version}".strip(),
            info.state,
            ", ".join(info.provides),
            _can(capabilities(manager, info.name)),
        )
        for info in infos
    ]
    notes = [f"\n{info.name}: {info.problem}" for info in infos if info.problem]
    return columns(("plugin", "distribution", "state", "provides", "capabilities"), rows) + "".join(notes)


def _can(found: dict[str, dict[str, bool]]) -> str:
    names = {name: yes for each in found.values() for name, yes in each.items()}
    return ", ".join(name.replace("_", " ") for name, yes in names.items() if yes)


def _report(infos: Sequence[PluginInfo], found: dict[str, list[str]]) -> str:
    if not infos:
        return _NOTHING
    lines = [(info.name, "; ".join(found[info.name]) or ("left out" if info.state == "disabled" else "ok")) for info in infos]
    return fields(lines)
