"""What a real server with two workers counts, read at /metrics before and after."""

import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from core.metrics.cells import FOLDER
from core.metrics.families import families
from monitoring.state import DESCRIBED
from tests import preloaded
from tests.clients.server import ROOT, basic, started
from tests.images import digest_of, manifest
from tests.monitoring.scrape import TOKEN, MonitoredServer, Scrape, open_files
from tests.project.talk import Talk, bearer, open_upload, talks, until
from tests.storages import is_s3

MANIFEST_TYPE = "Content-Type: application/vnd.oci.image.manifest.v1+json"
# The rest of an id counts the requests of the process.
PROCESS_CHARACTERS = 10


class SmallMonitored(MonitoredServer):
    """One worker that waits for four slow clients."""

    number = 1
    more = {"threads": 2, "max_slow_clients": 4}


def push_image(server: MonitoredServer, authorization: str) -> bytes:
    """Push an image to alice/app:latest and return its manifest."""
    config, layer = uuid.uuid4().bytes, uuid.uuid4().bytes
    payload = manifest(config, layer)
    with Talk(server) as talk:
        for content in (config, layer):
            path = f"/v2/alice/app/blobs/uploads/?digest={digest_of(content)}"
            assert talk.ask("POST", path, authorization, f"Content-Length: {len(content)}", body=content).status == 201
        length = f"Content-Length: {len(payload)}"
        answer = talk.ask("PUT", "/v2/alice/app/manifests/latest", authorization, MANIFEST_TYPE, length, body=payload)
        assert answer.status == 201
    return payload


def ask_every_worker(server: MonitoredServer, path: str = "/v2/") -> int:
    """Send requests until each worker has answered one, and return how many were sent."""
    seen: set[str] = set()
    sent = 0
    while len(seen) < server.number:
        assert sent < 1000
        sent += 1
        seen.add(server.request("GET", path).headers["x-request-id"][:PROCESS_CHARACTERS])
    return sent


def test_pushes_and_pulls_are_counted_by_route_method_and_status(monitored: MonitoredServer) -> None:
    authorization = bearer(monitored)
    before = monitored.scrape()

    payload = push_image(monitored, authorization)
    with Talk(monitored) as talk:
        for reference in ("latest", digest_of(payload), "missing"):
            talk.ask("GET", f"/v2/alice/app/manifests/{reference}", authorization)

    after = monitored.scrape_when(
        lambda scrape: scrape.requests(route="manifest") - before.requests(route="manifest") == 4
    )
    counted = {
        (method, route, status): after.requests(route=route, method=method, status=status)
        - before.requests(route=route, method=method, status=status)
        for method, route, status in [
            ("POST", "uploads", "201"),
            ("PUT", "manifest", "201"),
            ("GET", "manifest", "200"),
            ("GET", "manifest", "404"),
        ]
    }
    assert list(counted.values()) == [2, 1, 2, 1]
    sent = "registry_http_response_bytes_total"
    assert after.value(sent, route="manifest") - before.value(sent, route="manifest") > 2 * len(payload)
    received = "registry_http_request_bytes_total"
    assert after.value(received, route="manifest") - before.value(received, route="manifest") > len(payload)
    duration = "registry_http_request_duration_seconds"
    assert after.value(f"{duration}_count", route="manifest") - before.value(f"{duration}_count", route="manifest") == 4
    assert after.value(f"{duration}_bucket", route="manifest", le="+Inf") == after.value(
        f"{duration}_count", route="manifest"
    )
    assert after.value(f"{duration}_sum", route="manifest") > before.value(f"{duration}_sum", route="manifest")


def test_a_push_takes_time_of_database_and_storage(monitored: MonitoredServer) -> None:
    before = monitored.scrape()

    push_image(monitored, bearer(monitored))

    after = monitored.scrape_when(lambda scrape: scrape.requests(status="201") - before.requests(status="201") == 3)

    def grown(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert grown("registry_database_statement_duration_seconds_count") > 0
    assert grown("registry_database_transaction_duration_seconds_count") >= 3
    assert grown("registry_database_transaction_duration_seconds_sum") > 0
    for operation in ("request",) if is_s3() else ("fsync", "write"):
        assert grown("registry_storage_operation_duration_seconds_count", operation=operation) >= 2
    commits = grown("registry_database_group_commit_transactions_count")
    assert (commits >= 3) == monitored.database_url.startswith("sqlite")
    assert grown("registry_cache_lookups_total", cache="tokens", result="hit") > 0


def test_logins_failures_tokens_and_denials_are_counted(monitored: MonitoredServer) -> None:
    before = monitored.scrape()

    bob = monitored.token("bob", "repository:alice/app:pull,push")
    monitored.request("PUT", "/v2/alice/app/manifests/latest", authorization=f"Bearer {bob}", body=b"{}")
    monitored.request("GET", "/v2/alice/app/manifests/latest", authorization="Bearer nonsense")
    wrong = "Basic Ym9iOndyb25n"
    assert monitored.request("GET", "/v2/token", authorization=wrong).status == 401
    anonymous = monitored.request("GET", "/v2/token?scope=repository:alice/app:pull").body.decode().split('"')[3]
    monitored.request("GET", "/v2/alice/app/manifests/latest", authorization=f"Bearer {anonymous}")

    after = monitored.scrape()
    names: list[tuple[str, dict[str, str]]] = [
        ("registry_logins_total", {"grant": "basic"}),
        ("registry_login_failures_total", {"grant": "basic", "reason": "credentials"}),
        ("registry_tokens_issued_total", {}),
        ("registry_tokens_refused_total", {}),
        ("registry_access_denials_total", {"client": "account"}),
        ("registry_access_denials_total", {"client": "anonymous"}),
    ]
    assert [after.value(name, **labels) - before.value(name, **labels) for name, labels in names] == [1, 1, 2, 1, 1, 1]


def test_two_workers_are_summed(monitored: MonitoredServer) -> None:
    before = monitored.scrape()

    sent = ask_every_worker(monitored)

    monitored.scrape_when(lambda scrape: scrape.requests(route="version") - before.requests(route="version") == sent)
    assert before.value("registry_processes") >= monitored.number


def test_any_path_method_and_status_makes_a_bounded_number_of_series(monitored: MonitoredServer) -> None:
    def ask_nonsense() -> None:
        with Talk(monitored) as talk:
            for _ in range(20):
                name = uuid.uuid4().hex
                for path in (f"/{name}", f"/v2/{name}", f"/v2/{name}/manifests/{name}", f"/v2/{name}/blobs/{name}"):
                    talk.ask("GET", path, f"X-Request-Id: {name}", f"User-Agent: {name}")
        for _ in range(5):
            with Talk(monitored) as talk:
                talk.ask(uuid.uuid4().hex[:16].upper(), "/v2/")

    ask_nonsense()
    before = monitored.scrape_when(lambda scrape: scrape.requests(method="other") >= 5)
    ask_nonsense()
    after = monitored.scrape_when(lambda scrape: scrape.requests(method="other") - before.requests(method="other") == 5)

    assert after.requests() - before.requests() > 80
    # Buckets that nothing fell into before are there already.
    assert after.samples.keys() == before.samples.keys()


def test_open_uploads_are_read_from_the_database(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    with started(server):
        assert server.scrape().value("registry_uploads_open") == 0
        open_upload(server, bearer(server))

        until(lambda: server.scrape().value("registry_uploads_open") == 1)


def test_waits_refused_for_want_of_a_place_are_counted(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    with started(server), talks(server, 5) as slow:
        authorization = bearer(server)
        for talk in slow[:4]:
            talk.send("PATCH", open_upload(server, authorization), authorization, "Content-Length: 1000", body=b"begun")
        until(lambda: server.scrape().value("registry_transfers_waiting") == 4)

        refused = slow[4].ask(
            "PATCH", open_upload(server, authorization), authorization, "Content-Length: 1000", body=b"x"
        )

        assert refused.status == 503
        assert server.scrape().value("registry_transfers_refused_total") == 1


def test_a_killed_worker_loses_nothing_and_leaves_no_wait(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    with started(server), Talk(server) as slow:
        authorization = bearer(server)
        slow.send("PATCH", open_upload(server, authorization), authorization, "Content-Length: 1000", body=b"begun")
        until(lambda: server.scrape().value("registry_transfers_waiting") == 1)
        sent = ask_every_worker(server)
        server.scrape_when(lambda scrape: scrape.requests(route="version") == sent)
        (killed,) = server.workers()

        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in server.workers() and len(server.workers()) == 1)
        until(server.is_healthy)

        after = server.scrape()
        assert after.requests(route="version") == sent
        assert after.value("registry_transfers_waiting") == 0
        assert after.value("registry_processes") == 1
        # The successor counts on in the same file.
        assert len(list(server.metrics_folder().glob("[0-9]*"))) == 1
        sent += ask_every_worker(server)
        server.scrape_when(lambda scrape: scrape.requests(route="version") == sent)


def test_the_job_process_counts_for_its_server(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    with started(server):
        environment = server.environment() | {FOLDER: str(server.metrics_folder())}
        command = [sys.executable, str(ROOT / "manage.py"), "runjobs", "--once"]
        preloaded.run(command, env=environment, check=True, timeout=120)

        # The server may have run its own at the same time.
        after = server.scrape()
        assert after.value("registry_jobs_total", name="collect", outcome="done") >= 1
        assert after.value("registry_job_last_run_timestamp_seconds", name="collect", outcome="done") > 1.7e9
        until(lambda: server.scrape().value("registry_collection_last_run_timestamp_seconds", state="done") > 1.7e9)
        assert server.scrape().value("registry_collection_due") == 0


def test_every_family_is_there_from_the_start(monitored: MonitoredServer) -> None:
    scrape = monitored.scrape()

    counted = {name.removesuffix("_total") for name in families if name.startswith("registry_")}
    assert counted <= scrape.families.keys()
    later = {name for name in DESCRIBED if name.startswith("registry_scrub") or "_last_run_" in name}
    # Of each webhook, and there is none.
    later |= {name for name in DESCRIBED if name.startswith("registry_webhook_")}
    on_disk = {
        "storage": not is_s3(),
        "database": monitored.database_url.startswith("sqlite"),
    }
    if not any(on_disk.values()):
        later |= {name for name in DESCRIBED if name.startswith("registry_disk_")}
    assert {name.removesuffix("_total") for name in DESCRIBED.keys() - later} <= scrape.families.keys()
    assert scrape.value("registry_build_info", version="0.1.0") == 1
    assert scrape.value("registry_database_up") == 1
    for disk, is_there in on_disk.items():
        size = scrape.value("registry_disk_size_bytes", disk=disk)
        assert (0 < scrape.value("registry_disk_free_bytes", disk=disk) < size) if is_there else size == 0


def test_names_are_those_of_prometheus(monitored: MonitoredServer) -> None:
    answer = monitored.scrape_answer()
    helps = [line for line in answer.body.decode().splitlines() if line.startswith("# HELP")]

    assert all(line.split(" ", 3)[2].startswith("registry_") and line.endswith(".") for line in helps)
    assert not [name for name in DESCRIBED if "_total" in name and not name.endswith("_total")]
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"


def test_openmetrics_is_answered_to_who_asks_for_it(monitored: MonitoredServer) -> None:
    more = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = monitored.request("GET", "/metrics", authorization=f"Bearer {TOKEN}", more=more)

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", basic("admin")]
)
def test_without_the_token_there_are_no_metrics(monitored: MonitoredServer, authorization: str) -> None:
    answer = monitored.request("GET", "/metrics", authorization=authorization)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert b"registry_" not in answer.body


def test_metrics_are_read_only(monitored: MonitoredServer) -> None:
    answer = monitored.request("POST", "/metrics", authorization=f"Bearer {TOKEN}", body=b"")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_scrape_leaves_no_line_in_the_access_log_and_a_refused_one_does(monitored: MonitoredServer) -> None:
    good = monitored.scrape_answer().headers["x-request-id"]
    refused = monitored.request("GET", "/metrics").headers["x-request-id"]

    until(lambda: refused in monitored.log_file.read_text())
    assert good not in monitored.log_file.read_text()


class Unmonitored(SmallMonitored):
    """A server without a token."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        configuration = super().configuration()
        del configuration["server"]["metrics_token"]  # type: ignore[attr-defined]
        return configuration


def test_by_default_there_are_no_metrics(tmp_path: Path) -> None:
    server = Unmonitored(tmp_path)
    with started(server):
        assert server.request("GET", "/metrics", authorization=f"Bearer {TOKEN}").status == 404
        assert not [path for path in open_files(server) if "registry-metrics-" in str(path)]


def test_a_start_removes_what_a_killed_server_left_and_an_end_its_own(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    try:
        server.start()
        ask_every_worker(server)
        left = server.metrics_folder()
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        assert left.exists()

        server.start()
        ask_every_worker(server)
        own = server.metrics_folder()
        assert not left.exists()
        server.scrape_when(lambda scrape: scrape.requests(route="version") == 1)

        server.end()
        assert not own.exists()
    finally:
        server.stop()


def test_a_database_that_is_gone_is_told_and_the_rest_is_still_read(tmp_path: Path) -> None:
    server = SmallMonitored(tmp_path)
    with started(server):
        server.execute("DROP TABLE gc_runfinding")
        server.execute("DROP TABLE gc_run")

        scrape: Scrape = server.scrape()

        assert scrape.value("registry_database_up") == 0
        assert scrape.requests(route="health") > 0
        assert is_s3() or scrape.value("registry_disk_size_bytes", disk="storage") > 0
