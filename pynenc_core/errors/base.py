"""The root of every error of this project."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(eq_default=False)
class PynencError(Exception):
    """Something this framework refuses or reports; each subclass builds its message from its own plain fields.

    A subclass annotates its fields (str, int, float, bool, None or tuples of them), in the order in which they may be
    given, and makes its message of them in `__str__`; so an error can be stored as data and rebuilt by name, in another
    process, with the same message. Not attrs: that compiles methods for each class, and this package is imported by
    every process that starts, for errors it will never see (100 ms for all of them, against 2).
    """

    _field_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Read the fields of a new subclass."""
        super().__init_subclass__(**options)
        own = (name for name, kind in vars(cls).get("__annotations__", {}).items() if not str(kind).startswith("ClassVar"))
        cls._field_names = (*cls._field_names, *(name for name in own if name not in cls._field_names))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = self._field_names
        if not names:  # a plain exception, as somebody else may derive one
            super().__init__(*args, **kwargs)
            return
        given = dict(zip(names, args, strict=False))
        missing = [name for name in names if name not in given and name not in kwargs and not hasattr(type(self), name)]
        if len(args) > len(names) or missing or not kwargs.keys() <= set(names) - given.keys():
            problem = f"{type(self).__name__}({', '.join(names)}) was given {len(args)} by place and {sorted(kwargs)} by name"
            raise TypeError(problem)
        values = {name: given[name] if name in given else kwargs.get(name, getattr(type(self), name, None)) for name in names}
        super().__init__(*values.values())
        for name, value in values.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.fields().items())})"

    def fields(self) -> dict[str, object]:
        """Return the plain fields this error was built from, by name."""
        return {name: getattr(self, name) for name in self._field_names}
