"""Node and what express needs, installed on first use into a folder that is not committed."""

import shutil
import subprocess
from pathlib import Path

SERVER = Path(__file__).with_name("express") / "server.js"
_WANTED = SERVER.with_name("package.json")
FOLDER = Path(".data/express").resolve()
MODULES = FOLDER / "node_modules"
_INSTALL_SECONDS = 300


def missing() -> str:
    """Install what is pinned unless it is there; gives why that is not possible, nothing where all is well."""
    if absent := [name for name in ("node", "npm") if not shutil.which(name)]:
        return f"{' and '.join(absent)} not installed"
    kept = FOLDER / "package.json"
    if MODULES.exists() and kept.exists() and kept.read_bytes() == _WANTED.read_bytes():
        return ""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print("Installing express, mongoose and twilio for Node (once) ...", flush=True)
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    shutil.copy(_WANTED, kept)
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        problem = f"npm install took longer than {_INSTALL_SECONDS} s"
    else:
        problem = "" if done.returncode == 0 else f"npm install failed: {done.stderr.strip()[-300:]}"
    if problem:
        kept.unlink()
    return problem
