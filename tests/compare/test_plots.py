"""The forest plot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalsuite.compare import Report, compare
from evalsuite.compare.plots import check_plot, draw, save_plot
from evalsuite.errors import UsageError
from tests.compare.stores import ndcg, selection, write


def made(tmp_path: Path, names: tuple[str, ...] = ("new",), tasks: int = 2, n: int = 80) -> Report:
    sides = [
        selection(
            *(
                write(tmp_path, ndcg(i, n, shift=0.1 * i), model=name, task=f"T{t:02d}")
                for t in range(tasks)
            )
        )
        for i, name in enumerate(("old", *names))
    ]
    return compare(sides[0], sides[1:])


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    report = made(tmp_path)
    for format_ in ("svg", "png"):
        assert draw(report, format_) == draw(report, format_)
    svg = draw(report, "svg").decode()
    for word in ("T00@1", "n=80", "better", "old (cpu,fp32)", "new (cpu,fp32)", "95 % interval"):
        assert word in svg
    assert "<dc:date>" not in svg
    assert "Matplotlib v" not in svg.partition("</metadata>")[0]


def test_a_user_matplotlibrc_moves_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    report = made(tmp_path)
    expected = draw(report, "svg")
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)
    assert draw(report, "svg") == expected


def test_several_candidates_and_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svg = draw(made(tmp_path, ("a", "b", "c", "d")), "svg").decode()
    assert svg.count("candidate less baseline") == 4
    assert "each panel has a scale of its own" in svg
    monkeypatch.setattr("evalsuite.compare.plots.MAX_ROWS", 4)
    svg = draw(made(tmp_path / "many", tasks=7, n=5), "svg").decode()
    assert "… 4 more" in svg


@pytest.mark.parametrize("name", ["<script>x</script>", "a$b$_c", "a\x1b[2Jb", "日本語", "x" * 300])
def test_hostile_names_are_text(tmp_path: Path, name: str) -> None:
    svg = draw(made(tmp_path, (name,)), "svg").decode()
    assert "<script" not in svg
    assert "\x1b" not in svg
    assert re.search(r"</svg>\s*$", svg)


def test_files(tmp_path: Path) -> None:
    report = made(tmp_path)
    save_plot(report, tmp_path / "folder" / "plot.PNG")
    assert (tmp_path / "folder" / "plot.PNG").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"must end in \.png or \.svg"):
        check_plot(tmp_path / "plot.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write the plot"):
        save_plot(report, tmp_path / "file" / "plot.svg")
