/* The scatter plot as a table, and notes on what it does not show. */

const COLUMNS = ["Model", "Pool", "Data", "Architecture", "Samples", "Seed"];

function fillTable() {
  if (!document.getElementById("table").open) return;
  const panel = currentPanel();
  const table = html("table", {}, html("caption", {}, `${panel.title} over ${DATA.reference}, effective robustness against ` +
    `${DATA.baselines.find((baseline) => baseline.key === state.baseline).label} on the ${state.scale} scale`));
  const head = html("tr");
  for (const column of COLUMNS) head.append(html("th", { scope: "col" }, column));
  for (const column of [DATA.reference, "n", panel.title, "n", "Effective robustness (points)"]) {
    head.append(html("th", { scope: "col", class: "number" }, column));
  }
  table.append(html("thead", {}, head), html("tbody", {}, ...shownPoints().map(tableRow)));
  document.getElementById("rows").replaceChildren(table);
}

function tableRow(point) {
  const panel = currentPanel();
  const model = panel.model[point];
  const { name, architecture, samples, seed, pool } = DATA.models;
  const series = DATA.series[DATA.models.series[model]];
  const measured = robustnessOf(point);
  const within = (value, low, high, write) => `${write(value)}${low === null ? "" : ` (${span(low, high, write)})`}`;
  const count = (n) => (n === null ? "" : n.toLocaleString("en"));
  const words = [pool[model], series.data, architecture[model], samples[model], MODEL_KINDS[series.kind] ? "" : seed[model]];
  const numbers = [
    within(panel.reference_value[point], panel.reference_low[point], panel.reference_high[point], percent),
    count(panel.reference_n[point]),
    within(panel.value[point], panel.low[point], panel.high[point], percent),
    count(panel.n[point]),
    measured ? within(...measured, signed) : "",
  ];
  return html("tr", {}, html("th", { scope: "row" }, name[model]), ...words.map((word) => html("td", {}, String(word))),
    ...numbers.map((number) => html("td", { class: "number" }, number)));
}

function fillNotes() {
  const notes = [];
  const panel = currentPanel();
  const view = currentView();
  const points = shownPoints();
  if (points.length === 0) notes.push("No pool is shown.");
  if (state.baseline !== "none" && !currentBaseline()) {
    const { label } = DATA.baselines.find((baseline) => baseline.key === state.baseline);
    notes.push(`Of ${label} there is no line here, so effective robustness is not known.`);
  }
  const whole = (value) => value === 0 || value === 1;
  const framed = points.filter((point) => whole(panel.value[point]) || whole(panel.reference_value[point]));
  if (framed.length && state.scale !== "linear") {
    notes.push(`${framed.length} at 0 or 100 %: these stand on the frame, have no ${state.scale}, and are in no line.`);
  }
  const lined = new Set(view.lines.map((line) => line.series));
  const alone = DATA.series.filter((series, index) => !MODEL_KINDS[series.kind] && isShown(index) && !lined.has(index) &&
    points.some((point) => seriesOf(panel, point) === index));
  if (alone.length) notes.push(`Too few models for a line: ${alone.map((series) => series.label).join(", ")}.`);
  document.getElementById("notes").textContent = notes.join(" ");
}
