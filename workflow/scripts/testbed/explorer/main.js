/* Everything together: each change of the state draws anew, and pointer and keys lead to the same functions. */

function update(changes) {
  Object.assign(state, changes);
  writeHash();
  draw();
}

function draw() {
  forget();
  syncControls();
  syncLegend();
  drawChart();
  fillNotes();
  fillTable();
  if (document.activeElement.point !== undefined) showPoint(document.activeElement.point);
}

/** Draws without movement: what only changes its size does not travel. */
function redraw() {
  chart.classList.add("still");
  draw();
  requestAnimationFrame(() => chart.classList.remove("still"));
}

function focusPoint(point) {
  if (point === undefined) return;
  const before = layer.points.kept.get(chart.roving);
  if (before) before.setAttribute("tabindex", -1);
  chart.roving = currentPanel().model[point];
  elementOf(point).setAttribute("tabindex", 0);
  elementOf(point).focus();
}

/** The next point along a trend (`step` of 1 or -1). */
function along(point, step) {
  const panel = currentPanel();
  const trend = shownPoints().filter((one) => seriesOf(panel, one) === seriesOf(panel, point));
  return trend[trend.indexOf(point) + step];
}

/** The point of the next trend that is nearest on x. */
function across(point, step) {
  const panel = currentPanel();
  const points = shownPoints();
  const series = [...new Set(points.map((one) => seriesOf(panel, one)))];
  const next = series[series.indexOf(seriesOf(panel, point)) + step];
  const far = (one) => Math.abs(panel.reference_value[one] - panel.reference_value[point]);
  return points.filter((one) => seriesOf(panel, one) === next).sort((a, b) => far(a) - far(b))[0];
}

function end(point, last) {
  const panel = currentPanel();
  return shownPoints().filter((one) => seriesOf(panel, one) === seriesOf(panel, point)).at(last ? -1 : 0);
}

const MOVES = {
  ArrowRight: (point) => along(point, 1),
  ArrowLeft: (point) => along(point, -1),
  ArrowDown: (point) => across(point, 1),
  ArrowUp: (point) => across(point, -1),
  Home: (point) => end(point, false),
  End: (point) => end(point, true),
};

function onKey(event) {
  const point = event.target.point;
  if (point === undefined) return;
  if (MOVES[event.key]) {
    event.preventDefault();
    focusPoint(MOVES[event.key](point));
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    light(DATA.series[seriesOf(currentPanel(), point)].pool);
  }
}

function placeOf(event) {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** What a pointer event means: a name beside the frame, or what is nearest. */
function meant(event) {
  const name = event.target.closest(".name");
  return name ? { series: Number(name.dataset.series) } : nearest(...placeOf(event));
}

function onPoint(event) {
  const found = meant(event);
  chart.style.cursor = found ? "pointer" : "";
  if (found && found.point !== undefined) showPoint(found.point);
  else if (found && found.line) showLine(found.line, ...placeOf(event));
  else forget();
}

function onClick(event) {
  const found = meant(event);
  if (found) light(DATA.series[found.series].pool);
  else if (state.lit !== null) update({ lit: null });
}

function listen() {
  chart.addEventListener("pointermove", onPoint);
  chart.addEventListener("pointerleave", forget);
  chart.addEventListener("click", onClick);
  chart.addEventListener("keydown", onKey);
  // on the stage: Chromium takes a drawing that listens for focus into the order of Tab
  stage.addEventListener("focusin", (event) => {
    if (event.target.point !== undefined) showPoint(event.target.point);
  });
  stage.addEventListener("focusout", forget);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    forget();
    if (state.lit !== null) update({ lit: null });
  });
  document.getElementById("table").addEventListener("toggle", fillTable);
  window.addEventListener("hashchange", () => {
    fromHash(location.hash);
    draw();
  });
  window.addEventListener("resize", redraw);
}

function start() {
  document.getElementById("experiment").textContent = `in the experiment ${DATA.experiment}`;
  document.title = `Effective robustness: ${DATA.experiment}`;
  document.getElementById("lead").textContent =
    "Each point is a model, each line the trend of one pool of training data: of two models with the same " +
    `${DATA.reference} accuracy, the higher one loses less under the shift, and its height above the baseline is its ` +
    "effective robustness.";
  // within Snakemake's report the page of the claims has another place
  document.querySelector("header a").hidden = window.self !== window.top;
  fromHash(location.hash);
  buildControls();
  buildLegend();
  buildKey();
  buildChart();
  listen();
  redraw();
}

start();
