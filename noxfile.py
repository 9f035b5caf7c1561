"""Every check there is, as nox sessions over installed wheels.

`build` makes the wheels once; every other session installs them by path into an environment of its own, so that no index can answer
for them, and runs from an empty directory with PYTHONSAFEPATH=1, so that the source tree cannot be imported by accident
(`conftest.py` refuses it if it could be). `make test` runs some of them on one Python, `make test-all` every one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False  # absent ones are listed at the end instead

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13")
PLUGINS = tuple(sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")))
CONTRACTS = tuple(name for name in PLUGINS if name != "pynenc-testkit")
RUNNERS = tuple(name.removeprefix("pynenc-runner-") for name in PLUGINS if name.startswith("pynenc-runner-"))
BACKENDS = tuple(name.removeprefix("pynenc-backend-") for name in PLUGINS if name.startswith("pynenc-backend-"))
SPLIT = ("redis+mongo", "redis+sqlite")  # the queue in the first, the records in the second
# Of tests/unit, what runs tasks, and so needs something that stores and something that executes: it is in `everything`.
WITH_PLUGINS = (
    "app",
    "operating",
    "orchestration",
    "test_group.py",
    "test_invocation.py",
    "test_locator.py",
    "test_logs.py",
    "test_task.py",
)
THIRD_PARTIES = tuple(sorted(path.parent.name for path in ROOT.glob("examples/*/pyproject.toml")))
# (runner, backend): the error that building the app must raise. What one process alone sees, other processes cannot work off.
IMPOSSIBLE = {(runner, "memory"): "CapabilityError" for runner in ("multi-thread", "persistent-process", "process")}
IMPOSSIBLE_PAIR = """
import sys
from pynenc_core import PynencBuilder
runner, backend, expected = sys.argv[1:]
builder = getattr(getattr(PynencBuilder(), backend)(), runner.replace("-", "_") + "_runner")()
try:
    builder.build()
except Exception as error:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    sys.exit(None if expected in kinds else f"{runner} x {backend} raised {error!r}, not {expected}")
sys.exit(f"{runner} x {backend} was built, but cannot work: {expected} was expected")
"""
INSTALLED_ARE = """
import sys
from importlib.metadata import version
from itertools import zip_longest
for wanted in sys.argv[1:]:
    name, _, bound = wanted.partition("==")
    parts = zip_longest(version(name).split("."), bound.split("."), fillvalue="0")
    if any(found != low for found, low in parts):
        sys.exit(f"{name} {version(name)} is installed, not the oldest that is allowed, {bound}")
"""
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")


# --- interpreters -----------------------------------------------------------------------------------------------------


def _works(python: str | Path) -> bool:
    """Tell whether the interpreter starts; a pyenv shim of a version that is not active exists, but does not."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pyenv_roots() -> Iterator[Path]:
    if root := os.environ.get("PYENV_ROOT"):
        yield Path(root)
    if pyenv := shutil.which("pyenv"):
        yield Path(subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip())


def _find_interpreters() -> list[str]:
    """Put what pyenv keeps in front on PATH, where the plain command does not work; return the versions that stay absent."""
    absent = []
    for version in PYTHONS:
        if _works(f"python{version}"):
            continue
        found = [path for root in _pyenv_roots() for path in sorted(root.glob(f"versions/{version}.*/bin/python{version}")) if _works(path)]
        if found:
            os.environ["PATH"] = f"{found[-1].parent}{os.pathsep}{os.environ['PATH']}"
        else:
            absent.append(version)
    return absent


if ABSENT := _find_interpreters():
    atexit.register(print, f"NOT TESTED HERE, no such interpreter: Python {', '.join(ABSENT)}")


# --- what the sessions share ------------------------------------------------------------------------------------------


def _wheel(name: str) -> str:
    wheels = [str(path) for path in DIST.glob(f"{name.replace('-', '_')}-*.whl")]
    assert len(wheels) == 1, f"dist/ holds {wheels or 'no wheel'} of {name}: run `nox -s build`"
    return wheels[0]


def _install(session: nox.Session, *names: str, tools: tuple[str, ...] = (), constraints: Path | None = None) -> None:
    """Install the core's wheel and those named, then what they need and the tools, then check that all fit."""
    wheels = [_wheel(name) for name in ("pynenc-core", *names)]
    # An environment that is used again holds an older build of the same version: pip would keep it.
    session.install("--no-deps", "--force-reinstall", *wheels)
    session.install(*wheels, *tools, *(("--constraint", str(constraints)) if constraints else ()))
    session.run("python", "-m", "pip", "check", silent=True)


def _group(name: str) -> tuple[str, ...]:
    return tuple(nox.project.dependency_groups(GROUPS, name))


def _foreign_directory(session: nox.Session) -> None:
    """Change to an empty directory outside the tree, with nothing but the session's environment to import from."""
    # Not nox's `create_tmp`: it lies below our pyproject.toml, and moves TMPDIR to a path too long for a unix socket.
    directory = tempfile.mkdtemp(prefix="pynenc-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    session.chdir(directory)
    session.env.update(PYTHONSAFEPATH="1", PYTHONNOUSERSITE="1", PYTHONPATH=None)
    session.env.update({name: None for name in os.environ if name.startswith("PYNENC")})


def _pytest(session: nox.Session, *arguments: str | Path, **environment: str) -> None:
    _foreign_directory(session)
    session.run(
        "python",
        "-m",
        "pytest",
        f"--config-file={ROOT / 'pyproject.toml'}",
        f"--rootdir={ROOT}",
        "-p",
        "no:cacheprovider",
        *map(str, arguments),
        *session.posargs,
        env={"PYNENC_TEST_WHEELS": "1", **environment},
    )


# --- what is built ----------------------------------------------------------------------------------------------------


@nox.session
def build(session: nox.Session) -> None:
    """Build every distribution's wheel into dist/, once for all other sessions."""
    session.install(*_group("build"))
    shutil.rmtree(DIST, ignore_errors=True)
    projects = [ROOT, *(ROOT / "plugins" / name for name in PLUGINS), *(ROOT / "examples" / name for name in THIRD_PARTIES)]
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", f"--wheel-dir={DIST}", *map(str, projects))


@nox.session(requires=["build"])
def sdist(session: nox.Session) -> None:
    """Build every source distribution, a wheel from each, and compare that wheel's files with the one built from the tree."""
    session.install(*_group("build"))
    made = Path(session.virtualenv.location) / "sdist"
    shutil.rmtree(made, ignore_errors=True)
    for name in ("pynenc-core", *PLUGINS):
        project = ROOT if name == "pynenc-core" else ROOT / "plugins" / name
        session.run("python", "-m", "build", "--no-isolation", f"--outdir={made}", str(project), silent=True)
        (rebuilt,) = made.glob(f"{name.replace('-', '_')}-*.whl")
        if _members(session, rebuilt) != _members(session, Path(_wheel(name))):
            session.error(f"{name}: the wheel built from the source distribution holds other files than the one built from the tree")
    session.install("--no-deps", "--force-reinstall", *map(str, made.glob("*.whl")))


def _members(session: nox.Session, wheel: Path) -> str:
    listing = session.run("python", "-m", "zipfile", "--list", str(wheel), silent=True)
    return "\n".join(sorted(line.split()[0] for line in str(listing).splitlines()[1:]))


# --- what is tested ---------------------------------------------------------------------------------------------------


@nox.session(python=PYTHONS, requires=["build"])
def core(session: nox.Session) -> None:
    """The core alone: its unit tests, with no plugin installed."""
    _install(session, tools=_group("test"))
    _pytest(session, ROOT / "tests" / "unit", *(f"--ignore={ROOT / 'tests' / 'unit' / name}" for name in WITH_PLUGINS))


@nox.session(python=PYTHONS, requires=["build"])
@nox.parametrize("plugin", CONTRACTS)
def contract(session: nox.Session, plugin: str) -> None:
    """One plugin beside the core and the kit: its contracts. A runner needs something that stores."""
    stores = tuple(f"pynenc-backend-{name}" for name in BACKENDS) if plugin.startswith("pynenc-runner-") else ()
    _install(session, "pynenc-testkit", plugin, *stores, tools=_group("test"))
    _pytest(session, ROOT / "plugins" / plugin / "tests")


@nox.session(python=PYTHONS, requires=["build"])
@nox.parametrize("backend", (*BACKENDS, *SPLIT))
@nox.parametrize("runner", RUNNERS)
def combos(session: nox.Session, runner: str, backend: str) -> None:
    """One runner and one backend (or a split pair), installed alone: the main job; or the error, where they cannot work together."""
    stores = (f"pynenc-backend-{part}" for part in backend.split("+"))
    _install(session, "pynenc-testkit", f"pynenc-runner-{runner}", *stores, tools=_group("test"))
    if expected := IMPOSSIBLE.get((runner, backend)):
        _foreign_directory(session)
        session.run("python", "-c", IMPOSSIBLE_PAIR, runner, backend, expected)
        return
    _pytest(session, ROOT / "tests" / "combos", PYNENC_TEST_RUNNER=runner, PYNENC_TEST_BACKEND=backend)


@nox.session(python=PYTHONS, requires=["build"])
def everything(session: nox.Session) -> None:
    """All wheels in one environment, third parties' too: all tests but the long ones; the long ones are in `faults`."""
    _install(session, *PLUGINS, *THIRD_PARTIES, tools=(*_group("imports"), *_group("test")))
    tests = [ROOT / "tests" / name for name in ("kit", "arch", "unit", "combos", "docs")]
    contracts = [ROOT / "plugins" / name / "tests" for name in CONTRACTS]
    # Most of these wait, for processes and servers: twice as many at a time as there are cores. Scenarios stretch their bounds on
    # time by what a start takes meanwhile, and have a core each; what asks for an answer within a second has the machine.
    cores = os.cpu_count() or 1
    at_once = ("--dist", "worksteal", "--durations=15", "--maxfail=20")
    _pytest(session, *tests, *contracts, "-m", "not full and not timed", "-n", str(2 * cores), *at_once)
    _pytest(session, ROOT / "tests" / "faults", "-m", "not full", "-n", str(cores), *at_once)
    _pytest(session, ROOT / "tests" / "unit", ROOT / "tests" / "combos", *contracts, "-m", "timed and not full", "--durations=15")


@nox.session(requires=["build"])
def kit(session: nox.Session) -> None:
    """The kit itself: a void implementation fails every test of it, each saboteur the test it is made for."""
    _install(session, "pynenc-testkit", "pynenc-backend-memory", "pynenc-runner-thread", tools=_group("test"))
    _pytest(session, ROOT / "tests" / "kit")


@nox.session(requires=["build"])
def third_party(session: nox.Session) -> None:
    """The tutorial's plugin as a stranger would install and test it."""
    if not THIRD_PARTIES:
        session.skip("no third party's package under examples/")
    for name in THIRD_PARTIES:
        _install(session, "pynenc-testkit", "pynenc-backend-memory", "pynenc-backend-sqlite", name, tools=_group("test"))
        _pytest(session, ROOT / "examples" / name / "tests")


@nox.session(python=PYTHONS[0], requires=["build"])
def lowest(session: nox.Session) -> None:
    """The oldest releases that our metadata allows: the core, every pair, and the contracts of each plugin that brings a library."""
    bounds = dict(sorted(pair for name in ("pynenc-core", *PLUGINS) for pair in _lower_bounds(name)))
    constraints = Path(session.virtualenv.location) / "lowest.txt"
    constraints.write_text("\n".join(f"{name}=={bound}" for name, bound in bounds.items()) + "\n")
    # A server that runs beside the tests needs newer releases of what they test.
    _install(session, *PLUGINS, tools=tuple(set(_group("test")) - set(_group("servers"))), constraints=constraints)
    session.run("python", "-c", INSTALLED_ARE, *(f"{name}=={bound}" for name, bound in bounds.items()))
    servers = Path(session.virtualenv.location) / "servers"
    session.run("python", "-m", "venv", str(servers), silent=True)
    session.run(str(servers / "bin" / "python"), "-m", "pip", "install", "--quiet", *_group("servers"), silent=True)
    bringing = [ROOT / "plugins" / name / "tests" for name in CONTRACTS if any(_lower_bounds(name))]
    path = os.pathsep.join([session.bin, str(servers / "bin"), os.environ["PATH"]])
    _pytest(session, ROOT / "tests" / "unit", ROOT / "tests" / "combos", *bringing, PATH=path)


def _lower_bounds(name: str) -> Iterator[tuple[str, str]]:
    """Yield name and lower bound of each third party's distribution that one of ours needs to run, extras included."""
    path = ROOT / "pyproject.toml" if name == "pynenc-core" else ROOT / "plugins" / name / "pyproject.toml"
    project: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    extras = (requirement for extra in project.get("optional-dependencies", {}).values() for requirement in extra)
    for requirement in (*project["dependencies"], *extras):
        needed, _, bound = requirement.partition(">=")
        if bound and not needed.startswith(("pynenc", "pytest")):  # the test tools are not what is tested
            yield needed.partition("[")[0], bound.partition(",")[0]


@nox.session(requires=["build"])
def faults(session: nox.Session) -> None:
    """Kills, stops, full disks: every scenario at its full size."""
    _install(session, *PLUGINS, tools=_group("test"))
    patience = ("-o", "timeout=1200", "-o", "faulthandler_timeout=1300")  # seconds: thousands of processes, one after the other
    _pytest(session, ROOT / "tests" / "faults", "-s", *patience)


@nox.session(requires=["build"])
def bench(session: nox.Session) -> None:
    """What the performance claims come from: a table of ratios, and JSON; with `-- --peers` other task queues beside ours instead."""
    _install(session, *PLUGINS, tools=_group("test"))
    _foreign_directory(session)
    session.run("python", str(ROOT / "benchmarks"), *session.posargs)


# --- what is read -----------------------------------------------------------------------------------------------------


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: every rule, and the format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(requires=["build"])
def types(session: nox.Session) -> None:
    """Mypy strict over everything, pyright strict over what is shipped."""
    _install(session, *PLUGINS, tools=(*_group("types"), *_group("test"), "nox"))
    shared = [name for name in ("examples", "benchmarks") if (ROOT / name).is_dir()]
    session.run("mypy", "conftest.py", "noxfile.py", "pynenc_core", "tests", *shared, *(f"plugins/{name}/src" for name in PLUGINS))
    for name in PLUGINS:  # one by one: their test modules may have the same names, and belong to no package
        if any((ROOT / "plugins" / name / "tests").rglob("*.py")):
            session.run("mypy", f"plugins/{name}/tests")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")
    _pytest(session, ROOT / "tests" / "typing")


@nox.session(requires=["build"])
def imports(session: nox.Session) -> None:
    """The architecture: import contracts, sizes, light start, names, metadata."""
    _install(session, *PLUGINS, tools=(*_group("imports"), *_group("test")))
    _pytest(session, ROOT / "tests" / "arch")


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """Every code block of README and docs/ runs, and what they list is what the code has."""
    _install(session, *PLUGINS, *THIRD_PARTIES, tools=_group("test"))
    _pytest(session, ROOT / "tests" / "docs")
