"""How gunicorn serves the registry: started in this folder, `gunicorn` finds this file by itself."""

import gc
import signal
import sys
from functools import partial
from pathlib import Path

# gunicorn looks for modules in the current folder: another one under `gunicorn -c …/gunicorn.conf.py`.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from configuration.restart import marks
from server import cpu_affinity, early_signals, listener
from startup import open_files, prepare, watch
from startup.reload import Reload

_configuration = prepare.configuration()
_server = _configuration.server
# What is in the file now, before anything takes its time: what is written from here on is a change.
_watch = watch.Watch(_configuration.path) if _configuration.path is not None and _server.watch_config else None
_cores = cpu_affinity.available()
_manage = [sys.executable, str(Path(__file__).resolve().parent / "manage.py")]

wsgi_app = "registry_project.wsgi:application"
bind = listener.bind_addresses(_configuration)
workers = _server.workers
threads = _server.threads

# The main thread of this worker reports every second whatever its threads do: no upload is ever too long.
worker_class = "server.worker.Worker"
timeout = 60
graceful_timeout = 30
keepalive = 75
http_parser = "python"
worker_connections = _server.connections

# A token may fill a header; twenty long scopes exceed gunicorn's own 4094 bytes of request line.
limit_request_line = 8190
limit_request_field_size = 8190

# `registry_project.middleware.proxies` decides whom to believe; gunicorn by itself believes loopback.
forwarded_allow_ips = ""
# Else a socket through which the server can be told to stop is opened in the home folder.
control_socket_disable = True
# A heartbeat in a file on a busy disk can come too late.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes an unlinked file

loglevel = "warning"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "core.json_log.JsonFormatter"}},
    "filters": {"clients": {"()": "server.worker.NoClientFaults"}},
    "handlers": {"stderr": {"class": "core.stderr.StderrHandler", "formatter": "json", "filters": ["clients"]}},
    # As in the settings, which replace it at the start and which SIGHUP replaces by it.
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"gunicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
}


def on_starting(server: Arbiter) -> None:
    """Prepare everything, then load the application once: the workers are forked from this process."""
    # One that comes before gunicorn's loop runs waits for it, and does not end the process.
    signal.signal(signal.SIGHUP, server.signal)
    early_signals.keep(server)
    open_files.allow_all()
    server.said_at_start = prepare.prepare(server.cfg.address)  # type: ignore[attr-defined]
    server.app.wsgi()
    # What is loaded stays: no worker looks at it again for garbage, so its pages stay shared.
    gc.collect()
    gc.freeze()
    # A request leaves few cycles behind, or none: looked for at every 700 allocations, they took a twentieth of the CPU
    # of a push. At every 20,000 they took 12 MiB in each worker.
    gc.set_threshold(5_000, 5, 5)


def when_ready(server: Arbiter) -> None:
    """Bound the patience of every connection, and say where the server is."""
    listener.limit_standstill(server.LISTENERS)
    _reload_on_request(server)
    prepare.say_listening(server.LISTENERS)


def _reload_on_request(server: Arbiter) -> None:
    """Let SIGHUP, and with `server.watch_config` a change of the file, import users and rules."""
    # Not the one from above: the first start has written a file since.
    configuration = prepare.configuration()
    command = [*_manage, "loadconfig", str(configuration.path), "--reload", "--skip-checks"]
    reload = Reload(command, marks(configuration), server.said_at_start)  # type: ignore[attr-defined]
    reload.install(server)
    server.reload_of_configuration = reload  # type: ignore[attr-defined]
    if _watch is not None:
        watch.install(server, _watch, reload.start)


def on_exit(server: Arbiter) -> None:
    """Stop a running import."""
    if hasattr(server, "reload_of_configuration"):
        server.reload_of_configuration.stop()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Choose a core that no other worker is pinned to."""
    if _server.pin_workers:
        taken = [getattr(other, "core", None) for other in server.WORKERS.values()]
        worker.core = cpu_affinity.first_free(_cores, taken)  # type: ignore[attr-defined]


def post_fork(_arbiter: Arbiter, worker: Worker) -> None:
    """Pin the worker."""
    if hasattr(worker, "core"):
        cpu_affinity.pin({worker.core})


def post_worker_init(worker: Worker) -> None:
    """Start what is due beside the server: a lease decides among all workers and replicas which one does."""
    from collector.jobs.scheduler import Scheduler

    command = [*_manage, "runjobs", "--once"]
    # A job runs on any core, and not on that of its worker.
    worker.jobs = Scheduler(command, at_start=partial(cpu_affinity.pin, _cores))  # type: ignore[attr-defined]
    worker.jobs.start()  # type: ignore[attr-defined]


def worker_exit(_arbiter: Arbiter, worker: Worker) -> None:
    """Tell a running job to stop: what it did is done, the rest is for the next run."""
    if hasattr(worker, "jobs"):
        worker.jobs.stop()
