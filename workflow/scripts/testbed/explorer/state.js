"use strict";

/* What is shown, and its place in the address, so that a view can be shared. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const SWITCHES = ["intervals", "bands", "names"];
const MODEL_KINDS = { published: true, public: true };

const state = { hidden: new Set(), lit: null };

function startState() {
  Object.assign(state, DATA.start, { classes: DATA.start_classes, lit: null });
  state.hidden = new Set();
  for (const name of SWITCHES) state[name] = true;
}

function seriesKey(series) {
  return series.architecture ? `${series.pool}/${series.architecture}` : series.pool;
}

/** The numbers of the panel on show: of the shift's own classes only where it has them. */
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

/** Whether another pool is lit up, to which this one does not belong. */
function isDim(series) {
  if (state.lit === null) return false;
  const lit = DATA.series.find((one) => one.pool === state.lit);
  return !lit.family.includes(DATA.series[series].pool);
}

/** Points of the panel on show that have a place and whose pool is not hidden. */
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
  if (state.lit !== null) words.set("light", state.lit);
  return `#${words}`;
}

/** Takes from an address what this run knows; the rest of the state is that of the start. */
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
  const keys = DATA.series.map(seriesKey);
  state.hidden = new Set(words.getAll("hide").filter((key) => keys.includes(key)));
  for (const name of words.getAll("off")) if (SWITCHES.includes(name)) state[name] = false;
  if (DATA.series.some((series) => series.pool === words.get("light"))) state.lit = words.get("light");
}

function writeHash() {
  try {
    history.replaceState(null, "", toHash());
  } catch {
    // a page that stands inside another has no address of its own
  }
}
