"""An index of the running interpreter's standard library, counted by a tree of tasks: `python -m stdlib_index`."""

from __future__ import annotations
