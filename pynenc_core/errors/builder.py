"""What may go wrong while an app is put together by calls."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


class UnknownBuilderMethodError(PynencError, AttributeError):
    """The builder has no such method, and no installed plugin brings it."""

    method: str
    known: tuple[str, ...]
    near: str = ""
    """What may have been meant."""
    install: str = ""
    """The distribution that would bring it, by the naming rule; empty where the name cannot be part of one."""
    broken: tuple[str, ...] = ()
    """What is wrong with each plugin that could not be loaded: one of them may be the one that was meant."""

    def __str__(self) -> str:
        text = f"PynencBuilder has no method {self.method!r}"
        text += f"; did you mean {self.near!r}?" if self.near else f"; methods of installed plugins: {', '.join(self.known) or 'none'}"
        if self.install:
            text += f"{' If not:' if self.near else ';'} pip install {self.install}"
        return text + "".join(f"\nnote: {note}" for note in self.broken)
