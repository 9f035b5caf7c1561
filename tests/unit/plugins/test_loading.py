"""Broken, duplicate, misspelt, outdated and disabled plugins: each is named, and the others work."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys

import pytest

from pynenc_core.errors.plugins import (
    ManagerNotPicklableError,
    PluginApiError,
    PluginConflictError,
    PluginError,
    PluginHookError,
    PluginHookNameError,
    PluginLoadError,
    PluginResultError,
    SharedEntryPointsError,
    UnknownPluginError,
)
from pynenc_core.plugins import PluginManager, RunnerSpec, hookimpl
from pynenc_core.plugins.discovery import nothing
from unit.plugins.site import Site, backend, runner


def test_names_are_known_without_importing_anything(site: Site) -> None:
    site.plugin("b", "raise AssertionError('imported')")
    site.plugin("a", "raise AssertionError('imported')")
    assert site.manager().names() == ["a", "b"]


def test_a_plugin_is_found_by_its_entry_point_and_its_code_imported_last(site: Site) -> None:
    site.plugin("good", runner("quick"))
    site.module("plug_code", "class Runner: ...")
    manager = site.manager()
    spec = manager.catalog.runner("quick")
    assert "plug_good" in sys.modules
    assert "plug_code" not in sys.modules
    assert manager.catalog.load_class(spec, object) is sys.modules["plug_code"].Runner


def test_the_real_group_is_read_in_a_new_process(site: Site) -> None:
    site.module("plug_real", runner("quick"))
    site.install("dist-real", points={"unit-real": "plug_real"}, group="pynenc")
    code = "from pynenc_core.plugins import PluginManager; print(PluginManager().catalog.runner('quick').target)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.stdout.strip() == "plug_code:Runner", done.stderr


class TestBroken:
    def test_one_that_does_not_import_is_kept_and_the_others_work(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        site.plugin("bad", "import does_not_exist", distribution="bad-dist", version="2.1")
        site.plugin("good", runner("quick"))
        manager = site.manager()
        assert manager.catalog.runner("quick").name == "quick"
        message = (
            "plugin 'bad' from bad-dist 2.1 could not be loaded: ModuleNotFoundError: No module named 'does_not_exist'; "
            "upgrade or uninstall it, or leave it out with PYNENC_DISABLE_PLUGINS=bad"
        )
        assert str(manager.broken["bad"]) == message
        assert isinstance(manager.broken["bad"], PluginLoadError)
        assert message in caplog.text

    def test_whoever_asks_for_something_missing_is_told_about_it(self, site: Site) -> None:
        site.plugin("bad", "import does_not_exist")
        with pytest.raises(UnknownPluginError, match=r"\nnote: plugin 'bad' from dist-bad 1.0 could not be loaded: ModuleNotFound"):
            site.manager().catalog.runner("quick")

    def test_strict_raises_at_once_and_again(self, site: Site) -> None:
        site.plugin("a-good", runner("quick"))
        site.plugin("bad", "import does_not_exist")
        manager = site.manager(PYNENC_STRICT_PLUGINS="1")
        for _ in range(2):
            with pytest.raises(PluginLoadError, match=r"plugin 'bad' from dist-bad 1.0"):
                manager.load()
        (site.folder / "plug_bad.py").write_text("from plug_a_good import *\nfrom pynenc_core.plugins import hookimpl\n" + runner("slow"))
        manager.load()
        assert manager.catalog.runner("quick").name == "quick"

    def test_strict_is_off_by_zero(self, site: Site) -> None:
        assert site.manager(PYNENC_STRICT_PLUGINS="0").strict is False

    def test_one_that_exits_while_it_is_imported_ends_nobody(self, site: Site) -> None:
        site.plugin("bad", "raise SystemExit(3)")
        manager = site.manager()
        manager.load()
        assert "SystemExit: 3" in str(manager.broken["bad"])

    def test_a_misspelt_hook_is_named_with_the_one_that_was_meant(self, site: Site) -> None:
        site.plugin("typo", runner("quick").replace("pynenc_runners", "pynenc_runer"))
        manager = site.manager()
        manager.load()
        assert isinstance(manager.broken["typo"], PluginHookNameError)
        assert str(manager.broken["typo"]) == (
            "plugin 'typo' from dist-typo 1.0 has a function 'pynenc_runer' that would never be called: "
            "there is no such hook; did you mean 'pynenc_runners'?"
        )

    def test_nothing_of_a_refused_plugin_stays(self, site: Site) -> None:
        site.plugin("typo", runner("quick") + "\n@hookimpl\ndef pynenc_zzz(): ...\n")
        with pytest.raises(UnknownPluginError, match="no runner is named 'quick'; installed: none"):
            site.manager().catalog.runner("quick")

    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            (
                "def pynenc_runners(): return []",
                "has a function 'pynenc_runners' that would never be called: it is not marked with @hookimpl",
            ),
            ("X = 1", "it implements no hook of this project (is anything marked with @hookimpl?)"),
            (
                "@hookimpl\ndef pynenc_runner_started(runner=None): ...",
                "its parameter 'runner' would not be given a value; a hook's parameters are plain names without defaults",
            ),
            ("@hookimpl\ndef pynenc_runner_started(*, runner): ...", "its parameter 'runner' would not be given a value"),
            ("@hookimpl\ndef pynenc_runner_started(*args): ...", "its parameter 'args' would not be given a value"),
            ("@hookimpl\ndef pynenc_runner_started(worker): ...", "{'worker'} are declared in the hookimpl but can not be found"),
            (
                "@hookimpl(wrapper=True)\ndef pynenc_runner_started(runner): yield",
                "implementations are called one by one, so a wrapper would wrap nothing",
            ),
        ],
        ids=["unmarked", "empty", "default", "keyword-only", "star", "unknown argument", "wrapper"],
    )
    def test_what_would_silently_never_work_is_refused(self, site: Site, code: str, problem: str) -> None:
        site.plugin("odd", code)
        manager = site.manager()
        manager.load()
        assert problem in str(manager.broken["odd"])
        assert str(manager.broken["odd"]).startswith("plugin 'odd' from dist-odd 1.0 ")


class TestConflicts:
    def test_one_name_from_two_distributions_gets_neither_and_breaks_nobody(self, site: Site) -> None:
        site.module("plug_one", runner("one"))
        site.module("plug_two", runner("two"))
        site.install("alpha", "1.0", points={"same": "plug_one"})
        site.install("beta", "2.0", points={"same": "plug_two"})
        site.plugin("good", runner("quick"))
        manager = site.manager()
        assert manager.catalog.runner("quick").name == "quick"
        assert isinstance(manager.broken["same"], PluginConflictError)
        assert str(manager.broken["same"]) == (
            "plugin name 'same' is claimed by alpha 1.0 (plug_one) and beta 2.0 (plug_two); uninstall all but one, "
            "or leave one out with PYNENC_DISABLE_PLUGINS=beta:same"
        )
        with pytest.raises(UnknownPluginError, match=r"note: plugin name 'same' is claimed by alpha 1.0"):
            manager.catalog.runner("one")
        assert site.manager(PYNENC_DISABLE_PLUGINS="beta:same").catalog.runner("one").name == "one"

    def test_a_component_of_two_plugins_is_a_conflict_only_for_who_asks_for_it(self, site: Site) -> None:
        site.plugin("a", runner("quick", "A"))
        site.plugin("b", runner("quick", "B"))
        site.plugin("c", runner("slow", "C"))
        manager = site.manager()
        assert manager.catalog.runner("slow").name == "slow"
        with pytest.raises(PluginConflictError) as caught:
            manager.catalog.runner("quick")
        assert str(caught.value) == (
            "runner name 'quick' is claimed by dist-a 1.0 (plug_code:A) and dist-b 1.0 (plug_code:B); uninstall all but one, "
            "or leave one out with PYNENC_DISABLE_PLUGINS=b"
        )
        assert manager.catalog.runner("A").target == "plug_code:A"

    def test_one_url_scheme_of_two_backends_is_a_conflict(self, site: Site) -> None:
        site.plugin("a", backend("one", schemes=("shared", "one")))
        site.plugin("b", backend("two", schemes=("shared",)))
        manager = site.manager()
        assert manager.catalog.backend_for_url("one://x").name == "one"
        with pytest.raises(PluginConflictError, match=r"URL scheme name 'shared' is claimed by dist-a 1.0"):
            manager.catalog.backend_for_url("SHARED://x")

    def test_one_settings_section_of_two_plugins_is_a_conflict(self, site: Site) -> None:
        site.plugin("a", runner("quick", settings="plug_code:A"))
        site.plugin("b", backend("quick", settings="plug_code:B"))
        with pytest.raises(PluginConflictError, match="settings section name 'quick' is claimed by"):
            site.manager().catalog.settings_targets()


class TestDisabled:
    def test_a_disabled_plugin_is_not_imported_and_is_mentioned_to_who_misses_it(self, site: Site) -> None:
        site.plugin("bad", "raise AssertionError('imported')")
        manager = site.manager(PYNENC_DISABLE_PLUGINS=" other, bad ")
        with pytest.raises(UnknownPluginError, match=r"note: plugin 'bad' from dist-bad 1.0 is left out by PYNENC_DISABLE_PLUGINS"):
            manager.catalog.runner("quick")
        assert manager.names() == []
        assert manager.broken == {}

    def test_a_name_that_no_plugin_has_is_warned_about(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        site.manager(PYNENC_DISABLE_PLUGINS="typo").load()
        assert "PYNENC_DISABLE_PLUGINS names 'typo', and no plugin of that name is installed" in caplog.text


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ("None", "returned a value of type NoneType from its hook 'pynenc_runners', which must return an iterable of RunnerSpec"),
            ("'quick'", "returned a value of type str from its hook 'pynenc_runners', which must return an iterable of RunnerSpec"),
            (
                "[3]",
                "returned one with a value of type int in it from its hook 'pynenc_runners', which must return an iterable of RunnerSpec",
            ),
        ],
    )
    def test_a_wrong_answer_is_reported_and_the_others_are_used(self, site: Site, answer: str, expected: str) -> None:
        site.plugin("bad", f"@hookimpl\ndef pynenc_runners(): return {answer}")
        site.plugin("good", runner("quick"))
        manager = site.manager()
        assert manager.catalog.runner("quick").name == "quick"
        assert isinstance(manager.broken["bad"], PluginResultError)
        assert str(manager.broken["bad"]) == f"plugin 'bad' from dist-bad 1.0 {expected}"

    def test_one_that_raises_is_reported_and_the_others_are_used(self, site: Site) -> None:
        site.plugin("bad", "@hookimpl\ndef pynenc_runners(): return [RunnerSpec(name='Bad Name', target='x')]")
        site.plugin("good", runner("quick"))
        manager = site.manager()
        assert manager.catalog.runner("quick").name == "quick"
        assert isinstance(manager.broken["bad"], PluginHookError)
        assert "plugin 'bad' from dist-bad 1.0 failed in its hook 'pynenc_runners': ValueError" in str(manager.broken["bad"])

    def test_another_version_of_the_api_is_refused(self, site: Site) -> None:
        site.plugin("old", runner("ancient", api=0))
        site.plugin("new", runner("future", api=2))
        manager = site.manager()
        with pytest.raises(UnknownPluginError, match="brings runner 'ancient' for version 0 of the plugin API"):
            manager.catalog.runner("ancient")
        assert isinstance(manager.broken["old"], PluginApiError)
        assert str(manager.broken["new"]) == (
            "plugin 'new' from dist-new 1.0 brings runner 'future' for version 2 of the plugin API, "
            "and this core speaks version 1; upgrade pynenc-core"
        )
        assert str(manager.broken["old"]).endswith("upgrade the plugin")

    def test_strict_raises_for_answers_too(self, site: Site) -> None:
        site.plugin("bad", "@hookimpl\ndef pynenc_runners(): return None")
        with pytest.raises(PluginResultError):
            site.manager(PYNENC_STRICT_PLUGINS="yes").catalog.runner("quick")


class TestRegisteredInCode:
    class Plugin:
        @hookimpl
        def pynenc_runners(self) -> list[RunnerSpec]:
            return [RunnerSpec(name="mine", target="unit:Mine")]

    def test_it_is_seen_also_after_a_first_look(self) -> None:
        manager = PluginManager(environ={}, find=nothing)
        with pytest.raises(UnknownPluginError):
            manager.catalog.runner("mine")
        manager.register(self.Plugin(), "mine")
        assert manager.catalog.runner("mine").target == "unit:Mine"
        manager.unregister("mine")
        with pytest.raises(UnknownPluginError):
            manager.catalog.runner("mine")

    def test_what_is_wrong_is_raised_and_leaves_nothing(self) -> None:
        class Misspelt(self.Plugin):  # type: ignore[name-defined, misc]  # a class of the test class
            @hookimpl
            def pynenc_runner_start(self) -> None: ...

        manager = PluginManager(environ={}, find=nothing)
        with pytest.raises(PluginHookNameError, match="plugin 'mine' from the application has a function 'pynenc_runner_start'"):
            manager.register(Misspelt(), "mine")
        manager.register(self.Plugin(), "mine")
        with pytest.raises(PluginLoadError, match="the name is taken by a plugin from the application"):
            manager.register(self.Plugin(), "mine")

    def test_every_error_is_of_one_family(self) -> None:
        assert issubclass(PluginHookNameError, PluginError)
        assert str(PluginError("x", "y 1")) == "plugin 'x' from y 1 does not work; `pynenc plugins check` lists what is wrong"


def test_a_manager_is_not_pickled() -> None:
    with pytest.raises(ManagerNotPicklableError, match=r"send its snapshot\(\), and let the other process make its own"):
        pickle.dumps(PluginManager(environ={}, find=nothing))


def test_the_public_distribution_is_told_of_and_its_plugins_are_not_loaded(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("pynenc", "0.4.0", points={"theirs": "plug_theirs"})
    site.module("plug_theirs", "raise AssertionError('imported')")
    manager = site.manager()
    with caplog.at_level(logging.WARNING):
        manager.load()
    (notice,) = manager.notices
    assert isinstance(notice, SharedEntryPointsError)
    assert str(notice) == (
        "pynenc 0.4.0 is installed in this environment beside pynenc-core; both own the command `pynenc` and the entry-point group "
        "'pynenc', so the last one installed has the command (not loaded from there: theirs); "
        "pip uninstall pynenc, or use an environment of its own"
    )
    assert str(notice) in caplog.text
    assert manager.broken == {}


def test_the_list_shows_working_broken_and_disabled(site: Site) -> None:
    site.plugin("bad", "import does_not_exist", distribution="bad-dist", version="3")
    site.plugin("good", runner("quick"))
    site.plugin("off", runner("never"))
    shown = [(info.name, info.state, info.provides) for info in site.manager(PYNENC_DISABLE_PLUGINS="off").installed()]
    assert shown == [("bad", "broken", ()), ("good", "working", ("runner quick",)), ("off", "disabled", ())]
    bad = site.manager().installed()[0]
    assert (bad.distribution, bad.version) == ("bad-dist", "3")
    assert "does_not_exist" in bad.problem
