"""Runs pynenc invocations on threads of several processes."""

from __future__ import annotations
