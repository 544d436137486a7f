/* The table of jobs: filters, order, and the spans of sampled jobs. */
"use strict";

const jobTable = (place, data) => {
  const FIRST = 25;
  const MORE = 200;
  const name = (row) => `${data.cases[row[0]].scenario} / ${data.cases[row[0]].case}`;
  const columns = [
    ["Case", (row) => name(row) + (row[8] ? " (warm-up)" : ""), false],
    ["Job", (row) => row[1], true],
    ["Intended start [s]", (row) => row[2], true, 3],
    ["Response time [s]", (row) => row[3], true, 3],
    ["Outcome", (row) => row[4], false],
    ["Error", (row) => row[5], false],
    ["Bytes", (row) => row[6], true],
  ];
  const state = { words: [], place: "", outcome: "", column: -1, falling: false, most: FIRST };
  const bar = element("div", "filter");
  const label = element("label", "", "Filter ");
  const input = element("input");
  input.type = "search";
  label.append(input);
  const outcomes = [...new Set(data.jobs.map((row) => row[4]))].sort();
  const byCase = choice("Case", [["", "all"], ...data.cases.map((one, at) => [String(at), `${one.scenario} / ${one.case}`])], (value) => changed({ place: value }));
  const byOutcome = choice("Outcome", [["", "all"], ...outcomes.map((one) => [one, one])], (value) => changed({ outcome: value }));
  const count = element("output");
  bar.append(label, byCase.box, byOutcome.box, count);
  const box = element("div", "table");
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Jobs");
  const table = element("table");
  const heads = table.createTHead().insertRow();
  const body = table.createTBody();
  const more = element("button", "more");
  more.type = "button";
  more.addEventListener("click", () => changed({ most: state.most + MORE }));
  columns.forEach(([text, , numeric], at) => {
    const head = element("th", numeric ? "number" : "");
    head.scope = "col";
    const button = element("button", "sort", text);
    button.type = "button";
    button.addEventListener("click", () => {
      const again = state.column === at;
      changed(again && state.falling ? { column: -1, falling: false } : { column: at, falling: again });
    });
    head.append(button);
    heads.append(head);
  });
  const spans = element("th", "", "Spans");
  spans.scope = "col";
  heads.append(spans);
  box.append(table);
  place.append(bar, box, more);

  const chosen = () => {
    const found = data.jobs.filter(
      (row) =>
        (state.place === "" || row[0] === Number(state.place)) &&
        (state.outcome === "" || row[4] === state.outcome) &&
        state.words.every((word) => `${name(row)} ${row[1]} ${row[4]} ${row[5]}`.toLowerCase().includes(word)),
    );
    if (state.column < 0) return found;
    const [, value, numeric] = columns[state.column];
    const sign = state.falling ? -1 : 1;
    return found.sort((a, b) => sign * (numeric ? value(a) - value(b) : String(value(a)).localeCompare(String(value(b)))));
  };

  const draw = () => {
    const found = chosen();
    body.replaceChildren();
    for (const row of found.slice(0, state.most)) {
      const line = body.insertRow();
      for (const [, value, numeric, digits = 0] of columns) {
        const text = numeric ? value(row).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : value(row);
        line.append(element("td", numeric ? "number" : "", text));
      }
      const cell = line.insertCell();
      if (row[7] >= 0) {
        const open = element("button", "open", "Spans");
        open.type = "button";
        open.setAttribute("aria-label", `Spans of job ${row[1]} of ${name(row)}`);
        open.addEventListener("click", () => waterfall(`Job ${row[1]} of ${name(row)}: ${row[4]}`, data.traces[row[7]], data.words));
        cell.append(open);
      }
    }
    [...heads.cells].forEach((head, at) => {
      if (at === state.column) head.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    count.textContent = `${found.length.toLocaleString("en")} of ${data.jobs.length.toLocaleString("en")} jobs`;
    more.hidden = found.length <= state.most;
    more.textContent = `Show ${Math.min(MORE, found.length - state.most)} more`;
  };

  const changed = (change) => {
    Object.assign(state, "most" in change || "column" in change ? {} : { most: FIRST }, change);
    draw();
  };
  input.addEventListener("input", () => changed({ words: input.value.toLowerCase().split(/\s+/).filter(Boolean) }));
  draw();
};
