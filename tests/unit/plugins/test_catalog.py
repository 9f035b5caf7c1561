"""How components are found: by name, by URL, by rank; and what is said when they are not."""

from __future__ import annotations

import pytest

from pynenc_core.errors.plugins import (
    BackendPromiseError,
    CapabilityError,
    NothingInstalledError,
    PluginTargetError,
    ProcessesNotCrossedError,
    UnknownPluginError,
)
from pynenc_core.plugins import BackendSpec, PluginManager, RunnerSpec, kinds
from pynenc_core.plugins.discovery import nothing
from unit.plugins.site import Site, backend, runner


@pytest.fixture
def empty() -> PluginManager:
    return PluginManager(environ={}, find=nothing)


@pytest.mark.parametrize("name", ["very-quick", "very_quick", "Very-Quick", "QuickRunner", "plug_code:QuickRunner"])
def test_a_component_is_found_by_plugin_name_class_name_and_target(site: Site, name: str) -> None:
    site.plugin("a", runner("very-quick", "QuickRunner"))
    assert site.manager().catalog.runner(name).target == "plug_code:QuickRunner"


class TestUnknown:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("qick", "no runner is named 'qick'; installed: quick, slow; did you mean 'quick'? If not: pip install pynenc-runner-qick"),
            (
                "QuikRunner",
                "no runner is named 'QuikRunner'; installed: quick, slow; did you mean 'quick'? If not: pip install pynenc-runner-quik",
            ),
            ("far-away", "no runner is named 'far-away'; installed: quick, slow; pip install pynenc-runner-far-away"),
            ("FarAwayRunner", "no runner is named 'FarAwayRunner'; installed: quick, slow; pip install pynenc-runner-far-away"),
            ("../x y", "no runner is named '../x y'; installed: quick, slow"),
            ("x://me:pw@host", "no runner is named 'x://me:***@host'; installed: quick, slow"),
        ],
    )
    def test_the_error_lists_guesses_and_says_what_to_install(self, site: Site, name: str, message: str) -> None:
        site.plugin("a", runner("quick", "QuickRunner"))
        site.plugin("b", runner("slow", "SlowRunner"))
        with pytest.raises(UnknownPluginError) as caught:
            site.manager().catalog.runner(name)
        assert str(caught.value) == message

    def test_every_kind_says_what_would_bring_it(self, empty: PluginManager) -> None:
        catalog = empty.catalog
        for find, install in (
            (catalog.backend, "pynenc-backend-far"),
            (catalog.broker, "pynenc-backend-far"),
            (catalog.state_backend, "pynenc-backend-far"),
            (catalog.serializer, "pynenc-serializer-far"),
        ):
            with pytest.raises(UnknownPluginError, match=f"installed: none; pip install {install}$"):
                find("far")

    @pytest.mark.parametrize(("method", "install"), [("far_runner", "pynenc-runner-far"), ("far", "pynenc-backend-far")])
    def test_a_builder_method_says_whether_a_runner_or_a_backend_is_missing(self, empty: PluginManager, method: str, install: str) -> None:
        with pytest.raises(UnknownPluginError, match=f"no builder method is named '{method}'; installed: none; pip install {install}$"):
            empty.catalog.find(kinds.BUILDER_METHOD, method)

    def test_a_url_is_looked_up_by_its_scheme_and_shown_without_its_password(self, site: Site) -> None:
        site.plugin("a", backend("near", schemes=("near", "near+tls")))
        catalog = site.manager().catalog
        assert catalog.backend_for_url("NEAR+TLS://host").name == "near"
        assert catalog.backend_for_url("near").name == "near"
        with pytest.raises(UnknownPluginError) as caught:
            catalog.backend_for_url("far+tls://me:secret@host")
        assert str(caught.value) == "no URL scheme is named 'far+tls'; installed: near, near+tls; pip install pynenc-backend-far"

    def test_a_builder_method_is_found_with_underscores(self, site: Site) -> None:
        site.module("plug_build", "def quick_runner(slots: int = 1): return {'runner_cls': 'quick', 'runner.max_threads': slots}")
        site.plugin(
            "a",
            "@hookimpl\ndef pynenc_builder_methods():\n"
            "    return [BuilderMethodSpec(name='quick_runner', kind='runner', target='plug_build:quick_runner')]",
        )
        manager = site.manager()
        method = manager.catalog.load(manager.catalog.find(kinds.BUILDER_METHOD, "quick_runner"))
        assert callable(method)
        assert method(slots=3) == {"runner_cls": "quick", "runner.max_threads": 3}


class TestDefaults:
    def test_the_highest_rank_wins_then_the_name(self, site: Site) -> None:
        site.plugin("a", runner("zebra", default_rank=5) + backend("one", default_rank=1))
        site.plugin("b", runner("ape", default_rank=5) + backend("two", default_rank=2))
        site.plugin("c", runner("low"))
        catalog = site.manager().catalog
        assert catalog.default_runner().name == "ape"
        assert catalog.default_backend().name == "two"

    def test_only_what_the_store_allows_is_taken(self, site: Site) -> None:
        site.plugin("a", runner("pool", default_rank=10) + backend("confined", crosses_processes=False))
        site.plugin("b", runner("inside", default_rank=1, mem_compatible=True))
        catalog = site.manager().catalog
        confined = catalog.backend("confined")
        assert catalog.default_runner(confined).name == "inside"
        assert catalog.default_runner(*catalog.components(confined)).name == "inside"
        assert catalog.default_runner().name == "pool"

    def test_with_none_installed_the_error_says_what_to_install(self, empty: PluginManager) -> None:
        for find, kind in ((empty.catalog.default_backend, "backend"), (empty.catalog.default_runner, "runner")):
            with pytest.raises(NothingInstalledError) as caught:
                find()
            assert str(caught.value) == f'no {kind} is installed; pip install "pynenc-core[default]"'

    def test_with_none_that_fits_the_error_says_what_there_is(self, site: Site) -> None:
        site.plugin("a", runner("pool") + backend("confined", crosses_processes=False))
        catalog = site.manager().catalog
        with pytest.raises(NothingInstalledError) as caught:
            catalog.default_runner(catalog.backend("confined"))
        assert str(caught.value) == (
            "no runner that works with backend 'confined' is installed; pip install \"pynenc-core[default]\", "
            "or choose another combination; installed: pool"
        )

    def test_a_default_url_has_the_apps_id_in_it(self) -> None:
        spec = BackendSpec(name="x", schemes=("x",), broker="x", state_backend="x", default_url="x:///.dir/{app_id}.db")
        assert spec.url_for("my shop/1") == "x:///.dir/my_shop_1.db"


class TestCapabilities:
    def test_a_pair_that_cannot_work_is_refused_with_what_could(self, site: Site) -> None:
        site.plugin("a", runner("pool") + backend("confined", crosses_processes=False))
        site.plugin("b", runner("inside", mem_compatible=True) + backend("wide"))
        catalog = site.manager().catalog
        confined, wide = catalog.backend("confined"), catalog.backend("wide")
        catalog.check_pair(catalog.runner("pool"), wide)
        catalog.check_pair(catalog.runner("inside"), confined)
        with pytest.raises(ProcessesNotCrossedError) as caught:
            catalog.check_pair(catalog.runner("pool"), wide, confined)
        assert str(caught.value) == (
            "runner 'pool' cannot work with backend 'confined': its tasks run in other processes, and what is stored here is seen by one "
            "process only; runners that stay in one process: inside; backends that cross processes: wide"
        )
        assert isinstance(caught.value, CapabilityError)
        assert str(CapabilityError("runner 'a'", "backend 'b'")) == "runner 'a' cannot work with backend 'b'"

    def test_a_backend_may_not_promise_more_than_its_halves(self, site: Site) -> None:
        code = backend("boaster").replace('target="plug_code:StateBackend"', 'target="plug_code:StateBackend", durable=False')
        site.plugin("a", code)
        catalog = site.manager().catalog
        with pytest.raises(BackendPromiseError) as caught:
            catalog.components(catalog.backend("boaster"))
        assert str(caught.value) == (
            "backend 'boaster' says `durable=True` and its half, state backend 'boaster', says False; tell the plugin's author"
        )


class TestTargets:
    def test_one_that_does_not_import_names_plugin_and_distribution(self, site: Site) -> None:
        site.plugin("a", runner("quick"), distribution="a-dist", version="1.2")
        catalog = site.manager().catalog
        with pytest.raises(PluginTargetError) as caught:
            catalog.load(catalog.runner("quick"))
        assert str(caught.value) == (
            "plugin 'a' from a-dist 1.2 says that runner 'quick' is at 'plug_code:Runner', which cannot be used: "
            "ModuleNotFoundError: No module named 'plug_code'"
        )

    def test_one_of_the_wrong_class_is_refused(self, site: Site) -> None:
        site.plugin("a", runner("quick"))
        site.module("plug_code", "class Runner: ...")
        catalog = site.manager().catalog
        with pytest.raises(PluginTargetError, match=r"it is not a subclass of builtins.dict"):
            catalog.load_class(catalog.runner("quick"), dict)


def test_settings_sections_are_named_like_their_specs(site: Site) -> None:
    site.plugin("a", runner("very-quick", settings="plug_a:QuickSettings") + backend("plain"))
    assert site.manager().catalog.settings_targets() == {"very_quick": "plug_a:QuickSettings"}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Upper", "target": "a:B"},
        {"name": "a", "target": "no.colon"},
        {"name": "a", "target": "a:B", "settings": "nonsense"},
        {"name": "a", "target": "a:B", "default_rank": "high"},
    ],
)
def test_a_spec_checks_its_own_fields(fields: dict[str, str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        RunnerSpec(**fields)  # type: ignore[arg-type]  # what is refused here
