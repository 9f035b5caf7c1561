"""`python -m pynenc_core.cli` is `pynenc`."""

from __future__ import annotations

from pynenc_core.cli import main

main()
