"""Hides passwords and other secrets in what is printed, logged or put into an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

HIDDEN = "***"

# compiled when first used, by re's own cache: every process imports this, few redact anything
_TELLING_WORD = r"(?i)pass|pwd|secret|token|credential|api_?key|access_?key|signing_?key|private_?key"
_HOSTS = r"|(([^:@,\[\]]+|\[[^\]]*\])(:\d*)?)(,([^:@,\[\]]+|\[[^\]]*\])(:\d*)?)*"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_URL = r"[A-Za-z][A-Za-z0-9+.-]*://\S+"


def redact_url(url: str) -> str:
    """Return a URL with its password, and the values of query parameters that sound like secrets, replaced by `***`.

    Doubtful cases hide more rather than less: with an unquoted "@" or "/" in the password everything up to the last
    "@" is hidden, and so are options and fragments with an "@", which an unquoted "?" or "#" may have cut off a
    password. Text without "://" comes back as it is.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or (rest.startswith("/") and not {"@", "?", "#"}.intersection(rest)):  # a plain path: no host, nothing after it
        return url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    if "@" in path or ("@" in rest and not re.fullmatch(_HOSTS, authority)):
        userinfo, _, tail = rest.rpartition("@")
        user, colon, _ = userinfo.partition(":")
        rest = f"{user}{colon and ':' + HIDDEN}@{tail}"
    elif not re.fullmatch(_HOSTS, authority):
        rest = authority.partition(":")[0] + ":" + HIDDEN
    rest, mark_fragment, fragment = rest.partition("#")
    before, mark_query, query = rest.partition("?")
    if mark_query:
        rest = f"{before}?{re.sub(r'[^&;#]+', _redact_parameter, query)}"
    return f"{scheme}://{rest}{mark_fragment}{HIDDEN if '@' in fragment else fragment}"


def redact_text(text: str) -> str:
    """Return free text with every URL in it redacted."""
    return re.sub(_URL, lambda found: redact_url(found.group()), text)


def redacted(value: object, *, secret: bool = False) -> object:
    """Return a setting's value as it may be shown: hidden when `secret` and not empty, its URLs redacted otherwise."""
    if secret:
        return HIDDEN if value not in (None, "", b"", ()) else value
    if isinstance(value, str):
        return redact_url(value) if re.match(_SCHEME, value) else redact_text(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return {key: redacted(each, secret=bool(re.search(_TELLING_WORD, str(key)))) for key, each in pairs.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(each) for each in cast("Iterable[object]", value)]
    return value


def _redact_parameter(found: re.Match[str]) -> str:
    name, equals, value = found.group().partition("=")
    if "@" in found.group():  # behind it may stand the host, and all before it may be a password with an unquoted "?"
        return f"{name}={HIDDEN}" if equals and "@" not in name else HIDDEN
    return f"{name}={HIDDEN}" if equals and re.search(_TELLING_WORD, f"{name}={value}") else found.group()
