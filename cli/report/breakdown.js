// Where success comes from, how episodes end, and what success costs.

const FOLDED_KINDS = 8;

function showBreakdown() {
  const rows = data.contestants;
  const environments = [...new Set(rows.flatMap((row) => Object.keys(row.by_env || {})))].sort();
  const scenarios = [...new Set(rows.flatMap((row) => Object.keys(row.by_scenario || {})))].sort();
  if (scenarios.length < 2 && environments.length < 2) return;
  const several = environments.length > 1;
  const groups = several ? environments.map((env) => [env, scenarios.filter((name) => name.startsWith(`${environmentName(env)}: `))]) : [[environments[0] || "", scenarios]];
  const lines = groups.flatMap(([env, names]) => {
    const kinds = names.length === 1 ? [] : names;
    const lineOf = (name) => heatLine(rows, name.slice(several ? environmentName(env).length + 2 : 0) || "-", (row) => (row.by_scenario || {})[name], { ...(several ? { env } : {}), scenario: several ? name.slice(environmentName(env).length + 2) : name }, several ? "inner" : "");
    const made = kinds.map(lineOf);
    const head = several ? heatLine(rows, environmentName(env), (row) => (row.by_env || {})[env], { env }, "whole") : null;
    if (head && made.length > FOLDED_KINDS) {
      made.forEach((line) => { line.hidden = true; });
      const button = element("button", { class: "quiet", onclick: () => { made.forEach((line) => { line.hidden = false; }); button.remove(); } }, `show its ${made.length} kinds`);
      head.firstChild.append(" ", button);
    }
    return head ? [head, ...made] : made;
  });
  section("breakdown", several ? "By environment and kind of task" : "By kind of task",
    table([[several ? "environment, kind" : "kind"], ...rows.map((row) => [breakable(row.name)])], lines, "heat"),
    element("p", { class: "muted" }, "Share of tasks solved, and how many there were. The darker, the more. A click shows the episodes."));
}

function heatLine(rows, name, find, filter, kind = "") {
  return element("tr", { class: kind || null }, element("th", { scope: "row", class: kind === "inner" ? "inner" : null }, breakable(name)), rows.map((row) => {
    const found = find(row);
    if (!found || !known(found.success)) return element("td", { class: "muted" }, "–");
    const solved = Math.round(found.success * found.n);
    const made = element("td", { style: `background:rgba(var(--shade), ${(0.04 + 0.62 * found.success).toFixed(3)})`, "data-tip": `${row.name}, ${name}\n${spoken(found)}\n${grouped(solved)} of ${counted(found.n, "episode")}` },
      element("b", {}, percent(found.success, 0)), element("span", { class: "of" }, `${grouped(solved)}/${grouped(found.n)}`));
    if (!data.rows.length) return made;
    made.classList.add("link");
    made.addEventListener("click", () => browser.jump({ ...filter, source: data.measured ? row.name : "" }));
    return made;
  }));
}

// ---- endings ------------------------------------------------------------------------------------------

const ENDING_COLOURS = { solved: "--solved", "step limit": "--c1", "turn limit": "--c2", "context full": "--c3", "ended unsolved": "--c4" };
const OTHER_COLOURS = ["--c5", "--c6", "--c7", "--c8", "--c2", "--c3"];

// A colour for each name, the same wherever the name occurs.
function colours(names) {
  let next = 0;
  return new Map(names.map((name) => [name, `var(${ENDING_COLOURS[name] || OTHER_COLOURS[next++ % OTHER_COLOURS.length]})`]));
}

function stacked(title, key, prefix, total, why) {
  const rows = data.contestants.filter((row) => Object.keys(row[key] || {}).length);
  if (!rows.length) return null;
  const sums = new Map();
  for (const row of rows) for (const [name, count] of Object.entries(row[key])) sums.set(name, (sums.get(name) || 0) + count);
  const names = [...sums.keys()].sort((a, b) => (b === "solved") - (a === "solved") || sums.get(b) - sums.get(a));
  const paint = colours(names);
  const most = Math.max(...rows.map((row) => total(row)));
  const legend = element("div", { class: "legend" }, names.map((name) => element("span", {}, element("i", { style: `background:${paint.get(name)}` }), `${name} `, element("b", {}, grouped(sums.get(name))))));
  const lines = rows.map((row) => {
    let from = 0;
    const made = svg("svg", { class: "stack", height: 20, role: "img", "aria-label": Object.entries(row[key]).map(([name, count]) => `${name} ${count}`).join(", ") });
    for (const name of names.filter((one) => row[key][one])) {
      const share = row[key][name] / most;
      const part = svg("rect", { x: `${(100 * from).toFixed(3)}%`, width: `${(100 * share).toFixed(3)}%`, height: 20, style: `fill:${paint.get(name)}`, "data-tip": `${row.name}\n${name}: ${grouped(row[key][name])} of ${grouped(total(row))} (${percent(row[key][name] / total(row), 0)})` });
      part.addEventListener("click", () => data.rows.length && browser.jump({ source: data.measured ? row.name : "", ending: `${prefix}${name}` }));
      made.append(part);
      from += share;
    }
    return element("div", { class: "stacked" }, element("span", { class: "who" }, breakable(row.name)), made, element("span", { class: "muted" }, grouped(total(row))));
  });
  return element("div", { class: "card chart" }, element("h3", {}, title), legend, lines, element("p", { class: "muted small" }, why));
}

function showEndings() {
  const sum = (key) => (row) => Object.values(row[key] || {}).reduce((a, b) => a + b, 0);
  const ends = [
    stacked("How episodes ended", "endings", "", sum("endings"), "Judged episodes; the number is their count. A click shows them."),
    stacked("Failures of the machine", "failure_kinds", "failed: ", sum("failure_kinds"), "They count in no rate. Running the same command again plays them again."),
  ].filter(Boolean);
  const price = scatter();
  if (!ends.length && !price) return;
  const columns = price ? [element("div", {}, ends), price] : ends;
  section("endings", price ? "How it ended, and what it cost" : "How it ended", element("div", { class: "pictures" }, columns));
}

// ---- success against price ----------------------------------------------------------------------------

const PRICES = [
  ["tokens in and out", (row) => (known(row.tokens) && known(row.prompt_tokens) ? row.tokens + row.prompt_tokens : known(row.tokens) ? row.tokens : NaN)],
  ["sampled tokens", (row) => row.tokens],
  ["seconds", (row) => row.seconds],
  ["steps", (row) => row.steps],
  ["cost", (row) => (row.n ? row.cost / row.n : NaN)],
];
// On a phone a smaller picture, since its texts are scaled with it.
const WIDE = Math.max(300, Math.min(520, innerWidth - 70)), HIGH = 300, EDGE = { left: 46, right: 20, top: 14, bottom: 40 };

function scatter() {
  const rated = data.contestants.filter((row) => known(row.success));
  const usable = PRICES.filter(([, price]) => new Set(rated.map(price).filter((value) => known(value) && value > 0)).size > 1);
  if (!usable.length) return null;
  const holder = element("div");
  const select = element("select", { "aria-label": "price", onchange: () => draw(usable.find(([name]) => name === select.value)) }, usable.map(([name]) => element("option", {}, name)));
  const draw = ([name, price]) => holder.replaceChildren(...scatterOf(name, price, rated));
  draw(usable[0]);
  return element("div", { class: "card chart" }, element("div", { class: "titled" }, element("h3", {}, "Success against its price"), select), holder);
}

function scatterOf(name, price, rated) {
  const shown = rated.map((row) => ({ row, value: price(row) })).filter(({ value }) => known(value) && value > 0);
  const values = shown.map(({ value }) => value);
  const log = Math.max(...values) / Math.min(...values) > 12;
  const scale = log ? Math.log10 : (value) => value;
  const [least, most] = [scale(Math.min(...values)), scale(Math.max(...values))];
  const room = log ? 0.15 : (most - least) * 0.3;
  const [low, high] = [log || least > most * 0.4 ? least - room : 0, most + room];
  const highest = Math.max(...shown.map(({ row }) => (row.interval ? row.interval[1] : row.success)));
  const top = [0.05, 0.1, 0.25, 0.5, 0.75, 1].find((share) => share >= highest - 1e-9);
  const x = (value) => EDGE.left + ((scale(value) - low) / (high - low)) * (WIDE - EDGE.left - EDGE.right);
  const y = (share) => EDGE.top + (1 - share / top) * (HIGH - EDGE.top - EDGE.bottom);
  const words = (attributes, content) => Object.assign(svg("text", attributes), { textContent: content });
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `success against ${name}` });
  for (const share of [0, 0.2, 0.4, 0.6, 0.8, 1].map((part) => part * top)) {
    picture.append(svg("line", { class: "grid", x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(share), y2: y(share) }), words({ x: EDGE.left - 7, y: y(share) + 4, "text-anchor": "end" }, percent(share, 0)));
  }
  const marks = log ? logTicks(low, high) : ticks(low, high, 5);
  for (const value of marks) picture.append(words({ x: x(value), y: HIGH - EDGE.bottom + 17, "text-anchor": "middle" }, short(value)));
  picture.append(words({ x: WIDE - EDGE.right, y: HIGH - 5, "text-anchor": "end" }, `${name} an episode${log ? " (logarithmic)" : ""}`));
  const placed = shown.map(({ row, value }) => ({ left: x(value) - 6, width: 12, top: y(row.success) - 8 }));
  for (const { row, value } of [...shown].sort((a, b) => b.row.success - a.row.success)) {
    if (row.interval) picture.append(svg("line", { class: "whisker", x1: x(value), x2: x(value), y1: y(row.interval[0]), y2: y(row.interval[1]) }));
    picture.append(svg("circle", { class: "dot", cx: x(value), cy: y(row.success), r: 5, "data-tip": `${row.name}\n${spoken(row)}\n${name}: ${short(value)} an episode` }));
    placed.push(label(picture, row.name, x(value), y(row.success), placed, words));
  }
  const missing = rated.filter((row) => !shown.some((one) => one.row === row)).map((row) => row.name);
  return [picture, element("p", { class: "muted small" }, `Up and to the left is better.${missing.length ? ` Without ${name}: ${missing.join(", ")}.` : ""}`)];
}

// The name beside its point, moved down or up until it covers no other name.
function label(picture, name, x, y, placed, words) {
  const shownName = name.length > 26 ? `${name.slice(0, 25)}…` : name;
  const width = 6.6 * shownName.length, right = x + 10 + width < WIDE - 4;
  const box = { left: right ? x + 9 : x - 9 - width, top: y - 8 };
  const hits = (other) => Math.abs(other.top - box.top) < 14 && box.left < other.left + other.width && other.left < box.left + width;
  const inside = (top) => top >= EDGE.top - 8 && top <= HIGH - EDGE.bottom - 10;
  const near = [0, 14, -14, 28, -28, 42, -42, 56, -56, 70, -70].map((away) => y - 8 + away).filter(inside);
  box.top = near.find((top) => { box.top = top; return !placed.some(hits); }) ?? y - 8;
  picture.append(words({ class: "label", x: right ? box.left : box.left + width, y: box.top + 12, "text-anchor": right ? "start" : "end" }, shownName));
  return { ...box, width };
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const digit of high - low > 2 ? [1] : [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found;
}
