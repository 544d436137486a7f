/* The live page: takes the events of the server and shows them. All texts are set as text, never as mark-up. */
"use strict";

(() => {
  const LOST = 5;
  const place = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const two = (value) => String(value).padStart(2, "0");
  const length = (seconds) => {
    const all = Math.max(0, Math.round(seconds));
    const hours = Math.floor(all / 3600);
    const minutes = Math.floor(all / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
  };
  let charts = null;
  let shown = null;
  let run = "";
  let lost = 0;

  const phases = {
    starting: () => "The stack starts.",
    running: (state) => {
      const left = state.left === null ? "time left: not known yet" : `about ${length(state.left)} left`;
      return `${Math.floor(state.share * 100)} %, ${state.done.toLocaleString("en")} of ${state.planned.toLocaleString("en")} jobs, ${left}`;
    },
    reports: () => "The load has ended. The reports are being written.",
  };

  const showState = (state) => {
    if (state.run_id !== run) {
      run = state.run_id;
      if (charts) charts.destroy();
      charts = null;
      shown = null;
    }
    place("run").textContent = run ? `Run ${run}` : "Waiting for the run";
    place("about").textContent = state.target ? `${state.target}, profile ${state.profile}` : "";
    place("share").value = state.phase === "reports" ? 1 : state.share;
    place("phase").textContent = phases[state.phase](state);
    document.title = state.phase === "running" ? `${Math.floor(state.share * 100)} % Reelbench` : "Reelbench, live";
    const now = [
      ["Scenario", state.title ? `${state.scenario}: ${state.title}` : state.scenario],
      ["Case", state.case],
      ["Since the start", length(state.elapsed)],
      ["Jobs", Object.entries(state.outcomes).map(([outcome, count]) => `${count.toLocaleString("en")} ${outcome}`).join(", ")],
      ["Faults", state.faults.map((fault) => `${fault.name} from ${length(fault.since)}${fault.ended ? ", ended" : ", in force"}`).join("; ")],
      ...state.notes.map((note) => ["Note", note]),
    ].filter(([, text]) => text);
    place("now").replaceChildren(...now.flatMap(([name, text]) => [make("dt", name), make("dd", text)]));
    place("verdicts").replaceChildren(
      ...state.verdicts.map((one) => {
        const item = document.createElement("li");
        item.append(make("span", one.certainty, `verdict ${one.holds ? "pass" : "fail"}`));
        item.append(` ${one.title}, ${one.place}: ${one.value}, objective ${one.objective}, n = ${one.n}`);
        return item;
      }),
    );
    place("failures").replaceChildren(...(state.failures.length ? state.failures : ["None so far."]).map((text) => make("li", text)));
  };

  const shape = (timeline) => JSON.stringify([timeline.start, timeline.step]);

  const showCharts = (timeline) => {
    if (!timeline.panels.length) return;
    if (charts && shape(timeline) === shown) {
      charts.append(timeline);
      return;
    }
    if (charts) charts.destroy();
    shown = shape(timeline);
    charts = timeCharts(place("charts"), timeline);
  };

  const source = new EventSource("/events");
  source.addEventListener("open", () => {
    lost = 0;
  });
  source.addEventListener("state", (message) => showState(JSON.parse(message.data)));
  source.addEventListener("charts", (message) => showCharts(JSON.parse(message.data)));
  source.addEventListener("end", (message) => {
    source.close();
    const { report } = JSON.parse(message.data);
    if (report) {
      location.replace(report);
      return;
    }
    place("phase").textContent = "The command has ended without a report; see the terminal.";
  });
  source.addEventListener("error", () => {
    lost += 1;
    place("phase").textContent = "The connection to the command is lost.";
    if (lost < LOST) return;
    source.close();
    place("phase").textContent = "The command has ended or was stopped; see the terminal.";
  });
})();
