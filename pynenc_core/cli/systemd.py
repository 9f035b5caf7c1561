"""Tells systemd how a runner fares, by datagrams to the socket that it names in NOTIFY_SOCKET (`Type=notify`)."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import MutableMapping
from typing import Self

from pynenc_core.cli.health import Health
from pynenc_core.plugins import hookimpl

VARIABLE = "NOTIFY_SOCKET"

_AT_MOST = 1.0  # seconds for which a full socket may hold up who sends
_FAREWELL = 0.5


class Systemd:
    """Says READY, WATCHDOG and STOPPING while the block runs; a plugin of the app, so that it hears of the start."""

    def __init__(self, health: Health, environ: MutableMapping[str, str], logger: logging.Logger) -> None:
        """Take what systemd says out of `environ`: what tasks start in processes of their own does not speak for this service."""
        name = environ.pop(VARIABLE)
        self._address = f"\0{name[1:]}" if name.startswith("@") else name  # in the abstract namespace: no file
        self._watchdog = _watchdog_seconds(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        self._health = health
        self._logger = logger
        self._silent = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Say nothing yet: the runner has not started."""
        return self

    @hookimpl
    def pynenc_runner_started(self, runner: object) -> None:
        """Say that the service is ready, and go on from a thread."""
        if runner is not self._health.runner:
            return
        slots, app = self._health.runner.max_parallel_slots, self._health.runner.app
        self._say("READY=1", f"STATUS=app {app.app_id} runs with the {self._health.runner_name} runner, slots: {slots}")
        self._thread = threading.Thread(target=self._go_on, name="pynenc-systemd", daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """End the thread; the socket is systemd's."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_FAREWELL)

    def _go_on(self) -> None:
        while not self._health.runner.stopping.wait(self._watchdog):
            self._pat()
        self._say("STOPPING=1", "STATUS=stopping: what runs may end, the rest is handed back")
        while self._watchdog is not None and not self._ended.wait(self._watchdog):
            self._pat()

    def _pat(self) -> None:
        if self._health.live:
            self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(_AT_MOST)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._silent:
                self._logger.warning("systemd cannot be told %s: %s", lines[0], error)
            self._silent = True


def _watchdog_seconds(microseconds: str, pid: str) -> float | None:
    """Return after how many seconds to speak again: half of what the watchdog bears; None where there is none, or it is not for us."""
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6 / 2
