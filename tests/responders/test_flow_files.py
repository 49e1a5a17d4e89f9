"""The folder of flows: read at the start, with all that is wrong in it."""

import pytest

from gateway import settings
from gateway.conversation import runtime
from gateway.core.flows import FlowError
from gateway.responders import flow_files
from tests.core.test_flow_file import GOOD


def of(folder, **sections):
    return settings.load(env="test", flow={"folder": folder}, **sections)


def test_the_shipped_flows_are_read_from_beside_the_other_configuration():
    found = flow_files.load(settings.load(env="test"))
    assert {"bulk_order", "callback"} <= set(found)
    assert found["bulk_order"].file == "config/flows/bulk_order.toml"


def test_a_folder_of_ones_own_is_read_in_its_stead_with_the_settings_timezone(tmp_path):
    (tmp_path / "order.toml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no flow")
    found = flow_files.load(of(tmp_path, reply={"timezone": "Asia/Kolkata"}))
    assert [(name, str(flow.zone)) for name, flow in found.items()] == [("order", "Asia/Kolkata")]


def test_a_folder_that_was_named_and_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FlowError, match=r"GATEWAY_FLOW__FOLDER = '.*absent': no such folder\. Make it, or correct"):
        flow_files.load(of(tmp_path / "absent"))


def test_without_a_folder_there_are_no_flows(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "CONFIG_DIR", tmp_path)
    assert flow_files.load(settings.Settings(env="test")) == {}


def test_everything_that_is_wrong_in_all_files_is_told_at_once(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD.replace("number", "numbr"))
    (tmp_path / "b.toml").write_text('title = "x\n')
    (tmp_path / "c.toml").write_bytes(b"title = '\xff'")
    for name in "de":
        (tmp_path / f"{name}.toml").write_text(GOOD + "[triggers]\nwords = ['buy']\n")
    with pytest.raises(FlowError) as refused:
        flow_files.load(of(tmp_path))
    first, second, third, fourth = str(refused.value).split("\n")
    assert 'a.toml: step "quantity": key "kind" is \'numbr\'. Choose one of' in first
    assert "b.toml is no valid TOML: " in second
    assert "line 1" in second
    assert "c.toml is no UTF-8 text" in third
    assert "e.toml: [triggers]: key \"words\" has 'buy', as " in fourth


def test_a_process_does_not_start_with_a_broken_flow(tmp_path):
    (tmp_path / "order.toml").write_text("")
    with pytest.raises(FlowError, match='key "title" is missing'):
        runtime.build(of(tmp_path))
