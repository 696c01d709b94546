/* Controls above the scatter plot, and the legend beside it. */

const KINDS = [
  ["source", "Sources"], ["mixture", "Mixtures"], ["filter", "Filtered pools"], ["ensemble", "Ensembles"],
  ["baseline", "Baseline"], ["published", "Behind them"], ["public", "Behind them"],
];

function radios(name, title, options) {
  const group = html("div", { class: "segments" });
  for (const [value, label] of options) {
    const input = html("input", { type: "radio", name, value });
    input.addEventListener("change", () => update({ [name]: value }));
    group.append(html("label", {}, input, html("span", {}, label)));
  }
  return html("fieldset", { "data-control": name }, html("legend", {}, title), group);
}

function checkbox(name, label) {
  const input = html("input", { type: "checkbox", name });
  input.addEventListener("change", () => update({ [name]: input.checked }));
  return html("label", {}, input, label);
}

function buildControls() {
  const shifts = new Map(DATA.panels.map((panel) => [panel.shift, panel.title]));
  const baseline = html("select", { name: "baseline" });
  for (const { key, label } of DATA.baselines) baseline.append(html("option", { value: key }, label));
  baseline.addEventListener("change", () => update({ baseline: baseline.value }));
  document.getElementById("controls").append(
    radios("shift", "Shift", [...shifts]),
    radios("scale", "Scale", DATA.scales.map((scale) => [scale, scale])),
    radios("classes", "Reference accuracy over", [["all", "all classes"], ["shift", "the shift’s classes"]]),
    html("label", { class: "select" }, html("span", {}, "Baseline"), baseline),
    html("div", { class: "checks", role: "group", "aria-label": "Parts of the scatter" },
      checkbox("intervals", "intervals"), checkbox("bands", "bands"), checkbox("names", "names")),
  );
}

function syncControls() {
  const controls = document.getElementById("controls");
  for (const input of controls.querySelectorAll("input[type=radio]")) {
    input.checked = input.value === (input.name === "classes" ? currentPanel().classes : state[input.name]);
  }
  for (const name of SWITCHES) controls.querySelector(`input[name=${name}]`).checked = state[name];
  controls.querySelector("select").value = state.baseline;
  const several = DATA.panels.filter((panel) => panel.shift === state.shift).length > 1;
  controls.querySelector("[data-control=classes]").hidden = !several;
}

function buildLegend() {
  const choices = [
    ["all", () => true], ["none", () => false],
    ["only mixtures", (series) => series.kind === "mixture"],
  ];
  for (const [label, chosen] of choices) {
    const button = html("button", { type: "button" }, label);
    button.addEventListener("click", () => showOnly(chosen));
    document.getElementById("choices").append(button);
  }
  const lists = new Map();
  const kinds = KINDS.map(([kind]) => kind);
  const ordered = DATA.series.map((series, index) => ({ series, index }))
    .sort((a, b) => kinds.indexOf(a.series.kind) - kinds.indexOf(b.series.kind));
  for (const { series, index } of ordered) {
    const [, title] = KINDS.find(([kind]) => kind === series.kind) || ["", "Others"];
    if (!lists.has(title)) {
      lists.set(title, html("ul", { "aria-label": title }));
      document.getElementById("legend").append(html("h2", {}, title), lists.get(title));
    }
    lists.get(title).append(legendRow(series, index));
  }
}

function showOnly(chosen) {
  update({ highlighted: null, hidden: new Set(DATA.series.filter((series) => !chosen(series)).map(seriesKey)) });
}

function legendRow(series, index) {
  const shown = html("button", { type: "button", class: "shown", "aria-label": `Show ${series.label}` });
  const box = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
  svg("rect", { x: 1, y: 1, width: 14, height: 14, rx: 3.5 }, box);
  svg("path", { d: "M4.2 8.3L7 11L11.8 5.3" }, box);
  shown.append(box);
  shown.addEventListener("click", () => toggleShown(series));
  const pool = html("button", { type: "button", class: "pool", title: series.data || series.label }, swatch(series),
    html("span", { class: "label" }, series.label),
    html("span", { class: "count", title: "models" }, String(series.models)));
  pool.addEventListener("click", () => highlight(series.pool));
  return html("li", { "data-series": index }, shown, pool);
}

function toggleShown(series) {
  const hidden = new Set(state.hidden);
  const key = seriesKey(series);
  if (!hidden.delete(key)) hidden.add(key);
  update({ hidden });
}

/** Highlights and shows a pool with its family, or ends the highlight. */
function highlight(pool) {
  if (state.highlighted === pool) {
    update({ highlighted: null });
    return;
  }
  const { family } = DATA.series.find((series) => series.pool === pool);
  const shown = new Set(DATA.series.filter((series) => family.includes(series.pool)).map(seriesKey));
  update({ highlighted: pool, hidden: new Set([...state.hidden].filter((key) => !shown.has(key))) });
}

function syncLegend() {
  for (const row of document.querySelectorAll("#legend li")) {
    const series = DATA.series[row.dataset.series];
    const shown = isShown(row.dataset.series);
    row.className = shown ? "" : "hidden";
    row.querySelector(".shown").setAttribute("aria-pressed", shown);
    row.querySelector(".pool").setAttribute("aria-pressed", state.highlighted === series.pool);
    if (state.highlighted === series.pool) scrollLegendTo(row);
  }
}

/** Scrolls the legend to a row; the page does not scroll. */
function scrollLegendTo(row) {
  const legend = document.getElementById("legend");
  const last = row.offsetTop + row.offsetHeight - legend.clientHeight;
  legend.scrollTop = Math.min(Math.max(legend.scrollTop, last), row.offsetTop);
}

function buildKey() {
  const entries = [
    [svg("line", { class: "identity", x1: 0, x2: 40, y1: 7, y2: 7, stroke: "currentColor", "stroke-dasharray": "1.3 3.6",
      "stroke-width": 1.5 }), "y = x: the shift costs nothing"],
    [svg("path", { class: "against", d: "M0 7H40" }), "baseline, thin where it is extrapolated"],
    [svg("rect", { class: "band", x: 0, y: 1, width: 40, height: 12, style: "opacity:.25" }),
      `${confidence(DATA.line_confidence)} interval of a line`],
    [svg("path", { class: "bar", d: "M20 0V14M10 7H30" }), `${confidence(DATA.point_confidence)} interval of a model`],
    [sizes(), "larger: more samples"],
  ];
  for (const [drawing, text] of entries) {
    const picture = svg("svg", { viewBox: "0 0 40 14", "aria-hidden": "true" });
    picture.append(drawing);
    document.getElementById("key").append(html("p", {}, picture, html("span", {}, text)));
  }
}

function sizes() {
  const group = svg("g", { fill: "currentColor" });
  for (const [x, r] of [[6, 2.6], [18, 4], [33, 5.4]]) svg("circle", { cx: x, cy: 7, r }, group);
  return group;
}
