"use strict";

/* The state of the page. It is stored in the address, so that a view can be shared. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const SWITCHES = ["intervals", "bands", "names"];
const MODEL_KINDS = { published: true, public: true };

const state = { hidden: new Set(), highlighted: null };

function startState() {
  Object.assign(state, DATA.start, { classes: DATA.start_classes, highlighted: null });
  state.hidden = new Set(DATA.start_hidden);
  for (const name of SWITCHES) state[name] = true;
}

function seriesKey(series) {
  return series.architecture ? `${series.pool}/${series.architecture}` : series.pool;
}

/** The index of the current panel; over all classes if the shift has no panel of its own classes. */
function currentIndex() {
  const own = DATA.panels.findIndex((panel) => panel.shift === state.shift && panel.classes === state.classes);
  return own >= 0 ? own : DATA.panels.findIndex((panel) => panel.shift === state.shift);
}

const currentPanel = () => DATA.panels[currentIndex()];
const currentView = () => DATA.views[state.scale][currentIndex()];
const currentBaseline = () => currentView().baselines[state.baseline] || null;
const seriesOf = (panel, point) => DATA.models.series[panel.model[point]];

function isShown(series) {
  return !state.hidden.has(seriesKey(DATA.series[series]));
}

/** Whether a pool is highlighted whose family does not include this one. */
function isDim(series) {
  if (state.highlighted === null) return false;
  const highlighted = DATA.series.find((one) => one.pool === state.highlighted);
  return !highlighted.family.includes(DATA.series[series].pool);
}

/** Points of the current panel that have a position and whose pool is not hidden. */
function shownPoints() {
  const panel = currentPanel();
  const view = currentView();
  return panel.model.map((_, point) => point).filter((point) => view.px[point] !== null && isShown(seriesOf(panel, point)));
}

function toHash() {
  const words = new URLSearchParams();
  words.set("shift", state.shift);
  words.set("scale", state.scale);
  words.set("baseline", state.baseline);
  if (state.classes !== "all") words.set("classes", state.classes);
  for (const key of state.hidden) words.append("hide", key);
  for (const name of SWITCHES) if (!state[name]) words.append("off", name);
  if (state.highlighted !== null) words.set("light", state.highlighted);
  return `#${words}`;
}

/** Sets the state from an address; values that this run does not know keep their defaults. */
function fromHash(hash) {
  startState();
  const words = new URLSearchParams(hash.slice(1));
  const take = (name, known) => {
    if (known.includes(words.get(name))) state[name] = words.get(name);
  };
  take("shift", DATA.panels.map((panel) => panel.shift));
  take("scale", DATA.scales);
  take("baseline", DATA.baselines.map((baseline) => baseline.key));
  take("classes", ["all", "shift"]);
  // An address that names a shift says all that is hidden.
  const keys = DATA.series.map(seriesKey);
  if (words.has("shift")) state.hidden = new Set(words.getAll("hide").filter((key) => keys.includes(key)));
  for (const name of words.getAll("off")) if (SWITCHES.includes(name)) state[name] = false;
  if (DATA.series.some((series) => series.pool === words.get("light"))) state.highlighted = words.get("light");
}

function writeHash() {
  try {
    history.replaceState(null, "", toHash());
  } catch {
    // a page inside another one has no address
  }
}
