"use strict";
// Every text of the data reaches the page as a text node, never as HTML: an observation may hold anything.
const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const known = (value) => typeof value === "number" && Number.isFinite(value);
const grouped = (value) => value.toLocaleString("en-US");
const counted = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (value, digits = 1) => (known(value) ? `${(100 * value).toFixed(digits)} %` : "–");

function short(value) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e12 || size < 1e-3) return value.toExponential(2).replace(/\.?0*e\+?/, "e");
  if (size >= 1e6) return `${Number((value / (size >= 1e9 ? 1e9 : 1e6)).toPrecision(3))}${size >= 1e9 ? "G" : "M"}`;
  if (Number.isInteger(value)) return grouped(value);
  return size >= 1000 ? grouped(Math.round(value)) : String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
}

function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

// ---- hover tips ---------------------------------------------------------------------------------------

const tip = document.getElementById("tip");
document.addEventListener("mousemove", (event) => {
  const holder = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = !holder;
  if (!holder) return;
  tip.textContent = holder.dataset.tip;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 10}px`;
});

// ---- header -------------------------------------------------------------------------------------------

function showHeader() {
  const when = new Date(data.when);
  const facts = [["written", Number.isNaN(when.getTime()) ? data.when : when.toLocaleString()]];
  if (data.panel) facts.push(["panel", `${data.panel.name} (${data.panel.size} tasks, ${data.panel.digest})`]);
  if (data.total_episodes) facts.push(["episodes", grouped(data.total_episodes)]);
  facts.push(["from", data.path]);
  const header = document.getElementById("header");
  header.append(
    element("div", { class: "eyebrow" }, `palaestra · ${data.kind}`),
    element("h1", {}, data.title),
    element("div", { class: "facts" }, facts.map(([name, value]) => element("span", {}, `${name} `, element("b", {}, value)))),
    ...data.notes.map((note) => element("div", { class: "note" }, note)),
  );
  const settings = Object.entries(data.config);
  if (settings.length) {
    const pairs = settings.map(([name, value]) =>
      element("div", { class: "pair" }, element("span", { class: "muted" }, name), element("code", {}, plain(value))));
    header.append(element("details", { class: "config" },
      element("summary", {}, `Settings (${settings.length})`), element("div", { class: "card" }, pairs)));
  }
  document.getElementById("footer").append(`Made by palaestra ${data.version}. This file needs no network.`);
}

// ---- results ------------------------------------------------------------------------------------------

function rate(row) {
  const value = typeof row === "number" ? row : row.success;
  const interval = row.interval;
  const track = element("div", { class: "track" });
  if (known(value)) track.append(element("div", { class: "fill", style: `width:${100 * value}%` }));
  let range = "";
  if (interval) {
    const [low, high] = interval;
    track.append(element("div", { class: "whisker", style: `left:${100 * low}%;width:${100 * (high - low)}%` }));
    range = `${(100 * low).toFixed(0)} – ${(100 * high).toFixed(0)} %`;
  }
  const tipText = interval ? `success ${percent(value)}, 95 % interval ${percent(interval[0])} to ${percent(interval[1])}` : `success ${percent(value)}`;
  return element("div", { class: "rate", "data-tip": known(row.n) ? `${tipText}\n${counted(row.n, "episode")}` : tipText },
    element("b", {}, percent(value)), track, element("span", { class: "range" }, range));
}

function table(headings, rows, kind = "") {
  const head = element("tr", {}, headings.map(([text, numeric]) => element("th", { class: numeric ? "number" : null }, text)));
  return element("div", { class: "card scroll" },
    element("table", { class: kind }, element("thead", {}, head), element("tbody", {}, rows)));
}

function showResults() {
  if (!data.contestants.length) return;
  const section = document.getElementById("results");
  const rows = data.contestants.map((row) => element("tr", {},
    element("td", { class: "name" }, row.name, about(row.settings)), element("td", { class: "wide" }, rate(row)),
    ...["steps", "tokens", "seconds", "failures"].map((key) => element("td", { class: "number" }, short(row[key])))));
  section.append(element("h2", {}, "Results"),
    table([["who"], ["success, with its 95 % interval"], ["steps", 1], ["tokens", 1], ["seconds", 1], ["failures", 1]], rows));
  const all = data.episodes.length === data.total_episodes;
  const shown = all ? counted(data.total_episodes, "episode") : `the ${grouped(data.episodes.length)} shown of ${counted(data.total_episodes, "episode")}`;
  section.append(element("p", { class: "muted" }, data.measured
    ? "Steps, tokens and seconds are means over an episode. A failure is of the machine, not of the agent, and counts in no rate."
    : `Computed from ${shown}. A failure is of the machine, not of the agent, and counts in no rate.`));
  showScenarios(section);
  section.hidden = false;
}

function about(settings) {
  if (!settings) return null;
  const told = [settings.policy, settings.context, known(settings.temperature) ? `temperature ${settings.temperature}` : null];
  const text = told.filter((part) => part !== null && part !== undefined).join(" · ");
  return element("div", { class: "about", "data-tip": Object.entries(settings).map(([name, value]) => `${name}: ${plain(value)}`).join("\n") }, text);
}

function showScenarios(section) {
  const names = [...new Set(data.contestants.flatMap((row) => Object.keys(row.by_scenario || {})))].sort();
  if (names.length < 2) return;
  const rows = names.map((name) => element("tr", {}, element("td", {}, name),
    ...data.contestants.map((row) => element("td", {}, (row.by_scenario || {})[name] !== undefined ? rate(row.by_scenario[name]) : "–"))));
  section.append(element("h3", {}, "By scenario"),
    table([["scenario"], ...data.contestants.map((row) => [row.name])], rows, "grid-scenarios"));
}

// ---- curves -------------------------------------------------------------------------------------------

const WIDTH = 340, HEIGHT = 176, LEFT = 44, RIGHT = 10, TOP = 10, BOTTOM = 24;

function ticks(low, high, count, whole = false) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const fitting = [1, 2, 2.5, 5, 10].map((m) => m * power).find((candidate) => candidate >= raw * 0.999);
  const step = whole ? Math.max(1, Math.ceil(fitting)) : fitting;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function smoothed(values, weight) {
  // An exponential mean whose start is not pulled to zero: both sums carry the same missing weight.
  let sum = 0, norm = 0;
  return values.map((value) => {
    sum = weight * sum + value;
    norm = weight * norm + 1;
    return sum / norm;
  });
}

function range(values) {
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) {
    const room = Math.abs(low) > 0 ? Math.abs(low) * 0.1 : 1;
    low -= room;
    high += room;
  }
  return [low, high];
}

function chart(curve) {
  const card = element("div", { class: "card chart" });
  const value = element("span", { class: "value" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": curve.name });
  card.append(element("div", { class: "head" }, element("span", {}, curve.name), value), picture);
  const share = curve.group.startsWith("success") && curve.y.every((level) => level >= 0 && level <= 1);
  let [low, high] = share ? [0, 1] : range(curve.y);
  const room = low === 0 && high === 1 ? 0 : (high - low) * 0.06;
  [low, high] = [low - room, high + room];
  const [first, last] = range(curve.x);
  const x = (step) => LEFT + ((step - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (level) => TOP + (1 - (level - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  for (const level of ticks(low, high, 4)) {
    picture.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(level), y2: y(level) }),
      Object.assign(svg("text", { x: LEFT - 6, y: y(level) + 3.5, "text-anchor": "end" }), { textContent: short(level) }));
  }
  for (const step of ticks(first, last, 4, curve.x.every(Number.isInteger))) {
    if (x(step) < WIDTH - RIGHT + 1) {
      picture.append(Object.assign(svg("text", { x: x(step), y: HEIGHT - 7, "text-anchor": "middle" }), { textContent: short(step) }));
    }
  }
  const raw = svg("path", { class: "raw" }), smooth = svg("path", { class: "smooth" });
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const dot = svg("circle", { class: "dot", r: 4, visibility: "hidden" });
  picture.append(raw, smooth, cursor, dot);
  const path = (values) => values.map((level, i) => `${i ? "L" : "M"}${x(curve.x[i]).toFixed(1)} ${y(level).toFixed(1)}`).join("");
  let levels = curve.y;
  const rest = () => { value.textContent = short(curve.y[curve.y.length - 1]); };
  const draw = (weight) => {
    levels = weight > 0 ? smoothed(curve.y, weight) : curve.y;
    raw.setAttribute("d", weight > 0 ? path(curve.y) : "");
    smooth.setAttribute("d", path(levels));
    if (curve.y.length === 1) {
      dot.setAttribute("cx", x(curve.x[0]));
      dot.setAttribute("cy", y(levels[0]));
      dot.setAttribute("visibility", "visible");
    }
    rest();
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * WIDTH;
    let nearest = 0;
    curve.x.forEach((step, i) => { if (Math.abs(x(step) - wanted) < Math.abs(x(curve.x[nearest]) - wanted)) nearest = i; });
    const at = x(curve.x[nearest]);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    dot.setAttribute("cx", at);
    dot.setAttribute("cy", y(levels[nearest]));
    cursor.setAttribute("visibility", "visible");
    dot.setAttribute("visibility", "visible");
    value.textContent = `step ${short(curve.x[nearest])}: ${short(curve.y[nearest])}`;
  });
  picture.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    if (curve.y.length > 1) dot.setAttribute("visibility", "hidden");
    rest();
  });
  return { card, draw };
}

function flat(curve) {
  return !curve.group.startsWith("success") && curve.y.length > 1 && curve.y.every((level) => level === curve.y[0]);
}

function showCurves() {
  if (!data.curves.length) return;
  const section = document.getElementById("curves");
  const charts = [];
  const slider = element("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0.6, "aria-label": "smoothing",
    oninput: () => charts.forEach((made) => made.draw(Number(slider.value))) });
  section.append(element("h2", {}, "Curves"), element("div", { class: "tools" }, element("label", {}, "smoothing", slider)));
  for (const group of [...new Set(data.curves.map((curve) => curve.group))]) {
    const members = data.curves.filter((curve) => curve.group === group);
    const still = members.filter((curve) => flat(curve)), moving = members.filter((curve) => !flat(curve)).map(chart);
    charts.push(...moving);
    section.append(element("h3", {}, group), element("div", { class: "charts" }, moving.map((made) => made.card)));
    if (still.length) {
      section.append(element("div", { class: "chips" }, element("span", { class: "muted" }, "constant:"),
        still.map((curve) => element("span", { class: "chip" }, `${curve.name}: ${short(curve.y[0])}`))));
    }
  }
  const thinned = Math.max(...data.curves.map((curve) => curve.stride));
  if (thinned > 1) section.append(element("p", { class: "muted" }, `Long curves show every ${thinned}th point or denser.`));
  charts.forEach((made) => made.draw(Number(slider.value)));
  section.hidden = false;
}

// ---- failures -----------------------------------------------------------------------------------------

function showFailures() {
  const failed = data.episodes.map((episode, index) => ({ episode, index })).filter(({ episode }) => episode.outcome === "failed");
  if (!failed.length) return;
  const groups = new Map();
  for (const { episode, index } of failed) {
    const text = episode.failure || "(no text)";
    if (!groups.has(text)) groups.set(text, []);
    groups.get(text).push({ episode, index });
  }
  const rows = [...groups].sort((a, b) => b[1].length - a[1].length).map(([text, members]) => element("tr", {},
    element("td", { class: "number" }, String(members.length)), element("td", { class: "text mono" }, text),
    element("td", {}, ...members.slice(0, 6).map(({ episode, index }) =>
      element("button", { onclick: () => { browser.reset(); browser.open(index, true); } }, episode.id)), members.length > 6 ? ` and ${members.length - 6} more` : "")));
  const section = document.getElementById("failures");
  section.append(element("h2", {}, "Failures of the machine"), table([["times", 1], ["what happened"], ["episodes"]], rows));
  section.hidden = false;
}

// ---- episodes -----------------------------------------------------------------------------------------

const OUTCOMES = { all: () => true, solved: (e) => e.success, "not solved": (e) => !e.success && e.outcome !== "failed", failed: (e) => e.outcome === "failed" };
const ORDERS = {
  "as recorded": () => 0,
  "reward, lowest first": (a, b) => a.reward - b.reward,
  "steps, most first": (a, b) => b.turns.length - a.turns.length,
  "steps, fewest first": (a, b) => a.turns.length - b.turns.length,
  "tokens, most first": (a, b) => b.sampled - a.sampled,
  "seconds, most first": (a, b) => b.seconds - a.seconds,
};
const PAGE = 200;

function mark(episode) {
  if (episode.outcome === "failed") return element("span", { class: "mark warn", title: "failed" }, "!");
  return episode.success ? element("span", { class: "mark good", title: "solved" }, "✓") : element("span", { class: "mark bad", title: "not solved" }, "✗");
}

function textOf(episode) {
  if (episode.text === undefined) {
    episode.text = [episode.id, episode.goal, episode.scenario, episode.policy, episode.failure, episode.final,
      ...episode.turns.flatMap((turn) => [turn.o, turn.a])].join("\n").toLowerCase();
  }
  return episode.text;
}

const browser = {
  outcome: "all", words: "", order: "as recorded", shown: PAGE, current: -1, found: [], pick: {},

  build() {
    if (!data.episodes.length) return;
    const section = document.getElementById("episodes");
    this.list = element("div", { class: "list", tabindex: -1 });
    this.talk = element("div", { class: "talk" });
    this.count = element("span", { class: "muted" });
    this.search = element("input", { type: "search", placeholder: "search goals, observations, actions", oninput: () => { this.words = this.search.value.toLowerCase(); this.refresh(); } });
    this.outcomes = Object.keys(OUTCOMES).filter((name) => name === "all" || data.episodes.some(OUTCOMES[name])).map((name) =>
      element("button", { "aria-pressed": String(name === "all"), onclick: () => { this.outcome = name; this.refresh(); } }, name));
    this.selects = [["scenario", "every scenario"], ["policy", "every policy"], ["source", data.measured ? "every contestant" : "every file"]].flatMap(([key, all]) => {
      const values = [...new Set(data.episodes.map((episode) => episode[key]))].sort();
      if (values.length < 2 || (key === "policy" && data.measured)) return [];
      this.pick[key] = "";
      return [element("select", { "aria-label": key, onchange: (event) => { this.pick[key] = event.target.value; this.refresh(); } },
        element("option", { value: "" }, all), values.map((value) => element("option", { value: value }, value || "(none)")))];
    });
    const order = element("select", { "aria-label": "order", onchange: (event) => { this.order = event.target.value; this.refresh(); } },
      Object.keys(ORDERS).map((name) => element("option", {}, name)));
    section.append(element("h2", {}, "Episodes"));
    if (data.episodes.length < data.total_episodes) {
      section.append(element("div", { class: "note" }, `This page holds ${grouped(data.episodes.length)} of ${grouped(data.total_episodes)} episodes, failed ones first and the others spread evenly; \`palaestra view --episodes N\` takes more.`));
    }
    section.append(element("div", { class: "tools" }, this.search, ...this.outcomes, ...this.selects, order, this.count),
      element("div", { class: "card browser" }, this.list, this.talk),
      element("p", { class: "muted" }, "The keys j and k go down and up the list. A darker token was less likely; its probability shows when the pointer is on it."));
    section.hidden = false;
    document.addEventListener("keydown", (event) => this.key(event));
    this.refresh();
    const wanted = /^#episode-(\d+)$/.exec(location.hash);
    this.open(wanted && data.episodes[Number(wanted[1])] ? Number(wanted[1]) : this.found[0], Boolean(wanted));
  },

  reset() {
    this.outcome = "all";
    this.words = this.search.value = "";
    this.selects.forEach((select) => { select.value = ""; });
    Object.keys(this.pick).forEach((key) => { this.pick[key] = ""; });
    this.refresh();
  },

  refresh() {
    this.shown = PAGE;
    this.found = data.episodes.map((_, index) => index).filter((index) => {
      const episode = data.episodes[index];
      const picked = Object.entries(this.pick).every(([key, value]) => value === "" || episode[key] === value);
      return picked && OUTCOMES[this.outcome](episode) && (!this.words || textOf(episode).includes(this.words));
    });
    this.found.sort((a, b) => ORDERS[this.order](data.episodes[a], data.episodes[b]) || a - b);
    this.outcomes.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === this.outcome)));
    this.count.textContent = counted(this.found.length, "episode");
    this.fill();
  },

  fill() {
    this.list.replaceChildren(...this.found.slice(0, this.shown).map((index) => this.row(index)));
    if (!this.found.length) this.list.append(element("div", { class: "empty" }, "Nothing matches."));
    if (this.found.length > this.shown) {
      this.list.append(element("button", { class: "more", onclick: () => { this.shown += PAGE; this.fill(); } }, `show ${Math.min(PAGE, this.found.length - this.shown)} more`));
    }
  },

  row(index) {
    const episode = data.episodes[index];
    const who = data.measured ? episode.source : episode.policy;
    const small = [data.contestants.length > 1 ? who : "", episode.scenario, counted(episode.turns.length, "step"), episode.sampled ? counted(episode.sampled, "token") : ""];
    return element("button", { "data-index": index, "aria-current": String(index === this.current), onclick: () => this.open(index) },
      mark(episode), element("span", { class: "line" }, episode.goal || episode.id), element("span", { class: "muted" }, short(episode.reward)),
      element("span", { class: "small line" }, small.filter(Boolean).join(" · ")));
  },

  open(index, scroll = false) {
    if (index === undefined) return;
    this.current = index;
    for (const button of this.list.children) {
      const here = Number(button.dataset.index) === index;
      button.setAttribute("aria-current", String(here));
      if (here) this.reveal(button);
    }
    showEpisode(this.talk, data.episodes[index]);
    history.replaceState(null, "", `#episode-${index}`);
    if (scroll) document.getElementById("episodes").scrollIntoView();
  },

  reveal(row) {
    // Not scrollIntoView, which would scroll the page as well.
    const top = row.offsetTop - this.list.offsetTop, bottom = top + row.offsetHeight;
    if (top < this.list.scrollTop) this.list.scrollTop = top - 8;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight + 8;
  },

  key(event) {
    if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { j: 1, k: -1 }[event.key];
    if (!move) return;
    const place = this.found.indexOf(this.current) + move;
    if (place >= 0 && place < this.found.length) this.open(this.found[place]);
  },
};

function chips(record, kind = "") {
  return Object.entries(record || {}).map(([name, value]) => element("span", { class: `chip ${kind}` }, `${name}: ${plain(value)}`));
}

function showEpisode(talk, episode) {
  const verdict = episode.outcome === "failed" ? ["failed", "warn"] : episode.success ? ["solved", "good"] : ["not solved", "bad"];
  const facts = [episode.id, episode.env, episode.scenario, data.measured ? episode.source : "", `${episode.policy} · ${episode.agent}`, episode.outcome, `seed ${episode.seed}`,
    episode.attempt ? `attempt ${episode.attempt}` : "", counted(episode.turns.length, "step"), episode.sampled ? `${grouped(episode.sampled)} sampled and ${grouped(episode.prompted)} prompt tokens` : "", `${short(episode.seconds)} s`];
  talk.replaceChildren(
    element("div", { class: "goal" }, episode.goal || episode.id),
    element("div", { class: "chips" }, element("span", { class: `chip ${verdict[1]}` }, `${verdict[0]}, reward ${short(episode.reward)}`),
      facts.filter(Boolean).map((fact) => element("span", { class: "chip" }, fact))),
    element("div", { class: "chips" }, chips(episode.options), chips(episode.tags, "accent"),
      Object.entries(episode.checks || {}).map(([name, passed]) => element("span", { class: `chip ${passed ? "good" : "bad"}` }, `${passed ? "✓" : "✗"} ${name}`))),
    ...(episode.failure ? [element("div", { class: "note mono" }, episode.failure)] : []),
    ...episode.turns.map(showTurn),
    ...(episode.final ? [element("div", { class: "turn" }, element("span", { class: "step" }, "end"), element("div", { class: "bubble" }, episode.final))] : []),
  );
  talk.scrollTop = 0;
}

function showTurn(turn, number) {
  const under = [];
  if (turn.r) under.push(element("span", { class: turn.r > 0 ? "mark good" : "mark bad" }, `reward ${short(turn.r)}`));
  if (turn.invalid) under.push(element("span", { class: "mark bad" }, "not valid"));
  if (turn.finish) under.push(element("span", { class: "mark warn" }, `ended by ${turn.finish}`));
  if (turn.l) under.push(element("span", {}, counted(turn.l.length, "token")), element("span", {}, `log-prob ${short(turn.l.reduce((sum, value) => sum + (value ?? 0), 0))}`));
  else if (turn.n) under.push(element("span", {}, counted(turn.n, "token")));
  under.push(...chips(turn.tags, "accent"));
  const spelt = turn.t ? turn.t.join("") : "";
  const texts = turn.t ? tokens(turn) : [turn.a];
  // Where the tokens do not spell the action (another tokenizer, or text around it), both are shown.
  const said = turn.t && !spelt.includes(turn.a.trim()) ? [element("div", {}, turn.a), element("div", { class: "muted" }, texts)] : texts;
  return element("div", { class: "turn" },
    element("span", { class: "step" }, String(number + 1)), element("div", { class: "bubble" }, turn.o),
    element("div", { class: "act" }, element("div", { class: "bubble" }, said), element("div", { class: "under" }, under)));
}

function tokens(turn) {
  return turn.t.map((text, i) => {
    const logprob = turn.l[i];
    const surprise = known(logprob) ? Math.min(1, -logprob / 3) : 0;
    return element("span", { class: "token", style: `background:rgba(var(--shade), ${(0.6 * surprise).toFixed(2)})`,
      "data-tip": known(logprob) ? `probability ${percent(Math.exp(logprob))}\nlog-prob ${logprob}` : "log-prob not finite" }, text);
  });
}

showHeader();
showResults();
showCurves();
browser.build();
showFailures();
