"""Log lines: text and JSON, ids in fields, levels, and no handler before somebody asks for one."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pynenc_core.logs import install_handler
from unit.app.running import app_of_its_own, eventually, runner_of


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the loggers as they were."""
    root = logging.getLogger("pynenc")
    before = (list(root.handlers), root.level, root.propagate)
    yield
    root.handlers[:], root.level, root.propagate = before[0], before[1], before[2]


def handler() -> logging.StreamHandler[io.StringIO]:
    """Return the handler that was installed, writing to memory from now on."""
    (found,) = logging.getLogger("pynenc").handlers
    assert isinstance(found, logging.StreamHandler)
    found.setStream(io.StringIO())
    return found


def test_an_import_installs_none() -> None:
    code = (
        "import logging, pynenc_core\nfrom pynenc_core import Pynenc\napp = Pynenc('memory://', app_id='quiet')\n"
        "app.orchestrator\nimport logging\n"
        "assert not logging.getLogger().handlers and not logging.getLogger('pynenc').handlers"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_line_of_text_ends_with_its_ids() -> None:
    app = app_of_its_own()
    install_handler(app)
    stream = handler().stream
    app.logger.info("told", extra={"invocation_id": "i1", "task_id": "t1"})
    line = stream.getvalue()
    assert f"INFO    pynenc.{app.app_id}: told  [invocation_id=i1 task_id=t1]" in line
    app.logger.debug("not told")
    assert stream.getvalue() == line


def test_a_line_of_json_has_them_as_fields() -> None:
    app = app_of_its_own(logging_format="json", logging_level="debug")
    install_handler(app)
    stream = handler().stream
    try:
        int("lost")
    except ValueError:
        app.logger.exception("it %s", "failed", extra={"invocation_id": "i1"})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"], line["invocation_id"], line["logger"]) == ("ERROR", "it failed", "i1", f"pynenc.{app.app_id}")
    assert line["traceback"].endswith("base 10: 'lost'")
    assert "task_id" not in line


def test_installed_twice_there_is_one_and_foreign_ones_stay() -> None:
    app = app_of_its_own(logging_stream="stdout", logging_level="warning")
    foreign = logging.NullHandler()
    logging.getLogger("pynenc").addHandler(foreign)
    install_handler(app)
    install_handler(app)
    handlers = logging.getLogger("pynenc").handlers
    assert [each.get_name() for each in handlers] == [None, "pynenc"]
    assert logging.getLogger("pynenc").level == logging.WARNING


def test_a_life_without_incidents_logs_starts_and_stops_at_info_and_all_else_below(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = app_of_its_own()

    @app.task(max_retries=1, retry_for=(LookupError,))
    def unsteady(secret: str) -> int:
        if unsteady.invocation and not unsteady.invocation.record.state.attempts:
            raise LookupError
        return len(secret)

    with runner_of(app):
        made = unsteady("a word of silence")
        assert made.get_result(5) == 17
    lines = [record for record in caplog.records if record.name.startswith("pynenc")]
    told = [
        record.getMessage() for record in lines if record.levelno >= logging.INFO and "signals are left alone" not in record.getMessage()
    ]
    assert any("starts" in line for line in told)
    assert any("stops" in line for line in told)
    assert not [line for line in told if made.invocation_id in line]
    assert not [record for record in lines if "a word of silence" in record.getMessage()]


def test_recovery_and_quarantine_are_told_by_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = app_of_its_own()

    @app.task
    def one() -> int:
        return 1

    made = one()
    context = app.orchestrator.routing.context()
    for _ in range(3):
        app.orchestrator.get_invocations_to_run(1, context)
        app.orchestrator.hand_on(context.runner_id, "exit signal 9")
    eventually(lambda: made.is_final)
    (line,) = [record.getMessage() for record in caplog.records if "quarantined" in record.getMessage()]
    assert made.invocation_id in line
    assert "exit signal 9" in line
