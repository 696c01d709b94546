/* The scatter plot, drawn from the state. The data have scaled positions, which are converted to pixels here. */

const chart = document.getElementById("chart");
const stage = document.getElementById("stage");
const LAYERS = ["grid", "bands", "against", "lines", "bars", "gains", "points", "names"];
const layer = {};
const TICK_ROOM = { x: 58, y: 40 };
const NAME_ROOM = 17;
const NARROW = 700;
// pixels for axis labels, notes and footer, and for what is above the frame
const BELOW = 142;

function buildChart() {
  const clip = svg("clipPath", { id: "inside" }, svg("defs", {}, chart));
  layer.clip = svg("rect", {}, clip);
  for (const name of LAYERS) layer[name] = svg("g", { class: name }, chart);
  for (const name of ["bands", "against", "lines"]) layer[name].setAttribute("clip-path", "url(#inside)");
}

/** The frame in pixels: as large as possible, with units of the same length on x and y. */
function frameOf(view) {
  const narrow = stage.clientWidth < NARROW;
  const gutter = state.names && !narrow ? 222 : 14;
  const frame = { left: narrow ? 36 : 48, top: 34, narrow, gutter };
  const wide = stage.clientWidth - frame.left - gutter;
  const room = window.innerWidth > 900 ? window.innerHeight - stage.getBoundingClientRect().top - window.scrollY - BELOW : 1e6;
  frame.height = Math.min(wide * view.shape, Math.max(room, 280));
  frame.width = frame.height / view.shape;
  // centred: the remaining width is on both sides
  frame.left += (wide - frame.width) / 2;
  frame.right = frame.left + frame.width;
  frame.bottom = frame.top + frame.height;
  const unit = frame.width / (view.x[1] - view.x[0]);
  frame.x = (place) => frame.left + (place - view.x[0]) * unit;
  frame.y = (place) => frame.bottom - (place - view.y[0]) * unit;
  return frame;
}

function drawChart() {
  const view = currentView();
  const frame = frameOf(view);
  chart.setAttribute("viewBox", `0 0 ${stage.clientWidth} ${frame.bottom + 44}`);
  setAll(layer.clip, { x: frame.left, y: frame.top, width: frame.width, height: frame.height });
  chart.setAttribute("aria-label", `Models on ${currentPanel().title} over ${DATA.reference}`);
  drawGrid(view, frame);
  drawBaseline(view, frame);
  drawLines(view, frame);
  drawPoints(view, frame);
  drawNames(view, frame);
  chart.frame = frame;
}

/** Round accuracies that have room, the most important first; finer ones only if these are too few. */
function ticksIn(limits, place, room) {
  const chosen = [];
  for (const candidates of DATA.ticks[state.scale]) {
    for (const [value, label] of candidates) {
      const inside = value >= limits[0] && value <= limits[1];
      if (inside && chosen.every((other) => Math.abs(place(other.value) - place(value)) >= room)) chosen.push({ value, label });
    }
    if (chosen.length >= 3) break;
  }
  return chosen;
}

function drawGrid(view, frame) {
  layer.grid.replaceChildren();
  for (const { value, label } of ticksIn(view.x, frame.x, TICK_ROOM.x)) {
    const tick = svg("g", { class: "tick" }, layer.grid);
    svg("line", { x1: frame.x(value), x2: frame.x(value), y1: frame.top, y2: frame.bottom }, tick);
    svg("text", { x: frame.x(value), y: frame.bottom + 17, "text-anchor": "middle" }, tick).textContent = label;
  }
  for (const { value, label } of ticksIn(view.y, frame.y, TICK_ROOM.y)) {
    const tick = svg("g", { class: "tick" }, layer.grid);
    svg("line", { x1: frame.left, x2: frame.right, y1: frame.y(value), y2: frame.y(value) }, tick);
    svg("text", { x: frame.left - 7, y: frame.y(value) + 4.5, "text-anchor": "end" }, tick).textContent = label;
  }
  svg("rect", { class: "frame", x: frame.left, y: frame.top, width: frame.width, height: frame.height }, layer.grid);
  const low = Math.max(view.x[0], view.y[0]);
  const high = Math.min(view.x[1], view.y[1]);
  if (low < high) {
    svg("line", { class: "identity", x1: frame.x(low), x2: frame.x(high), y1: frame.y(low), y2: frame.y(high) }, layer.grid);
  }
  drawTitles(frame);
}

function drawTitles(frame) {
  const panel = currentPanel();
  const above = svg("text", { class: "title", x: frame.left, y: frame.top - 13 }, layer.grid);
  above.textContent = `↑ ${panel.title} accuracy (%)`;
  const below = svg("text", { class: "title", x: frame.right, y: frame.bottom + 37, "text-anchor": "end" }, layer.grid);
  below.textContent = `${DATA.reference} accuracy (%) →`;
  const how = panel.classes === "shift" ? `over the classes of ${panel.title}, ` : "";
  const asides = [`${how}both axes on the ${state.scale} scale`, `${how}${state.scale} scale`, `${state.scale} scale`, ""];
  const beside = svg("text", { class: "title aside", x: frame.left, y: frame.bottom + 37 }, layer.grid);
  const room = frame.width - below.getComputedTextLength() - 16;
  for (const words of asides) {
    beside.textContent = words;
    if (beside.getComputedTextLength() <= room) break;
  }
}

const segment = (frame, [left, right, low, high]) =>
  `M${frame.x(left)} ${frame.y(low)}L${frame.x(right)} ${frame.y(high)}`;

/** The parts of a baseline's line outside of the range of its models. */
function extrapolatedPath(frame, { whole, fitted }) {
  return segment(frame, [whole[0], fitted[0], whole[2], fitted[2]]) + segment(frame, [fitted[1], whole[1], fitted[3], whole[3]]);
}

function bandPath(frame, [places, low, high]) {
  const lower = places.map((place, index) => `${frame.x(place)} ${frame.y(low[index])}`);
  const upper = places.map((place, index) => `${frame.x(place)} ${frame.y(high[index])}`).reverse();
  return `M${lower.concat(upper).join("L")}Z`;
}

function drawBaseline(view, frame) {
  const baseline = currentBaseline();
  layer.against.replaceChildren();
  for (const line of baseline ? baseline.lines : []) {
    if (line.band && state.bands) svg("path", { class: "band against-band", d: bandPath(frame, line.band) }, layer.against);
    svg("path", { class: "against beyond", d: extrapolatedPath(frame, line) }, layer.against);
    if (!isDrawnAsPool(line)) svg("path", { class: "against", d: segment(frame, line.fitted) }, layer.against);
  }
}

/** Whether the baseline is a pool whose own line is drawn. */
function isDrawnAsPool(line) {
  return DATA.series.some((series, index) => series.kind === "baseline" && isShown(index) && !isDim(index) &&
    state.baseline === `pool:${series.pool}` && line.architecture === series.architecture);
}

function drawLines(view, frame) {
  const lines = view.lines.filter((line) => isShown(line.series));
  const create = (name) => (line) => {
    const series = DATA.series[line.series];
    const path = svg("path", { "data-series": line.series });
    paint(path, series);
    if (name === "line") path.setAttribute("stroke-dasharray", dashesOf(series, 2.3));
    return path;
  };
  const change = (name, drawn) => (path, line) => {
    path.setAttribute("class", `${name} ${styleClass(DATA.series[line.series])}${isDim(line.series) ? " dim" : ""}`);
    path.setAttribute("d", drawn(line));
  };
  const banded = state.bands ? lines.filter((line) => line.band) : [];
  const key = (line) => line.series;
  updateChildren(layer.bands, banded, key, create("band"), change("band", (line) => bandPath(frame, line.band)));
  updateChildren(layer.lines, lines, key, create("line"), change("line", (line) => segment(frame, line.ends)));
}

function drawPoints(view, frame) {
  const panel = currentPanel();
  const points = shownPoints();
  const key = (point) => panel.model[point];
  const bars = state.intervals ? points.filter((point) => view.y_low[point] !== null) : [];
  updateChildren(layer.bars, bars, key, createBar, (bar, point) => changeBar(bar, point, view, frame));
  if (!points.some((point) => key(point) === chart.roving)) chart.roving = points.length ? key(points[0]) : null;
  updateChildren(layer.points, points, key, createPoint, (element, point) => changePoint(element, point, view, frame));
}

function createBar(point) {
  const series = DATA.series[seriesOf(currentPanel(), point)];
  const bar = svg("path", { class: `bar ${styleClass(series)}` });
  paint(bar, series);
  return bar;
}

function changeBar(bar, point, view, frame) {
  const [x, y] = [frame.x(view.px[point]), frame.y(view.py[point])];
  const across = `M${frame.x(view.x_low[point])} ${y}L${frame.x(view.x_high[point])} ${y}`;
  const along = `M${x} ${frame.y(view.y_low[point])}L${x} ${frame.y(view.y_high[point])}`;
  bar.setAttribute("d", across + along);
  bar.classList.toggle("dim", isDim(seriesOf(currentPanel(), point)));
}

function createPoint(point) {
  const panel = currentPanel();
  const model = panel.model[point];
  const series = DATA.series[DATA.models.series[model]];
  const element = svg("g", { role: "button", "data-model": model });
  element.setAttribute("aria-label", `${DATA.models.name[model]}, ${series.label}`);
  paint(element, series);
  const diameter = series.kind === "public" ? 3 : DATA.models.diameter[model];
  svg("circle", { class: "ring" }, element);
  element.diameter = diameter;
  mark(series, diameter, element);
  return element;
}

function changePoint(element, point, view, frame) {
  const model = currentPanel().model[point];
  const series = DATA.models.series[model];
  element.setAttribute("class", `point ${styleClass(DATA.series[series])}${isDim(series) ? " dim" : ""}`);
  element.style.transform = `translate(${frame.x(view.px[point])}px, ${frame.y(view.py[point])}px)`;
  const size = element.diameter * (frame.narrow ? 0.75 : 1);
  sizeMark(element.querySelector(".mark"), size);
  element.querySelector(".ring").setAttribute("r", size * MARK_SCALE * 0.62 + 4);
  element.setAttribute("tabindex", model === chart.roving ? 0 : -1);
  element.point = point;
}

/** Draws names at the right of the frame, as near to the ends of their lines as possible without overlap. */
function drawNames(view, frame) {
  const fit = Math.floor(frame.height / NAME_ROOM);
  const lines = state.names && !frame.narrow ? view.lines.filter((line) => isShown(line.series)) : [];
  const named = lines.sort((a, b) => isDim(a.series) - isDim(b.series)).slice(0, fit);
  const wanted = named.map((line) => frame.y(Math.min(Math.max(line.ends[3], view.y[0]), view.y[1])));
  const order = named.map((_, index) => index).sort((a, b) => wanted[a] - wanted[b]);
  const places = separate(order.map((index) => wanted[index]), frame.top + 6, frame.bottom - 6);
  const items = order.map((index, rank) => ({ line: named[index], from: wanted[index], to: places[rank] }));
  updateChildren(layer.names, items, (item) => item.line.series, createName, (name, item) => changeName(name, item, frame));
}

/** Ascending positions within the limits, at least a name's height apart, as near to the wanted ones as possible. */
function separate(wanted, low, high) {
  const groups = [];
  for (const [index, place] of wanted.entries()) {
    let group = { sum: place - index * NAME_ROOM, count: 1 };
    // names that would overlap move as a group, to the mean of their wanted positions
    while (groups.length && groups.at(-1).sum / groups.at(-1).count > group.sum / group.count) {
      const before = groups.pop();
      group = { sum: before.sum + group.sum, count: before.count + group.count };
    }
    groups.push(group);
  }
  const shifts = groups.flatMap((group) => Array(group.count).fill(group.sum / group.count));
  const most = high - (wanted.length - 1) * NAME_ROOM;
  return shifts.map((shift, index) => Math.min(Math.max(shift, low), most) + index * NAME_ROOM);
}

function createName({ line }) {
  const series = DATA.series[line.series];
  const name = svg("g", { "data-series": line.series });
  paint(name, series);
  svg("path", { class: "leader" }, name);
  mark(series, 4.2, svg("g", { class: "place" }, name));
  const short = series.label.length > 27 ? `${series.label.slice(0, 26)}…` : series.label;
  svg("text", { x: 0 }, name).textContent = short;
  svg("title", {}, name).textContent = series.label;
  return name;
}

function changeName(name, { line, from, to }, frame) {
  const series = DATA.series[line.series];
  name.setAttribute("class", `name ${styleClass(series)}${isDim(line.series) ? " dim" : ""}`);
  const [end, edge] = [frame.x(line.ends[1]), frame.right + 22];
  name.querySelector("path").setAttribute("d", `M${end} ${from}L${Math.max(end, frame.right)} ${from}L${edge} ${to}`);
  name.querySelector(".place").style.transform = `translate(${edge + 7}px, ${to}px)`;
  setAll(name.querySelector("text"), { x: edge + 17, y: to + 4.5 });
}
