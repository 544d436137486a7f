/* Tables that sort by a click on a heading, and longer ones that filter by a text. */
"use strict";

const SORTED_FROM = 3;
const FILTERED_FROM = 8;
const MOST_CHOICES = 100;
const FIRST_NUMBER = /(-?(?:\d[\d,]*)?\.?\d+(?:e[+-]?\d+)?)(?: (ms|kB|MB|GB)\b)?/i;
const PREFIXES = { ms: 1e-3, kb: 1e3, mb: 1e6, gb: 1e9 };

/* The first number of a cell, in the unit without prefix; null for a cell without one, which is last in each order. */
const firstNumber = (text) => {
  const found = FIRST_NUMBER.exec(text.replace("−", "-"));
  return found ? Number(found[1].replaceAll(",", "")) * (PREFIXES[found[2]?.toLowerCase()] ?? 1) : null;
};

const compared = (numeric) => (one, other) => {
  if (!numeric) return one.localeCompare(other, "en", { numeric: true });
  const [a, b] = [firstNumber(one), firstNumber(other)];
  if (a === null || b === null) return (a === null) - (b === null);
  return a - b;
};

const sortable = (table, rows, order) => {
  const heads = [...table.tHead.rows[0].cells];
  let current = { column: -1, falling: false };
  heads.forEach((head, column) => {
    const button = element("button", "sort");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const again = current.column === column;
      if (again && current.falling) current = { column: -1, falling: false };
      else current = { column, falling: again };
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      let sorted = [...rows];
      if (current.column >= 0) {
        head.setAttribute("aria-sort", current.falling ? "descending" : "ascending");
        const numeric = head.classList.contains("number");
        const compare = compared(numeric);
        const text = new Map(rows.map((row) => [row, row.cells[column]?.textContent ?? ""]));
        sorted.sort((one, other) => {
          const [a, b] = [text.get(one), text.get(other)];
          if (numeric && (firstNumber(a) === null || firstNumber(b) === null)) return compare(a, b);
          return current.falling ? compare(b, a) : compare(a, b);
        });
      }
      order(sorted);
    });
  });
};

const enhanced = (box) => {
  const table = box.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < SORTED_FROM) return;
  sortable(table, rows, (sorted) => body.append(...sorted));
  if (rows.length < FILTERED_FROM) return;
  const bar = element("div", "filter");
  const label = element("label", "", "Filter ");
  const input = element("input");
  input.type = "search";
  const shown = element("output", "", `${rows.length} rows`);
  label.append(input);
  const chosen = new Map();
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...chosen].filter(([, value]) => value !== "");
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || !wanted.every(([column, value]) => row.cells[column].textContent === value);
      if (!row.hidden) count += 1;
    }
    shown.textContent = words.length || wanted.length ? `${count} of ${rows.length} rows` : `${rows.length} rows`;
  };
  const choices = [...table.tHead.rows[0].cells].flatMap((head, column) => {
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))];
    if (!("choose" in head.dataset) || values.length < 2 || values.length > MOST_CHOICES) return [];
    const change = (value) => {
      chosen.set(column, value);
      filter();
    };
    return [choice(head.textContent, [["", "all"], ...values.map((value) => [value, value])], change).box];
  });
  bar.append(label, ...choices, shown);
  box.before(bar);
  input.addEventListener("input", filter);
};

/* A table is prepared when it comes near the window: a page has hundreds. */
const tables = (boxes) => {
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        enhanced(entry.target);
      }
    },
    { rootMargin: "800px" },
  );
  boxes.forEach((box) => near.observe(box));
};
