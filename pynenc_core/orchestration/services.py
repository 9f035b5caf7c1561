"""The background duties of an app, done by one runner at a time: a leased role, on which no safety depends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Lease
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.heartbeat import Heartbeat
from pynenc_core.ports.absence import Absence

ROLE = "services"
_EXECUTIONS = "service_execution"
_PURGE_RESTS = 11  # turns that purging leaves out after one in which there was nothing
_RENEW_WITH = 2 / 3  # of the role's lease left


class Service(Protocol):
    """One background duty."""

    def turn(self, now: float) -> int:
        """Do what is due at the store's time `now`; return how many things were done."""
        ...


class Purging:
    """Removes final invocations when nobody may want them any more."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rests = 0

    def turn(self, now: float) -> int:
        """Remove up to a thousand final invocations older than `auto_final_invocation_purge_hours`.

        Where there were none it rests for some turns: nobody waits for it, and a sweep may be several calls to the store.
        """
        hours = self._engine.orchestrator_settings.auto_final_invocation_purge_hours
        if hours <= 0 or self._rests:
            self._rests = max(0, self._rests - 1)
            return 0
        gone = self._engine.state.sweep(now - hours * 3600).invocations
        self._rests = 0 if gone else _PURGE_RESTS
        return gone


class ServiceRole:
    """Takes the role when nobody has it, and then gives each service its turn."""

    def __init__(self, engine: Engine, runner_id: str, heartbeat: Heartbeat, services: dict[str, Service]) -> None:
        self._engine = engine
        self._runner_id = runner_id
        self._heartbeat = heartbeat
        self._services = services
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._lease: Lease | None = None
        name = "the background services"
        self._absence = Absence(engine.logger, f"{name} wait for the store", f"{name} can use the store again")
        self._last_turn: float | None = None

    @property
    def interval(self) -> float:
        """Seconds between two turns."""
        return self._engine.orchestrator_settings.atomic_service_check_interval_minutes * 60

    def start(self) -> None:
        """Look after the role from a thread of its own."""
        self._thread = threading.Thread(target=self._serve_on, name="pynenc-services", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the role back; tolerant of being called twice."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self.interval)
        if self._lease is not None:
            self._lease = None
            with suppress(BackendUnavailableError):  # it ends by itself, then
                self._engine.state.drop_lease(ROLE, self._runner_id)

    def turn(self) -> int:
        """Take or renew the role and, having it, serve; return how many things were done.

        A runner that was not itself in contact with the store for one lease judges nobody: after an outage everybody
        seems dead, and nobody may be.
        """
        self._last_turn = self._engine.clock.monotonic()
        had = self._lease
        if had is None or had.until - self._engine.state.now() < self._engine.lease * _RENEW_WITH:
            self._lease = self._engine.state.take_lease(ROLE, self._runner_id, self._engine.lease)
        if self._lease is None:
            return 0
        if had is None:
            self._engine.logger.info("runner %s carries out the background services", self._runner_id)
        if self._heartbeat.uninterrupted_for() < self._engine.lease:
            return 0
        return sum(self._serve(name, service) for name, service in self._services.items())

    def turn_if_due(self) -> int:
        """Do as `turn`, unless the last one was less than an interval ago; 0 then."""
        last, clock = self._last_turn, self._engine.clock
        return 0 if last is not None and clock.monotonic() - last < self.interval else self.turn()

    def _serve(self, name: str, service: Service) -> int:
        began = self._engine.state.now()
        try:
            done = service.turn(began)
        except BackendUnavailableError:
            raise
        except Exception:
            self._engine.logger.exception("service %s failed in this turn; it gets another one", name)
            return 0
        if done:
            self._engine.logger.info("service %s moved on %d", name, done)
            record_execution(self._engine, self._runner_id, began, self._engine.state.now(), name)
        return done

    def _serve_on(self) -> None:
        while not self._ended.wait(self.interval):
            try:
                self.turn()
            except BackendUnavailableError as error:
                self._absence.note(error)
            except Exception:
                self._engine.logger.exception("the background services had an error; they go on")
            else:
                self._absence.over()


def record_execution(engine: Engine, runner_id: str, start: float, end: float, name: str = ROLE) -> None:
    """Note the latest execution of a service: by whom, and from when to when (the store's clock)."""
    engine.state.put_value(_EXECUTIONS, name, msgspec.json.encode({"runner_id": runner_id, "start": start, "end": end}))


class RunnerDuties:
    """What a runner does besides running: its heartbeats, and the services while it has the role."""

    def __init__(self, heartbeat: Heartbeat, role: ServiceRole, forget: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._role = role
        self._forget = forget

    @property
    def may_claim(self) -> bool:
        """False while this runner could not renew its lease."""
        return self._heartbeat.alive_for_sure()

    @property
    def beating(self) -> bool:
        """Whether heartbeats go on, whatever the store says to them."""
        return self._heartbeat.goes_on

    @property
    def beaten_at(self) -> float:
        """When the latest heartbeat that the store answered was given, on the monotonic clock; 0 before the first one."""
        return self._heartbeat.last_beat or 0.0

    def start(self) -> None:
        """Give the first heartbeat, then go on in threads."""
        self._heartbeat.start()
        self._role.start()

    def stop(self) -> None:
        """End the threads and forget the runner; tolerant of being called twice."""
        self._heartbeat.stop()
        self._role.stop()
        self._forget()

    def beat_now(self) -> None:
        """Give a heartbeat at once."""
        self._heartbeat.turn()

    def check_services(self) -> None:
        """Carry out the services now, if they are due."""
        self._role.turn_if_due()

    def stand_down(self) -> None:
        """Give the services up; the heartbeats go on until `stop`."""
        self._role.stop()
