/* Charts over time, drawn with uPlot from the data format of reporting/analysis/timeline.py.

   timeCharts(element, timeline) draws one chart for each panel of the timeline into the element, with a common cursor
   and zoom, and returns an object with two methods:
     append(part)    adds a timeline with the same step: its values replace those of the same bins and series, bins
                     after the last one extend the axis, and new panels, series and shades are added.
     destroy()       removes the charts.
   All names are set as text, never as mark-up. */
"use strict";

const timeCharts = (() => {
  const HEIGHT = 170;
  const NARROW = 480;
  const DASHES = [[], [], [], [], [6, 3], [2, 3], [8, 3, 2, 3], [12, 3]];
  const COLOURS = 8;
  const AXIS_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const ZOOM = 0.5;
  const SHADES = { scenario: "--shade-scenario", case: "--shade-case", fault: "--shade-fault", warm_up: "--shade-warm-up" };
  let charts = 0;

  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";

  const two = (value) => String(value).padStart(2, "0");

  /* Seconds since the start as 0:05, 12:30 or 1:02:30; with a tenth where the axis needs it. */
  const clock = (seconds, tenths) => {
    const sign = seconds < 0 ? "-" : "";
    const all = tenths ? Math.round(Math.abs(seconds) * 10) / 10 : Math.round(Math.abs(seconds));
    const hours = Math.floor(all / 3600);
    const minutes = Math.floor(all / 60) % 60;
    const rest = all - hours * 3600 - minutes * 60;
    const last = tenths ? rest.toFixed(1).padStart(4, "0") : two(rest);
    return hours ? `${sign}${hours}:${two(minutes)}:${last}` : `${sign}${minutes}:${last}`;
  };

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  };

  /* Points without a neighbour have no line, so they are drawn as points. */
  const alone = (plot, index, shown) => {
    if (shown) return null;
    const values = plot.data[index];
    const found = [];
    const [first, last] = plot.series[0].idxs;
    for (let at = first; at <= last; at += 1) {
      if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
    }
    return found;
  };

  return (element, timeline) => {
    const step = timeline.step;
    const state = {
      bins: 0,
      panels: [],
      shades: timeline.shades.map((shade) => ({ ...shade })),
      zoom: null,
    };
    const key = `reelbench-${(charts += 1)}`;
    element.classList.add("time-charts");
    const bar = make("div", "chart-bar");
    const readout = make("output", "chart-time");
    const shadesAt = make("span", "chart-shades");
    const reset = make("button", "chart-reset", "Whole time");
    reset.type = "button";
    reset.disabled = true;
    bar.append(readout, shadesAt, reset);
    element.append(bar);
    reset.addEventListener("click", () => zoom(null));

    const length = () => Math.max(state.bins * step, step);

    const title = (at) => {
      if (at === null || at === undefined) {
        readout.textContent = `${clock(0)} to ${clock(length())}, ${number(step)} s a point`;
        shadesAt.textContent = "";
        return;
      }
      const middle = (at + 0.5) * step;
      const instant = new Date((timeline.start + middle) * 1000).toISOString().slice(11, 19);
      readout.textContent = `${clock(at * step, step < 1)} to ${clock((at + 1) * step, step < 1)} (${instant} UTC)`;
      const names = state.shades.filter((shade) => shade.from <= middle && middle < shade.to);
      shadesAt.textContent = names.map((shade) => `${shade.kind.replace("_", "-")} ${shade.name}`).join(", ");
    };

    const values = (panel, at) => {
      panel.series.forEach((series) => {
        series.value.textContent = at === null || at === undefined ? "" : number(series.values[at]);
      });
    };

    const zoom = (range) => {
      state.zoom = range;
      reset.disabled = range === null;
      const [min, max] = range || [0, length()];
      state.panels.forEach((panel) => panel.plot.setScale("x", { min, max }));
    };

    const drawShades = (plot) => {
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, height);
      ctx.clip();
      let scenario = 0;
      for (const shade of state.shades) {
        const from = plot.valToPos(shade.from, "x", true);
        const to = Math.max(plot.valToPos(shade.to, "x", true), from + 1);
        if (shade.kind === "scenario" && (scenario += 1) % 2 === 0) continue;
        ctx.fillStyle = colour(SHADES[shade.kind] || "--shade-case");
        if (shade.kind === "case") {
          ctx.fillRect(from, top, 1, height);
        } else {
          ctx.fillRect(from, top, to - from, height);
        }
      }
      ctx.restore();
    };

    const move = (plot, by) => {
      const last = state.bins - 1;
      const at = plot.cursor.idx;
      const next = at === null || at === undefined ? 0 : Math.min(Math.max(at + by, 0), last);
      plot.setCursor({ left: plot.valToPos((next + 0.5) * step, "x"), top: 1 });
    };

    const keyed = (plot, event) => {
      const { min, max } = plot.scales.x;
      const middle = plot.cursor.idx === null || plot.cursor.idx === undefined ? (min + max) / 2 : (plot.cursor.idx + 0.5) * step;
      const near = (factor) => {
        const half = Math.max(((max - min) * factor) / 2, step);
        if (half * 2 >= length()) return null;
        const begin = Math.min(Math.max(middle - half, 0), length() - 2 * half);
        return [begin, begin + 2 * half];
      };
      const actions = {
        ArrowLeft: () => move(plot, event.shiftKey ? -10 : -1),
        ArrowRight: () => move(plot, event.shiftKey ? 10 : 1),
        Home: () => move(plot, -state.bins),
        End: () => move(plot, state.bins),
        "+": () => zoom(near(ZOOM)),
        "=": () => zoom(near(ZOOM)),
        "-": () => zoom(near(1 / ZOOM)),
        0: () => zoom(null),
        Escape: () => zoom(null),
      };
      const action = actions[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
    };

    const options = (panel, width) => {
      const axis = {
        stroke: () => colour("--faint"),
        grid: { stroke: () => colour("--line"), width: 1 },
        ticks: { stroke: () => colour("--line"), width: 1 },
        font: "12px system-ui, sans-serif",
      };
      return {
        width,
        height: HEIGHT,
        legend: { show: false },
        scales: { x: { time: false }, y: { range: (plot, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.05] } },
        axes: [
          {
            ...axis,
            incrs: AXIS_STEPS,
            size: 30,
            values: (plot, splits, index, space, step) => splits.map((at) => clock(at, step < 1)),
          },
          { ...axis, size: 56, values: (plot, splits) => splits.map(number) },
        ],
        cursor: {
          sync: { key, setSeries: false },
          drag: { x: true, y: false, setScale: false },
          y: false,
          points: { size: 6 },
        },
        series: [
          {},
          ...panel.series.map((series, index) => ({
            label: series.name,
            stroke: () => colour(`--series-${index % COLOURS}`),
            width: 1.5,
            dash: DASHES[index % DASHES.length],
            spanGaps: false,
            points: { size: 4, filter: alone, stroke: () => colour(`--series-${index % COLOURS}`), fill: () => colour(`--series-${index % COLOURS}`) },
          })),
        ],
        hooks: {
          drawClear: [drawShades],
          setCursor: [
            (plot) => {
              values(panel, plot.cursor.idx);
              title(plot.cursor.idx);
            },
          ],
          setSelect: [
            (plot) => {
              const { left, width: chosen } = plot.select;
              if (chosen < 4) return;
              zoom([plot.posToVal(left, "x"), plot.posToVal(left + chosen, "x")]);
              plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            },
          ],
          ready: [(plot) => plot.over.addEventListener("dblclick", () => zoom(null))],
        },
      };
    };

    const data = (panel) => {
      const xs = Array.from({ length: state.bins }, (_, at) => (at + 0.5) * step);
      return [xs, ...panel.series.map((series) => series.values)];
    };

    const room = () => Math.max(element.clientWidth, 240);

    const draw = (panel) => {
      const off = new Set(panel.series.filter((series) => series.off).map((series) => series.id));
      if (panel.plot) panel.plot.destroy();
      panel.legend.replaceChildren();
      panel.plot = new uPlot(options(panel, room()), data(panel), panel.place);
      panel.series.forEach((series, index) => {
        const button = make("button", "chart-series");
        button.type = "button";
        const swatch = make("span", `swatch swatch-${index % COLOURS}`);
        swatch.setAttribute("aria-hidden", "true");
        series.value = make("span", "chart-value");
        button.append(swatch, make("span", "chart-name", series.name), series.value);
        button.setAttribute("aria-pressed", String(!off.has(series.id)));
        button.addEventListener("click", () => {
          series.off = !series.off;
          button.setAttribute("aria-pressed", String(!series.off));
          panel.plot.setSeries(index + 1, { show: !series.off });
        });
        panel.legend.append(button);
        if (off.has(series.id)) panel.plot.setSeries(index + 1, { show: false });
      });
      const [min, max] = state.zoom || [0, length()];
      panel.plot.setScale("x", { min, max });
    };

    const added = (given) => {
      const box = make("div", "chart");
      box.dataset.panel = given.id;
      const name = given.unit ? `${given.title} [${given.unit}]` : given.title;
      const heading = make("div", "chart-title", name);
      const legend = make("div", "chart-legend");
      const place = make("div", "chart-place");
      place.tabIndex = 0;
      place.setAttribute("role", "group");
      place.setAttribute(
        "aria-label",
        `Chart over time: ${name}. Arrow keys move the cursor, plus and minus zoom, Escape shows the whole time.`,
      );
      box.append(heading, legend, place);
      element.append(box);
      const panel = { id: given.id, series: [], place, legend, plot: null };
      place.addEventListener("keydown", (event) => keyed(panel.plot, event));
      state.panels.push(panel);
      return panel;
    };

    /* Take over the values of a part from a bin on; return the panels that have new series. */
    const take = (part, offset) => {
      const changed = new Set();
      const bins = Math.max(state.bins, ...part.panels.flatMap((panel) => panel.series.map((series) => offset + series.values.length)));
      for (const given of part.panels) {
        const panel = state.panels.find((one) => one.id === given.id) || added(given);
        if (!panel.plot) changed.add(panel);
        for (const line of given.series) {
          let series = panel.series.find((one) => one.id === line.id);
          if (!series) {
            series = { id: line.id, name: line.name, values: [], off: false, value: make("span") };
            panel.series.push(series);
            changed.add(panel);
          }
          while (series.values.length < bins) series.values.push(null);
          line.values.forEach((value, at) => {
            series.values[offset + at] = value;
          });
        }
      }
      state.bins = bins;
      for (const panel of state.panels) {
        for (const series of panel.series) while (series.values.length < bins) series.values.push(null);
      }
      return changed;
    };

    take(timeline, 0);
    state.panels.forEach(draw);
    title(null);

    let width = room();
    const resized = new ResizeObserver(() => {
      if (room() === width) return;
      width = room();
      element.classList.toggle("narrow", width < NARROW);
      state.panels.forEach((panel) => panel.plot.setSize({ width, height: HEIGHT }));
    });
    resized.observe(element);
    const redraw = () => state.panels.forEach((panel) => panel.plot.redraw(false));
    document.addEventListener("reelbench-theme", redraw);

    return {
      append(part) {
        if (Math.abs(part.step - step) > 1e-9) throw new Error(`the part has ${part.step} s a point, the charts ${step} s`);
        const offset = Math.round((part.start - timeline.start) / step);
        if (offset < 0) throw new Error("the part begins before the charts");
        const changed = take(part, offset);
        for (const shade of part.shades) {
          const moved = { ...shade, from: shade.from + offset * step, to: shade.to + offset * step };
          const known = state.shades.find((one) => one.kind === moved.kind && one.name === moved.name && Math.abs(one.from - moved.from) < step);
          if (known) known.to = moved.to;
          else state.shades.push(moved);
        }
        for (const panel of state.panels) {
          if (changed.has(panel)) draw(panel);
          else panel.plot.setData(data(panel), false);
        }
        zoom(state.zoom);
        const at = state.panels[0]?.plot.cursor.idx;
        if (at === null || at === undefined) title(null);
      },
      destroy() {
        resized.disconnect();
        document.removeEventListener("reelbench-theme", redraw);
        state.panels.forEach((panel) => panel.plot.destroy());
        element.replaceChildren();
      },
    };
  };
})();
