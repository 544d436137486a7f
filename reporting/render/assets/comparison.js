/* The page of a comparison: response times of both sides by percentile, cases over time, and both whole runs. */
"use strict";

(() => {
  const stored = document.getElementById("page-data");
  theme(document.getElementById("tools"));
  tables(document.querySelectorAll("main .table"));
  const ready = () => {
    document.documentElement.dataset.ready = "yes";
  };
  if (!stored) {
    ready();
    return;
  }
  const data = JSON.parse(stored.textContent);
  const sides = [[data.run, "run"], [data.baseline, "baseline"]];

  const percentiles = (place, one) => {
    const found = sides.filter(([, side]) => one[side]);
    const lines = found.map(([name, side]) => ({ name: `${name} (n = ${one[side].n.toLocaleString("en")})`, ...one[side] }));
    const several = found.some(([, side]) => one[side].runs > 1);
    const limits = several ? "95 % interval, or from the least to the greatest run" : "95 % interval";
    place.append(element("h4", "", `Response time by percentile, ${one.scenario} / ${one.case}`));
    return intervalLines(place, data.levels, lines, {
      x: "percentile [%]",
      y: "s",
      logarithmic: false,
      label: `Response time of both sides by percentile, case ${one.scenario} / ${one.case}`,
      at: (index) => `P${data.levels[index]}, in parentheses: ${limits} (?: n too small)`,
    });
  };

  const place = document.getElementById("case-charts");
  const drawn = data.cases.map((one, at) => [at, one]).filter(([, one]) => one.run || one.baseline || one.timeline);
  if (drawn.length) {
    let parts = [];
    const inner = element("div");
    const show = (value) => {
      parts.forEach((end) => end());
      inner.replaceChildren();
      parts = [];
      const one = data.cases[Number(value)];
      if (one.run || one.baseline) {
        const lines = element("div", "growth");
        inner.append(lines);
        parts.push(percentiles(lines, one));
      }
      if (one.timeline) {
        const charts = element("div");
        inner.append(element("h4", "", "The case over time, both runs from its start"), charts);
        const made = timeCharts(charts, one.timeline);
        parts.push(() => made.destroy());
      }
    };
    const { box, select } = choice("Case", drawn.map(([at, one]) => [String(at), `${one.scenario} / ${one.case}`]), show);
    place.append(box, inner);
    const first = drawn.some(([at]) => at === data.first) ? data.first : drawn[0][0];
    select.value = String(first);
    show(select.value);
  }
  data.timelines
    .filter((one) => one)
    .forEach((timeline, at) => timeCharts(document.getElementById(`whole-${at}`), timeline));
  ready();
})();
