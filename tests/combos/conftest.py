"""What one pair alone cannot show is not collected in a run about it, and so never skipped."""

from __future__ import annotations

from combos.places import PAIR, PLACES

OF_SOME_PAIRS: dict[str, set[str | None]] = {
    "test_redis_places.py": {None, "persistent-process-over-redis"},
    "test_redis_troubles.py": {None, "persistent-process-over-redis"},
    "test_refused.py": {None},
    "test_split_crashes.py": {None},
    "test_split_pairs.py": {None},
}
"""The pairs for which a module is collected; None is a run about all. What is not named here asks the same of every pair."""
OF_OTHER_PROCESSES = ("test_idle.py",)

collect_ignore = [name for name, pairs in OF_SOME_PAIRS.items() if PAIR not in pairs]
collect_ignore += [name for name in OF_OTHER_PROCESSES if not any(place.crosses_processes for place in PLACES.values())]
