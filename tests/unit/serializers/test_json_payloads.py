"""Stored bytes are data: whatever they say, nothing is imported or run, and what does not fit is a typed error."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.errors.serialization import PayloadDecodingError
from pynenc_core.ports.serializer import Where
from pynenc_core.serializers.json_serializer import JsonSerializer

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
WHERE = Where("shop:pay", "x")
SERIALIZER = JsonSerializer()


class Color(Enum):
    RED = 1


class Permission(Flag):
    READ = 1


@attrs.frozen
class Positive:
    number: int = attrs.field()

    @number.validator
    def _check(self, _attribute: object, value: int) -> None:
        if value <= 0:
            raise ValueError(f"{value} is not positive")


class Own:
    def to_json(self) -> Any:
        return None

    @classmethod
    def from_json(cls, data: Any) -> Own:
        raise LookupError(data)


DAMAGED: list[tuple[bytes, object, str]] = [
    (b"", int, "it is not JSON"),
    (b"nonsense", Any, "it is not JSON"),
    (b"[1", list[int], "it is not JSON"),
    (b'"\xff"', str, "it is not JSON"),
    (b"[" * 100_000, Any, "nested too deeply"),
    (b'{"":' * 100_000, dict[str, Any], "nested too deeply"),
    (b'"1"', int, "`int` cannot be made from the stored str"),
    (b"true", int, "`int` cannot be made from the stored bool"),
    (b"1.0", int, "`int` cannot be made from the stored float"),
    (b"null", str, "`str` cannot be made from the stored null"),
    (b'{"$float":"1"}', float, "`float` cannot be made from the stored dict"),
    (b'"a b"', bytes, "the stored text is no `bytes`"),
    (b'"yesterday"', datetime, "the stored text is no `datetime`"),
    (b'"2026-01-01[../../etc/passwd]"', datetime, "the stored text is no `datetime`"),
    (b'"1e999999999"', Fraction, "the stored text is no `Fraction`"),
    (b'"1/0"', Fraction, "the stored text is no `Fraction`"),
    (b'"Mars/Olympus"', ZoneInfo, "the stored text is no `ZoneInfo`"),
    (b"[1,2]", timedelta, "`timedelta` cannot be made from the stored list"),
    (b"[999999999999,0,0]", timedelta, "the stored numbers are no `timedelta`"),
    (b'"x"', Decimal, "the stored text is no `Decimal`"),
    (b'"x"', UUID, "the stored text is no `UUID`"),
    (b'"BLUE"', Color, "`Color` has no member of the stored name"),
    (b'"__class__"', Color, "`Color` has no member of the stored name"),
    (b"64", Permission, "`Permission` has no such flags"),
    (b'"c"', Literal["a"], "the stored value is none of `Literal['a']`"),
    (b'{"a":1}', Literal["a"], "the stored value is none of `Literal['a']`"),
    (b"[1]", tuple[int, int], "1 items are stored where `tuple[int, int]` has 2"),
    (b"[[1]]", set[Any], "a stored item is not hashable"),
    (b'{"{":1}', dict[int, int], "the stored key is not valid JSON"),
    (b'{"[1]":1}', dict[int | list[int], int], "a stored key is not hashable"),
    (b"{}", Positive, "the stored `Positive` lacks `number`"),
    (b'{"number":-1}', Positive, "`Positive` refuses the stored fields with ValueError (-1 is not positive)"),
    (b"7", Own, "`Own.from_json` raised LookupError (7)"),
    (b"true", int | list[int] | UUID, "`UUID | int | list[int]` cannot be made from the stored bool"),
    (b'"x"', UUID | str, "`UUID | str` cannot be made from the stored str"),
    (b'{"$type":"os.system","value":"true"}', UUID | str, "the stored value names no member of `UUID | str`"),
    (b'{"$type":["str"],"value":"true"}', UUID | str, "the stored value names no member of `UUID | str`"),
]


@pytest.mark.parametrize(("data", "annotation", "problem"), DAMAGED, ids=[str(number) for number in range(len(DAMAGED))])
def test_what_does_not_fit_is_a_typed_error(data: bytes, annotation: object, problem: str) -> None:
    with pytest.raises(PayloadDecodingError) as caught:
        SERIALIZER.decode(data, annotation, where=WHERE)
    assert problem in caught.value.problem
    assert (caught.value.task_id, caught.value.parameter) == ("shop:pay", "x")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here


def test_the_error_names_task_parameter_annotation_and_place() -> None:
    with pytest.raises(PayloadDecodingError) as caught:
        SERIALIZER.decode(b'[{"number":1},{"number":"1"}]', list[Positive], where=WHERE)
    assert str(caught.value) == (
        "task shop:pay: what is stored for 'x', annotated `list[Positive]`, cannot be read back at [1].number: "
        "`int` cannot be made from the stored str; it was damaged, or written by a different version of the task"
    )


def test_nothing_of_a_secret_value_is_said() -> None:
    for data, annotation in ((b'{"number":-77}', Positive), (b'{"77":"a"}', dict[str, int]), (b'"77"', Color), (b'"77', str)):
        with pytest.raises(PayloadDecodingError) as caught:
            SERIALIZER.decode(data, annotation, where=Where("shop:pay", "x", secret=True))
        assert "77" not in str(caught.value)
        assert caught.value.__cause__ is None


@UNHURRIED
@given(st.binary(max_size=40), st.sampled_from([Any, int, Positive, dict[int, Color], UUID | str | None, set[tuple[int, ...]]]))
def test_random_bytes_are_a_value_or_a_typed_error(data: bytes, annotation: object) -> None:
    with contextlib.suppress(PayloadDecodingError):
        value = SERIALIZER.decode(data, annotation, where=WHERE)
        assert SERIALIZER.decode(SERIALIZER.encode(value, annotation, where=WHERE), annotation, where=WHERE) == value


HOSTILE = """
import sys
from typing import Any
from uuid import UUID
from pynenc_core.errors.base import PynencError
from pynenc_core.ports.serializer import Where
from pynenc_core.serializers.exceptions import decode_exception
from pynenc_core.serializers.json_serializer import JsonSerializer

names = ["antigravity", "this", "os.system", "builtins.eval", "subprocess.Popen", "xmlrpc.client"]
before = None
for _ in range(2):
    for name in names:
        module, _, leaf = name.rpartition(".")
        text = '{"$type":"%s","value":"1","py/object":"%s","__class__":"%s","py/reduce":[{"py/type":"%s"},["1"]]}' % ((name,) * 4)
        told = '{"module":"%s","name":"%s","exact":true,"args":["1"],"fields":{}}' % (module or name, leaf)
        for annotation in (Any, UUID | str, dict[str, Any]):
            try:
                JsonSerializer().decode(text.encode(), annotation, where=Where("t"))
            except PynencError:
                pass
        assert type(decode_exception(told.encode())).__name__ == "RemoteError", name
    if before is None:
        before = set(sys.modules)
print(sorted(set(sys.modules) - before), sorted({"antigravity", "this", "subprocess", "xmlrpc"} & set(sys.modules)))
"""


def test_names_in_data_import_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[] []", "")
