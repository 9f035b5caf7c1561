"""Runs pynenc invocations as coroutines of one event loop."""

from __future__ import annotations
