"""`pynenc plugins`: what is installed and whether it works, without a traceback whatever is installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from unit.cli.project import APP, Project, without_plugins
from unit.plugins.site import backend, runner


def broken_site(project: Project) -> None:
    """Install one plugin of each kind of trouble beside one that works."""
    site = project.site
    for name, code in {
        "good": runner("good", mem_compatible=True),
        "raises": "raise RuntimeError('not today')",
        "misspelt": "@hookimpl\ndef pynenc_runers():\n    return []\n",
        "outdated": runner("outdated", api=0),
        "hollow": runner("hollow", cls="Absent"),
        "off": runner("off"),
    }.items():
        site.module(f"plug_{name}", code)
        site.install(f"dist-{name}", points={name: f"plug_{name}"}, group="pynenc")
    site.module("plug_code", "class Runner: pass\n")
    for distribution in ("first", "second"):
        site.install(distribution, points={"twice": "plug_good"}, group="pynenc")
    project.environ["PYNENC_DISABLE_PLUGINS"] = ",".join(filter(None, [without_plugins().get("PYNENC_DISABLE_PLUGINS"), "off"]))


def by_name(listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in listed}


def test_each_plugin_is_listed_with_its_state_and_what_is_wrong(project: Project) -> None:
    broken_site(project)
    done = project.run("plugins", "list")
    assert (done.returncode, done.stderr) == (0, "")
    states = {
        line.split()[0]: line.split()[3]
        for line in done.stdout.partition("\n\n")[0].splitlines()[1:]
        if line.split()[1].startswith("dist-")
    }
    assert {name: states[name] for name in ("good", "raises", "misspelt", "outdated", "off")} == {
        "good": "working",
        "raises": "broken",
        "misspelt": "broken",
        "outdated": "broken",
        "off": "disabled",
    }
    assert "raises: plugin 'raises' from dist-raises 1.0 could not be loaded: RuntimeError: not today; " in done.stdout
    assert "'pynenc_runers' that would never be called: there is no such hook; did you mean 'pynenc_runners'?" in done.stdout
    assert "plugin name 'twice' is claimed by first 1.0 (plug_good) and second 1.0 (plug_good); uninstall all but one" in done.stdout


def test_json_has_all_that_the_table_has(project: Project) -> None:
    broken_site(project)
    listed = by_name(project.json("plugins", "list", "--json"))
    assert listed["good"] == {
        "name": "good",
        "distribution": "dist-good",
        "version": "1.0",
        "state": "working",
        "problem": "",
        "provides": ["runner good"],
        "capabilities": {"runner good": {"mem_compatible": True}},
    }
    assert listed["off"]["state"] == "disabled"


def test_a_check_imports_what_the_listing_only_names(project: Project) -> None:
    broken_site(project)
    assert project.prints("plugins", "check", "good") == "good  ok\n"
    done = project.run("plugins", "check", "hollow", "--json")
    assert done.returncode == 1
    assert "says that runner 'hollow' is at 'plug_code:Absent', which cannot be used: AttributeError" in done.stdout
    assert project.run("plugins", "check").returncode == 1


def test_checking_what_is_not_installed_is_not_found(project: Project) -> None:
    told = project.fails(3, "plugins", "check", "nonsense", **without_plugins())
    assert told.startswith("Error: no plugin is named 'nonsense'; installed: none")


def test_with_the_core_alone_every_command_says_what_to_install(project: Project) -> None:
    """In an environment without plugins and where all are left out alike; there, notes say that they are."""
    project.environ.update(without_plugins())
    project.write("jobs.py", APP)
    install = 'pip install "pynenc-core[default]"'
    for command in (("runner", "start"), ("invocation", "list"), ("invocation", "show", "x")):
        told = project.fails(1, *command)
        assert told.startswith(f"Error: no backend is installed; {install}")
    done = project.run("doctor")
    assert done.returncode == 1
    assert install in done.stdout


def test_nothing_installed_at_all_is_said_by_the_listing() -> None:
    """Seen from a manager that finds nothing: the command itself cannot be had in an environment without metadata."""
    code = (
        "import pynenc_core.plugins.manager as m, pynenc_core.plugins.discovery as d\n"
        "m.PluginManager.__init__.__kwdefaults__['find'] = d.nothing\n"
        "from pynenc_core.cli import main\nmain(['plugins', 'list'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'no plugin is installed; pip install "pynenc-core[default]" brings a backend and a runner\n'


def test_a_backend_that_is_not_installed_is_named_with_the_line_that_brings_it(project: Project) -> None:
    project.write("jobs.py", APP.replace('app_id="shop"', '"elsewhere://host", app_id="shop"'))
    told = project.fails(3, "invocation", "list", **without_plugins())
    assert told.startswith("Error: no URL scheme is named 'elsewhere'; installed: none; pip install pynenc-backend-elsewhere")


def test_a_runner_that_is_not_installed_is_named_with_the_line_that_brings_it(project: Project) -> None:
    project.environ.update(without_plugins())
    project.site.module("plug_void", backend("void", default_rank=1))
    project.site.install("void", points={"void": "plug_void"}, group="pynenc")
    project.write("jobs.py", APP)
    told = project.fails(3, "runner", "start", "--runner", "fancy")
    assert told.startswith("Error: no runner is named 'fancy'; installed: dummy, external; pip install pynenc-runner-fancy")
    assert 'Error: no runner is installed; pip install "pynenc-core[default]"' in project.fails(1, "runner", "start")


def test_a_pair_that_cannot_work_is_refused_before_anything_starts(project: Project) -> None:
    project.environ.update(without_plugins())
    project.site.module("plug_void", backend("void", crosses_processes=False) + runner("pool"))
    project.site.install("void", points={"void": "plug_void"}, group="pynenc")
    project.write("jobs.py", APP)
    told = project.fails(1, "runner", "start", "--runner", "pool")
    assert told.startswith("Error: runner 'pool' cannot work with broker 'void': its tasks run in other processes")


def test_the_stub_has_the_methods_of_the_installed_plugins(project: Project) -> None:
    project.site.module(
        "plug_offer", "@hookimpl\ndef pynenc_builder_methods():\n    return [BuilderMethodSpec(name='far', target='plug_code:far')]\n"
    )
    code = "from decimal import Decimal as D\n\nHow = D | None\n\n"
    code += "def far(place: str, *, how: How = None, much: D = D(3)) -> dict[str, object]:\n    return {}\n"
    project.write("../site/plug_code.py", code)
    project.site.install("far", points={"far": "plug_offer"}, group="pynenc")
    assert project.prints("plugins", "stubs") == "typings/pynenc_core/builder.pyi\n"
    stub = (project.folder / "typings/pynenc_core/builder.pyi").read_text()
    assert "    def far(self, place: str, *, how: How=..., much: D=...) -> Self:\n" in stub
    assert "from decimal import Decimal as D\n" in stub
    assert "from plug_code import How\n" in stub
    assert "    def app_id(self, app_id: str) -> Self:\n" in stub
    assert "__getattr__" not in stub


def test_the_runner_that_executes_nothing_cannot_be_started(project: Project) -> None:
    project.environ.update(without_plugins())
    project.site.module("plug_void", backend("void", default_rank=1))
    project.site.install("void", points={"void": "plug_void"}, group="pynenc")
    project.write("jobs.py", APP)
    for name, kind in (("dummy", "DummyRunner"), ("ExternalRunner", "ExternalRunner")):
        (told,) = project.fails(2, "runner", "start", "--runner", name).splitlines()
        assert told.startswith(f"Error: {kind} executes nothing, so run() cannot work: start a runner with")
