/* Percentiles of the response time by sample size, with their 95 % intervals. */
"use strict";

const growthChart = (place, growth) => {
  const lines = [["P50", growth.p50], ["P95", growth.p95], ["P99", growth.p99]];
  const write = (value) => (value === null ? "none" : `${Number(value.toPrecision(4))} s`);
  const last = growth.n.length - 1;
  const legend = element("ul", "growth-legend");
  lines.forEach(([name, values], index) => {
    const [value, lower, upper] = values[last];
    const item = element("li");
    const swatch = element("span", `swatch swatch-${index}`);
    swatch.setAttribute("aria-hidden", "true");
    const limits = upper === null ? `from ${write(lower)}, n too small for an upper limit` : `${write(lower)} to ${write(upper)}`;
    item.append(swatch, `${name} of ${growth.n[last]} jobs: ${write(value)} (95 % CI ${limits})`);
    legend.append(item);
  });
  const drawing = element("div", "chart-place");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `Percentiles by number of jobs, from ${growth.n[0]} to ${growth.n[last]} jobs`);
  place.append(element("h4", "", "Percentiles by number of jobs"), legend, drawing);
  const style = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: style("--faint"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
  const series = [{}];
  const bands = [];
  const data = [growth.n];
  lines.forEach(([name, values], index) => {
    const stroke = style(`--series-${index}`);
    series.push({ label: name, stroke, width: 2, points: { show: false } }, { label: `${name} upper limit`, stroke, width: 0.5, dash: [3, 3], points: { show: false } }, { label: `${name} lower limit`, stroke, width: 0.5, dash: [3, 3], points: { show: false } });
    data.push(values.map((one) => one[0]), values.map((one) => one[2]), values.map((one) => one[1]));
    bands.push({ series: [index * 3 + 2, index * 3 + 3], fill: () => `color-mix(in srgb, ${stroke()} 14%, transparent)` });
  });
  const plot = new uPlot(
    {
      width: Math.max(place.clientWidth, 240),
      height: 200,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false, distr: 3 }, y: { range: (self, low, high) => [0, (high || 1) * 1.05] } },
      axes: [
        { ...axis, size: 42, label: "jobs", labelSize: 16, labelFont: axis.font, values: (self, splits) => splits.map((at) => (at === null ? "" : String(at))) },
        { ...axis, size: 64, label: "s", labelSize: 14, labelFont: axis.font },
      ],
      series,
      bands,
    },
    data,
    drawing,
  );
  const redraw = () => plot.redraw(false);
  const resized = new ResizeObserver(() => plot.setSize({ width: Math.max(place.clientWidth, 240), height: 200 }));
  resized.observe(place);
  document.addEventListener("reelbench-theme", redraw);
  return () => {
    resized.disconnect();
    document.removeEventListener("reelbench-theme", redraw);
    plot.destroy();
  };
};
