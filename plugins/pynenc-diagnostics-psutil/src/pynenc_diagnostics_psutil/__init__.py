"""Tells what the process tree of a pynenc runner used when it stopped."""

from __future__ import annotations

from collections.abc import Mapping

from pynenc_core.model import ShutdownEvent
from pynenc_core.plugins import hookimpl


@hookimpl
def pynenc_shutdown_diagnostics(event: ShutdownEvent) -> Mapping[str, object]:
    """Add the sections `processes` and `machine`."""
    # imported late: whoever lists plugins imports this module, and psutil is only needed at the end
    from pynenc_diagnostics_psutil.sections import machine, process_tree

    return {"processes": process_tree(event.pid), "machine": machine()}
