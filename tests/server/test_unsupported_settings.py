"""gunicorn's settings: each one works with our worker, or the start refuses it."""

from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config

from core.start_error import StartError
from server import unsupported_settings
from server.unsupported_settings import REMEDIES
from tests import documents
from tests.project.starting import ANY_PORT, start
from tests.project.talk import SmallServer, Talk

OURS = {
    "forwarded_allow_ips": "",
    "http_parser": "python",
    "loglevel": "warning",
    "worker_class": "server.worker.Worker",
}
OTHERS: dict[str, Any] = {
    "access_log_format": "%(h)s",
    "accesslog": "-",
    "asgi_lifespan": "off",
    "asgi_loop": "asyncio",
    "ca_certs": "ca.pem",
    "cert_reqs": 2,
    "certfile": "a.pem",
    "ciphers": "HIGH",
    "control_socket": "here.ctl",
    "disable_redirect_access_to_syslog": True,
    "enable_backlog_metric": True,
    "errorlog": "error.log",
    "forwarded_allow_ips": "*",
    "forwarder_headers": "X-ROOT",
    "http2_cleartext": "prior-knowledge",
    "http_parser": "fast",
    "http_protocols": "h2",
    "keyfile": "a.key",
    "logconfig": "log.ini",
    "logconfig_json": "log.json",
    "loglevel": "debug",
    "max_requests": 100,
    "max_requests_jitter": 10,
    "on_reload": lambda _server: None,
    "post_request": lambda _worker, _request, _environ, _response: None,
    "pre_request": lambda _worker, _request: None,
    "protocol": "uwsgi",
    "proxy_protocol": "v1",
    "reload": True,
    "root_path": "/registry",
    "secure_scheme_headers": {"X-TLS": "1"},
    "sendfile": False,
    "ssl_context": lambda _config, _factory: None,
    "statsd_host": "127.0.0.1:8125",
    "syslog": True,
    "websocket_max_message_size": 1,
    "worker_class": "gthread",
}
# Tried on a server: each does what gunicorn's manual says, or does nothing without one of those above.
WORKING = """
backlog bind capture_output casefold_http_method chdir check_config child_exit config control_socket_disable
control_socket_mode daemon default_proc_name enable_stdio_inheritance graceful_timeout group header_map initgroups
keepalive limit_request_field_size limit_request_fields limit_request_line logconfig_dict logger_class
nworkers_changed on_exit on_starting paste permit_obsolete_folding permit_unconventional_http_method
permit_unconventional_http_version pidfile post_fork post_worker_init pre_exec pre_fork preload_app print_config
proc_name pythonpath raw_env raw_paste_global_conf reuse_port spew strip_header_spaces threads timeout umask user
when_ready worker_abort worker_connections worker_exit worker_int worker_tmp_dir workers wsgi_app
"""
WITHOUT_EFFECT_ALONE = """
asgi_disconnect_grace_period dirty_apps dirty_graceful_timeout dirty_post_fork dirty_threads dirty_timeout
dirty_worker_exit dirty_worker_init dirty_workers do_handshake_on_connect dogstatsd_tags http2_initial_window_size
http2_max_concurrent_streams http2_max_frame_size http2_max_header_list_size on_dirty_starting proxy_allow_ips
reload_engine reload_extra_files ssl_version statsd_prefix suppress_ragged_eofs syslog_addr syslog_facility
syslog_prefix tmp_upload_dir uwsgi_allow_ips
"""


def settings_with(**changed: Any) -> Config:
    """Return gunicorn's settings as gunicorn.conf.py has them, with some changed."""
    cfg = Config()
    for name, value in (OURS | changed).items():
        cfg.set(name, value)
    return cfg


def test_our_own_settings_are_supported() -> None:
    unsupported_settings.check(settings_with())


@pytest.mark.parametrize("name", REMEDIES)
def test_a_setting_without_effect_is_refused_with_its_remedy(name: str) -> None:
    with pytest.raises(StartError) as refused:
        unsupported_settings.check(settings_with(**{name: OTHERS[name]}))

    assert str(refused.value).startswith(f"gunicorn's setting {name} ")
    assert str(refused.value).endswith(f"has no effect on this server: {REMEDIES[name]}")


def test_an_error_log_with_captured_output_is_supported() -> None:
    unsupported_settings.check(settings_with(errorlog="error.log", capture_output=True))


@pytest.mark.parametrize("variable", ["REGISTRY_SERVER_ADDR", "CONFIG_PATH", "DJANGO_SETTINGS_MODULE"])
def test_a_variable_that_is_set_too_late_is_refused(variable: str) -> None:
    with pytest.raises(StartError, match=variable):
        unsupported_settings.check(settings_with(raw_env=[f"{variable}=x"]))


def test_another_variable_is_supported() -> None:
    unsupported_settings.check(settings_with(raw_env=["AWS_REGION=x"]))


def test_every_setting_of_gunicorn_is_known() -> None:
    assert sorted([*REMEDIES, *WORKING.split(), *WITHOUT_EFFECT_ALONE.split()]) == sorted(Config().settings)


def test_a_start_names_each_refused_setting_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")

    ended = start(tmp_path, *ANY_PORT, "--access-logfile", "access.log", "--max-requests", "9")

    assert (ended.returncode, ended.stdout) == (1, "")
    first, second = ended.stderr.splitlines()
    assert f"{first}\n" == documents.block("docs/troubleshooting.md", "start: setting")
    assert "max_requests (--max-requests)" in second
    assert not (tmp_path / "data").exists()


class ServerWithoutKeepalive(SmallServer):
    """A server that serves one request in each connection."""

    def command(self) -> list[str]:
        return [*super().command(), "--keep-alive", "0"]


def test_without_keepalive_a_response_announces_that_the_connection_closes(tmp_path: Path) -> None:
    server = ServerWithoutKeepalive(tmp_path)
    try:
        server.start()
        with Talk(server) as talk:
            answer = talk.ask("GET", "/v2/")

            assert answer.headers["Connection"] == "close"
            assert talk.is_ended()
    finally:
        server.stop()
