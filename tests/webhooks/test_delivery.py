"""Deliveries to a real receiver: in order, at least once, signed, within bounds."""

import json
import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.webhooks.receiver import Receiver, answer_a_gigabyte, close_early, drip, hang
from webhooks import outbox, queue
from webhooks.deliverer import Deliverer
from webhooks.kinds import EventKind
from webhooks.models import Delivery, Webhook, WebhookState
from webhooks.origin import Origin
from webhooks.outbox import Subject

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]
Make = Callable[..., Webhook]


def announce(hook: Webhook, count: int, repository: str = "alice/app") -> None:
    subjects = [Subject(tag=str(number)) for number in range(count)]
    outbox.add([hook.pk], EventKind.MANIFEST_PUSH, repository, subjects, account="alice", origin=Origin())


def deliver(rounds: int = 1) -> None:
    for _ in range(rounds):
        assert Deliverer().run_once()


def deliver_all() -> None:
    for _ in range(400):
        if not Delivery.objects.filter(state="pending").exists():
            return
        Deliverer().run_once()
    raise AssertionError("events are left")


def tags(receiver: Receiver) -> list[str]:
    return [request.event["target"]["tag"] for request in receiver.accepted]


def test_events_are_delivered_in_order(make_hook: Make, receiver: Receiver) -> None:
    announce(make_hook(), 5)

    deliver()

    assert tags(receiver) == ["0", "1", "2", "3", "4"]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_300_events_reach_a_receiver_that_fails_half_of_the_time(make_hook: Make, receiver: Receiver) -> None:
    hook, chance = make_hook(), random.Random(1)
    receiver.answer = lambda handler, _: Receiver.say(handler, 500 if chance.random() < 0.5 else 200)
    for number in range(20):
        announce(hook, 15, f"team/{number}")

    deliver_all()

    received = defaultdict(list)
    for request in receiver.accepted:
        received[request.repository].append(int(request.event["target"]["tag"]))
    assert dict(received) == {f"team/{number}": list(range(15)) for number in range(20)}


def test_a_poison_event_does_not_keep_other_repositories_waiting(make_hook: Make, receiver: Receiver) -> None:
    hook = make_hook()
    announce(hook, 2, "poison")
    announce(hook, 3, "other")
    receiver.answer = lambda handler, body: Receiver.say(handler, 400 if b"poison" in body else 200)

    deliver(3)

    assert [request.repository for request in receiver.accepted] == ["other"] * 3
    assert Delivery.objects.filter(repository="poison", state="pending").count() == 2


def test_a_round_ends_although_what_failed_is_due_at_once(
    make_hook: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LAST_RETRY", timedelta())
    hook = make_hook()
    announce(hook, 2, "poison")
    announce(hook, 30, "other")
    receiver.answer = lambda handler, body: Receiver.say(handler, 400 if b"poison" in body else 200)

    deliver()

    assert len(receiver.requests) == 31
    assert len(receiver.accepted) == 30


@pytest.mark.parametrize("answer", [hang, drip, close_early, answer_a_gigabyte], ids=lambda a: a.__name__)
def test_a_bad_receiver_costs_a_bounded_time(
    make_hook: Make, receiver: Receiver, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.post.READ_SECONDS", 0.3)
    monkeypatch.setattr("webhooks.post.TOTAL_SECONDS", 0.6)
    receiver.answer = answer
    announce(make_hook(), 1)

    deliver()

    row = Delivery.objects.get()
    assert (row.state, row.attempts > 0) == ("pending", True)
    assert len(row.response) <= 2000


def test_a_redirect_is_not_followed(make_hook: Make, receiver: Receiver) -> None:
    receiver.answer = lambda handler, _: Receiver.say(handler, 307, Location=f"{receiver.url}/elsewhere")
    announce(make_hook(), 1)

    deliver()

    assert {request.path for request in receiver.requests} == {"/hook"}
    assert Delivery.objects.get().outcome == "307 Temporary Redirect: redirects are not followed"


def test_a_name_that_resolves_to_a_private_address_is_refused(
    make_hook: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.server.server_address[1]))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [place])
    port = receiver.server.server_address[1]
    announce(make_hook(url=f"http://hooks.example.org:{port}/", allow_private=False), 1)

    deliver()

    assert receiver.requests == []
    assert "a private address" in Delivery.objects.get().outcome


def test_a_name_is_resolved_once_and_host_is_kept(
    make_hook: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.server.server_address[1]
    places = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]])
    asked = []
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **options: Any) -> Any:
        if host != "hooks.example.org":
            return real(host, *rest, **options)
        asked.append(host)
        return next(places)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    announce(make_hook(url=f"http://hooks.example.org:{port}/"), 1)

    deliver()

    assert asked == ["hooks.example.org"]
    assert receiver.accepted[0].headers["host"] == f"hooks.example.org:{port}"


def test_a_webhook_that_fails_is_probed_by_one_request_and_recovers(
    make_hook: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FAILING_AFTER", 3)
    # Longer than a step takes, which otherwise finds the next attempt due.
    for name in ("FIRST_RETRY", "LAST_RETRY", "LAST_PROBE"):
        monkeypatch.setattr(queue, name, timedelta(milliseconds=300))
    hook = make_hook()
    for number in range(6):
        announce(hook, 1, f"team/{number}")
    receiver.answer = lambda handler, _: Receiver.say(handler, 503)
    deliver(3)
    hook.refresh_from_db()
    assert hook.delivery_state.failing_since is not None
    assert hook.is_active

    receiver.answer = Receiver.accept
    time.sleep(0.3)
    deliver_all()

    state = WebhookState.objects.get()
    assert (state.failing_since, state.delivered) == (None, 6)


def test_what_is_too_old_is_dropped_and_counted(make_hook: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = make_hook()
    announce(hook, 2)
    monkeypatch.setattr(queue, "MAX_AGE", timedelta(seconds=-1))

    queue.tidy()

    assert set(Delivery.objects.values_list("state", flat=True)) == {"dropped"}
    hook.refresh_from_db()
    assert hook.delivery_state.dropped == 2


def test_of_too_many_the_oldest_are_dropped(make_hook: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(make_hook(), 5)
    monkeypatch.setattr(queue, "MAX_PENDING", 2)

    queue.tidy()

    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == ["dropped"] * 3 + ["pending"] * 2


def test_a_replay_sends_the_same_event_again(make_hook: Make, receiver: Receiver) -> None:
    announce(make_hook(), 2)
    deliver()

    assert queue.replay(Delivery.objects.all()) == 2
    deliver()

    ids = [request.headers["x-registry-event-id"] for request in receiver.accepted]
    assert ids[:2] == ids[2:]


def test_a_test_event_is_tried_once(make_hook: Make, receiver: Receiver) -> None:
    receiver.answer = lambda handler, _: Receiver.say(handler, 500)
    queue.test(make_hook(), "alice")

    deliver(2)

    assert (Delivery.objects.get().state, len(receiver.requests)) == ("dropped", 1)


def test_one_process_delivers_at_a_time(make_hook: Make) -> None:
    announce(make_hook(), 1)
    first = Deliverer()
    assert first._lease.holds(1.0)

    assert not Deliverer().run_once()

    first._lease.release()
    assert Deliverer().run_once()


def test_a_deleted_webhook_leaves_no_row(make_hook: Make) -> None:
    hook = make_hook()
    announce(hook, 2)
    Webhook.objects.all().delete()
    assert not Delivery.objects.exists()

    # As a push does that read the webhooks a moment before.
    announce(Webhook(pk=4711), 1)
    queue.tidy()

    assert not Delivery.objects.exists()


def test_a_cloud_event_has_the_attributes_of_the_specification(make_hook: Make, receiver: Receiver) -> None:
    announce(make_hook(envelope="cloudevents"), 1)

    deliver()

    (request,) = receiver.accepted
    event = json.loads(request.body)
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert (event["specversion"], event["type"]) == ("1.0", "registry.manifest.push")
    assert event["subject"] == "alice/app:0"
    assert event["id"] == request.headers["x-registry-event-id"]


def test_distributions_envelope_has_its_type(make_hook: Make, receiver: Receiver) -> None:
    announce(make_hook(), 1)

    deliver()

    (request,) = receiver.accepted
    assert request.headers["content-type"] == "application/vnd.docker.distribution.events.v1+json"
    assert (request.event["action"], request.event["actor"]) == ("push", {"name": "alice"})
