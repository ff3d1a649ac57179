// The main table: who solved how much, and at what price.

const COLUMNS = [
  ["reward", "reward", "mean reward of an episode"],
  ["scenario_goal", "SGC", "scenario goal completion: share of scenarios of which all tasks were solved"],
  ["steps", "steps", "mean number of actions in an episode"],
  ["tokens", "tokens", "mean number of tokens sampled in an episode, with those of earlier tries"],
  ["prompt_tokens", "prompt tokens", "mean number of prompt tokens sent in an episode; a prompt that grows is sent anew every turn"],
  ["seconds", "seconds", "mean time of an episode"],
  ["cost", "cost", "sum over all episodes, in the currency of the server's prices"],
  ["failures", "failures", "episodes that failed for reasons of the machine"],
];

// What environments measured: a column for each name.
function metricColumns() {
  const names = [...new Set(data.contestants.flatMap((row) => Object.keys(row.metrics || {})))];
  for (const row of data.contestants) for (const name of names) row[`metric ${name}`] = (row.metrics || {})[name];
  return names.map((name) => [`metric ${name}`, name.replaceAll("_", " "), "mean over an episode, measured by the environment"]);
}

function allColumns() {
  const place = COLUMNS.findIndex(([key]) => key === "steps") + 1;
  return [...COLUMNS.slice(0, place), ...metricColumns(), ...COLUMNS.slice(place)];
}

// A rate as a bar, its 95 % interval as whiskers; lighter parts of the bar are the later tries.
function bar(row, height = 16) {
  const at = (share) => `${(100 * share).toFixed(2)}%`;
  const middle = height / 2;
  const made = svg("svg", { class: "bar", height, role: "img", "aria-label": spoken(row) });
  made.append(svg("rect", { class: "ground", width: "100%", y: 2, height: height - 4, rx: (height - 4) / 2 }));
  if (known(row.success) && row.success > 0) {
    const steps = (row.within || []).filter(known);
    for (const share of steps.length > 1 ? [...steps].reverse() : [row.success]) {
      made.append(svg("rect", { class: "fill", width: at(share), y: 2, height: height - 4, rx: (height - 4) / 2, opacity: steps.length > 1 ? (0.85 / steps.length + 0.1).toFixed(2) : 0.85 }));
    }
  }
  if (row.interval) {
    const [low, high] = row.interval;
    made.append(svg("line", { class: "whisker", x1: at(low), x2: at(high), y1: middle, y2: middle }));
    for (const [end, share] of [[0.5, low], [-0.5, high]]) {
      // Whole pixels inside the picture, so that the caps at 0 and 100 % are not cut off.
      const cap = svg("g", { transform: `translate(${share === 0 ? 1 : share === 1 ? -1 : 0} 0)` }, svg("line", { class: "whisker", x1: at(share), x2: at(share), y1: end > 0 ? 3 : 3, y2: height - 3 }));
      made.append(cap);
    }
  }
  return made;
}

function spoken(row) {
  const interval = row.interval ? `, 95 % interval ${percent(row.interval[0])} to ${percent(row.interval[1])}` : "";
  return `success ${percent(row.success)}${interval}`;
}

function rate(row) {
  const range = row.interval ? `${(100 * row.interval[0]).toFixed(0)} – ${(100 * row.interval[1]).toFixed(0)} %` : "";
  const count = known(row.n) ? `\n${counted(row.n, "episode")}` : "";
  const within = (row.within || []).filter(known);
  return element("div", {},
    element("div", { class: "rate", "data-tip": spoken(row) + count }, element("b", {}, percent(row.success)), bar(row), element("span", { class: "range" }, range)),
    within.length > 1 ? element("div", { class: "within" }, `within ${within.map((_, i) => i + 1).join(" · ")} tries: ${within.map((share) => percent(share, 0)).join(" · ")}`) : null);
}

function table(headings, rows, kind = "") {
  const head = element("tr", {}, headings.map(([words, numeric]) => element("th", { class: numeric ? "number" : null }, words)));
  return element("div", { class: "card scroll" },
    element("table", { class: kind }, element("thead", {}, head), element("tbody", {}, rows)));
}

// The end of a long path says more than its beginning.
function briefly(policy) {
  const [kind, ...rest] = String(policy).split(":");
  const parts = rest.join(":").split("/");
  return parts.length > 3 ? `${kind}:…/${parts.slice(-3).join("/")}` : policy;
}

function about(row) {
  const told = row.settings;
  if (!told) return null;
  const said = [told.agent === told.policy ? null : told.agent, briefly(told.policy), told.context === "window" ? `window ${told.window_turns}` : null, told.thought ? "thought" : null,
    known(told.temperature) && told.temperature > 0 ? `temperature ${told.temperature}` : null, told.tries ? counted(told.tries, "try", "tries") : null];
  return element("div", { class: "about", "data-tip": told.policy }, breakable(said.filter(Boolean).join(" · ")));
}

function showResults() {
  if (!data.contestants.length) return;
  const shown = allColumns().filter(([key]) => key === "failures" || data.contestants.some((row) => known(row[key])));
  const sorts = [["order", "as given"], ["name", "contestant"], ["success", "success"], ...shown];
  const state = { key: "order", down: true };
  const body = element("tbody"), heads = new Map();
  const rows = data.contestants.map((row, order) => ({ row: { ...row, order: -order }, line: resultLine(row, shown) }));
  const sort = (key, down) => {
    Object.assign(state, { key, down });
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : b - a) * (down ? 1 : -1);
    const unknown = ({ row }) => row[key] === null || row[key] === undefined;
    const sorted = [...rows].sort((a, b) => unknown(a) - unknown(b) || (unknown(a) ? 0 : compare(a.row[key], b.row[key])));
    body.replaceChildren(...sorted.map(({ line }) => line));
    for (const [name, head] of heads) {
      if (name === key) head.setAttribute("aria-sort", down === (key !== "name") ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    select.value = key;
  };
  const head = ([key, words, why], numeric) => {
    const made = element("th", { class: numeric ? "number" : null, "data-tip": why },
      element("button", { class: "sort", onclick: () => sort(key, state.key === key ? !state.down : true) }, words));
    heads.set(key, made);
    return made;
  };
  const select = element("select", { "aria-label": "order of the table", onchange: () => sort(select.value, true) }, sorts.map(([key, words]) => element("option", { value: key }, key === "order" ? words : `by ${words}`)));
  const heading = element("tr", {}, head(["name", "contestant", ""]), head(["success", "success, with its 95 % interval", "share of judged episodes that were solved; Wilson's interval"]), shown.map((column) => head(column, true)));
  section("results", "Results", element("div", { class: "tools narrow" }, select),
    element("div", { class: "card scroll" }, element("table", { class: "main" }, element("thead", {}, heading), body)),
    element("p", { class: "muted" }, resultNote(shown)));
  sort("order", true);
}

function resultLine(row, shown) {
  return element("tr", {}, element("td", { class: "name" }, breakable(row.name), about(row)), element("td", { class: "wide" }, rate(row)),
    shown.map(([key, words]) => element("td", { class: `number${key === "failures" && row[key] ? " warned" : ""}`, "data-label": words }, key === "scenario_goal" ? scenarioGoal(row) : inColumn(row[key], key))));
}

function scenarioGoal(row) {
  if (!known(row.scenario_goal)) return "–";
  const [low, high] = row.scenario_goal_interval;
  const told = `of ${counted(row.scenarios, "scenario")}, 95 % interval ${percent(low)} to ${percent(high)}`;
  return element("span", { "data-tip": told }, percent(row.scenario_goal));
}

// As many decimals as the largest number of the column needs, so that they line up.
function inColumn(value, key) {
  const largest = Math.max(...data.contestants.map((row) => row[key]).filter(known).map(Math.abs));
  if (!known(value) || key === "cost" || key === "failures" || largest < 0.1) return short(value);
  const digits = largest >= 100 ? 0 : largest >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function resultNote(shown) {
  const listed = data.rows.length === data.total_episodes ? counted(data.total_episodes, "episode") : `the ${grouped(data.rows.length)} listed of ${counted(data.total_episodes, "episode")}`;
  const words = [data.measured ? "" : `Computed from ${listed}. `, "Numbers are means over an episode", shown.some(([key]) => key === "cost") ? ", the cost is the sum" : "", ". A failure is of the machine, not of the agent, and counts in no rate."];
  if (shown.some(([key]) => key === "scenario_goal")) words.push(" SGC is the share of scenarios of which all tasks were solved.");
  if (data.contestants.some((row) => (row.within || []).length > 1)) words.push(" Where a contestant is told whether it succeeded and may try again, success counts all its tries: compare it with others that may.");
  return words.join("");
}
