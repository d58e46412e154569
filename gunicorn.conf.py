"""gunicorn's settings for the registry; `gunicorn` in this folder finds the file by itself."""

import gc
import os
import signal
import sys
from functools import partial
from pathlib import Path

# gunicorn imports from the current folder, which `gunicorn -c …/gunicorn.conf.py` leaves to the caller.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from configuration.restart import marks
from server import cpu_affinity, listener, signals
from startup import metrics_folder, prepare, watch
from startup.reload import Reload

_configuration = prepare.configuration()
_server = _configuration.server
# As early as possible: later writes count as a change.
_watch = watch.Watch(_configuration.path) if _configuration.path is not None and _server.watch_config else None
_cores = cpu_affinity.available()
_manage = [sys.executable, str(Path(__file__).resolve().parent / "manage.py")]

wsgi_app = "registry_project.wsgi:application"
bind = listener.bind_addresses(_configuration)
workers = _server.workers
threads = _server.threads

# Its main thread sends the heartbeat whatever its threads do, so a long upload never times out.
worker_class = "server.worker.Worker"
timeout = 60
graceful_timeout = 30
keepalive = 75
http_parser = "python"
worker_connections = _server.connections

# A token may fill a header field; twenty long scopes exceed gunicorn's default of 4094 bytes.
limit_request_line = 8190
limit_request_field_size = 8190

# `registry_project.middleware.proxies` decides which proxy to trust; gunicorn's default trusts loopback.
forwarded_allow_ips = ""
# Otherwise a socket in the home folder can stop the server.
control_socket_disable = True
# The heartbeat is a file's time, and late on a busy disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes an unlinked file

loglevel = "warning"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "core.json_log.JsonFormatter"}},
    "filters": {"clients": {"()": "server.worker.NoClientFaults"}},
    "handlers": {"stderr": {"class": "core.stderr.StderrHandler", "formatter": "json", "filters": ["clients"]}},
    # As in Django's settings, which replace it at the start.
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"gunicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
}


def on_starting(server: Arbiter) -> None:
    """Prepare the server, then load the application once for all workers, which are forks."""
    # Queue an early SIGHUP for gunicorn's loop; by default it ends the process.
    signal.signal(signal.SIGHUP, server.signal)
    signals.keep_early(server)
    prepare.raise_open_file_limit()
    server.said_at_start = prepare.prepare(server.cfg)  # type: ignore[attr-defined]
    if prepare.configuration().server.metrics_token is not None:
        server.metrics_folder = metrics_folder.make()  # type: ignore[attr-defined]
    server.app.wsgi()
    # The collector never visits loaded objects again, so their pages stay shared.
    gc.collect()
    gc.freeze()
    # A request leaves few cycles. A collection at every 700 allocations took a twentieth of a push's CPU; one at every
    # 20,000 let cycles grow to 12 MiB in each worker.
    gc.set_threshold(5_000, 5, 5)


def when_ready(server: Arbiter) -> None:
    """Set the timeouts of connections, install the reload and the drain, and print the addresses."""
    listener.set_timeouts(server.LISTENERS)
    # Read again: the first start has written the file meanwhile.
    configuration = prepare.configuration()
    command = [*_manage, "loadconfig", str(configuration.path), "--reload", "--skip-checks"]
    reload = Reload(command, marks(configuration), server.said_at_start)  # type: ignore[attr-defined]
    reload.install(server)
    server.reload_of_configuration = reload  # type: ignore[attr-defined]
    if _watch is not None:
        watch.install(server, _watch, reload.start)
    signals.drain_at_sigterm(server, _server.drain)
    prepare.say_listening(server.LISTENERS)


def on_exit(server: Arbiter) -> None:
    """Stop a running import, remove what was counted, and leave a database file that is complete."""
    if hasattr(server, "metrics_folder"):
        server.metrics_folder.remove()
    if hasattr(server, "reload_of_configuration"):
        server.reload_of_configuration.stop()
    if hasattr(server, "said_at_start"):
        from core.db import setup

        setup.checkpoint()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Choose a core that no other worker is pinned to."""
    if _server.pin_workers:
        taken = [getattr(other, "core", None) for other in server.WORKERS.values()]
        worker.core = cpu_affinity.first_free(_cores, taken)  # type: ignore[attr-defined]


def post_fork(_arbiter: Arbiter, worker: Worker) -> None:
    """Pin the worker, with the threads and processes that it starts."""
    if hasattr(worker, "core"):
        os.sched_setaffinity(0, {worker.core})


def post_worker_init(worker: Worker) -> None:
    """Start what is due beside the server: a lease decides among all workers and replicas which one does."""
    from collector.jobs.scheduler import Scheduler

    command = [*_manage, "runjobs", "--once"]
    # A job runs on any core, and not on that of its worker.
    worker.jobs = Scheduler(command, at_start=partial(os.sched_setaffinity, 0, _cores))  # type: ignore[attr-defined]
    worker.jobs.start()  # type: ignore[attr-defined]
    from distribution.usage.counter import Recorder

    worker.usage = Recorder()  # type: ignore[attr-defined]
    worker.usage.start()  # type: ignore[attr-defined]
    if _configuration.auth.ldap is not None:
        from identity_providers.ldap.refresher import Refresher

        worker.directory = Refresher()  # type: ignore[attr-defined]
        worker.directory.start()  # type: ignore[attr-defined]
    from webhooks.deliverer import Deliverer

    worker.webhooks = Deliverer()  # type: ignore[attr-defined]
    worker.webhooks.start()  # type: ignore[attr-defined]
    if _server.traces_endpoint is not None:
        from monitoring.traces import Traces
        from registry_project.version import VERSION

        # Here, since its thread would not survive the fork.
        worker.traces = Traces(_server.traces_endpoint, VERSION)  # type: ignore[attr-defined]
        worker.trace = worker.traces.export  # type: ignore[attr-defined]


def worker_exit(_arbiter: Arbiter, worker: Worker) -> None:
    """Stop a running job, whose next run continues; store the last counts and events, and send the last spans."""
    if hasattr(worker, "jobs"):
        worker.jobs.stop()
    if hasattr(worker, "directory"):
        worker.directory.close()
    if hasattr(worker, "webhooks"):
        worker.webhooks.close()
    if hasattr(worker, "usage"):
        worker.usage.close()
        from audit import recording

        recording.flush()
    if hasattr(worker, "traces"):
        worker.traces.close()
