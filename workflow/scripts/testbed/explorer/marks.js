/* How pools look: the same in the scatter, in the legend and on the card. */

const MARK_SCALE = 2;

function lookOf(series) {
  return `drawn ${series.kind}${series.hollow ? " hollow" : ""}`;
}

function paint(element, series) {
  element.style.setProperty("--colour", series.colour || "currentColor");
}

function dashesOf(series, width) {
  return series.dashes.map((length) => length * width).join(" ");
}

function mark(series, diameter, parent) {
  return sizeMark(svg("path", { class: "mark", d: series.marker, "vector-effect": "non-scaling-stroke" }, parent), diameter);
}

/** A marker's path is one point large, and its outline as thick as the style says, whatever its size. */
function sizeMark(path, diameter) {
  return setAll(path, { transform: `scale(${diameter * MARK_SCALE})` });
}

function swatch(series, size = 5.6) {
  const picture = svg("svg", { class: `swatch ${lookOf(series)}`, viewBox: "-20 -8 40 16", "aria-hidden": "true" });
  paint(picture, series);
  if (!MODEL_KINDS[series.kind]) {
    svg("path", { class: "stroke", d: "M-20 0H20", "stroke-dasharray": dashesOf(series, 2.3) }, picture);
  }
  mark(series, series.kind === "public" ? 3 : size, picture);
  return picture;
}
