"""A mapping that all processes of one runner start share, kept in the store."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import msgspec

from pynenc_core.orchestration.engine import Engine

_KIND = "runner_cache"
_LIFE = 24 * 3600.0  # seconds since it was last written: a runner that was killed cannot tidy up
_PAGE = 500


class SharedCache(MutableMapping[str, object]):
    """Keys are str, values whatever JSON gives back equal. Each access is a call to the store."""

    def __init__(self, engine: Engine, runner_id: str) -> None:
        self._state = engine.state
        self._prefix = f"{runner_id}/"

    def __getitem__(self, key: str) -> object:
        found = self._state.get_values(_KIND, [self._prefix + key]).get(self._prefix + key)
        if found is None:
            raise KeyError(key)
        return msgspec.json.decode(found)

    def __setitem__(self, key: str, value: object) -> None:
        self._state.put_value(_KIND, self._prefix + key, msgspec.json.encode(value), ttl=_LIFE)

    def __delitem__(self, key: str) -> None:
        if not self._state.drop_values(_KIND, [self._prefix + key]):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        after = ""
        while page := self._state.list_values(_KIND, prefix=self._prefix, after=after, limit=_PAGE):
            yield from (key.removeprefix(self._prefix) for key, _ in page)
            after = page[-1][0]

    def __len__(self) -> int:
        return sum(1 for _ in self)
