"""A runner and a backend that cannot work together are refused when the app is built, and by `pynenc runner start`, in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pynenc_core import PynencBuilder
from pynenc_core.errors.plugins import CapabilityError
from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.kinds import BACKEND, RUNNER

APP = """
from pynenc_core import Pynenc

app = Pynenc("{scheme}://", app_id="refused")


@app.task
def add(x: int, y: int) -> int:
    return x + y
"""


def impossible_pairs() -> list[tuple[str, str]]:
    """Return the names of runners of other processes, each with the scheme of each backend that only one process sees."""
    catalog = PluginManager(environ={}).catalog
    runners = [offer.spec.name for offer in catalog.offers(RUNNER) if not offer.spec.mem_compatible]
    return [(name, offer.spec.schemes[0]) for name in runners for offer in catalog.offers(BACKEND) if not offer.spec.crosses_processes]


PAIRS = pytest.mark.parametrize(("runner", "scheme"), impossible_pairs(), ids=lambda name: name)


@PAIRS
def test_the_builder_refuses_it(runner: str, scheme: str) -> None:
    builder = PynencBuilder().app_id("refused").custom_config(runner_cls=runner).backend(f"{scheme}://")
    with pytest.raises(CapabilityError):
        builder.build()


@PAIRS
def test_the_command_line_says_why(tmp_path: Path, runner: str, scheme: str) -> None:
    (tmp_path / "refused_app.py").write_text(APP.format(scheme=scheme))
    done = subprocess.run(
        [sys.executable, "-m", "pynenc_core.cli", "runner", "start", "--runner", runner],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYNENC_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"Error: runner '{runner}' cannot work with ")
    assert "its tasks run in other processes, and what is stored here is seen by one process only" in said
    assert "Traceback" not in done.stderr
