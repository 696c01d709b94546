/* The card of a model or a line, and the search for the point or line under the pointer. */

const card = document.getElementById("card");
const REACH = { point: 16, line: 9 };

const hundredths = (value) => (100 * value).toFixed(value > 0 && value < 0.01 ? 2 : 1);
const percent = (value) => `${hundredths(value)} %`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
const confidence = (share) => `${+(100 * share).toFixed(4)} %`;

function span(low, high, write) {
  return low === null ? "" : `${write(low)} to ${write(high)}`;
}

function cardRow(name, value, ...details) {
  const cell = html("td", {}, value);
  for (const detail of details.filter(Boolean)) cell.append(html("small", {}, detail));
  return html("tr", {}, html("th", { scope: "row" }, name), cell);
}

function accuracyRow(name, values, lows, highs, counts, point) {
  if (lows[point] === null) return cardRow(name, percent(values[point]));
  const interval = span(lows[point], highs[point], hundredths);
  return cardRow(name, percent(values[point]), `${interval} %, n = ${counts[point].toLocaleString("en")}`);
}

/** Effective robustness of a point against the selected baseline, as [value, low, high], or null. */
function robustnessOf(point) {
  const baseline = currentBaseline();
  if (!baseline || baseline.robustness[0][point] === null) return null;
  return baseline.robustness.map((column) => column[point]);
}

/** The baseline's line for a point; if the baseline is a pool, it has one line per architecture. */
function baselineLineOf(point) {
  const baseline = currentBaseline();
  const architecture = DATA.models.architecture[currentPanel().model[point]];
  return baseline ? baseline.lines.find((line) => !line.architecture || line.architecture === architecture) : null;
}

function aboutModel(model, series) {
  const pool = series.kind === "public" ? DATA.models.pool[model] : series.label;
  const samples = DATA.models.samples[model];
  const facts = [DATA.models.architecture[model]];
  if (samples) facts.push(`${samples} samples`);
  if (!MODEL_KINDS[series.kind]) facts.push(`seed ${DATA.models.seed[model]}`);
  const lines = [`${series.kind === "public" ? "trained as" : series.kind}: ${pool}`];
  if (series.data) lines.push(series.data);
  return [...lines, facts.filter(Boolean).join(" · ")].map((line) => html("p", {}, line));
}

function fillCard(point) {
  const panel = currentPanel();
  const model = panel.model[point];
  const series = DATA.series[DATA.models.series[model]];
  const rows = html("table");
  const bars = confidence(DATA.point_confidence);
  rows.append(
    accuracyRow(DATA.reference, panel.reference_value, panel.reference_low, panel.reference_high, panel.reference_n, point),
    accuracyRow(panel.title, panel.value, panel.low, panel.high, panel.n, point),
    gainRow(point),
  );
  const intervals = panel.low[point] === null ? "Published accuracies, without counts."
    : `Intervals: ${bars} of an accuracy, ${confidence(DATA.line_confidence)} of effective robustness.`;
  card.replaceChildren(
    html("h2", {}, swatch(series), html("span", {}, DATA.models.name[model])),
    ...aboutModel(model, series), rows, html("p", {}, intervals),
  );
}

function gainRow(point) {
  const measured = robustnessOf(point);
  const line = baselineLineOf(point);
  const label = DATA.baselines.find((baseline) => baseline.key === state.baseline).label;
  const row = measured
    ? cardRow("Effective robustness", `${signed(measured[0])} points`, `${span(measured[1], measured[2], signed)} points`,
      `against ${label}${line && isBeyond(point, line) ? ", extrapolated" : ""}`)
    : cardRow("Effective robustness", "not known", state.baseline === "none" ? "no baseline is chosen" : `against ${label}`);
  row.className = "gain";
  return row;
}

function isBeyond(point, line) {
  const value = currentPanel().reference_value[point];
  return value < line.reference_min || value > line.reference_max;
}

function fillLineCard(line) {
  const series = DATA.series[line.series];
  const interval = (name) => span(line[`${name}_low`], line[`${name}_high`], (value) => value.toFixed(2));
  const rows = html("table");
  rows.append(
    cardRow("slope", line.slope.toFixed(2), interval("slope")),
    cardRow("intercept", line.intercept.toFixed(2), interval("intercept")),
    cardRow("r²", line.r2 === null ? "not known" : line.r2.toFixed(3)),
  );
  card.replaceChildren(
    html("h2", {}, swatch(series), html("span", {}, series.label)),
    html("p", {}, `Trend of ${line.n} models, on the ${state.scale} scale${line.left_out ? `; ${line.left_out} left out` : ""}`),
    ...(series.data ? [html("p", {}, series.data)] : []),
    rows,
  );
}

/** Puts the card to the lower right of a position in the chart, or to the upper left: trends rise, so there is more room. */
function placeCard(x, y) {
  card.hidden = false;
  const right = x + 22 + card.offsetWidth < stage.clientWidth;
  const top = right ? y + 14 : y - 14 - card.offsetHeight;
  card.style.left = `${right ? x + 22 : Math.max(0, x - 22 - card.offsetWidth)}px`;
  card.style.top = `${Math.max(0, Math.min(top, stage.clientHeight - card.offsetHeight))}px`;
}

function showPoint(point) {
  const view = currentView();
  clearCard();
  fillCard(point);
  elementOf(point).classList.add("near");
  drawGain(point, view);
  placeCard(chart.frame.x(view.px[point]), chart.frame.y(view.py[point]));
}

function showLine(line, x, y) {
  clearCard();
  fillLineCard(line);
  layer.lines.kept.get(line.series).classList.add("near");
  placeCard(x, y);
}

/** Draws the height of a point above the baseline's line. */
function drawGain(point, view) {
  const line = baselineLineOf(point);
  if (!line || !robustnessOf(point)) return;
  const [x, y] = [chart.frame.x(view.px[point]), chart.frame.y(view.py[point])];
  const foot = chart.frame.y(line.slope * view.px[point] + line.intercept);
  if (foot < chart.frame.top || foot > chart.frame.bottom) return;
  svg("path", { class: "gain", d: `M${x} ${y}V${foot}M${x - 5} ${foot}H${x + 5}` }, layer.gains);
}

/** Removes the card, the ring and the height that belong to it. */
function clearCard() {
  card.hidden = true;
  layer.gains.replaceChildren();
  for (const element of chart.querySelectorAll(".near")) element.classList.remove("near");
}

function elementOf(point) {
  return layer.points.kept.get(currentPanel().model[point]);
}

/** The nearest point that is not dimmed to a position in the chart, or the nearest line, or null. */
function nearest(x, y) {
  const view = currentView();
  const panel = currentPanel();
  const distance = (point) => Math.hypot(chart.frame.x(view.px[point]) - x, chart.frame.y(view.py[point]) - y);
  const points = shownPoints().filter((point) => !isDim(seriesOf(panel, point)));
  const point = points.reduce((best, one) => (best === null || distance(one) < distance(best) ? one : best), null);
  if (point !== null && distance(point) <= REACH.point) return { point, series: seriesOf(panel, point) };
  const lines = view.lines.filter((line) => isShown(line.series) && distanceToLine(line, x, y) <= REACH.line);
  const line = lines.sort((a, b) => distanceToLine(a, x, y) - distanceToLine(b, x, y))[0];
  return line ? { line, series: line.series } : null;
}

function distanceToLine(line, x, y) {
  const [left, right] = [chart.frame.x(line.ends[0]), chart.frame.x(line.ends[1])];
  if (x < left || x > right) return Infinity;
  const [low, high] = [chart.frame.y(line.ends[2]), chart.frame.y(line.ends[3])];
  const height = low + ((high - low) * (x - left)) / (right - left);
  return (Math.abs(height - y) * (right - left)) / Math.hypot(right - left, high - low);
}
