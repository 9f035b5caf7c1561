"""What `import pynenc_core` and `pynenc --help` may not import: each is paid for by every process that starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arch import source

# Slow to import, or the work of a plugin; the function that needs one imports it.
HEAVY = frozenset({"asyncio", "hypothesis", "multiprocessing", "psutil", "pymongo", "pytest", "redis", "rich", "sqlite3", "ssl", "yaml"})
NOT_BY_IMPORT = HEAVY | {"click", "cronsim", "importlib.metadata", "typed_settings"}
NOT_BY_HELP = HEAVY | {"cronsim", "pynenc_testkit"}

IMPORT = "import pynenc_core, sys; print(*sys.modules, sep='\\n')"
PUBLIC = "from pynenc_core import Pynenc, PynencBuilder; import sys; print(*sys.modules, sep='\\n')"
HELP = """
import sys
sys.argv = ["pynenc", "--help"]
from pynenc_core.cli import main
try:
    main()
finally:
    print("\\n--- modules ---", *sys.modules, sep="\\n")
"""


def output(code: str) -> str:
    """Run the code in a new interpreter and return what it printed; site is left out, .pth files import things of their own."""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bare() -> set[str]:
    """What an interpreter of this environment has imported before the first line runs."""
    return set(output("import sys; print(*sys.modules, sep='\\n')").split())


@pytest.mark.parametrize("code", [IMPORT, PUBLIC], ids=["package", "names"])
def test_importing_the_core_is_light(code: str) -> None:
    found = sorted((set(output(code).split()) - bare()) & NOT_BY_IMPORT)
    assert not found, source.listing(found)


def test_help_is_light() -> None:
    text, _, modules = output(HELP).partition("--- modules ---")
    assert "Usage: pynenc" in text
    found = sorted((set(modules.split()) - bare()) & NOT_BY_HELP)
    assert not found, source.listing(found)


def test_help_imports_no_plugin_further_than_its_entry_point() -> None:
    modules = output(HELP).partition("--- modules ---")[2].split()
    found = sorted(name for name in modules if name.startswith(("pynenc_backend_", "pynenc_runner_")) and "." in name)
    assert not found, source.listing(found)
