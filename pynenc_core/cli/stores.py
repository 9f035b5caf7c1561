"""Where an app stores, as it may be shown."""

from __future__ import annotations

from pynenc_core.app import Pynenc
from pynenc_core.redaction import redact_url


def store_of(app: Pynenc) -> str:
    """Return where an app stores, without secrets: its URL, or the names of the two halves that were chosen."""
    broker, state = app.store_specs()
    queue = redact_url(app.store_url("broker")) or f"broker {broker.name}"
    records = redact_url(app.store_url("state_backend")) or f"state backend {state.name}"
    return records if queue == records else f"{queue} and {records}"
