"""Pages as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distribution.protocol.pagination import Page

ODD = st.text(alphabet=st.sampled_from('ab ",\\\n\0é\u2028\ud800'))


@given(st.lists(st.one_of(ODD, st.text(), st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,20}", fullmatch=True))))
def test_a_page_is_the_json_of_its_names(names: list[str]) -> None:
    assert json.loads(Page(names, has_more=False).json) == names


@pytest.mark.parametrize("names", [[], ["a"], ["a/b", "c_d.e-f"], ['a", "b'], [""], ["a,b", "c d"]])
def test_a_page_is_written_as_the_encoder_would(names: list[str]) -> None:
    assert Page(names, has_more=False).json == json.dumps(names)
