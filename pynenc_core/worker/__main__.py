"""A worker that was started as a program of its own."""

from __future__ import annotations

from pynenc_core.worker.program import leave, main

if __name__ == "__main__":
    leave(main())
