"""Files that simulated people send: by whatever name they have, in their own folder."""

import pytest
from flask import Flask

from gateway import clients
from gateway.conversation.simulation import files
from tests.stand_ins.serving import Served


@pytest.fixture(scope="module")
def site():
    """A site with the same picture at every address; gives its own."""
    app = Flask("site")
    app.add_url_rule("/<path:path>", view_func=lambda path: "a cake")
    with Served(app) as served:
        yield served.url


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/cake.png", "cake.png"),
        ("a/..%2f..%2f..%2fcake.png", "cake.png"),
        ("a%2f..%2f..", "file"),
        ("a/%00%1b%5b2Jcake.png", "[2Jcake.png"),
        (f"a/{'%C3%BC' * 300}.png", f"{'ü' * 56}.png"),
    ],
)
def test_a_url_names_a_file_and_never_another_folder(make_settings, site, tmp_path, path, name):
    configured = make_settings(
        env="development", data_dir=tmp_path / "data", twilio_account_sid="", twilio={"api_base_url": ""}
    )
    media = files.attach(configured, f"{site}/{path}", "SM1")
    kept = clients.simulated_files(configured).find(media.url)
    assert kept is not None
    assert kept.name == name
    assert kept.read_bytes() == b"a cake"
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [kept]
