"""Tells what the process tree of a pynenc runner used when it stopped."""

from __future__ import annotations
