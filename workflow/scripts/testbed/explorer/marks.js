/* The style of pools, which is the same in the scatter plot, in the legend and on the card. */

const MARK_SCALE = 2;

function styleClass(series) {
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

/** Scales a marker's path, which has a size of 1 point; the width of its outline does not change. */
function sizeMark(path, diameter) {
  return setAll(path, { transform: `scale(${diameter * MARK_SCALE})` });
}

function swatch(series, size = 5.6) {
  const picture = svg("svg", { class: `swatch ${styleClass(series)}`, viewBox: "-20 -8 40 16", "aria-hidden": "true" });
  paint(picture, series);
  if (!MODEL_KINDS[series.kind]) {
    svg("path", { class: "stroke", d: "M-20 0H20", "stroke-dasharray": dashesOf(series, 2.3) }, picture);
  }
  mark(series, series.kind === "public" ? 3 : size, picture);
  return picture;
}
