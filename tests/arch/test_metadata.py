"""The distributions of this repository agree with each other, and the tools know them all."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from arch import source

CORE = source.project(source.ROOT)
SHARED = ("version", "requires-python", "license", "license-files", "authors", "readme")
each_plugin = pytest.mark.parametrize("plugin", source.PLUGINS, ids=lambda plugin: plugin.name)


def import_name(plugin: Path) -> str:
    return plugin.name.replace("-", "_")


@each_plugin
def test_a_plugin_shares_the_cores_metadata(plugin: Path) -> None:
    theirs: dict[str, Any] = source.project(plugin)["project"]
    assert {key: theirs.get(key) for key in SHARED} == {key: CORE["project"][key] for key in SHARED}
    assert theirs["name"] == plugin.name
    assert source.project(plugin)["build-system"] == CORE["build-system"]


@each_plugin
def test_a_plugin_asks_for_this_minor_version_of_the_core(plugin: Path) -> None:
    major, minor, _ = CORE["project"]["version"].split(".")
    requirement = f"pynenc-core>={major}.{minor},<{major}.{int(minor) + 1}"
    assert requirement in source.project(plugin)["project"]["dependencies"]


@each_plugin
def test_a_plugin_is_found_by_the_name_of_its_distribution(plugin: Path) -> None:
    points = source.project(plugin)["project"]["entry-points"]
    if plugin.name == "pynenc-testkit":
        assert points == {"pytest11": {"pynenc_testkit": "pynenc_testkit.plugin"}}
    else:
        assert points == {"pynenc": {plugin.name.removeprefix("pynenc-"): import_name(plugin)}}


@each_plugin
def test_a_plugins_folder_is_complete(plugin: Path) -> None:
    package = plugin / "src" / import_name(plugin)
    wanted = [plugin / "README.md", plugin / "LICENSE", plugin / "changes", package / "__init__.py", package / "py.typed"]
    if plugin.name != "pynenc-testkit":  # its tests are tests/kit
        wanted.append(plugin / "tests")
    found = [source.name(path) for path in wanted if not path.exists()]
    assert not found, source.listing(found)
    assert (plugin / "LICENSE").read_bytes() == (source.ROOT / "LICENSE").read_bytes()
    assert [
        path.name for path in (plugin / "src").iterdir() if path.name != import_name(plugin) and not path.name.endswith(".egg-info")
    ] == []


def test_the_core_is_typed() -> None:
    assert (source.ROOT / "pynenc_core" / "py.typed").exists()


def test_the_tools_know_every_plugin() -> None:
    tools = CORE["tool"]
    names = {import_name(plugin) for plugin in source.PLUGINS}
    folders = {f"{source.name(plugin)}/src" for plugin in source.PLUGINS}
    contracts = {contract["id"]: contract for contract in tools["importlinter"]["contracts"]}
    low = {name for name in names if name != "pynenc_testkit"}  # the kit drives the whole core
    assert set(tools["importlinter"]["root_packages"]) == names | {"pynenc_core"}
    assert set(contracts["acyclic"]["ancestors"]) == names | {"pynenc_core"}
    assert set(contracts["plugins-apart"]["modules"]) == names
    assert names <= set(contracts["core-knows-none"]["forbidden_modules"])
    assert set(contracts["plugins-stay-low"]["source_modules"]) == low
    assert set(contracts["pluggy"]["source_modules"]) == names | {"pynenc_core"}
    assert set(tools["ruff"]["lint"]["isort"]["known-first-party"]) == names | {"pynenc_core"}
    assert folders <= set(tools["mypy"]["mypy_path"])
    assert set(tools["pyright"]["extraPaths"]) == folders


def test_the_extra_default_brings_a_backend_and_a_runner_of_this_version() -> None:
    major, minor, _ = CORE["project"]["version"].split(".")
    extra = CORE["project"]["optional-dependencies"]["default"]
    kinds = sorted(requirement.split("-")[1] for requirement in extra)
    assert kinds == ["backend", "runner"]
    assert all(requirement.endswith(f">={major}.{minor},<{major}.{int(minor) + 1}") for requirement in extra)


@pytest.mark.parametrize("name", ["pynenc-core", *(plugin.name for plugin in source.PLUGINS)])
def test_what_is_installed_is_what_is_declared(name: str) -> None:
    declared = CORE if name == "pynenc-core" else source.project(source.ROOT / "plugins" / name)
    installed = distribution(name)
    points = declared["project"].get("entry-points", {"console_scripts": declared["project"].get("scripts", {})})
    assert installed.version == declared["project"]["version"]
    assert {(point.group, point.name, point.value) for point in installed.entry_points} == {
        (group, key, value) for group, entries in points.items() for key, value in entries.items()
    }
