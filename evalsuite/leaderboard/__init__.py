"""The static leaderboard: a folder of plain pages made of result files, read anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalsuite.errors import NothingToReadError
from evalsuite.leaderboard import entries, grids, heatmap, pages, plots, site, sizes, tables
from evalsuite.registry import data_folder, suites

__all__ = ["build"]


def build(roots: Sequence[Path], out: Path, *, title: str = "evalsuite leaderboard") -> Path:
    """Write the leaderboard of all results under some folders as a static site.

    The same results give the same bytes. Of an earlier site in the same folder, what is no longer
    generated is removed; files the build did not write are left alone.

    Args:
        roots: Result folders.
        out: Folder of the site: missing, empty or an earlier site.
        title: Heading of the first page.

    Returns:
        The first page, ``out/index.html``.

    Raises:
        NothingToReadError: No result can be read.
        UsageError: A results folder is missing, or ``out`` holds something else.
        StoreError: The site cannot be written.
    """
    site.check_folder(out)
    read, problems = entries.load(roots)
    if not read:
        raise NothingToReadError(
            f"No readable result under {', '.join(repr(str(root)) for root in roots)}: "
            + " ".join(problems[:3])
        )
    sections = tables.sections(read, suites().values())
    suite_sections = [section for section in sections if section.in_suite]
    pictures = {section.slug: plots.draw(section) for section in suite_sections}
    pictures |= {f"sizes/{section.slug}": sizes.draw(section) for section in suite_sections}
    maps = {
        page: [(grid, heatmap.draw(grid)) for grid in mine]
        for page, mine in grids.by_page(read).items()
    }
    files: dict[str, bytes] = {entry.file: entry.content for entry in read}
    folder = data_folder("leaderboard")
    for name in ("style.css", "script.js", "icon.svg"):
        files[name] = (folder / name).read_bytes()
    grid_pictures = {
        f"grids/{grid.name}": picture for mine in maps.values() for grid, picture in mine
    }
    for slug, picture in {**pictures, **grid_pictures}.items():
        if picture is not None:
            files[f"plots/{slug}.svg"] = picture.light
            files[f"plots/{slug}-dark.svg"] = picture.dark
    files |= pages.render(title, read, sections, pictures, problems, maps)
    site.write(out, files)
    return out / "index.html"
