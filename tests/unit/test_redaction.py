"""No password gets through, however badly its URL is written."""

from __future__ import annotations

import pytest

from pynenc_core.redaction import redact_text, redact_url, redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("x://host:6379/0", "x://host:6379/0"),
        ("x://:pw@host/0", "x://:***@host/0"),
        ("x://me:pw@host:1,other:2/db", "x://me:***@host:1,other:2/db"),
        ("x://me:p@ss@host", "x://me:***@host"),
        ("x://me:12/3@host", "x://me:***@host"),
        ("x://:a?b@host/1", "x://:***@host/1"),
        ("x://:my pass@host", "x://:***@host"),
        ("x://:no-host", "x://:***"),
        ("x://me:pw@[::1]:6379/0", "x://me:***@[::1]:6379/0"),
        ("x://[::1]:6379/0", "x://[::1]:6379/0"),
        ("x://h1:1,h2:2/?name=a@b&db=1", "x://h1:1,h2:2/?name=***&db=1"),
        ("x://me:12?pw@host/0", "x://me:12?***"),
        ("x://me:12?p=w@host/0", "x://me:12?p=***"),
        ("x://me:12#pw@host/0", "x://me:12#***"),
        ("x://host/0#part", "x://host/0#part"),
        ("x://host/?password=pw&db=1&accessToken=t", "x://host/?password=***&db=1&accessToken=***"),
        ("x:///some/dir/a@b.db", "x:///some/dir/a@b.db"),
        ("x://", "x://"),
        ("no url: at all@host", "no url: at all@host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert redacted(url) == shown


def test_urls_within_text_are_found() -> None:
    assert redact_text("cannot reach x://me:pw@host, nor y://h/?token=t") == "cannot reach x://me:***@host, nor y://h/?token=***"


def test_values_of_every_kind_are_looked_through() -> None:
    assert redacted({"url": ["x://a:b@c"], "password": "p", "n": 3}) == {"url": ["x://a:***@c"], "password": "***", "n": 3}
    assert redacted("key", secret=True) == "***"
    assert redacted("", secret=True) == ""
    assert redacted(5) == 5
