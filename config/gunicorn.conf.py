"""gunicorn for the Procfile and `make run`: a main thread for webhooks, threads for all else and for what waits."""

import gc
import os
import shutil
import sys

from gateway import settings
from gateway.core.errors import ConfigError
from gateway.store.embedded import die_with_parent

try:
    configured = settings.load()
except ConfigError as error:
    sys.exit(f"gateway: {error}")

bind = f"{'127.0.0.1' if configured.is_development else '0.0.0.0'}:{configured.port}"
worker_class = "gateway.evented.EventedWorker"
workers = configured.web_concurrency
threads = settings.WEB_THREADS
keepalive = 75
timeout = 30
graceful_timeout = 15
# All gunicorns of a user would share one control socket.
control_socket_disable = True
# The app reads X-Forwarded-* itself, from TRUSTED_PROXIES only. Everybody is trusted with nothing: gunicorn would read
# the address of whoever is trusted with something anew for each request.
forwarded_allow_ips = "*"
secure_scheme_headers = {}
forwarder_headers = ""
loglevel = "warning"

# prometheus-client looks for this variable when it is imported, so nothing that imports it may come before.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    metrics_dir = configured.data_dir.resolve() / "metrics"
    shutil.rmtree(metrics_dir, ignore_errors=True)
    metrics_dir.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)


def on_starting(server):
    """Say once, and not in each worker, what is wrong with the database's URI, the responders, the broker or the spool.

    The app's modules are imported here as well: workers share them, and one that was killed is back at once.
    """
    gc.disable()  # nothing that is imported is garbage, and to look for some takes a sixth of the time
    import gateway.app  # noqa: F401
    from gateway.conversation import runtime
    from gateway.store import clients

    try:
        clients.check(configured)
        runtime.build(configured).spool.require_writable()
    except ConfigError as error:
        sys.exit(f"gateway: {error}")
    # The collector writes into every object it looks at, which would give each worker a copy of all that was imported.
    gc.collect()
    gc.freeze()
    gc.enable()


def post_fork(server, worker):
    """Let no worker outlive a master that was killed: it would keep the port."""
    die_with_parent()


def post_worker_init(worker):
    """Let a worker serve webhooks in its main thread, and end what takes long as soon as it is to stop.

    That is the streams to browsers, chats that wait for an answer, and a spool that is being emptied.
    """
    from gateway import jobs, webhooks

    jobs.is_serving = lambda: worker.alive
    webhooks.serve_in(worker, worker.wsgi)


def child_exit(server, worker):
    """Let go of the gauges of a worker that is gone."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
