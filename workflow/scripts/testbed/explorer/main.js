/* Events: each change of the state redraws the page; pointer and keyboard call the same functions. */

function update(changes) {
  Object.assign(state, changes);
  writeHash();
  draw();
}

function draw() {
  clearCard();
  syncControls();
  syncLegend();
  drawChart();
  drawNear();
  fillNotes();
  fillTable();
  if (document.activeElement.point !== undefined) showPoint(document.activeElement.point);
}

/** Draws without animation, because a change of size is not a change of data. */
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
  const distance = (one) => Math.abs(panel.reference_value[one] - panel.reference_value[point]);
  return points.filter((one) => seriesOf(panel, one) === next).sort((a, b) => distance(a) - distance(b))[0];
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
    highlight(DATA.series[seriesOf(currentPanel(), point)].pool);
  }
}

function placeOf(event) {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** The target of a pointer event: the series of a name beside the frame, or the nearest point or line. */
function targetOf(event) {
  const name = event.target.closest(".name");
  return name ? { series: Number(name.dataset.series) } : nearest(...placeOf(event));
}

function onPoint(event) {
  const found = targetOf(event);
  chart.style.cursor = found ? "pointer" : "";
  if (found && found.point !== undefined) showPoint(found.point);
  else if (found && found.line) showLine(found.line, ...placeOf(event));
  else clearCard();
}

function onClick(event) {
  const found = targetOf(event);
  if (found) highlight(DATA.series[found.series].pool);
  else if (state.highlighted !== null) update({ highlighted: null });
}

function listen() {
  chart.addEventListener("pointermove", onPoint);
  chart.addEventListener("pointerleave", clearCard);
  chart.addEventListener("click", onClick);
  chart.addEventListener("keydown", onKey);
  // on the stage: Chromium adds an SVG element with a focus listener to the tab order
  stage.addEventListener("focusin", (event) => {
    if (event.target.point !== undefined) showPoint(event.target.point);
  });
  stage.addEventListener("focusout", clearCard);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    clearCard();
    if (state.highlighted !== null) update({ highlighted: null });
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
  // inside Snakemake's report the page of the claims has another address
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
