"""The spool's file: what is in it stays in it, through kill -9, full disks and broken records."""

import dataclasses
import multiprocessing
import os
import signal
import stat
import subprocess
import time
from datetime import timedelta

import pytest

from gateway.core.errors import ConfigError, SpoolUnavailable
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from gateway.store import spool_file
from gateway.store.spool import Spool
from tests.conftest import TEN


def message(number, seconds=0.0, content="Hello"):
    return InboundMessage(
        id=f"SM{number}",
        communication_type="sms",
        sender=participant("+15558675310"),
        recipient=address("+15017122661"),
        content=content,
        received_at=TEN + timedelta(seconds=seconds),
        provider_sid=f"SM{number}",
    )


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool", max_bytes=10_000_000)
    yield spool
    spool.close()


def keys(spool, **given):
    return [record.key for record in spool.oldest(1000, **given)]


def test_only_its_owner_may_read_it(spool):
    spool.put(message(1), webhook="a")
    for path in spool.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700


def test_i4_a_record_is_on_the_disk_and_not_only_handed_to_the_system(spool):
    with spool.using() as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: a power cut takes nothing back"


def test_what_was_received_first_comes_first(spool):
    for number, seconds in ((1, 3), (2, 1), (3, 2), (4, 1)):
        assert spool.put(message(number, seconds), webhook="a")
    assert keys(spool) == ["SM2", "SM4", "SM3", "SM1"]


def test_a_second_delivery_is_noted_and_not_kept_twice(spool):
    assert spool.put(message(1), webhook="a", told="Wait.")
    assert not spool.put(message(1), webhook="b")
    (record,) = spool.oldest(9)
    assert (record.webhooks, record.told, record.event) == (("a", "b"), "Wait.", message(1))


def test_what_is_delivered_again_while_it_is_applied_stays_until_that_is_seen_to(spool):
    spool.put(message(1), webhook="a")
    (record,) = spool.oldest(9)
    spool.put(message(1), webhook="b")
    spool.remove([record])
    assert keys(spool) == ["SM1"]
    spool.remove(spool.oldest(9))
    assert spool.is_empty()


def test_whoever_found_it_empty_hears_at_once_of_what_another_process_keeps(spool):
    other = Spool(spool.folder, max_bytes=10_000_000)
    for number in range(100):
        if number % 2:  # as if nobody had kept anything for a while, so that what was found is believed
            os.utime(spool.folder / f"{spool_file.FILE}-wal", (TEN.timestamp(), TEN.timestamp()))
        assert spool.is_empty()
        assert spool.is_empty()
        other.put(message(number), webhook="a")
        assert not spool.is_empty()
        other.remove(other.oldest(9))
    other.close()


def test_asking_whether_it_is_empty_costs_no_look_into_it_while_nobody_changes_it(spool, monkeypatch):
    assert spool.is_empty()
    os.utime(spool.folder / f"{spool_file.FILE}-wal", (TEN.timestamp(), TEN.timestamp()))
    assert spool.is_empty()
    monkeypatch.setattr(Spool, "using", None)
    assert spool.is_empty()


def test_a_record_nobody_can_read_is_told_apart(spool):
    spool.put(message(1), webhook="a")
    spool._connection().execute("UPDATE events SET event = '{\"broken\"'")
    (record,) = spool.oldest(9)
    assert record.event is None
    assert "unreadable" in record.error


def test_what_is_set_aside_waits_for_nobody_and_is_tried_again_on_demand(spool):
    spool.put(message(1), webhook="a")
    spool.note_failure(spool.oldest(1)[0], "why", set_aside=True)
    assert spool.is_empty()
    assert (spool.depth().waiting, spool.depth().set_aside) == (0, 1)
    assert [record.error for record in spool.oldest(9, set_aside=True)] == ["why"]
    assert spool.retry() == 1
    assert keys(spool) == ["SM1"]


def test_its_limit_is_refused_loudly_and_keeps_what_is_there(tmp_path):
    spool = Spool(tmp_path, max_bytes=100_000)
    with pytest.raises(SpoolUnavailable, match="GATEWAY_SPOOL__MAX_BYTES"):
        for number in range(1000):
            spool.put(message(number, content="x" * 1000), webhook="a")
    kept = spool.depth().waiting
    assert 20 < kept < 100
    assert len(keys(spool)) == kept


def test_a_folder_that_cannot_be_written_is_a_settings_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="GATEWAY_SPOOL__DIR"):
        Spool(tmp_path / "file" / "spool", max_bytes=1).require_writable()


def test_a_file_that_is_no_spool_is_said_so(tmp_path):
    (tmp_path / spool_file.FILE).write_bytes(b"something else entirely " * 100)
    with pytest.raises(ConfigError, match="not a database"):
        Spool(tmp_path, max_bytes=1_000_000).require_writable()


def test_a_nearly_full_disk_is_emptied_with_what_was_kept_for_that(spool, monkeypatch):
    spool.require_writable()
    reserve = spool.folder / spool_file.RESERVE
    assert reserve.stat().st_blocks * 512 >= spool_file.RESERVE_BYTES
    spool.put(message(1), webhook="a")
    monkeypatch.setattr(spool_file, "_is_full", lambda _folder: True)
    spool.remove(spool.oldest(1))
    assert not reserve.exists()
    monkeypatch.undo()
    spool.shrink()
    assert reserve.exists()


def _put_until_killed(folder, first, acknowledged):
    spool = Spool(folder, max_bytes=100_000_000)
    for number in range(first, first + 100_000):
        spool.put(message(number), webhook="a")
        acknowledged.value = number


def test_i4_what_was_acknowledged_before_kill_9_is_there(tmp_path):
    context = multiprocessing.get_context("fork")
    values = [context.Value("q", 0) for _ in range(3)]
    writers = [
        context.Process(target=_put_until_killed, args=(tmp_path, number * 1_000_000 + 1, value))
        for number, value in enumerate(values)
    ]
    for writer in writers:
        writer.start()
    patience = time.monotonic() + 20
    while not all(value.value for value in values) and time.monotonic() < patience:
        time.sleep(0.1)
    time.sleep(0.5)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    kept = {record.key for record in Spool(tmp_path, max_bytes=1).oldest(1_000_000)}
    for number, value in enumerate(values):
        assert value.value > 0
        assert {f"SM{one}" for one in range(number * 1_000_000 + 1, value.value + 1)} <= kept


def test_many_processes_and_threads_may_write_at_once(tmp_path):
    def put(first):
        spool = Spool(tmp_path, max_bytes=100_000_000)
        for number in range(first, first + 50):
            assert spool.put(dataclasses.replace(message(number), received_at=TEN), webhook="a")

    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=put, args=(number * 100,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    assert Spool(tmp_path, max_bytes=1).depth().waiting == 400


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_refuses_loses_nothing_and_is_emptied_again(tiny_disk):
    spool = Spool(tiny_disk, max_bytes=100_000_000)
    spool.require_writable()
    acknowledged = []
    for number in range(10_000):
        try:
            spool.put(message(number, number), webhook="a")
        except SpoolUnavailable as full:
            assert "full" in str(full)
            if len(acknowledged) + 50 < number:
                break
        else:
            acknowledged.append(f"SM{number}")
    assert len(acknowledged) > 500
    seen = []
    while records := spool.oldest(100):
        for record in records:
            spool.remove([record])
            seen.append(record.key)
    assert seen == acknowledged
    spool.shrink()
    assert spool.put(message(0), webhook="a")
    assert (tiny_disk / spool_file.RESERVE).exists()
    spool.close()
