"""The root of every error of this project."""

from __future__ import annotations

import attrs


class PynencError(Exception):
    """Something this framework refuses or reports; each subclass builds its message from its own plain fields.

    Subclasses are `attrs.define(eq=False)` classes whose fields are str, int, float, bool, None or tuples of them, so
    that an error can be stored as data and rebuilt by name, in another process, with the same message.
    """

    def fields(self) -> dict[str, object]:
        """Return the plain fields this error was built from, by name."""
        kind: type = type(self)
        return {field.name: getattr(self, field.name) for field in attrs.fields(kind)} if attrs.has(kind) else {}
