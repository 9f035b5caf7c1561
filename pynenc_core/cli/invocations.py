"""`pynenc invocation`."""

from __future__ import annotations

import click

from pynenc_core.app import Pynenc
from pynenc_core.cli.details import describe, details
from pynenc_core.cli.output import clock, columns, when
from pynenc_core.cli.session import Session, common_options, pass_session
from pynenc_core.errors.cli import UnknownTaskNameError
from pynenc_core.model import InvocationRecord, Query
from pynenc_core.status import Status

_HEAD = ("invocation", "status", "since (UTC)", "task", "attempts", "crashes", "runner or reason")


@click.group()
def invocation() -> None:
    """List, show and cancel invocations."""


@invocation.command(name="list")
@click.option(
    "--status",
    "statuses",
    metavar="STATUS",
    multiple=True,
    type=click.Choice([*Status], case_sensitive=False),
    help="Only in this status; may be repeated.",
)
@click.option("--task", metavar="TASK", default="", help="Only of this task: its id, or the end of it.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--newest", is_flag=True, help="The latest ones first; else the oldest.")
@click.option("--after", metavar="ID", default="", help="Go on behind this one, in the order chosen.")
@common_options
@pass_session
def list_(session: Session, *, statuses: tuple[str, ...], task: str, limit: int, newest: bool, after: str) -> None:
    """List invocations, by the time they were registered."""
    app: Pynenc = session.app
    query = Query(statuses=frozenset(map(Status, statuses)), task_id=_task_id(app, task))
    find = app.orchestrator.engine.state.find
    # one more than is shown tells whether there are more
    page = find(query, after="" if newest else after, before=after if newest else "", limit=limit + 1, newest_first=newest)
    shown, more = page[:limit], len(page) > limit
    warn_of_confined(app)
    session.emit(
        {"invocations": [_line(record) for record in shown], "next": shown[-1].invocation_id if more else None},
        lambda: _table(shown, more=more),
    )


@invocation.command()
@click.argument("invocation_id", metavar="ID")
@common_options
@pass_session
def show(session: Session, invocation_id: str) -> None:
    """Show all that is known of one invocation.

    Arguments and result are shown as the setting `logging_arguments` says: hidden, truncated or full; secret ones never.
    """
    found = details(session.app, invocation_id)
    session.emit(found, lambda: describe(found))


@invocation.command(short_help="Cancel one, or ask its owner to.")
@click.argument("invocation_id", metavar="ID")
@click.option("--reason", default="", help="Why; kept in its history.")
@common_options
@pass_session
def cancel(session: Session, invocation_id: str, reason: str) -> None:
    """Cancel an invocation, or ask its owner to: prints `cancelled`, `requested` or `already final`."""
    outcome = str(session.app.get_invocation(invocation_id).cancel(reason))
    session.emit({"invocation_id": invocation_id, "outcome": outcome}, lambda: outcome)


def warn_of_confined(app: Pynenc) -> None:
    """Say on standard error that what is listed is this process's alone, where the store is of that kind."""
    confined = [spec.name for spec in app.store_specs() if not spec.crosses_processes]
    if confined:
        click.echo(
            f"warning: the {confined[0]} store is seen by one process only; what other processes keep in theirs is not shown here", err=True
        )


def _task_id(app: Pynenc, name: str) -> str:
    """Return the whole id for the end of one. Raises UnknownTaskNameError where it is the end of several."""
    ids = app.tasks.ids
    fitting = sorted(each for each in ids if each.endswith(f".{name}")) if name and name not in ids else []
    if len(fitting) > 1:
        raise UnknownTaskNameError(name, tuple(fitting))
    return fitting[0] if fitting else name


def _line(record: InvocationRecord) -> dict[str, object]:
    state, fixed = record.state, record.invocation
    return {
        "invocation_id": record.invocation_id,
        "task_id": fixed.task_id,
        "status": str(state.status),
        "since": when(state.since),
        "due": when(state.due),
        "queue": fixed.queue,
        "runner_id": state.runner_id or None,
        "reason": state.reason or None,
        "attempts": state.attempts,
        "crashes": state.crashes,
        "interruptions": state.interruptions,
        "parent_id": fixed.parent_id or None,
        "workflow_id": fixed.workflow.workflow_id,
    }


def _table(records: tuple[InvocationRecord, ...], *, more: bool) -> str:
    if not records:
        return "no invocation fits"
    rows = [
        (
            record.invocation_id,
            record.state.status,
            clock(record.state.since),
            record.invocation.task_id,
            record.state.attempts,
            record.state.crashes,
            record.state.runner_id or record.state.reason,
        )
        for record in records
    ]
    return columns(_HEAD, rows) + (f"\n\nthere are more: --after {records[-1].invocation_id}" if more else "")
