"""Where the database is: from a URL to what the driver is given, and to the name that errors show."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import attrs
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.ports.runtime import StoreView

DEFAULT_URL = "mongodb://localhost/pynenc"


@attrs.frozen
class Place:
    """A database of a server, and one app in it."""

    url: str = attrs.field(repr=False)
    store: str
    """How errors name it, without user and password."""
    database: str
    prefix: str
    """Begins the name of each of the app's collections."""
    given: frozenset[str]
    """The options that the URL gives, in lower case."""
    write_concern: str
    """What the URL gives as `w`, or empty."""


_FORM = "write it as mongodb://user:password@host:port/database?options"


def locate(app: StoreView, part: str) -> Place:
    """Return where an app stores. Raises BackendUnavailableError for a URL that cannot be used."""
    url = app.store_url(part) or DEFAULT_URL
    store = f"MongoDB store {_shown(url)}"
    hosts, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    if not hosts:  # older drivers take the path for a host
        raise BackendUnavailableError(store, "its URL names no host", _FORM)
    try:
        # A name of the form mongodb+srv:// is looked up when the driver connects, not here.
        parsed: dict[str, Any] = dict(parse_uri(url)) if url.startswith("mongodb://") else {}
    except (PyMongoError, ValueError) as error:
        raise BackendUnavailableError(store, _problem(error), _FORM) from None
    name = str(parsed.get("database") or path or "pynenc")
    if "." in name or parsed.get("collection"):
        problem = f"{path!r} names a collection"
        raise BackendUnavailableError(store, problem, "name a database only")
    options = {name.lower(): value for name, _, value in (each.partition("=") for each in url.partition("?")[2].split("&"))}
    readable = re.sub(r"[^A-Za-z0-9]", "_", app.app_id)[:24]
    digest = hashlib.blake2b(app.app_id.encode(), digest_size=5).hexdigest()
    return Place(url, store, name, f"pynenc_{readable}_{digest}", frozenset(options), options.get("w", ""))


def _shown(url: str) -> str:
    scheme, _, rest = url.partition("://")
    try:
        hosts = urlsplit(f"x://{rest}").netloc.rpartition("@")[2]
    except ValueError:
        return f"{scheme}://"
    path = rest.partition("?")[0].rpartition("@")[2].partition("/")[2]
    return f"{scheme}://{hosts}/{path or 'pynenc'}"


def _problem(error: Exception) -> str:
    """Return what is wrong with a URL: in the driver's words, unless they could repeat a part of it."""
    said = str(error)
    return said if "@" not in said and len(said) < 200 else f"its URL is not valid ({type(error).__name__})"
