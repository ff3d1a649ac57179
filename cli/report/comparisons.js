// Which of two contestants is better, in words and as a picture.

const LEVEL = 0.05;
const clear = (pair) => known(pair.difference) && pair.p_holm < LEVEL;
const isScripted = (row) => ["random", "expert"].includes((row.settings || {}).policy);
const chance = (p) => (p < 0.001 ? "p < 0.001" : `p = ${Number(p.toPrecision(2))}`);

function showComparisons() {
  const pairs = data.comparisons;
  if (!pairs.length) return;
  const scripted = new Set(data.contestants.filter(isScripted).map((row) => row.name));
  // That the expert beats whom it should beat is the last thing that anyone asks.
  const scale = (pair) => scripted.has(pair.first) || scripted.has(pair.second);
  const sorted = [...pairs].sort((a, b) => scale(a) - scale(b) || clear(b) - clear(a) || Math.abs(b.difference) - Math.abs(a.difference));
  const clearOnes = pairs.filter(clear).length;
  const children = data.contestants.length > 2 ? [matrix(pairs)] : [];
  section("comparisons", "Who beats whom", ...children,
    element("div", { class: "card pairs" }, folded(sorted.map(pairLine), 6, "pairs")),
    element("p", { class: "muted" }, `A point is one task in a hundred, on the tasks that both were judged on. Intervals are 95 % paired bootstrap, p is McNemar's exact test${pairs.length > 1 ? ` with Holm's correction for ${counted(pairs.length, "pair")}` : ""}; a difference counts as clear where p < ${LEVEL} (${grouped(clearOnes)} of ${grouped(pairs.length)}).`));
}

function sentence(pair) {
  if (!known(pair.difference)) return [element("b", {}, pair.first), " and ", element("b", {}, pair.second), " were judged on no common task"];
  const turned = pair.difference < 0;
  const [winner, loser] = turned ? [pair.second, pair.first] : [pair.first, pair.second];
  const [low, high] = turned ? [-pair.interval[1], -pair.interval[0]] : pair.interval;
  const facts = element("span", { class: "muted" }, ` [${points(low)}, ${points(high)}], ${chance(pair.p_holm)}`);
  if (clear(pair)) return [element("b", {}, winner), " beats ", element("b", {}, loser), " by ", element("b", { class: "gain" }, `${points(Math.abs(pair.difference)).slice(1)} points`), facts];
  return ["No clear difference between ", element("b", {}, winner), " and ", element("b", {}, loser), ": ", `${points(Math.abs(pair.difference))} points`, facts];
}

function pairLine(pair) {
  const turned = known(pair.difference) && pair.difference < 0;
  const [winner, loser] = turned ? [pair.second, pair.first] : [pair.first, pair.second];
  const [mine, yours] = turned ? [pair.only_second, pair.only_first] : [pair.only_first, pair.only_second];
  const jump = (count, solver, other) => element("button", { class: "quiet", disabled: !count || !data.rows.length, "data-tip": count ? "show these tasks" : null,
    onclick: () => browser.jump({ solved: solver, missed: other }) }, `${counted(count, "task")} only ${solver}`);
  return element("div", { class: clear(pair) ? "versus" : "versus unclear" }, element("div", {}, sentence(pair),
    element("div", { class: "jumps" }, jump(mine, winner, loser), jump(yours, loser, winner), element("span", { class: "muted" }, `both ${grouped(pair.both)} · neither ${grouped(pair.neither)}`))),
    forest(pair, turned));
}

// The difference on a line from -100 to 100 points.
function forest(pair, turned) {
  const made = svg("svg", { class: "forest", height: 22, role: "img", "aria-label": `difference ${points(pair.difference)} points` });
  const at = (share) => `${(50 + 48 * share).toFixed(2)}%`;
  made.append(svg("line", { class: "axis", x1: "2%", x2: "98%", y1: 11, y2: 11 }), svg("line", { class: "zero", x1: "50%", x2: "50%", y1: 2, y2: 20 }));
  if (!known(pair.difference)) return made;
  const sign = turned ? -1 : 1;
  made.append(svg("line", { class: "span", x1: at(sign * pair.interval[0]), x2: at(sign * pair.interval[1]), y1: 11, y2: 11 }),
    svg("circle", { class: "dot", cx: at(sign * pair.difference), cy: 11, r: 4.5 }));
  return made;
}

function matrix(pairs) {
  const names = [...data.contestants].sort((a, b) => (b.success ?? -1) - (a.success ?? -1)).map((row) => row.name);
  const found = new Map(pairs.flatMap((pair) => [[`${pair.first}\n${pair.second}`, [pair, 1]], [`${pair.second}\n${pair.first}`, [pair, -1]]]));
  const cell = (row, column) => {
    const [pair, sign] = found.get(`${row}\n${column}`) || [];
    if (!pair || !known(pair.difference)) return element("td", { class: "self" }, row === column ? "" : "–");
    const difference = sign * pair.difference;
    const kind = clear(pair) ? (difference > 0 ? "better" : "worse") : "even";
    const [low, high] = sign > 0 ? pair.interval : [-pair.interval[1], -pair.interval[0]];
    return element("td", { class: kind, "data-tip": `${row} less ${column}: ${points(difference)} points [${points(low)}, ${points(high)}]\n${chance(pair.p_holm)}${clear(pair) ? "" : ": no clear difference"}` }, points(difference));
  };
  const head = element("tr", {}, element("th", {}, "row less column"), names.map((name) => element("th", { scope: "col" }, breakable(name))));
  const rows = names.map((row) => element("tr", {}, element("th", { scope: "row" }, breakable(row)), names.map((column) => cell(row, column))));
  return element("div", { class: "card scroll" }, element("table", { class: "matrix" }, element("thead", {}, head), element("tbody", {}, rows)));
}
