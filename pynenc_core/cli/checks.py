"""What `pynenc doctor` looks at, one check at a time; none of them raises."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Literal, cast

import attrs

from pynenc_core import __version__
from pynenc_core.app import Pynenc
from pynenc_core.cli.output import clock
from pynenc_core.cli.stores import store_of
from pynenc_core.errors.base import PynencError
from pynenc_core.model import Query, RunnerBeat
from pynenc_core.model.records import FORMAT
from pynenc_core.plugins import PluginInfo, PluginManager
from pynenc_core.plugins.discovery import describe
from pynenc_core.plugins.kinds import COMMAND
from pynenc_core.status import CLAIMABLE, OWNED, Status

State = Literal["ok", "note", "wrong"]

_SKEW = 5.0  # seconds between our clock and the store's that are worth a word
_PLATFORMS = {
    "linux": "",
    "darwin": "; expected to work here with runners of threads and of long-lived processes, and not tested",
    "win32": "; here apps can call tasks and run them in threads, what needs POSIX signals refuses",
}
_BETWEEN = frozenset({Status.KILLED, Status.PENDING_RECOVERY, Status.RUNNING_RECOVERY})


@attrs.frozen
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str


def check_environment(manager: PluginManager, reserved: Collection[str]) -> Iterator[Check]:
    """Yield what is said of Python, distributions and plugins; `reserved` are the core's own commands."""
    known = sys.platform in _PLATFORMS
    remark = _PLATFORMS.get(sys.platform, "; this platform was never tried")
    yield Check("python", "ok" if known else "note", f"{platform.python_version()} on {sys.platform}{remark}")
    yield Check("pynenc-core", "ok", f"{__version__}, with {', '.join(_versions())}")
    for notice in manager.notices:
        yield Check("environment", "wrong", str(notice))
    for info in manager.installed():
        yield _plugin(info)
    for offer in manager.catalog.offers(COMMAND):
        if offer.spec.name in reserved:
            yield Check(
                "command", "wrong", f"{offer.claim} offers the command {offer.spec.name!r}, which is the core's own; the core's is run"
            )


def check_defaults(manager: PluginManager) -> Iterator[Check]:
    """Yield what is said where there is no app: what one would find that says nothing itself."""
    yield from _guarded("backend", lambda: f"{manager.catalog.default_backend().name} is the one of the highest rank")
    yield from _guarded("runner", lambda: f"{manager.catalog.default_runner().name} is the one of the highest rank")
    yield from _guarded("configuration", lambda: _set_values(Pynenc()))


def check_app(app: Pynenc) -> Iterator[Check]:
    """Yield what is said of an app, its settings, its store and its runners; opens the store."""
    yield Check("app", "ok", f"{app.app_id}, found as {app.found_as}, with {len(app.tasks.ids)} tasks")
    yield from _guarded("configuration", lambda: _set_values(app))
    for origin in app.conf.unread_tasks(app.tasks.ids):
        yield Check(
            "configuration", "note", f"{origin} sets options of a task that this process does not know: misspelt, or not imported here"
        )
    yield from _guarded("runner", lambda: f"{app.runner_spec().name} is the one that `pynenc runner start` takes")
    store = list(_guarded("store", lambda: _store(app)))
    yield from store
    if store[0].state == "wrong":
        return
    yield from _risks(app)
    yield from _health(app)
    try:
        yield from _runners_and_work(app)
    except Exception as error:  # noqa: BLE001 - as below; what was found out stays found out
        yield _failure("store", error)


def _guarded(name: str, look: Callable[[], str]) -> Iterator[Check]:
    try:
        yield Check(name, "ok", look())
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the report goes on
        yield _failure(name, error)


def _failure(name: str, error: Exception) -> Check:
    return Check(name, "wrong", str(error) if isinstance(error, PynencError) else describe(error))


def _versions() -> Iterator[str]:
    """Yield name and version of each distribution that the core's own names as needed."""
    from importlib.metadata import PackageNotFoundError, requires, version  # imported late: only the doctor asks

    for requirement in requires("pynenc-core") or ():
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        if "extra ==" not in requirement:
            try:
                yield f"{name} {version(name)}"
            except PackageNotFoundError:
                yield f"{name} missing"


def _plugin(info: PluginInfo) -> Check:
    origin = f"{info.distribution} {info.version}".strip()
    state: State = {"working": "ok", "broken": "wrong", "disabled": "note"}[info.state]  # type: ignore[assignment]  # its values are states
    detail = info.problem or (
        f"{origin}: {', '.join(info.provides) or 'offers no component'}" if state == "ok" else f"{origin} is left out"
    )
    return Check(f"plugin {info.name}", state, detail)


def _set_values(app: Pynenc) -> str:
    changed = [line for line in app.conf.origins() if not line.is_default]
    origins = Counter(line.origin for line in changed)
    where = ", ".join(f"{count} from {origin}" for origin, count in origins.items())
    return f"{len(changed)} settings are not at their defaults{f': {where}' if where else ''}"


def _store(app: Pynenc) -> str:
    state = app.orchestrator.engine.state
    skew = state.now() - time.time()
    apart = f"; its clock is {skew:+.1f} s from the one here" if abs(skew) > _SKEW else ""
    return f"{store_of(app)} is open, records of format {FORMAT}{apart}"


def _risks(app: Pynenc) -> Iterator[Check]:
    broker, state = app.store_specs()
    if not state.durable:
        yield Check("store", "note", f"what the state backend {state.name!r} keeps is gone when its last process ends")
    for label, spec in (("broker", broker), ("state backend", state)):
        if not spec.crosses_processes:
            yield Check("store", "note", f"the {label} {spec.name!r} is seen by one process only: this report is about this process")


def _health(app: Pynenc) -> Iterator[Check]:
    for answer in app.plugins.hooks.each("pynenc_healthcheck", app=app):
        if answer.error is not None:
            yield Check(f"healthcheck of {answer.plugin}", "wrong", str(answer.error))
            continue
        for item in _items(answer.value):
            ok = _of(item, "ok")
            yield Check(
                str(_of(item, "name") or answer.plugin), "note" if ok is None else "ok" if ok else "wrong", str(_of(item, "detail") or "")
            )


def _items(value: object) -> Iterable[object]:
    return cast("Iterable[object]", value) if isinstance(value, Iterable) else ()


def _of(item: object, name: str) -> object:
    """Return a field of what a plugin reported, which may be a mapping or an object."""
    if isinstance(item, Mapping):
        return cast("Mapping[str, object]", item).get(name)
    return getattr(item, name, None)


def _runners_and_work(app: Pynenc) -> Iterator[Check]:
    engine = app.orchestrator.engine
    now, counts = engine.state.now(), engine.state.count(Query())
    beats = engine.state.beats()
    living = [beat for beat in beats if beat.alive_until > now]
    yield Check("runners", "ok" if living else "note", "; ".join(_runner(beat, now) for beat in living) or "none is alive")
    for beat in beats:
        if beat not in living:
            yield Check("runners", "note", f"{beat.runner_id} is gone: its last heartbeat was at {clock(beat.last_at)} UTC")
    alive = {beat.runner_id for beat in living}
    owned = app.orchestrator.iterate(Query(statuses=OWNED))
    orphans = Counter(record.state.runner_id for record in owned if record.state.runner_id not in alive)
    for runner_id, count in orphans.items():
        yield Check(
            "orphans", "wrong", f"{count} invocations belong to {runner_id}, which is not alive; the next sweep of a runner moves them on"
        )
    if not orphans:
        yield Check("orphans", "ok", "no invocation belongs to a runner that is gone")
    yield from _waiting(counts, someone_lives=bool(living))
    last = app.orchestrator.last_service_execution()
    if last:
        yield Check("services", "ok", f"last carried out by {last.get('runner_id')} at {clock(float(str(last.get('end'))))} UTC")


def _runner(beat: RunnerBeat, now: float) -> str:
    return f"{beat.runner_id} lives, heard of {max(0.0, now - beat.last_at):.1f} s ago"


def _waiting(counts: Mapping[Status, int], *, someone_lives: bool) -> Iterator[Check]:
    claimable = sum(count for status, count in counts.items() if status in CLAIMABLE)
    text = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none is stored"
    nobody = "; nobody is there to run what waits: pynenc runner start" if claimable and not someone_lives else ""
    yield Check("invocations", "wrong" if nobody else "ok", f"{text}; {claimable} may be claimed{nobody}")
    if counts.get(Status.PARKED):
        yield Check(
            "parked", "wrong", f"{counts[Status.PARKED]} wait for a runner that knows their task: `pynenc invocation list --status parked`"
        )
    if counts.get(Status.QUARANTINED):
        told = "crashed their runner too often or cannot be decoded"
        yield Check("quarantined", "note", f"{counts[Status.QUARANTINED]} {told}: `pynenc invocation list --status quarantined`")
    between = sum(counts.get(status, 0) for status in _BETWEEN)
    if between:
        yield Check(
            "between steps",
            "wrong",
            f"{between} were left between two steps by whoever moved them; the next sweep of a runner moves them on",
        )
