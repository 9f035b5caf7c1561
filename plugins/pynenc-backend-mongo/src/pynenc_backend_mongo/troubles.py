"""What the driver raises, as the errors of the ports: each names the store without secrets, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pymongo import errors as driver

from pynenc_core.errors.backends import BackendError, BackendUnavailableError

_OLD = "the server is older than MongoDB 4.4"
_LOGIN = "give user and password in the URL: mongodb://user:password@host/database"
_CODES: tuple[tuple[frozenset[int], str, str], ...] = (
    (frozenset({18, 11, 334, 8000}), "user or password are not accepted", "check them in the URL, and `authSource`"),
    (frozenset({13}), "this user may not do that", "give it the role readWrite on the database"),
    (frozenset({10107, 13435, 11602, 189, 91}), "the server may not be written at present", "it goes on by itself once there is a primary"),
    (frozenset({14031, 12501}), "the server's disk is full", "nothing was written; it goes on by itself once there is space again"),
    (frozenset({146, 39}), "the server is out of memory", "nothing was written; it goes on by itself once there is memory again"),
    (frozenset({64, 100, 79}), "the write concern cannot be met", "see that enough members of the replica set are up"),
    (frozenset({50, 262}), "the server did not answer in time", "look at its load; `reply_timeout_sec` is how long it may take"),
)
_TELLING = (
    ("requires authentication", "it asks for user and password", _LOGIN),
    ("reports wire version", _OLD, "upgrade it"),
    ("mismatch, certificate is not valid", "its certificate is made out to another name", "name it in the URL as that does"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted", "name who signed it in the URL: tlsCAFile=file.pem"),
    ("SSL handshake failed", "TLS could not be agreed on", "look whether this port speaks TLS; without it leave tls out of the URL"),
    ("No replica set members", "the servers named are not of that replica set", "check `replicaSet` in the URL"),
    ("when a host is not replicated", "the write concern cannot be met by one server alone", "leave `w` out of the URL"),
)
_LONGEST = 250


def too_old(store: str) -> BackendUnavailableError:
    """Return the error for a server whose version is not enough."""
    return BackendUnavailableError(store, _OLD, "upgrade it")


def translated(error: Exception, store: str) -> BackendError:
    """Return the error of the ports that stands for what the driver raised."""
    if isinstance(error, BackendError):
        return error
    said, code = _short(error), _code(error)
    for telling, problem, remedy in _TELLING:
        if telling in str(error):
            return BackendUnavailableError(store, f"{problem} ({said})", remedy)
    for codes, problem, remedy in _CODES:
        if code in codes:
            return BackendUnavailableError(store, f"{problem} ({said})", remedy)
    if isinstance(error, driver.ServerSelectionTimeoutError):
        problem, remedy = f"no server answers that can be written to ({said})", "check host and port, and that it runs"
    elif isinstance(error, (driver.ConfigurationError, driver.InvalidURI, ValueError)):
        problem, remedy = f"its URL or options cannot be used ({said})", "see the options of mongodb:// URLs"
    elif isinstance(error, (driver.NetworkTimeout, driver.WTimeoutError)):
        problem, remedy = f"it does not answer ({said})", "see whether it runs, and the network to it"
    elif isinstance(error, driver.ConnectionFailure):
        problem, remedy = f"the connection broke ({said})", "see whether it runs"
    elif isinstance(error, driver.PyMongoError):
        problem, remedy = f"it refuses a command ({said})", "look at its log"
    else:  # the driver stumbled over a reply
        problem, remedy = f"what answers there does not speak MongoDB's protocol ({type(error).__name__})", "look at host and port"
    return BackendUnavailableError(store, problem, remedy)


def _code(error: Exception) -> int | None:
    """Return the server's code; "not primary" keeps it in what is a mapping as a rule."""
    code: int | None = getattr(error, "code", None)
    details: object = getattr(error, "details", None)
    return code or (cast("Mapping[str, int]", details).get("code") if isinstance(details, Mapping) else None)


def _short(error: Exception) -> str:
    """Return the driver's words, without what it appends for developers; nothing where they could repeat a part of the URL."""
    said = str(error)
    for appended in (", full error", ", Timeout:", " (configured timeouts"):
        said = said.partition(appended)[0]
    return type(error).__name__ if "@" in said else said[:_LONGEST]
