/* The spans of one job as a waterfall, in a dialog. */
"use strict";

const waterfall = (title, spans, words) => {
  const dialog = element("dialog", "waterfall");
  const heading = element("h2", "", title);
  heading.id = "waterfall-title";
  dialog.setAttribute("aria-labelledby", heading.id);
  const close = element("button", "close", "Close");
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  const begin = Math.min(0, ...spans.map((span) => span[3]));
  const end = Math.max(...spans.map((span) => span[3] + span[4]), begin + 1);
  const box = element("div", "table");
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Spans");
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const name of ["Span", "Service", "Start [ms]", "Length [ms]", "Time"]) {
    const cell = element("th", name.includes("[") ? "number" : "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [depth, service, name, start, length, error] of spans) {
    const row = body.insertRow();
    const label = element("td", `depth depth-${Math.min(depth, 8)}`, words[name]);
    if (error) label.append(element("span", "span-error", ` ${error}`));
    const place = element("td", "bar-cell");
    const bar = element("div", `bar swatch-${service % 8}${error ? " bar-error" : ""}`);
    bar.style.marginLeft = `${((start - begin) / (end - begin)) * 100}%`;
    bar.style.width = `${Math.max((length / (end - begin)) * 100, 0.2)}%`;
    place.append(bar);
    row.append(label, element("td", "", words[service]), element("td", "number", start.toFixed(1)), element("td", "number", length.toFixed(1)), place);
  }
  box.append(table);
  dialog.append(close, heading, element("p", "", `${spans.length} spans, ${(end - begin).toFixed(1)} ms; times since the intended start of the job.`), box);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
};
