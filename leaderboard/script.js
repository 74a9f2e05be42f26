// Sorting and filtering of the tables. Without this file every page is complete, in its order.
"use strict";

(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const opposite = { ascending: "descending", descending: "ascending" };

  /** The value a row is sorted by: a number, a text, or null where it is missing. */
  function valueOf(row, index, kind) {
    const cell = row.cells[index];
    if (kind === "number") return cell.dataset.value ? Number(cell.dataset.value) : null;
    return cell.textContent.trim().replace(/\s+/g, " ") || null;
  }

  function compare(a, b, kind) {
    return kind === "number" ? a - b : collator.compare(a, b);
  }

  /** Sorts a table by the column of a heading; missing values stay last in either direction. */
  function sortBy(heading) {
    const body = heading.closest("table").tBodies[0];
    const { kind, first = "ascending" } = heading.dataset;
    const order = opposite[heading.getAttribute("aria-sort")] || first;
    const sign = order === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows, (row) => [valueOf(row, heading.cellIndex, kind), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * compare(a, b, kind);
    });
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    body.append(...rows.map(([, row]) => row));
  }

  function addSorting(heading) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.setAttribute("aria-label", `Sort by ${heading.dataset.label}`);
    // On the first line: before a number's label, so that labels stay flush with the numbers.
    const numeric = heading.dataset.kind === "number";
    heading.insertBefore(button, numeric ? heading.firstChild : heading.querySelector(".sub"));
    heading.addEventListener("click", (event) => {
      if (!event.target.closest("a")) sortBy(heading);
    });
  }

  /** Shows the rows that hold every word, in all tables of the page. */
  function filterRows(words, shown) {
    const rows = Array.from(document.querySelectorAll("tbody tr"));
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const left = rows.filter((row) => !row.hidden).length;
    shown.textContent = words.length ? `${left} of ${rows.length} rows` : "";
  }

  document.querySelectorAll("th[data-kind]").forEach(addSorting);
  const input = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const apply = () => filterRows(input.value.toLowerCase().split(/\s+/).filter(Boolean), shown);
  input.addEventListener("input", apply);
  input.closest("[hidden]").hidden = false;
  apply(); // a browser may keep the text over a reload
})();
