"""A child process runs with its parent's plugins or not at all."""

from __future__ import annotations

import sys

import msgspec
import pytest

from pynenc_core.errors.plugins import PluginSnapshotError
from pynenc_core.plugins import PluginSnapshot, discovery
from unit.plugins.site import Site, runner


def test_the_same_plugins_pass_after_a_way_as_json(site: Site) -> None:
    site.plugin("a", runner("quick"))
    sent = msgspec.json.encode(site.manager().snapshot())
    site.manager().check_snapshot(msgspec.json.decode(sent, type=PluginSnapshot))


def test_other_plugins_are_refused_and_told_apart(site: Site) -> None:
    site.plugin("kept", runner("kept"))
    site.plugin("gone", runner("gone"))
    site.plugin("changed", runner("changed"))
    parents = site.manager().snapshot()
    (site.folder / "dist_changed-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-changed\nVersion: 2.0\n")
    site.plugin("new", runner("new"))
    with pytest.raises(PluginSnapshotError) as caught:
        site.manager(PYNENC_DISABLE_PLUGINS="gone").check_snapshot(parents)
    assert str(caught.value) == (
        f"this process ({sys.executable}) has other plugins than the one that started it: missing here: gone (dist-gone 1.0); "
        "only here: new (dist-new 1.0); other version here: changed (dist-changed 2.0) (was 1.0); "
        "both must run in one environment that is not changed meanwhile: restart the runner"
    )


def test_taking_a_snapshot_imports_nothing(site: Site) -> None:
    site.plugin("a", "raise AssertionError('imported')")
    assert site.manager().snapshot().plugins == (("a", "dist-a", "1.0"),)


def test_what_is_read_to_be_kept_is_what_every_later_manager_finds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the process that forks workers: they have its modules, whatever is installed meanwhile."""
    monkeypatch.setattr(discovery, "_kept", {})
    before = discovery.discover()
    discovery.keep_discovery()
    site.install("dist-late", points={"late": "plug_late"}, group="pynenc")
    assert discovery.discover() == before
    monkeypatch.setattr(discovery, "_kept", {})
    assert "late" in {plugin.name for plugin in discovery.discover().plugins}
