"""The deliveries of webhooks in the admin: looked at, filtered, sent again; webhooks switched off and on."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tests.admin.browser import Browser, messages_of, staff
from tests.admin.form import form_of
from tests.audit.conftest import Written
from webhooks import outbox, queue
from webhooks.kinds import EventKind
from webhooks.models import Delivery, Webhook
from webhooks.origin import Origin
from webhooks.outbox import Subject
from webhooks.queue import Result

DELIVERIES, HOOKS = "/admin/webhooks/delivery/", "/admin/webhooks/webhook/"
SECRET, TOKEN = "s" * 40, "Bearer a-token-of-the-receiver"


@pytest.fixture
def hook(cast: None) -> Webhook:
    """Make a webhook."""
    made = Webhook(name="ci", url="https://ci.example.org/hook")
    made.set_secret(SECRET)
    made.set_headers({"Authorization": TOKEN})
    made.save()
    return made


@pytest.fixture
def rows(hook: Webhook) -> dict[str, Delivery]:
    """Make a delivery in each state, by its state."""
    origin = Origin()
    for repository in ("alice/delivered", "alice/failed", "alice/pending"):
        outbox.add(
            [hook.pk],
            EventKind.MANIFEST_PUSH,
            repository,
            [Subject(tag="v1", digest="sha256:abc")],
            account="alice",
            origin=origin,
        )
    found = {row.repository.rpartition("/")[2]: row for row in Delivery.objects.all()}
    queue.test(hook, "alice")
    found["dropped"] = Delivery.objects.get(kind="test")
    queue.record(
        [
            Result(found["delivered"], True, "200", "HTTP/1.1 200 OK\nX-Answer: thanks"),
            Result(
                found["failed"], False, "503 Service Unavailable", "HTTP/1.1 503 Service Unavailable\n\n<b>busy</b>"
            ),
            Result(found["dropped"], False, "404 Not Found", "HTTP/1.1 404 Not Found"),
        ]
    )
    return found


def listed(browser: Browser, **query: str) -> list[str]:
    return [row.repository for row in browser.get(DELIVERIES, **query).context["cl"].result_list]


def act(browser: Browser, path: str, action: str, *pks: int) -> Any:
    """Choose an action for rows, whether the list offers it or not."""
    token = form_of(browser.text("/admin/password_change/"))["csrfmiddlewaretoken"]
    chosen = {"action": action, "_selected_action": [str(pk) for pk in pks], "csrfmiddlewaretoken": token}
    return browser.client.post(path, chosen, follow=True)


def test_the_list_has_the_newest_first_with_their_state(admin: Browser, rows: dict[str, Delivery]) -> None:
    page = admin.text(DELIVERIES)

    assert listed(admin) == ["", "alice/pending", "alice/failed", "alice/delivered"]
    assert all(text in page for text in ("503 Service Unavailable", "404 Not Found", "dropped", "delivered", "pending"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state__exact": "delivered"}, ["alice/delivered"]),
        ({"state__exact": "dropped"}, [""]),
        ({"state__exact": "pending"}, ["alice/pending", "alice/failed"]),
        ({"kind__exact": "test"}, [""]),
        ({"q": "alice/failed"}, ["alice/failed"]),
        ({"q": "nothing"}, []),
    ],
    ids=str,
)
def test_the_list_is_filtered(
    admin: Browser, rows: dict[str, Delivery], query: dict[str, str], expected: list[str]
) -> None:
    assert listed(admin, **query) == expected


def test_the_list_is_filtered_by_webhook_and_searched_by_id(admin: Browser, rows: dict[str, Delivery]) -> None:
    other = Webhook(name="other", url="https://other.example.org/")
    other.set_secret(SECRET)
    other.save()
    queue.test(other, "alice")

    assert len(listed(admin, webhook__id__exact=str(other.pk))) == 1
    assert listed(admin, q=rows["failed"].event_id) == ["alice/failed"]


def test_a_delivery_shows_request_and_answer_without_secrets(admin: Browser, rows: dict[str, Delivery]) -> None:
    page = admin.text(f"{DELIVERIES}{rows['failed'].pk}/change/")

    assert "POST https://ci.example.org/hook" in page
    assert "X-Registry-Event-Id: " + rows["failed"].event_id in page
    assert "Authorization: (not shown)" in page
    assert "&quot;tag&quot;: &quot;v1&quot;" in page
    assert "&lt;b&gt;busy&lt;/b&gt;" in page
    assert "a-token-of-the-receiver" not in page
    assert SECRET not in page
    assert "sha256=" not in page


def test_what_has_ended_is_sent_again_with_its_id(admin: Browser, rows: dict[str, Delivery]) -> None:
    response = act(admin, DELIVERIES, "replay", *(row.pk for row in rows.values()))

    assert messages_of(response) == ["2 events will be sent again, the oldest first."]
    for name in ("delivered", "dropped"):
        before, after = rows[name], Delivery.objects.get(pk=rows[name].pk)
        assert (after.state, after.attempts, after.ended_at, after.event_id) == ("pending", 0, None, before.event_id)
    assert Delivery.objects.get(pk=rows["failed"].pk).attempts == 1


def test_a_delivery_is_neither_made_changed_nor_deleted(admin: Browser, rows: dict[str, Delivery]) -> None:
    pk = rows["delivered"].pk

    assert admin.get(f"{DELIVERIES}add/").status_code == 403
    assert admin.get(f"{DELIVERIES}{pk}/delete/").status_code == 403
    admin.post(f"{DELIVERIES}{pk}/change/", {"outcome": "forged", "state": "pending"})
    row = Delivery.objects.get(pk=pk)
    assert (row.outcome, row.state) == ("200", "delivered")


def test_who_only_looks_sees_deliveries_and_replays_nothing(rows: dict[str, Delivery]) -> None:
    looking = staff("looking", "view_delivery")

    assert "503 Service Unavailable" in looking.text(DELIVERIES)
    assert "a-token-of-the-receiver" not in looking.text(f"{DELIVERIES}{rows['failed'].pk}/change/")
    act(looking, DELIVERIES, "replay", rows["delivered"].pk)
    assert Delivery.objects.get(pk=rows["delivered"].pk).state == "delivered"


def test_who_may_change_deliveries_replays(rows: dict[str, Delivery]) -> None:
    act(staff("replaying", "view_delivery", "change_delivery"), DELIVERIES, "replay", rows["delivered"].pk)

    assert Delivery.objects.get(pk=rows["delivered"].pk).state == "pending"


def test_others_of_the_staff_see_nothing(rows: dict[str, Delivery], manager: Browser) -> None:
    for path in (DELIVERIES, f"{DELIVERIES}{rows['failed'].pk}/change/", HOOKS, f"{HOOKS}add/"):
        assert manager.get(path).status_code == 403, path


def test_a_webhook_is_disabled_and_enabled(admin: Browser, hook: Webhook) -> None:
    assert messages_of(act(admin, HOOKS, "disable", hook.pk)) == ["1 webhook disabled."]
    hook.refresh_from_db()
    assert not hook.is_active
    assert outbox.subscribers(EventKind.MANIFEST_PUSH, "alice/app", None) == []

    assert messages_of(act(admin, HOOKS, "enable", hook.pk)) == ["1 webhook enabled."]
    assert outbox.subscribers(EventKind.MANIFEST_PUSH, "alice/app", None) == [hook.pk]


def test_a_test_event_is_queued_for_what_is_enabled(admin: Browser, hook: Webhook) -> None:
    Webhook.objects.update(is_active=False)
    assert messages_of(act(admin, HOOKS, "send_test", hook.pk)) == [
        "0 test events queued: the deliveries show the answer."
    ]
    Webhook.objects.update(is_active=True)

    act(admin, HOOKS, "send_test", hook.pk)

    assert Delivery.objects.values_list("kind", flat=True).get() == "test"


@pytest.mark.parametrize("action", ["disable", "send_test", "restore", "delete_selected"])
def test_who_only_looks_at_webhooks_changes_nothing(hook: Webhook, action: str) -> None:
    looking = staff("looking", "view_webhook")
    assert "ci.example.org" in looking.text(HOOKS)

    act(looking, HOOKS, action, hook.pk)

    assert Webhook.objects.get().is_active
    assert not Delivery.objects.exists()


def test_a_failing_webhook_shows_its_last_error(admin: Browser, hook: Webhook, rows: dict[str, Delivery]) -> None:
    assert "404 Not Found" in admin.text(f"{HOOKS}{hook.pk}/change/")


def test_headers_are_set_kept_and_taken_away_and_never_shown(admin: Browser, hook: Webhook) -> None:
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])
    fields = {"name": "ci", "url": hook.url, "envelope": "distribution", "repositories": "*", "events": ["tag.move"]}

    assert admin.post(change, fields | {"headers": "X-Team: red\r\nX-Other: 1"}).status_code == 302
    assert admin.post(change, fields | {"headers": "X-Other:"}).status_code == 302
    assert admin.post(change, fields).status_code == 302

    hook.refresh_from_db()
    assert hook.unsealed_headers() == {"Authorization": TOKEN, "X-Team": "red"}
    page = admin.text(change)
    assert "Authorization, X-Team" in page
    assert "a-token-of-the-receiver" not in page


def test_a_form_that_is_refused_does_not_repeat_what_was_typed(admin: Browser, hook: Webhook) -> None:
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])

    page = admin.post(
        change, {"name": "a b", "secret": "x" * 40, "headers": "X-Key: typed-by-somebody"}
    ).content.decode()

    assert "Enter a valid" in page
    assert "typed-by-somebody" not in page
    assert "x" * 40 not in page


def test_no_log_has_a_secret_or_the_value_of_a_header(
    admin: Browser, hook: Webhook, written: Written, django_capture_on_commit_callbacks: Any
) -> None:
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])
    fields = {"name": "ci", "url": hook.url, "envelope": "distribution", "repositories": "*", "events": ["tag.move"]}
    with django_capture_on_commit_callbacks(execute=True):
        admin.post(change, fields | {"headers": "X-Key: typed-by-somebody", "secret": "x" * 40})

    (event,) = [event for event in written() if event.kind == "change"]
    logged = "".join(LogEntry.objects.values_list("change_message", flat=True))
    assert event.detail.endswith("secret; headers")
    assert "typed-by-somebody" not in f"{logged}{event.detail}"
    assert "x" * 40 not in f"{logged}{event.detail}"


def test_who_only_looks_at_a_webhook_sees_names_of_headers_alone(hook: Webhook) -> None:
    page = staff("looking", "view_webhook").text(f"{HOOKS}{hook.pk}/change/")

    assert "Authorization" in page
    assert "a-token-of-the-receiver" not in page


def test_a_save_without_headers_and_secret_records_neither(
    admin: Browser, hook: Webhook, written: Written, django_capture_on_commit_callbacks: Any
) -> None:
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])
    fields = {"name": "ci", "url": hook.url, "envelope": "distribution", "repositories": "b/*", "events": hook.events}
    with django_capture_on_commit_callbacks(execute=True):
        admin.post(change, fields | {"is_active": "on", "headers": ""})

    (event,) = [event for event in written() if event.kind == "change"]
    assert event.detail == "changed: repositories: * → b/*"


@pytest.mark.parametrize(
    ("url", "headers", "is_saved"),
    [
        ("https://ci.example.org/another/path", "", True),
        ("https://ci.example.org:443/hook", "", True),
        ("https://evil.example.org/hook", "", False),
        ("https://ci.example.org:8443/hook", "", False),
        ("https://evil.example.org/hook", "X-Other: 1", False),
        ("https://evil.example.org/hook", "authorization: Bearer of-the-new-one", True),
        ("https://evil.example.org/hook", "Authorization:", True),
    ],
)
def test_headers_do_not_go_to_another_server_unless_they_are_given_again(
    admin: Browser, hook: Webhook, url: str, headers: str, is_saved: bool
) -> None:
    """Otherwise who may change a webhook, and not see its headers, would have them sent to a server of their own."""
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])
    fields = {"name": "ci", "url": url, "envelope": "distribution", "repositories": "*", "events": ["tag.move"]}

    response = admin.post(change, fields | {"headers": headers})

    assert (response.status_code == 302) is is_saved
    hook.refresh_from_db()
    assert (hook.url == url) is is_saved
    assert hook.unsealed_headers() == {"Authorization": TOKEN} or "evil" in hook.url
