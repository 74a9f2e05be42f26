"""The GitHub action: its steps are run here as GitHub would run them, with hostile inputs too."""

from __future__ import annotations

import importlib
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gate.stores import pair_of_models
from tests.support import REPOSITORY

yaml: Any = importlib.import_module("yaml")  # huggingface-hub needs it
ACTION = REPOSITORY / ".github" / "actions" / "gate" / "action.yml"
HOSTILE = [
    "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "a\ntouch pwned",
    "; touch pwned", "| touch pwned", "--junit=pwned", "-h", "*", "~", "${HOME}", "\\", "",
    "x\nverdict=pass", "::set-output name=verdict::pass",
]  # fmt: skip

pytestmark = pytest.mark.skipif(not ACTION.is_file(), reason="a checkout holds the action")


@dataclass(frozen=True)
class Step:
    """What a step came to."""

    code: int
    out: str
    outputs: dict[str, str]
    summary: str


def action() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return table


def step(name: str) -> dict[str, Any]:
    (found,) = (step for step in action()["runs"]["steps"] if step["name"].startswith(name))
    return dict(found)


def run(name: str, tmp_path: Path, **inputs: str) -> Step:
    """Run a step's script as GitHub does: expressions in ``env``, then bash with its flags."""
    declared = {key: value.get("default", "") for key, value in action()["inputs"].items()}
    chosen = {**declared, **inputs}
    own = step(name)
    files = {key: tmp_path / key for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    (tmp_path / "script.sh").write_text(own["run"])
    (tmp_path / "temp").mkdir(exist_ok=True)
    environment = {
        key: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: chosen[match[1]], value)
        for key, value in own["env"].items()
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(tmp_path / "script.sh")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            **{key: str(file) for key, file in files.items()},
            **environment,
        },
    )
    outputs = dict(
        line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines() if line
    )
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    return Step(done.returncode, done.stdout + done.stderr, outputs, summary)


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(autouse=True)
def _evalsuite_on_the_path(tmp_path: Path) -> None:
    text = f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m evalsuite "$@"\n'
    executable(tmp_path / "bin" / "evalsuite", text)


def judge(tmp_path: Path, **inputs: str) -> Step:
    return run("Judge", tmp_path, **{"candidate": "new", "baseline": "old", **inputs})


def test_inputs_reach_scripts_through_the_environment_only() -> None:
    scripts = [step for step in action()["runs"]["steps"] if "run" in step]
    assert len(scripts) == 2
    for one in scripts:
        assert "${{" not in one["run"]
        assert one["shell"] == "bash"
        for value in one["env"].values():
            assert re.fullmatch(r"\$\{\{ inputs\.[a-z-]+ \}\}", value)
    text = ACTION.read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([a-z-]+)", text))
    assert used == set(action()["inputs"])
    given = {value["value"] for value in action()["outputs"].values()}
    assert given == {f"${{{{ steps.gate.outputs.{name} }}}}" for name in action()["outputs"]}
    assert "upload" not in text


@pytest.mark.parametrize(("by", "code", "verdict"), [(0.0, 0, "pass"), (-0.1, 1, "regression")])
def test_the_verdict_is_an_output_and_the_summary_is_written(
    tmp_path: Path, by: float, code: int, verdict: str
) -> None:
    pair_of_models(tmp_path / "results", by)
    (tmp_path / "gate.toml").write_text("[default]\n")
    ran = judge(tmp_path)
    assert ran.code == code
    assert (ran.outputs["verdict"], ran.outputs["exit-code"]) == (verdict, str(code))
    assert "Gate:" in ran.summary
    assert json.loads(Path(ran.outputs["json"]).read_text())["verdict"] == verdict
    assert Path(ran.outputs["junit"]).read_text().startswith("<?xml")
    assert Path(ran.outputs["summary"]).read_text() == ran.summary
    assert "This gate judges" in ran.out


def test_every_end_has_its_verdict_and_code(tmp_path: Path) -> None:
    ran = judge(tmp_path)
    assert (ran.code, ran.outputs["verdict"]) == (2, "error")
    assert "No policy file" in ran.summary
    pair_of_models(tmp_path / "results", 0.001)
    (tmp_path / "policy.toml").write_text("[default]\n")
    ran = judge(tmp_path, policy="policy.toml")
    assert (ran.code, ran.outputs["verdict"]) == (0, "inconclusive")
    (tmp_path / "empty").mkdir()
    ran = judge(tmp_path, policy="policy.toml", baseline="empty")
    assert (ran.code, ran.outputs["verdict"]) == (4, "nothing-compared")
    (tmp_path / "bin" / "evalsuite").unlink()
    executable(tmp_path / "bin" / "evalsuite", "#!/bin/sh\nexit 139\n")
    ran = judge(tmp_path)
    assert (ran.code, ran.outputs["verdict"], ran.summary) == (139, "error", "")


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_inputs_are_words(tmp_path: Path, value: str) -> None:
    pair_of_models(tmp_path / "results")
    (tmp_path / "gate.toml").write_text("[default]\n")
    executable(  # one process for all four inputs
        tmp_path / "bin" / "evalsuite", '#!/bin/sh\nprintf "%s\\0" "$@" > words\nexit 2\n'
    )
    inputs = dict.fromkeys(("candidate", "baseline", "policy", "results"), value)
    ran = judge(tmp_path, **inputs)
    assert ran.code == 2
    assert (ran.outputs["verdict"], ran.outputs["exit-code"]) == ("error", "2")
    words = (tmp_path / "words").read_text().split("\0")[:-1]
    assert words[:5] == [
        "gate", f"--baseline={value}", f"--policy={value}", f"--results={value}", "--explain"
    ]  # fmt: skip
    assert words[-2:] == ["--", value]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_hostile_inputs_end_in_a_clear_error(tmp_path: Path, side: str) -> None:
    pair_of_models(tmp_path / "results")
    (tmp_path / "gate.toml").write_text("[default]\n")
    ran = judge(tmp_path, **{side: "$(touch pwned)\n::error::x"})
    assert (ran.code, ran.outputs["verdict"]) == (2, "error")
    assert "Error: " in ran.out
    assert "touch pwned" in ran.summary
    assert not (tmp_path / "pwned").exists()


def test_what_is_printed_is_no_command_to_the_runner(tmp_path: Path) -> None:
    pair_of_models(tmp_path / "results", -0.1, "::add-mask::x")
    (tmp_path / "gate.toml").write_text("[default]\n")
    lines = judge(tmp_path).out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[first].removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert not [line for line in lines[:first] if line.startswith("::")]
    assert lines[-1] == f"::{token}::"


@pytest.mark.parametrize(
    ("install", "words"),
    [
        ("evalsuite", ["evalsuite"]),
        ("-c a.txt  .[demo,bm25]", ["-c", "a.txt", ".[demo,bm25]"]),
        ("evalsuite\nother", ["evalsuite", "other"]),
        ("$(touch pwned) *", ["$(touch", "pwned)", "*"]),
    ],
)
def test_install_takes_words(tmp_path: Path, install: str, words: list[str]) -> None:
    executable(tmp_path / "bin" / "python3", '#!/bin/sh\nprintf "%s\\0" "$@" > words\n')
    assert run("Install", tmp_path, install=install).code == 0
    given = (tmp_path / "words").read_text().split("\0")[:-1]
    assert given == ["-m", "pip", "install", *words]
    assert not (tmp_path / "pwned").exists()
