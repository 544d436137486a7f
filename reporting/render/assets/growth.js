/* Percentiles of the response time by sample size, with their 95 % intervals. */
"use strict";

const growthChart = (place, growth) => {
  place.append(element("h4", "", "Percentiles by number of jobs"));
  const lines = [["P50", growth.p50], ["P95", growth.p95], ["P99", growth.p99]].map(([name, found]) => ({
    name,
    values: found.map((one) => one[0]),
    lower: found.map((one) => one[1]),
    upper: found.map((one) => one[2]),
  }));
  const last = growth.n[growth.n.length - 1];
  return intervalLines(place, growth.n, lines, {
    x: "jobs",
    y: "s",
    logarithmic: true,
    label: `Percentiles by number of jobs, from ${growth.n[0]} to ${last} jobs`,
    at: (index) => `${growth.n[index]} jobs, with 95 % intervals (?: n too small)`,
  });
};
