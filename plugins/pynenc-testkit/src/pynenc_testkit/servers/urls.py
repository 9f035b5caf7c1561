"""URLs of servers, which may come from the environment with a path and options of their own."""

from __future__ import annotations


def extended(url: str, more: str) -> str:
    """Return a server's URL with a database, options, or both, given as `/database?name=value`.

    A database that the URL has gives way to a given one, as do options to given ones of the same name; the others stay.
    """
    base, _, there = url.partition("?")
    path, _, given = more.partition("?")
    if path:
        scheme, _, rest = base.partition("://")
        base = f"{scheme}://{rest.partition('/')[0]}{path}"
    replaced = {_name(option) for option in given.split("&")}
    options = [option for option in there.split("&") if option and _name(option) not in replaced]
    options += [given] if given else []
    return "?".join([base, "&".join(options)]) if options else base


def _name(option: str) -> str:
    """Return an option's name as it is compared: MongoDB's are the same in upper and lower case."""
    return option.partition("=")[0].lower()
