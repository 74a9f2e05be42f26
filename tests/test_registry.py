"""Look-up of names, entry points and suites."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from evalsuite import models, registry
from evalsuite.errors import UsageError
from evalsuite.models import Resolved
from evalsuite.registry import Suite
from evalsuite.task import Task, load_task
from tests.support import TextModel, pairs_task


def test_tasks_by_name_version_and_path(tmp_path: Path) -> None:
    assert str(registry.get_task("STSBenchmark")) == "STSBenchmark@1"
    assert registry.get_task("STSBenchmark@1") == registry.get_task("STSBenchmark")
    assert registry.get_task(str(pairs_task(tmp_path))).name == "MyPairs"
    with pytest.raises(UsageError, match=r"version 1 here; '@2'"):
        registry.get_task("STSBenchmark@2")
    with pytest.raises(UsageError, match="Unknown task"):
        registry.get_task("../../etc/passwd")


def test_protocols_and_builtin_models_can_be_imported() -> None:
    for name in registry.PROTOCOLS:
        assert registry.get_protocol(name).name == name
    for name in registry.MODELS:
        assert callable(registry.model_resolver(name))
    with pytest.raises(UsageError, match="Unknown protocol"):
        registry.get_protocol("zzz")


def test_a_suite_is_a_tree_of_means() -> None:
    inner = Suite("inner", "", ("c", "d"))
    suite = Suite("s", "", ("a", "b"), (inner,))
    assert suite.all_tasks() == ("a", "b", "c", "d")
    scores = {"a": 0.0, "b": 0.3, "c": 0.4, "d": 0.8}
    assert suite.mean(scores) == pytest.approx((0.0 + 0.3 + 0.6) / 3)
    for missing in scores:
        assert suite.mean({k: v for k, v in scores.items() if k != missing}) is None
    assert Suite("empty", "", ()).mean({}) is None


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Any], list[str]]:
    """Return a function that installs an entry point and a list of what was loaded."""
    loaded: list[str] = []

    def install(kind: str, name: str, value: Any) -> list[str]:
        class Entry:
            dist = None

            def load(self) -> Any:
                loaded.append(name)
                if isinstance(value, Exception):
                    raise value
                return value

        Entry.name = name  # type: ignore[attr-defined]
        real = metadata.entry_points

        def entry_points(**params: Any) -> Any:
            return [Entry()] if params.get("group") == f"evalsuite.{kind}" else real(**params)

        monkeypatch.setattr(metadata, "entry_points", entry_points)
        return loaded

    return install


def test_entry_points_are_listed_unloaded_and_loaded_by_name(
    plug_in: Callable[[str, str, Any], list[str]], tmp_path: Path
) -> None:
    task = load_task(pairs_task(tmp_path))
    loaded = plug_in("tasks", "Plugged", task)
    assert [entry.name for entry, _ in registry.entry_points("tasks")] == ["Plugged"]
    registry.get_task("STSBenchmark")
    assert loaded == []
    assert registry.get_task("Plugged") is task
    assert loaded == ["Plugged"]
    with pytest.raises(UsageError, match="Did you mean 'Plugged'"):
        registry.get_task("Pluged")


def test_a_plugged_in_task_can_be_a_path(
    plug_in: Callable[[str, str, Any], list[str]], tmp_path: Path
) -> None:
    plug_in("tasks", "Plugged", str(pairs_task(tmp_path)))
    assert isinstance(registry.get_task("Plugged@1"), Task)


def test_a_plug_in_that_cannot_be_loaded_is_one_error(
    plug_in: Callable[[str, str, Any], list[str]],
) -> None:
    plug_in("models", "broken", ImportError("no such thing"))
    with pytest.raises(UsageError, match=r"model 'broken'.*ImportError: no such thing"):
        models.resolve("broken")


def test_a_plugged_in_model_resolves(plug_in: Callable[[str, str, Any], list[str]]) -> None:
    right = Resolved("mine", "id", "rev", load=lambda placement: TextModel())
    plug_in("models", "mine", lambda spec: right)
    assert models.resolve("mine?x=1") is right
    plug_in("models", "wrong", lambda spec: TextModel())
    with pytest.raises(UsageError, match="did not resolve to a Resolved"):
        models.resolve("wrong")


def test_the_catalogue_is_a_checkouts_else_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (registry.data_folder("tasks") / "suites.toml").is_file()
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert registry.data_folder("tasks").parts[-3:] == ("evalsuite", "_data", "tasks")
