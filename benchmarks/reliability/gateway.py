"""The gateway as the Procfile runs it: gunicorn and a worker, production settings, each in a process group to kill."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from gateway.settings import CONFIG_DIR
from gateway.store.embedded import die_with_parent, free_port

ACCOUNT, TOKEN = "AC" + "c" * 32, "reliability-token"
START_SECONDS = 60
_OURS = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PROMETHEUS_", "WEB_CONCURRENCY", "PORT")


class Gateway:
    """One host's web and worker over a database. `spool_dir` is where webhooks are kept while MongoDB is away."""

    def __init__(self, folder: Path, *, mongodb_uri: str, twilio_url: str, responder: str, idle_seconds: float) -> None:
        self.folder = folder.resolve()
        self.spool_dir = self.folder / "spool"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._given = {
            "GATEWAY_ENV": "production",
            "GATEWAY_DATA_DIR": str(self.folder / "data"),
            "GATEWAY_SPOOL__DIR": str(self.spool_dir),
            "GATEWAY_SESSIONS__IDLE_SECONDS": str(idle_seconds),
            "GATEWAY_REPLY__RESPONDER": responder,
            "GATEWAY_REPLY__HOURLY_LIMIT": "0",
            "GATEWAY_TWILIO__API_BASE_URL": twilio_url,
            "GATEWAY_TWILIO__SEGMENTS_PER_SECOND": "1000",
            "MONGODB_URI": mongodb_uri,
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "SECRET_KEY": "reliability-secret-key",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "WEB_CONCURRENCY": "2",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def migrate(self) -> None:
        """Create the indexes, as a release does."""
        command = [sys.executable, "-c", "from gateway.cli import main; main()", "migrate"]
        subprocess.run(command, cwd=CONFIG_DIR.parent, env=self._environ(), check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Start web and worker, and wait until the web processes answer."""
        bind = f"127.0.0.1:{self.port}"
        config = str(CONFIG_DIR / "gunicorn.conf.py")
        self._run("web", [sys.executable, "-m", "gunicorn", "--config", config, "--bind", bind, "wsgi:app"])
        self._run("worker", [sys.executable, "-m", "gateway.worker"])
        until = time.monotonic() + START_SECONDS
        # Both web processes are to have been there: which of them answers is chance.
        answered = 0
        while answered < 20:
            answered += self.get("/readyz") is not None
            if time.monotonic() > until or self._processes["web"].poll() is not None:
                raise SystemExit(f"The gateway did not come up; see {self.folder / 'web.log'}.")
            time.sleep(0.02 if answered else 0.2)

    def pids(self) -> dict[str, list[int]]:
        """Give the processes: gunicorn's first one, its workers as `web`, and the worker."""
        first, worker = self._processes["web"].pid, self._processes["worker"].pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return {"gunicorn": [first], "web": list(map(int, children)), "worker": [worker]}

    def kill_one_web_process(self) -> None:
        """Kill one of gunicorn's workers with -9; gunicorn starts another."""
        os.kill(random.choice(self.pids()["web"]), signal.SIGKILL)

    def kill(self) -> None:
        """Kill everything with -9: gunicorn, its workers, the worker."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()

    def stop(self) -> None:
        """Ask everything to stop, and kill what does not."""
        for process in self._processes.values():
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in self._processes.values():
                process.wait(20)
        self.kill()

    def get(self, path: str) -> str | None:
        """Give what a page says, None where nobody answers with success."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=3) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def spool_depth(self) -> int | None:
        """Tell how many webhooks wait in the spool: 0 where there is no spool, None where nobody answers."""
        exposed = self.get("/metrics")
        if exposed is None:
            return None
        found = [line.split()[-1] for line in exposed.splitlines() if line.startswith("gateway_spool_depth")]
        return round(sum(map(float, found)))

    def _environ(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return environ | self._given

    def _run(self, name: str, command: list[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=CONFIG_DIR.parent, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
