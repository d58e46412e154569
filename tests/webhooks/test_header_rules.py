"""Which headers a webhook may send, how changes of them are written, and what is hidden of them."""

import pytest
from django.core.exceptions import ValidationError

from webhooks import headers

TOKEN = "a-token-of-the-receiver"


@pytest.mark.parametrize("size", range(4, len(TOKEN)))
def test_the_beginning_of_a_value_that_was_cut_off_is_hidden(size: int) -> None:
    assert headers.hidden(f"token={TOKEN[:size]}", [f"Bearer {TOKEN}"]) == "token=…"


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "keep-alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization"),
        *("Proxy-Connection", "Proxy-Authenticate", "Host", "Content-Length", "Content-Type", "Content-Encoding"),
        *("User-Agent", "Expect", "X-Registry-Signature-256", "x-registry-timestamp", "X-Registry-Anything"),
        *("", "1st", "a b", "a:b", "a\r\nb", "é", "a_b", "a" * 101),
    ],
    ids=ascii,
)
def test_a_name_that_may_not_be_set_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no header to set"):
        headers.merged({}, {name: "value"})


@pytest.mark.parametrize("value", ["", " x", "x ", "a\r\nB: c", "a\nb", "a\0b", "é", "\x7f", "v" * 4097], ids=ascii)
def test_a_value_that_may_not_be_sent_is_refused_and_not_told(value: str) -> None:
    with pytest.raises(ValidationError) as error:
        headers.merged({}, {"Authorization": value})
    assert len(str(error.value)) < 200


def test_changes_keep_the_other_headers_whatever_their_case() -> None:
    assert headers.merged({"A": "1", "B": "2", "C": "3"}, {"b": "4", "C": None, "D": "5"}) == {
        "A": "1",
        "b": "4",
        "D": "5",
    }


def test_there_are_at_most_20() -> None:
    most = {f"X-{number}": "value" for number in range(20)}
    assert headers.merged({}, most) == dict(sorted(most.items()))

    with pytest.raises(ValidationError, match="at most 20 headers"):
        headers.merged(most, {"X-Another": "value"})


@pytest.mark.parametrize("lines", ["Authorization", "A: 1\nA: 2"])
def test_lines_that_are_no_headers_are_refused(lines: str) -> None:
    with pytest.raises(ValidationError):
        headers.parse(lines)


def test_lines_are_headers_and_a_name_alone_takes_one_away() -> None:
    assert headers.parse("Authorization: Basic a:b\r\n\r\n X-Old :\r\n") == {
        "Authorization": "Basic a:b",
        "X-Old": None,
    }
