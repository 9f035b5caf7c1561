"""Where the database is: from a URL to what the driver is given, and to the name that errors show."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import attrs
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from pynenc_backend_mongo.settings import MongoSettings
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_core.ports.runtime import StoreView
from pynenc_core.redaction import redact_url

_LONGEST = 200


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
    selection_sec: float
    """What the URL gives as `serverSelectionTimeoutMS`, in seconds, or 0."""


_FORM = "write it as mongodb://user:password@host:port/database?options"


def locate(app: StoreView, part: str) -> Place:
    """Return where an app stores. Raises InvalidSettingError for a URL that cannot be used."""
    url = app.store_url(part) or app.section(MongoSettings).url
    shown = _shown(url)
    store = f"MongoDB store {shown}"
    hosts, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    if not hosts:  # older drivers take the path for a host
        problem = f"it names no host; {_FORM}"
        raise InvalidSettingError("mongo", "url", problem, shown)
    try:
        # A name of the form mongodb+srv:// is looked up when the driver connects, not here.
        parsed: dict[str, Any] = dict(parse_uri(url)) if url.startswith("mongodb://") else {}
    except (PyMongoError, ValueError, OSError) as error:  # the last for a file that it names and that is not there
        raise InvalidSettingError("mongo", "url", _problem(error), shown) from None
    name = str(parsed.get("database") or path or "pynenc")
    if "." in name or parsed.get("collection"):
        problem = _FORM if "@" in path else f"{path!r} names a collection; name a database only"  # or a part of a password
        raise InvalidSettingError("mongo", "url", problem, shown)
    options = {name.lower(): value for name, _, value in (each.partition("=") for each in url.partition("?")[2].split("&"))}
    readable = re.sub(r"[^A-Za-z0-9]", "_", app.app_id)[:24]
    if options.get("readpreference", "primary").lower() != "primary":
        problem = "readPreference must be primary: another member does not know yet what was written last"
        raise InvalidSettingError("mongo", "url", problem, shown)
    digest = hashlib.blake2b(app.app_id.encode(), digest_size=5).hexdigest()
    selection_ms = options.get("serverselectiontimeoutms", "")
    selection = float(selection_ms) / 1000 if re.fullmatch(r"\d+\.?\d*(e\d+)?", selection_ms) else 0.0  # the driver refuses the rest
    return Place(url, store, name, f"pynenc_{readable}_{digest}", frozenset(options), options.get("w", ""), selection)


def _shown(url: str) -> str:
    """Return scheme, hosts and database: what a password with an unquoted character may have spilled into is hidden first."""
    scheme, _, rest = redact_url(url).partition("://")
    hosts, _, path = rest.rpartition("@")[2].partition("?")[0].partition("/")
    return f"{scheme}://{hosts}/{path or 'pynenc'}"


def _problem(error: Exception) -> str:
    """Return what is wrong with a URL: in the driver's words, unless they could repeat a part of it."""
    said = str(error)
    known = "@" not in said and len(said) < _LONGEST
    return f"{said if known else type(error).__name__}; {_FORM}"
