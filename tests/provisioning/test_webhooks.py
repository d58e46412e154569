"""Webhooks of the configuration file: imported with their secrets, kept when edited, exported without."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_django.fixtures import Settings

from configuration import Configuration, ConfigurationError, load
from configuration.webhooks.entries import EVENTS, FORMATS
from provisioning import export, importing, ledger
from provisioning.ledger import Origin
from provisioning.models import ImportedEntry, ImportedFile, Section
from tests.webhooks.authority import Authority
from webhooks import post
from webhooks.forms import FIELDS, WebhookForm
from webhooks.kinds import CHOSEN, Envelope
from webhooks.models import Webhook, default_events

pytestmark = pytest.mark.django_db

SECRET, OTHER = "the secret of the file, of 32 characters", "another secret of the file, of 32 characters"
TOKEN = "Bearer a-token-of-the-receiver"
CI: dict[str, Any] = {"url": "https://ci.example.org/hook", "secret": SECRET}
FULL: dict[str, Any] = CI | {
    "format": "cloudevents",
    "events": ["tag.delete", "manifest.push"],
    "repositories": "myorg/*",
    "enabled": False,
    "allow_private": True,
    "headers": {"Authorization": {"value": TOKEN}},
}

Import = Callable[..., list[str]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import webhooks by name; return the steps."""

    def run(**hooks: dict[str, Any]) -> list[str]:
        return [str(step) for step in importing.apply(loaded(tmp_path, hooks)).steps]

    return run


def loaded(folder: Path, hooks: dict[str, Any] | None) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({} if hooks is None else {"webhooks": hooks}))
    return load(path)


def secret_of(hook: Webhook) -> list[str]:
    return post.secrets_of(hook, datetime.now(UTC))


def origin_of(name: str) -> Origin:
    return ledger.origins(Section.WEBHOOKS)[Webhook.objects.get(name=name).pk]


def test_the_file_knows_every_kind_of_event_and_every_format() -> None:
    assert list(EVENTS) == [kind.value for kind in CHOSEN]
    assert list(FORMATS) == [envelope.value for envelope in Envelope]


def test_an_entry_becomes_a_webhook(imported: Import) -> None:
    assert imported(ci=FULL) == ["+ webhook ci"]

    hook = Webhook.objects.get()
    assert (hook.name, hook.url, hook.envelope, hook.repositories) == ("ci", FULL["url"], "cloudevents", "myorg/*")
    assert (hook.is_active, hook.allow_http, hook.allow_private) == (False, False, True)
    assert hook.events == ["manifest.push", "tag.delete"]
    assert (secret_of(hook), hook.unsealed_headers()) == ([SECRET], {"Authorization": TOKEN})
    assert origin_of("ci") is Origin.FILE


def test_without_a_list_it_is_for_the_usual_events(imported: Import) -> None:
    imported(ci=CI)

    assert Webhook.objects.get().events == default_events()


def test_secrets_and_authorities_may_be_in_files(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    pem = Authority().pem
    (tmp_path / "ca.pem").write_text(pem)

    headers = {"Authorization": {"value_file": "token"}}
    imported(ci={"url": CI["url"], "secret_file": "secret", "ca_file": "ca.pem", "headers": headers})

    hook = Webhook.objects.get()
    assert (secret_of(hook), hook.unsealed_headers(), hook.ca) == ([SECRET], {"Authorization": TOKEN}, pem.strip())


def test_nothing_is_done_twice(imported: Import) -> None:
    imported(ci=FULL)
    before = Webhook.objects.values().get()

    assert imported(ci=FULL) == []
    assert Webhook.objects.values().get() == before


@pytest.mark.parametrize(
    "change",
    [
        {"secret": OTHER},
        {"headers": {"Authorization": {"value": "Bearer another"}}},
        {"headers": {}},
        {"events": ["tag.move"]},
    ],
    ids=str,
)
def test_a_change_in_the_file_is_applied(imported: Import, change: dict[str, Any]) -> None:
    imported(ci=FULL)

    assert imported(ci=FULL | change) == ["~ webhook ci"]
    hook = Webhook.objects.get()
    entry = FULL | change
    assert secret_of(hook)[0] == entry["secret"]
    assert hook.unsealed_headers() == {name: header["value"] for name, header in entry["headers"].items()}
    assert hook.events == sorted(entry["events"])


def test_a_replaced_secret_signs_too_and_another_change_does_not_replace_it(imported: Import) -> None:
    imported(ci=CI)
    imported(ci=CI | {"repositories": "a/*"})
    assert secret_of(Webhook.objects.get()) == [SECRET]

    imported(ci=CI | {"secret": OTHER})

    assert secret_of(Webhook.objects.get()) == [OTHER, SECRET]


def test_no_secret_is_stored_in_clear(imported: Import, tmp_path: Path) -> None:
    imported(ci=FULL)

    rows = [*Webhook.objects.values_list(), *ImportedEntry.objects.values_list(), *ImportedFile.objects.values_list()]
    told = repr([[bytes(one) if isinstance(one, memoryview) else one for one in row] for row in rows])
    assert "ci.example.org" in told
    assert SECRET not in told
    assert "a-token-of-the-receiver" not in told
    assert SECRET not in repr(loaded(tmp_path, {"ci": FULL}))
    assert TOKEN not in repr(loaded(tmp_path, {"ci": FULL}))


def test_the_ledger_does_not_tell_a_secret_to_who_guesses_it(imported: Import, settings: Settings) -> None:
    imported(ci=CI)
    before = ImportedEntry.objects.values_list("fingerprint", flat=True).get()
    Webhook.objects.all().delete()
    ImportedEntry.objects.all().delete()

    settings.SECRET_KEY = "k" * 50
    imported(ci=CI)

    assert ImportedEntry.objects.values_list("fingerprint", flat=True).get() != before


def test_after_another_secret_key_the_file_sets_its_secrets_again(imported: Import, settings: Settings) -> None:
    imported(ci=FULL)
    settings.SECRET_KEY = "k" * 50

    assert imported(ci=FULL) == ["~ webhook ci"]

    hook = Webhook.objects.get()
    assert (secret_of(hook), hook.unsealed_headers()) == ([SECRET], {"Authorization": TOKEN})


def test_an_entry_that_has_left_takes_its_webhook_along(imported: Import) -> None:
    imported(ci=CI, other=dict(CI))

    assert imported(other=CI) == ["- webhook ci"]
    assert list(Webhook.objects.values_list("name", flat=True)) == ["other"]


def test_a_missing_section_changes_nothing(imported: Import, tmp_path: Path) -> None:
    imported(ci=CI)

    assert importing.apply(loaded(tmp_path, None)).steps == ()
    assert Webhook.objects.exists()


def test_an_edit_stays_until_the_entry_changes_or_goes_back(imported: Import, tmp_path: Path) -> None:
    imported(ci=FULL)
    hook = Webhook.objects.get()
    hook.set_headers({"X-Other": "value"})
    hook.save()

    assert imported(ci=FULL) == []
    assert origin_of("ci") is Origin.EDITED
    assert ledger.restore(loaded(tmp_path, {"ci": FULL}), Section.WEBHOOKS, [hook.pk]) == [hook.pk]
    hook.refresh_from_db()
    assert (hook.unsealed_headers(), origin_of("ci")) == ({"Authorization": TOKEN}, Origin.FILE)


def test_a_save_of_the_form_without_a_change_is_no_edit(imported: Import) -> None:
    pem = Authority().pem
    imported(ci=FULL | {"ca": pem})
    hook = Webhook.objects.get()

    # As a browser sends the lines of a text.
    values = {name: getattr(hook, name) for name in FIELDS} | {"ca": hook.ca.replace("\n", "\r\n")}
    form = WebhookForm(values, instance=hook)
    assert form.is_valid(), form.errors
    form.save()

    assert origin_of("ci") is Origin.FILE


def test_the_name_of_a_webhook_of_the_admin_is_refused(imported: Import) -> None:
    hook = Webhook(name="ci", url="https://own.example.org/")
    hook.set_secret(OTHER)
    hook.save()

    with pytest.raises(ConfigurationError, match=r"config.yaml:2: webhooks.ci: found a webhook of this name that was"):
        imported(ci=CI)
    assert Webhook.objects.get().url == "https://own.example.org/"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "https://10.0.0.1/"}, "found a private address"),
        ({"url": "https://169.254.169.254/", "allow_private": True}, "169.254.169.254 is a link-local"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "These are not certificates"),
        ({"ca": "-----BEGIN CERTIFICATE-----é"}, "These are not certificates"),
    ],
    ids=str,
)
def test_what_the_form_refuses_the_import_refuses(imported: Import, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        imported(ci=CI | change)
    assert not Webhook.objects.exists()


def test_the_export_is_imported_as_the_same_webhook_once_its_files_are_there(imported: Import, tmp_path: Path) -> None:
    entry = FULL | {"ca": Authority().pem.strip()}
    imported(ci=entry)
    before = {name: getattr(Webhook.objects.get(), name) for name in FIELDS}

    text = export.yaml_text(with_hashes=True)

    assert SECRET not in text
    assert "a-token-of-the-receiver" not in text
    exported = yaml.safe_load(text)["webhooks"]
    (tmp_path / exported["ci"]["secret_file"]).write_text(SECRET)
    (tmp_path / exported["ci"]["headers"]["Authorization"]["value_file"]).write_text(TOKEN)
    Webhook.objects.all().delete()
    ImportedEntry.objects.all().delete()
    imported(**exported)
    hook = Webhook.objects.get()
    assert {name: getattr(hook, name) for name in FIELDS} == before
    assert (secret_of(hook), hook.unsealed_headers()) == ([SECRET], {"Authorization": TOKEN})


def test_an_export_for_somebody_else_says_that_webhooks_are_missing(imported: Import) -> None:
    imported(ci=CI)

    text = export.yaml_text(with_hashes=False, with_webhooks=False)

    assert "ci.example.org" not in text
    assert "# Without webhooks, which this account may not see.\n" in text


def test_without_webhooks_the_export_does_not_manage_them() -> None:
    assert "webhooks" not in yaml.safe_load(export.yaml_text(with_hashes=False))
