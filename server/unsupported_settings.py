"""Refuse gunicorn's settings that this worker would silently ignore."""

from gunicorn.config import Config

from core.start_error import StartError

_NO_USE = "leave it out"
_ACCESS_LOG = "set server.access_log in config.yaml to json, text or off"
_LOG = "leave it out, and redirect standard error, where the log goes"
_TLS = "put a reverse proxy with TLS in front (docs/deployment.md)"
_FORWARDED = "set server.trusted_proxies in config.yaml"
_HOOK = "let a reverse proxy do it, or read the access log"
_METRICS = "leave it out, and take metrics from the access log"
_RESTART = "leave it out, and restart the server"
_HTTP1 = "leave it out: the server speaks HTTP/1.1, and a reverse proxy may speak more"

REMEDIES = {
    "accesslog": _ACCESS_LOG,
    "access_log_format": _ACCESS_LOG,
    "disable_redirect_access_to_syslog": _ACCESS_LOG,
    "errorlog": _LOG,
    "loglevel": "leave it out: gunicorn's part of the log has warnings and errors",
    "logconfig": _LOG,
    "logconfig_json": _LOG,
    "syslog": _LOG,
    "statsd_host": _METRICS,
    "enable_backlog_metric": _METRICS,
    "max_requests": _RESTART,
    "max_requests_jitter": _RESTART,
    "reload": _RESTART,
    "on_reload": "leave it out: SIGHUP imports users and rules, and the log says how that ended",
    "pre_request": _HOOK,
    "post_request": _HOOK,
    "certfile": _TLS,
    "keyfile": _TLS,
    "ca_certs": _TLS,
    "cert_reqs": _TLS,
    "ciphers": _TLS,
    "ssl_context": _TLS,
    "http_protocols": _HTTP1,
    "http2_cleartext": _HTTP1,
    "http_parser": _NO_USE,
    "protocol": _HTTP1,
    "proxy_protocol": "let the proxy send X-Forwarded-For, and set server.trusted_proxies in config.yaml",
    "forwarded_allow_ips": _FORWARDED,
    "forwarder_headers": _FORWARDED,
    "secure_scheme_headers": _FORWARDED,
    "sendfile": _NO_USE,
    "worker_class": "leave it out: other workers end uploads that take long",
    "control_socket": _NO_USE,
    "asgi_loop": _NO_USE,
    "asgi_lifespan": _NO_USE,
    "websocket_max_message_size": _NO_USE,
    "root_path": "set server.public_url in config.yaml",
}
# What gunicorn.conf.py sets; for other settings gunicorn's default is the only value.
_OURS = {
    "forwarded_allow_ips": [],
    "http_parser": "python",
    "loglevel": "warning",
    "worker_class": "server.worker.Worker",
}
# What the configuration is read from, before gunicorn sets `raw_env`.
_OWN_VARIABLES = ("REGISTRY_", "CONFIG_PATH=", "DJANGO_")


def check(cfg: Config) -> None:
    """Raise StartError if `cfg` has a setting without effect; the message has a line for each."""
    lines, defaults = [], Config()
    for name, remedy in REMEDIES.items():
        value = cfg.settings[name].get()
        if name == "errorlog" and cfg.capture_output:
            continue  # then gunicorn redirects standard output and error into the file
        if value != (_OURS[name] if name in _OURS else defaults.settings[name].get()):
            flag = (cfg.settings[name].cli or [""])[-1]
            shown = f"{name} ({flag})" if flag else name
            lines.append(f"gunicorn's setting {shown} has no effect on this server: {remedy}")
    for variable in cfg.raw_env:
        if variable.startswith(_OWN_VARIABLES):
            name = variable.partition("=")[0]
            lines.append(
                f"gunicorn's setting raw_env (--env) sets {name} too late: set it in gunicorn's own environment"
            )
    if lines:
        raise StartError("\n".join(lines))
