"""Acknowledgements are kept in the state folder, one for each host, class and device."""

from pathlib import Path

import pytest

from console.desk import acks
from console.desk.errors import DeskError
from console.desk.settings import Options, Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(Options(config=tmp_path, store=tmp_path / "state"), env={})


def test_without_a_state_folder_nothing_is_acknowledged(settings: Settings) -> None:
    assert acks.load(settings) == ()
    assert not settings.store.value.exists(), "reading makes no folder"


def test_the_newest_of_a_host_class_and_device_counts(settings: Settings) -> None:
    acks.add(settings, "node01", "gpu-reset@0000:0F:00.0", "first", 10)
    acks.add(settings, "node01", "gpu-reset@0000:0f:00.0", "second", 20)
    acks.add(settings, "node01", "kernel.log.gpu-reset", "everywhere", 30)
    acks.add(settings, "node02", "gpu-reset", "other host", 40)
    found = [(ack.host, ack.bdf, ack.reason, ack.until_ns) for ack in acks.load(settings)]
    assert found == [
        ("node01", "0000:0f:00.0", "second", 20),
        ("node01", "", "everywhere", 30),
        ("node02", "", "other host", 40),
    ]


def test_one_is_taken_back_by_itself(settings: Settings) -> None:
    acks.add(settings, "node01", "gpu-reset", "x", 10)
    acks.add(settings, "node01", "acpi", "x", 10)
    assert acks.remove(settings, "node01", "acpi")
    assert not acks.remove(settings, "node01", "acpi")
    assert [ack.rule for ack in acks.load(settings)] == ["gpu-reset"]


def test_marks_stand_beside_times_and_the_newest_of_each_counts(settings: Settings) -> None:
    acks.add(settings, "node01", "gpu-reset", "by time", 10)
    acks.add(settings, "node01", "gpu-reset#0123456789", "old mark", 20)
    acks.add(settings, "node01", "gpu-reset@0000:0F:00.0#0123456789", "of a device", 20)
    acks.add(settings, "node01", "gpu-reset#ABCDEF0123", "new mark", 30)
    found = {(ack.bdf, ack.mark): ack.reason for ack in acks.load(settings)}
    assert found == {
        ("", ""): "by time",
        ("0000:0f:00.0", "0123456789"): "of a device",
        ("", "abcdef0123"): "new mark",
    }
    assert acks.remove(settings, "node01", "gpu-reset#abcdef0123")
    assert ("", "") in {(ack.bdf, ack.mark) for ack in acks.load(settings)}


@pytest.mark.parametrize("fault", ["nosuch", "gpu-reset@zz", "gpu-reset@0f:00.0", "gpu-reset#zz", "gpu-reset#0123"])
def test_what_names_no_fault_is_refused(settings: Settings, fault: str) -> None:
    with pytest.raises(DeskError, match=r"class|address|mark"):
        acks.add(settings, "node01", fault, "x")


def test_a_broken_file_is_named(settings: Settings) -> None:
    settings.store.value.mkdir()
    (settings.store.value / acks.FILE).write_text("{", "utf-8")
    with pytest.raises(DeskError, match=r"acknowledged\.json"):
        acks.load(settings)
