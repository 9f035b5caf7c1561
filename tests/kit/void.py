"""A backend that does nothing at all: a contract test that it passes tests nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from pynenc_core.model import ClaimReply, SettleReply, Submitted, Swapped, Swept
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_testkit.stores import KitApp, Store, verbs_of


class VoidWatch:
    """Nothing ever ends."""

    def wait(self, timeout: float | None) -> frozenset[str]:
        del timeout
        return frozenset()

    def close(self) -> None:
        pass


EMPTY: dict[str, Any] = {
    "add_batch": Submitted(()),
    "get": {},
    "swap": Swapped(),
    "acquire": ClaimReply(),
    "mark": (),
    "find": (),
    "count": {},
    "history": {},
    "history_between": (),
    "get_blobs": {},
    "watch": VoidWatch(),
    "sweep": Swept(),
    "now": 0.0,
    "put_value": False,
    "get_values": {},
    "list_values": (),
    "drop_values": 0,
    "beat": (),
    "beats": (),
    "holders": {},
    "submit": Submitted(()),
    "claim": ClaimReply(),
    "settle": SettleReply(),
    "await_work": False,
    "republish": 0,
    "depth": 0,
    "take": (),
    "oldest": None,
    "size": 0,
}
"""What each verb returns; all others return None."""


def void(port: type) -> type[Any]:
    """Return a class that implements every verb of a port, and does nothing in any."""

    def verb(name: str) -> Any:
        return lambda *_args, **_kwargs: EMPTY.get(name)

    body = {name: verb(name) for name in getattr(port, "__abstractmethods__", ())}
    return type(f"Void{port.__name__}", (port,), {**body, "name": "void", "__module__": __name__})


VoidStateBackend, VoidDispatcher, VoidBroker = void(BaseStateBackend), void(Dispatcher), void(BaseBroker)


class VoidRaw:
    """There is nothing to see."""

    def dump(self) -> object:
        return None

    def set_format(self, number: int) -> None:
        del number


class VoidSubject:
    """What the contracts are given."""

    url: ClassVar[str] = "void://"
    chokes: ClassVar[tuple[str, ...]] = verbs_of("kit.void:VoidStateBackend", "kit.void:VoidDispatcher")

    def open_store(self, app: KitApp) -> Store:
        return Store(app, VoidBroker(app), VoidStateBackend(app), VoidDispatcher())
