"""Heat maps of layers and dimensions: which results make one, and what stands on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalsuite import leaderboard
from evalsuite.leaderboard import entries, grids, heatmap
from tests.leaderboard.synthetic import write_result
from tests.leaderboard.test_leaderboard import Page


def write_cell(root: Path, layer: object, dim: object, score: float, **fields: Any) -> None:
    extra = fields.pop("options", {})
    options = {"layer": str(layer), "dim": str(dim), **extra}
    slug = ",".join(f"{key}={value}" for key, value in sorted(options.items()))
    path = write_result(root, score=score, variant=f"cpu,fp32,{slug}", **fields)
    result = json.loads(path.read_text())
    result["model"]["options"] = options
    path.write_text(json.dumps(result))


def read(root: Path) -> list[grids.Grid]:
    pages = grids.by_page(entries.load([root])[0])
    return [grid for mine in pages.values() for grid in mine]


def write_square(root: Path, **fields: Any) -> None:
    for layer, dim, score in ((2, 8, 0.25), (2, 64, 0.5), (10, 8, 0.125), (10, 64, 0.75)):
        write_cell(root, layer, dim, score, **fields)


def test_a_grid_is_ordered_by_number_and_knows_its_best(tmp_path: Path) -> None:
    write_square(tmp_path)
    write_cell(tmp_path, -1, 8, 0.3)
    (grid,) = read(tmp_path)
    assert (grid.layers, grid.dims) == (("2", "10", "-1"), ("8", "64"))
    assert grid.best == 0.75
    assert grid.cells["10", "8"].result.main_score == 0.125
    assert ("-1", "64") not in grid.cells


@pytest.mark.parametrize(
    "other",
    [{"task": "Beta"}, {"fingerprint": "e" * 64}, {"limit": 3}, {"options": {"pooling": "cls"}}],
)
def test_what_cannot_be_compared_stands_in_no_grid(tmp_path: Path, other: dict[str, Any]) -> None:
    write_square(tmp_path / "a")
    write_cell(tmp_path / "b", 3, 16, 0.1, **other)
    (grid,) = leaderboard.grids.by_page(entries.load([tmp_path / "a", tmp_path / "b"])[0]).values()
    assert [len(one.cells) for one in grid] == [4]


@pytest.mark.parametrize(
    "cells", [[(1, 8), (2, 8)], [(1, 8), (1, 16)], [("x", 8), ("x", 16), ("y", 8)]]
)
def test_fewer_than_two_layers_and_two_dims_make_none(
    tmp_path: Path, cells: list[tuple[object, object]]
) -> None:
    for layer, dim in cells:
        write_cell(tmp_path, layer, dim, 0.5)
    assert read(tmp_path) == []


def test_a_grid_too_large_to_read_is_a_table_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_square(tmp_path)
    (grid,) = read(tmp_path)
    assert heatmap.draw(grid) is not None
    monkeypatch.setattr(heatmap, "MOST", 1)
    assert heatmap.draw(grid) is None


@pytest.fixture
def page(tmp_path: Path) -> Callable[[], Page]:
    def build() -> Page:
        leaderboard.build([tmp_path / "results"], tmp_path / "site")
        return Page(next((tmp_path / "site" / "models").glob("*.html")))

    return build


def test_the_page_shows_picture_and_table(tmp_path: Path, page: Callable[[], Page]) -> None:
    write_square(tmp_path / "results")
    shown = page()
    assert "Layer 8 dimensions 64 dimensions 2 0.2500" in shown.words
    assert "★best: 0.7500" in shown.words.replace("★ ", "★")
    pictures = sorted((tmp_path / "site" / "plots" / "grids").glob("*.svg"))
    assert len(pictures) == 2
    for picture in pictures:
        letters = " ".join(ElementTree.parse(picture).getroot().itertext())
        for text in ("0.250", "★0.750", "layer", "dimensions", "10", "64"):
            assert text in letters
    before = [picture.read_bytes() for picture in pictures]
    page()
    assert [picture.read_bytes() for picture in pictures] == before


def test_a_page_without_a_grid_has_no_heat_map(tmp_path: Path, page: Callable[[], Page]) -> None:
    write_result(tmp_path / "results")
    assert "Layers and dimensions" not in page().words
    assert not (tmp_path / "site" / "plots" / "grids").exists()


def test_hostile_options_are_text(tmp_path: Path, page: Callable[[], Page]) -> None:
    evil = "<script>alert(1)</script>"
    write_square(tmp_path / "results", options={"prompt": evil}, task=f"A{evil}")
    shown = page()
    assert shown.count("script") == 1
    assert evil in shown.text


def test_many_variants_are_summed_up(tmp_path: Path, page: Callable[[], Page]) -> None:
    write_square(tmp_path / "results")
    write_cell(tmp_path / "results", 3, 16, 0.5)
    assert "Optionsdim 8, 16, 64; layer 2, 3, 10" in page().words
