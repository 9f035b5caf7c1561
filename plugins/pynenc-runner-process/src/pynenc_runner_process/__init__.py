"""Runs each pynenc invocation in a process of its own."""

from __future__ import annotations
