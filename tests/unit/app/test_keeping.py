"""For how long what is stored beside a record is kept: at least as long as something may refer to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pynenc_core.model import Blob
from unit.app.running import app_of_its_own

DAY = 24 * 3600.0
LARGE = "x" * 5000


def stored(**settings: Any) -> float:
    """The seconds for which a large argument is kept, of a task with these options, under these settings."""
    options = settings.pop("options", {})
    app = app_of_its_own(**settings)
    kept: list[Blob] = []

    @app.task(**options)
    def take(text: str) -> int:
        return len(text)

    dispatcher = app.orchestrator.engine.dispatcher
    submit = dispatcher.submit

    def note(batch: Any) -> Any:
        kept.extend(batch.blobs)
        return submit(batch)

    dispatcher.submit = note  # type: ignore[method-assign] # to see what is stored
    take(LARGE)
    app.close()
    (blob,) = kept
    return blob.ttl


def test_large_arguments_outlive_the_records_by_a_week() -> None:
    assert stored(orchestrator={"auto_final_invocation_purge_hours": 2.0}) == pytest.approx(7 * DAY + 2 * 3600, abs=5)


def test_records_that_are_kept_for_ever_keep_their_arguments() -> None:
    assert stored(orchestrator={"auto_final_invocation_purge_hours": 0.0}) > 36_500 * DAY / 2


@pytest.mark.parametrize("options", [{"delay": 30 * DAY}, {"eta": datetime.now(UTC) + timedelta(days=30)}], ids=["delay", "eta"])
def test_what_is_due_in_a_month_has_its_arguments_then(options: dict[str, Any]) -> None:
    assert stored(options=options) == pytest.approx(38 * DAY, abs=3600)
