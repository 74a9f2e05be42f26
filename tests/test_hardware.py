"""Devices and provenance."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evalsuite import hardware
from evalsuite.errors import UsageError

ROLES = {"--data-dir": "DATA", "--results": "RESULTS"}


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("/home/me/model", "model"),
        ("/home/me/model?pooling=cls", "model?pooling=cls"),
        ("~/models/x", "x"),
        ("~me/models/x", "x"),
        ("../../me/x.toml", "x.toml"),
        ("--task=/home/me/x.toml", "--task=x.toml"),
        ("-t/home/me/x.toml", "-tx.toml"),
        ("org/model", "org/model"),
        ("./model", "./model"),
        ("all-MiniLM-L6-v2?dim=128", "all-MiniLM-L6-v2?dim=128"),
        ("note=a/b", "note=a/b"),
        ("/", ""),
    ],
)
def test_a_command_holds_no_folders(monkeypatch: pytest.MonkeyPatch, word: str, shown: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/evalsuite", "run", word])
    assert list(hardware.command_line(ROLES)) == ["evalsuite", "run", shown]


def test_a_command_names_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "m", "--data-dir", "/a/b", "--results=/c", "--data-dir=x"]
    monkeypatch.setattr(sys, "argv", ["evalsuite", *words])
    assert list(hardware.command_line(ROLES)) == [
        "evalsuite", "run", "m", "--data-dir", "DATA", "--results=RESULTS", "--data-dir=DATA",
    ]  # fmt: skip


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cuda_available", lambda: False)
    assert hardware.pick_device("auto") == hardware.pick_device("cpu") == "cpu"
    for asked, message in (("cuda", "No CUDA device"), ("cuda:1", "--device cpu"), ("", "Known")):
        with pytest.raises(UsageError, match=message):
            hardware.pick_device(asked)
    monkeypatch.setattr(hardware, "cuda_available", lambda: True)
    assert hardware.pick_device("auto") == "cuda"
    assert hardware.pick_device("cuda:1") == "cuda:1"


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = hardware.environment("cpu", ["pytest", "no-such-package"])
    assert found["device_name"]
    assert found["packages"]["pytest"] == pytest.__version__
    assert "no-such-package" not in found["packages"]
    monkeypatch.chdir(tmp_path)
    assert hardware.git_state() == {"commit": None, "dirty": None}
    monkeypatch.setenv("PATH", "")
    assert hardware.git_state() == {"commit": None, "dirty": None}
