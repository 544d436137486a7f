/* The choice between light and dark: the system's by default. */
"use strict";

const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

const choice = (label, names, change) => {
  const box = element("label", "choice", `${label} `);
  const select = element("select");
  for (const [value, text] of names) {
    const option = element("option", "", text);
    option.value = value;
    select.append(option);
  }
  select.addEventListener("change", () => change(select.value));
  box.append(select);
  return { box, select };
};

const theme = (place) => {
  const root = document.documentElement;
  const announce = () => document.dispatchEvent(new Event("reelbench-theme"));
  const set = (name) => {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    announce();
  };
  const { box, select } = choice("Colours", [["system", "System"], ["light", "Light"], ["dark", "Dark"]], set);
  place.append(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  addEventListener("beforeprint", () => set("light"));
  addEventListener("afterprint", () => set(select.value));
};
