"""What redis-py raises, as the errors of the ports: each names the server without secrets, and what to do."""

from __future__ import annotations

import re

from redis import exceptions as redis

from pynenc_core.errors.backends import BackendError, BackendUnavailableError, StoreCorruptError
from pynenc_core.redaction import redact_text

_LOGIN = "give user and password in the URL: redis://user:password@host"
_RIGHTS = "ACL SETUSER user ~{pynenc:* &{pynenc:* +@all -@admin"
_CLUSTER = "name it as redis+cluster://, which asks the node that keeps this app"
_FORBIDDEN = ("NOPERM", "no permissions", "The user executing the script can't")
_SCRIPT = re.compile(r",? script: [0-9a-f]{40}, on @user_script:\d+\.?")
_REPLIES = (redis.ResponseError, redis.AuthenticationError, redis.BusyLoadingError)
_FULL = "max number of clients"  # the one reply that redis-py takes for the failure of a connection
_SOCKET = "Redis server unix://"
_OVER_TLS = "Redis server rediss://"
_NO_SENTINEL = "name the port of a sentinel, 26379 as a rule, or the server itself as redis://"
_TLS = (
    ("mismatch, certificate is not valid", "its certificate is made out to another name", "name it in the URL as that does"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted", "name who signed it in the URL: ?ssl_ca_certs=file.pem"),
    ("X509", "its authority cannot be read", "name a file of certificates in the URL: ?ssl_ca_certs=file.pem"),
    ("SSL", "TLS could not be agreed on", "look whether this port speaks TLS; one that does not is named as redis://"),
)
_NO_TLS = "see whether it runs; a port that does not speak TLS does not answer either, and is named as redis://"
# of a reply: a code that it begins with, or in Redis 6 the error of a script goes on with; or, in lower case, words within it
_TELLING = (
    ("invalid username-password", "it refuses this user or password", _LOGIN),
    ("invalid password", "it refuses this password", _LOGIN),
    ("without any password configured", "a password was given, and it has none", "leave the password out of the URL"),
    ("NOAUTH", "it asks for a password", _LOGIN),
    ("Authentication required", "it asks for a password", _LOGIN),
    ("unauthenticated", "it asks for a password", _LOGIN),
    ("READONLY", "it is a read-only replica", "name the primary, or redis+sentinel:// with the name of the service"),
    ("read only replica", "it is a read-only replica", "name the primary, or redis+sentinel:// with the name of the service"),
    ("MASTERDOWN", "it is a replica without its primary", "wait for the primary, or name it"),
    ("Link with MASTER is down", "it is a replica without its primary", "wait for the primary, or name it"),
    ("NOREPLICAS", "too few of its replicas are there to accept a write", "bring them back, or lower min-replicas-to-write"),
    ("MISCONF", "it cannot save to its disk and refuses to write", "look at its log; give it disk space"),
    ("maxmemory", "its memory is full (maxmemory)", "raise maxmemory, or keep results for a shorter time"),
    ("loading the dataset", "it is loading its data", "wait"),
    ("BUSY", "a script holds it up", "wait, or end the script with SCRIPT KILL"),
    ("MOVED", "it is one node of a cluster", _CLUSTER),
    ("CROSSSLOT", "it is one node of a cluster", _CLUSTER),
    ("CLUSTERDOWN", "its cluster is not complete", "look at CLUSTER INFO, and wait"),
    ("TRYAGAIN", "its cluster is moving this app's keys", "wait"),
    ("cluster support disabled", "it is no cluster", "name it as redis:// or rediss://"),
    ("command 'SENTINEL'", "it is no sentinel", _NO_SENTINEL),
    ("command `SENTINEL`", "it is no sentinel", _NO_SENTINEL),
    (_FULL, "it accepts no more clients", "raise maxclients, or run fewer processes"),
    ("DB index is out of range", "it has no database of that number", "name another one in the URL"),
    ("unknown command", "it lacks a command that is needed", "use Redis 6.2 or newer, or Valkey"),
)


def translated(error: BaseException, server: str) -> BackendError:
    """Return the error of the ports that stands for what redis-py, or the system, raised."""
    text = redact_text(f"{error}") or type(error).__name__
    if isinstance(error, BackendError):
        return error
    text = _SCRIPT.sub("", text)  # of use to nobody
    replied = isinstance(error, _REPLIES) or text.startswith(_FULL)  # the text of any other error may hold a path of any name
    known = _of_reply(error, text, server) if replied else None
    return known or BackendUnavailableError(server, *_of_connection(error, text, server))


def _of_reply(error: BaseException, text: str, server: str) -> BackendError | None:
    """Return what is known to stand for a reply that is an error."""
    if isinstance(error, redis.NoPermissionError) or any(each in text for each in _FORBIDDEN):
        return BackendUnavailableError(server, f"this user may not do what is needed ({text})", f"allow it: {_RIGHTS}")
    if "WRONGTYPE" in text or "wrong kind of value" in text:
        return StoreCorruptError(server, "a key of this app has another type: something else writes there")
    if isinstance(error, redis.MovedError | redis.AskError):
        text = f"MOVED {text}"
    for telling, problem, remedy in _TELLING:
        if re.search(rf"(?:^|: -){telling}\b", text) if telling.isupper() else telling in text:
            return BackendUnavailableError(server, problem, remedy)
    return None


def _of_connection(error: BaseException, text: str, server: str) -> tuple[str, str]:
    """Return problem and remedy where the server said nothing that is known."""
    for telling, problem, remedy in _TLS:
        if telling in text and not server.startswith(_SOCKET):
            return f"{problem} ({text})", remedy
    remedy = _NO_TLS if server.startswith(_OVER_TLS) else "see whether it runs, and look at host, port and TLS in the URL"
    if isinstance(error, redis.TimeoutError | TimeoutError):
        problem = f"it does not answer ({text})"
    elif isinstance(error, redis.InvalidResponse):
        problem, remedy = "what answers there does not speak Redis's protocol", "look at the port, and at rediss:// for TLS"
    elif isinstance(error, redis.ResponseError):
        problem, remedy = f"it refuses a command ({text})", "look at its log"
    else:
        problem = f"the connection failed ({text})"
    return problem, remedy
