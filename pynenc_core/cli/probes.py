"""The small HTTP server behind `--health-port`: `/live`, `/ready` and `/metrics`, for the host's own probes."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Self, cast

import msgspec

from pynenc_core.cli.health import Health
from pynenc_core.errors.cli import HealthPortError

_SLOW: float | None = 5.0  # seconds a client may take to ask
_FAREWELL = 0.5  # seconds for which the server's own thread may hold up the end
_JSON = "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer:
    """Answers while the block runs, on threads of its own that nothing waits for."""

    def __init__(self, health: Health, host: str, port: int, logger: logging.Logger) -> None:
        """Open the port, 0 for any that is free. Raises HealthPortError."""
        self._logger = logger
        try:
            self._server = _Server(host, port, health, logger)
        except (OSError, OverflowError) as error:
            raise HealthPortError(host, port, getattr(error, "strerror", None) or str(error)) from error
        self.port: int = self._server.server_address[1]
        """The port that it has."""
        shown = f"[{host}]" if ":" in host else host
        self._url = f"http://{shown}:{self.port}"
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="pynenc-health", daemon=True)

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        self._logger.info("health is told on %s: /live, /ready, /metrics", self._url)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self._closing = True
        with contextlib.suppress(OSError):  # macOS: it is not connected, so the thread goes with the process
            self._server.socket.shutdown(socket.SHUT_RDWR)  # ends the wait for a client
        self._thread.join(_FAREWELL)
        self._server.server_close()

    def _serve(self) -> None:
        # Not serve_forever, which looks several times a second whether it shall end.
        while not self._closing:
            self._server.handle_request()


class _Server(ThreadingTCPServer):
    """As http.server's own, without its look-up of this host's name, which may take seconds."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, health: Health, logger: logging.Logger) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.health = health
        self.logger = logger
        super().__init__((host, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in the log of a failed answer; a client that leaves early is the usual reason."""
        del request
        self.logger.debug("a health probe from %s failed", client_address, exc_info=sys.exc_info())


class _Handler(BaseHTTPRequestHandler):
    server_version = "pynenc"
    sys_version = ""
    timeout = _SLOW

    @property
    def _home(self) -> _Server:
        return cast("_Server", self.server)

    def do_GET(self) -> None:
        health = self._home.health
        match self.path.partition("?")[0]:
            case "/live":
                live = health.live
                said = {"live": live, "phase": health.phase, **({} if live else {"reason": "the heartbeats have ended"})}
                self._answer(HTTPStatus.OK if live else HTTPStatus.SERVICE_UNAVAILABLE, said)
            case "/ready":
                reason = health.why_not_ready()
                ages = {"poll_age_seconds": health.poll_age, "heartbeat_age_seconds": health.beat_age}
                said = {"ready": not reason, "phase": health.phase, **({"reason": reason} if reason else {})}
                said |= {name: round(age, 3) for name, age in ages.items() if age is not None}
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK, said)
            case "/metrics":
                self._send(HTTPStatus.OK, _PROMETHEUS, health.metrics().encode())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "there are /live, /ready and /metrics"})

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON what the library would answer in HTML; it knows no method that has no function here."""
        del explain
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET is answered"}, Allow="GET")
        else:
            self._answer(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def _answer(self, status: HTTPStatus, said: dict[str, Any], **headers: str) -> None:
        self._send(status, _JSON, msgspec.json.encode(said) + b"\n", **headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log a request among what only a debugging operator wants to see: probes come every few seconds."""
        self._home.logger.debug("health probe: %s", format % args)
