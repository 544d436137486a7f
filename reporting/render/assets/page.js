/* Put the parts of the page together; without this script the page has the same numbers as tables. */
"use strict";

(() => {
  const stored = document.getElementById("page-data");
  theme(document.getElementById("tools"));
  tables(document.querySelectorAll("main .table"));
  if (!stored) return;
  const data = JSON.parse(stored.textContent);
  const run = document.getElementById("run-charts");
  if (data.timeline) timeCharts(run, data.timeline);

  const place = document.getElementById("case-charts");
  const drawn = data.cases.map((one, at) => [at, one]).filter(([, one]) => one.timeline);
  if (drawn.length) {
    let parts = [];
    const show = (value) => {
      parts.forEach((end) => end());
      inner.replaceChildren();
      const one = data.cases[Number(value)];
      const charts = element("div");
      inner.append(charts);
      const made = timeCharts(charts, one.timeline);
      parts = [() => made.destroy()];
      if (one.growth) {
        const growth = element("div", "growth");
        inner.append(growth);
        parts.push(growthChart(growth, one.growth));
      }
    };
    const names = drawn.map(([at, one]) => [String(at), `${one.scenario} / ${one.case}`]);
    const { box } = choice("Case", names, show);
    const inner = element("div");
    place.append(box, inner);
    const near = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        near.disconnect();
        show(names[0][0]);
      },
      { rootMargin: "400px" },
    );
    near.observe(place);
  }
  jobTable(document.getElementById("jobs"), data);
  document.documentElement.dataset.ready = "yes";
})();
