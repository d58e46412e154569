"""The policy: its sentence, and what its form refuses."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from policies.forms import form_of
from policies.models import Retention

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"keep_last": 3}, "of the tags of ci/* stay the last 3 pushed; all others go"),
        (
            {"keep_pulled_within": 30 * DAY, "keep_tags": "v* latest", "except_tags": "base-*"},
            "of the tags *, except base-* of ci/* stay those pulled within 720h and those named v* and latest; "
            "all others go",
        ),
        (
            {"keep_minors": 1, "keep_patches": 2, "remove_untagged": True, "remove_signatures": True},
            "of the tags of ci/* stay 2 patches of the newest 1 minor version; all others go, and untagged manifests "
            "and signatures of images that are gone",
        ),
        ({"keep_minors": 3}, "of the tags of ci/* stay all patches of the newest 3 minor versions; all others go"),
        ({"remove_untagged": True}, "untagged manifests of ci/* go"),
    ],
)
def test_it_is_a_sentence(values: dict[str, Any], sentence: str) -> None:
    assert str(Retention(repositories="ci/*", **values)) == sentence


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "keep_last"),
        ({"tags": "pr-*", "remove_untagged": "on"}, "tags"),
        ({"keep_last": "1", "keep_patches": "2"}, "keep_patches"),
        ({"keep_last": "0"}, "keep_last"),
        ({"keep_last": "1000001"}, "keep_last"),
        ({"keep_pushed_within": "59s"}, "keep_pushed_within"),
        ({"keep_pushed_within": "soon"}, "keep_pushed_within"),
        ({"keep_tags": "a["}, "keep_tags"),
    ],
)
def test_a_form_says_what_is_wrong(values: dict[str, str], field: str) -> None:
    form = form_of(Retention)({"repositories": "ci/*"} | values)

    assert next(iter(form.errors)) == field


def test_a_form_shows_a_duration_as_it_was_entered() -> None:
    policy = Retention(repositories="ci/*", keep_pushed_within=36 * timedelta(hours=1))

    assert 'value="36h"' in str(form_of(Retention)(instance=policy)["keep_pushed_within"])


def test_a_policy_without_rules_is_about_no_tag() -> None:
    assert not Retention(repositories="*", remove_untagged=True).keep.is_about("v1")
    with pytest.raises(ValidationError):
        Retention(repositories="*").full_clean()
