"""Every runner over every backend that it can work with, and over a queue and records that share no store: the main path."""

from __future__ import annotations

from combos.places import PLACES, RUNNERS, Place, works
from pynenc_testkit.contracts import ComboContract

SLOTS = {"inline": 1}
"""How many invocations a runner can run at once, where that cannot be set."""


def contract(runner: str, place: Place) -> type:
    """Return the contract of one pair."""
    name = "Test" + f"{runner}-over-{place.name}".title().replace("-", "").replace("+", "And")
    where = {"url": place.url, "beside": place.beside, "crosses_processes": place.crosses_processes}
    return type(name, (ComboContract,), {"runner": runner, "slots": SLOTS.get(runner, 2), **where, "__module__": __name__})


CONTRACTS = [contract(runner, place) for runner in RUNNERS for place in PLACES.values() if works(runner, place)]
globals().update({found.__name__: found for found in CONTRACTS})
