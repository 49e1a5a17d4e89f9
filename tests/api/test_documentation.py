"""The OpenAPI file, the page over it, and the command that writes it."""

import json
import subprocess
import sys

from gateway.api import documentation
from tests.conftest import TOKEN

COMMAND = "from gateway.cli import main; main()"


def test_the_file_and_the_page_need_no_key(app):
    client = app.test_client()
    made = client.get("/api/openapi.json").json
    assert made["openapi"].startswith("3.1")
    assert made["paths"]["/api/v1/me"]["get"]["x-scope"] == "read"
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for name in documentation._FILES:
        assert client.get(f"/api/docs/{name}").status_code == 200, name
    assert client.get("/api/docs/../problems.py").status_code == 404


def test_every_operation_has_an_id_a_summary_and_a_scope(app):
    made = documentation.document(app)
    operations = [operation for path in made["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"].endswith(".") for operation in operations)
    versioned = [one for path, item in made["paths"].items() if path.startswith("/api/v1/") for one in item.values()]
    assert all(operation["x-scope"] in ("read", "write", "admin") for operation in versioned)


def test_the_command_writes_what_the_server_gives(app, tmp_path):
    written = tmp_path / "openapi.json"
    subprocess.run([sys.executable, "-c", COMMAND, "openapi", "-o", str(written)], check=True)
    assert json.loads(written.read_text()) == app.test_client().get("/api/openapi.json").json
    assert TOKEN not in written.read_text()


def test_a_file_that_cannot_be_written_is_said_in_a_line(tmp_path):
    nowhere = tmp_path / "none" / "openapi.json"
    arguments = [sys.executable, "-c", COMMAND, "openapi", "-o", str(nowhere)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"Error: {nowhere} cannot be written: No such file or directory.\n"


def test_the_page_shows_the_calls(app, serve, open_page):
    _, base = serve()
    page = open_page()
    page.goto(f"{base}/api/docs")
    page.locator("#operations-Keys-get_me").wait_for()
    assert page.said == []
