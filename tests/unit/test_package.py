"""The names of the package itself: lazy at run time, whole for type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pynenc_core


def stubbed() -> dict[str, str]:
    """Return the names of the stub beside the package, by where they come from."""
    stub = Path(str(pynenc_core.__file__)).with_suffix(".pyi")
    imports = (node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom))
    return {str(alias.asname): str(node.module) for node in imports for alias in node.names}


def test_the_stub_and_the_package_offer_the_same() -> None:
    assert stubbed() == {name: vars(pynenc_core)["_HOMES"][name] for name in pynenc_core.__all__}


@pytest.mark.parametrize("name", stubbed())
def test_each_name_is_what_its_home_says(name: str) -> None:
    assert getattr(pynenc_core, name) is getattr(import_module(stubbed()[name]), name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pynenc_core' has no attribute 'Pynec'$"):
        getattr(pynenc_core, "Pynec")  # noqa: B009 - as `from pynenc_core import Pynec` does it


def test_importing_the_package_alone_imports_nothing_of_it() -> None:
    code = "import sys, pynenc_core; print(*[name for name in sys.modules if name.startswith('pynenc_core.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
