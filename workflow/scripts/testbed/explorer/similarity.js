/* Accuracy of test images by their similarity to the nearest training image, below the scatter plot. */

const near = document.getElementById("near");
const nearChart = document.getElementById("near-chart");
const NEAR = { left: 48, right: 14, top: 30, bottom: 44, height: 300 };
const NEAR_TICKS = 6;

/** Round numbers within the limits, at most as many as there is room for. */
function roundTicks(low, high, most) {
  const wanted = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= wanted);
  const ticks = [];
  for (let count = Math.ceil(low / step); count * step <= high * (1 + 1e-9); count += 1) {
    ticks.push({ value: count * step, label: (count * step).toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9))) });
  }
  return ticks;
}

function nearFrame(lines) {
  const places = lines.flatMap((line) => line.x);
  const room = Math.max(...places) - Math.min(...places) || 0.01;
  const x = [Math.min(...places) - 0.04 * room, Math.max(...places) + 0.04 * room];
  const y = [0, Math.min(1, 1.05 * Math.max(...lines.flatMap((line) => line.high)))];
  const frame = { ...NEAR, right: near.clientWidth - NEAR.right, bottom: NEAR.top + NEAR.height };
  frame.x = (value) => frame.left + (value - x[0]) / (x[1] - x[0]) * (frame.right - frame.left);
  frame.y = (value) => frame.bottom - (value - y[0]) / (y[1] - y[0]) * NEAR.height;
  return { frame, x, y };
}

function drawNearGrid({ frame, x, y }) {
  const grid = svg("g", { class: "grid" }, nearChart);
  for (const { value, label } of roundTicks(...x, NEAR_TICKS)) {
    const tick = svg("g", { class: "tick" }, grid);
    svg("line", { x1: frame.x(value), x2: frame.x(value), y1: frame.top, y2: frame.bottom }, tick);
    svg("text", { x: frame.x(value), y: frame.bottom + 17, "text-anchor": "middle" }, tick).textContent = label;
  }
  for (const { value, label } of roundTicks(100 * y[0], 100 * y[1], NEAR_TICKS)) {
    const tick = svg("g", { class: "tick" }, grid);
    svg("line", { x1: frame.left, x2: frame.right, y1: frame.y(value / 100), y2: frame.y(value / 100) }, tick);
    svg("text", { x: frame.left - 7, y: frame.y(value / 100) + 4.5, "text-anchor": "end" }, tick).textContent = label;
  }
  const [width, height] = [frame.right - frame.left, frame.bottom - frame.top];
  svg("rect", { class: "frame", x: frame.left, y: frame.top, width, height }, grid);
  svg("text", { class: "title", x: frame.left, y: frame.top - 12 }, grid).textContent = `↑ ${currentPanel().title} accuracy (%)`;
  const below = svg("text", { class: "title", x: frame.right, y: frame.bottom + 37, "text-anchor": "end" }, grid);
  below.textContent = "similarity to the nearest training image →";
}

function drawNearLine(line, frame) {
  const series = DATA.series[line.series];
  const group = svg("g", { class: `${styleClass(series)}${isDim(line.series) ? " dim" : ""}` }, nearChart);
  paint(group, series);
  const places = line.x.map((value, index) => `${frame.x(value)} ${frame.y(line.y[index])}`);
  svg("path", { class: "line", d: `M${places.join("L")}`, "stroke-dasharray": dashesOf(series, 2.3) }, group);
  for (const [index, value] of line.x.entries()) {
    const [low, high] = [frame.y(line.low[index]), frame.y(line.high[index])];
    if (state.intervals) svg("path", { class: "bar", d: `M${frame.x(value)} ${low}V${high}` }, group);
    const point = svg("g", { transform: `translate(${frame.x(value)} ${frame.y(line.y[index])})` }, group);
    mark(series, 3.6, point);
    svg("title", {}, point).textContent = `${series.label}, ${line.samples} samples: ` +
      `${percent(line.y[index])} (${span(line.low[index], line.high[index], hundredths)} %) of ` +
      `${line.n[index].toLocaleString("en")} images with a similarity of ${value.toFixed(3)} on average`;
  }
}

/** Draws the pools that are shown on the current shift; without similarities the section is hidden. */
function drawNear() {
  const lines = DATA.similarity ? DATA.similarity.lines.filter((line) => line.shift === state.shift) : [];
  near.hidden = lines.length === 0;
  if (near.hidden) return;
  const shown = lines.filter((line) => isShown(line.series));
  // limits of all pools, so that hiding one moves nothing
  const scales = nearFrame(lines);
  nearChart.replaceChildren();
  setAll(nearChart, { viewBox: `0 0 ${near.clientWidth} ${scales.frame.bottom + NEAR.bottom}` });
  nearChart.setAttribute("aria-label", `Accuracy on ${currentPanel().title} by similarity to the nearest training image`);
  drawNearGrid(scales);
  for (const line of shown) drawNearLine(line, scales.frame);
  document.getElementById("near-about").textContent = "Do near training images explain it? Each point is the accuracy on the " +
    "test images of one range of similarity; the ranges are the same for all pools. Similarity is the cosine of the " +
    `embeddings of ${DATA.similarity.teacher}. Of two pools with equal similarity, the higher one is better for another reason.`;
}
