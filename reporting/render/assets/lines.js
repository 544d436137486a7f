/* Lines with their intervals over a common axis: percentiles by sample size, or by percentile. */
"use strict";

/* lines: [{ name, values, lower, upper }]; axes: { x, y, logarithmic, label }; at(index) is the text of a point.
   Hover or the arrow keys write the values of a point; returns a function that removes the chart. */
const intervalLines = (place, xs, lines, axes) => {
  const HEIGHT = 220;
  const write = (value) => (value === null || value === undefined ? "?" : `${Number(value.toPrecision(4))} ${axes.y}`);
  const values = (line, at) =>
    line.values[at] === null || line.values[at] === undefined
      ? `${line.name}: –`
      : `${line.name}: ${write(line.values[at])} (${write(line.lower[at])} to ${write(line.upper[at])})`;
  const legend = element("ul", "growth-legend");
  const texts = lines.map((line, index) => {
    const item = element("li");
    const swatch = element("span", `swatch swatch-${index}`);
    swatch.setAttribute("aria-hidden", "true");
    const text = element("span");
    item.append(swatch, text);
    legend.append(item);
    return text;
  });
  const readout = element("output", "lines-at");
  const show = (at) => {
    const index = at === null || at === undefined ? xs.length - 1 : at;
    readout.textContent = axes.at(index);
    lines.forEach((line, number) => {
      texts[number].textContent = values(line, index);
    });
  };
  const drawing = element("div", "chart-place");
  drawing.tabIndex = 0;
  drawing.setAttribute("role", "group");
  drawing.setAttribute("aria-label", `${axes.label}. Arrow keys move the cursor.`);
  place.append(readout, legend, drawing);
  const style = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: style("--faint"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
  const series = [{}];
  const bands = [];
  const data = [xs];
  lines.forEach((line, index) => {
    const stroke = style(`--series-${index}`);
    const limit = (name) => ({ label: `${line.name} ${name} limit`, stroke, width: 0.5, dash: [3, 3], points: { show: false } });
    series.push({ label: line.name, stroke, width: 2, points: { show: false } }, limit("upper"), limit("lower"));
    data.push(line.values, line.upper, line.lower);
    bands.push({ series: [index * 3 + 2, index * 3 + 3], fill: () => `color-mix(in srgb, ${stroke()} 14%, transparent)` });
  });
  const room = () => Math.max(place.clientWidth, 240);
  const plot = new uPlot(
    {
      width: room(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false },
      scales: { x: { time: false, distr: axes.logarithmic ? 3 : 1 }, y: { range: (self, low, high) => [0, (high || 1) * 1.05] } },
      axes: [
        { ...axis, size: 42, label: axes.x, labelSize: 16, labelFont: axis.font, values: (self, splits) => splits.map((at) => (at === null ? "" : String(at))) },
        { ...axis, size: 64, label: axes.y, labelSize: 14, labelFont: axis.font },
      ],
      series,
      bands,
      hooks: { setCursor: [(self) => show(self.cursor.idx)] },
    },
    data,
    drawing,
  );
  show(null);
  drawing.addEventListener("keydown", (event) => {
    const now = plot.cursor.idx;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const from = now === null || now === undefined ? -1 : now;
    const at = Math.min(Math.max(from + steps[event.key], 0), xs.length - 1);
    plot.setCursor({ left: plot.valToPos(xs[at], "x"), top: 1 });
  });
  const redraw = () => plot.redraw(false);
  const resized = new ResizeObserver(() => plot.setSize({ width: room(), height: HEIGHT }));
  resized.observe(place);
  document.addEventListener("reelbench-theme", redraw);
  return () => {
    resized.disconnect();
    document.removeEventListener("reelbench-theme", redraw);
    plot.destroy();
  };
};
