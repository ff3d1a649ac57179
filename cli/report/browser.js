// The list of tasks and episodes, its filters, and the search through every text.

const OUTCOMES = {
  all: () => true,
  solved: (row) => row.success && row.outcome !== "failed",
  "not solved": (row) => !row.success && row.outcome !== "failed",
  failed: (row) => row.outcome === "failed",
};
const ORDERS = {
  "as recorded": () => 0,
  "reward, lowest first": (a, b) => a.reward - b.reward,
  "steps, most first": (a, b) => b.steps - a.steps,
  "steps, fewest first": (a, b) => a.steps - b.steps,
  "tokens, most first": (a, b) => (b.sampled || 0) - (a.sampled || 0),
  "seconds, most first": (a, b) => b.seconds - a.seconds,
};
const PAGE = 200, SEARCH_PAUSE_MS = 250;

// ---- the turns, which lie compressed in the page --------------------------------------------------------

const inflated = new Map();

async function inflate(block) {
  if (!inflated.has(block)) {
    const bytes = Uint8Array.from(atob(data.blocks[block]), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    inflated.set(block, new Response(stream).text().then((lines) => lines.split("\n")));
  }
  return inflated.get(block);
}

async function turnsOf(row) {
  return row.block < 0 ? null : JSON.parse((await inflate(row.block))[row.line]);
}

function wordsOf(episode) {
  const tags = Object.values(episode.tags || {}).map(plain);
  return [episode.final, ...tags, ...episode.turns.flatMap((turn) => [turn.o, turn.a, turn.tags ? plain(turn.tags) : ""])].join("\n").toLowerCase();
}

function mark(row) {
  if (row.outcome === "failed") return element("span", { class: "mark warn", title: "failed" }, "!");
  return row.success ? element("span", { class: "mark good", title: "solved" }, "✓") : element("span", { class: "mark bad", title: "not solved" }, "✗");
}

const who = (row) => (data.measured ? row.source : row.policy);

// ---- the browser --------------------------------------------------------------------------------------

const browser = {
  mode: "episodes", outcome: "all", words: "", hits: new Set(), order: "as recorded", shown: PAGE, current: -1, found: [], pick: {}, searches: 0, wide: false,

  build() {
    if (!data.rows.length) return;
    this.members = data.tasks.map(() => []);
    data.rows.forEach((row, index) => this.members[row.task].push(index));
    const played = data.contestants.filter((row) => !isScripted(row));
    // Random and expert differ on nearly every task, which says nothing of those between them.
    this.apart = new Set(played.length > 1 ? data.contestants.filter(isScripted).map((row) => row.name) : []);
    const rank = new Map(data.contestants.map((row, place) => [row.name, place]));
    // In the order of the table; Infinity less itself is no number.
    const place = (index) => rank.get(data.rows[index].source) ?? rank.size;
    this.members.forEach((rows) => rows.sort((a, b) => place(a) - place(b) || a - b));
    const grouping = this.members.some((rows) => rows.length > 1);
    this.mode = data.measured && grouping ? "tasks" : "episodes";
    this.list = element("div", { class: "list" });
    this.talk = element("div", { class: "talk" });
    this.count = element("span", { class: "muted count" });
    this.cleared = element("button", { class: "quiet", onclick: () => this.reset() }, "clear all filters");
    this.note = element("span", { class: "chip accent", hidden: true });
    this.search = element("input", { type: "search", placeholder: "search goals, observations, actions", oninput: () => this.seek() });
    const differ = grouping && this.members.some((rows) => this.differs(rows));
    this.outcomes = [...Object.keys(OUTCOMES).filter((name) => name === "all" || data.rows.some(OUTCOMES[name])), ...(differ ? ["differing"] : [])].map((name) =>
      element("button", { "aria-pressed": "false", "data-tip": name === "differing" ? "tasks that some solved and some did not" : null, onclick: () => { this.outcome = name; this.refresh(true); } }, name));
    this.modes = grouping ? ["tasks", "episodes"].map((name) => element("button", { "aria-pressed": "false", onclick: () => { this.mode = name; this.refresh(true); } }, `by ${name.slice(0, -1)}`)) : [];
    this.selects = this.filters();
    this.orders = element("select", { "aria-label": "order", onchange: (event) => { this.order = event.target.value; this.refresh(); } }, Object.keys(ORDERS).map((name) => element("option", {}, name)));
    this.frame = element("div", { class: "card browser" }, this.list, this.talk);
    section("episodes", "Episodes", ...this.left(),
      element("div", { class: "tools" }, this.search, element("span", { class: "group" }, this.modes), element("span", { class: "group" }, this.outcomes), Object.values(this.selects), this.orders),
      element("div", { class: "tools" }, this.count, this.note, this.cleared), this.frame,
      element("p", { class: "muted" }, element("span", { class: "keys" }, "The keys j and k go down and up the list, h and l from one episode of a task to the next. "), "A darker token was less likely; its probability shows when the pointer is on it."));
    document.addEventListener("keydown", (event) => this.key(event));
    this.refresh();
    const wanted = /^#episode-(\d+)$/.exec(location.hash);
    if (wanted) history.scrollRestoration = "manual";
    const first = this.found.length ? this.entries(this.found[0])[0] : undefined;
    this.open(wanted && data.rows[Number(wanted[1])] ? Number(wanted[1]) : first, Boolean(wanted));
  },

  left() {
    const notes = [];
    const listed = data.rows.length, bare = data.rows.filter((row) => row.block < 0).length;
    const where = `the files episodes*.jsonl in ${data.path}`;
    if (listed < data.total_episodes) notes.push(`This page lists ${grouped(listed)} of ${counted(data.total_episodes, "episode")}, spread evenly; all are in ${data.kind === "benchmark" ? where : data.path}. \`palaestra view --episodes N\` lists more.`);
    if (bare) notes.push(`To keep this page small, the turns of ${grouped(bare)} of its ${counted(listed, "episode")} are left out; each says in which file and line they are.`);
    if (typeof DecompressionStream === "undefined") notes.push("This browser is too old to show the turns of episodes; all else is there.");
    return notes.map((note) => element("div", { class: "note" }, note));
  },

  filters() {
    const environments = new Set(data.tasks.map((task) => task.env));
    const kinds = [["source", data.measured ? "every contestant" : "every file", (row) => row.source], ["policy", "every policy", (row) => (data.measured ? "" : row.policy)],
      ["env", "every environment", (row) => data.tasks[row.task].env], ["scenario", "every kind of task", (row) => data.tasks[row.task].scenario], ["ending", "every ending", (row) => row.ending]];
    this.value = Object.fromEntries(kinds.map(([key, , value]) => [key, value]));
    const made = {};
    for (const [key, all, value] of kinds) {
      const values = [...new Set(data.rows.map(value))].sort();
      this.pick[key] = "";
      if (values.length < 2) continue;
      const named = (one) => (key === "env" && environments.size ? environmentName(one) : one || "(none)");
      made[key] = element("select", { "aria-label": key, onchange: (event) => { this.pick[key] = event.target.value; this.refresh(true); } },
        element("option", { value: "" }, all), values.map((one) => element("option", { value: one }, named(one))));
    }
    return made;
  },

  // Shows what another part of the page speaks of: { source, env, scenario, ending, solved, missed }.
  jump(wanted) {
    this.outcome = "all";
    this.words = this.search.value = "";
    for (const key of Object.keys(this.pick)) this.pick[key] = "";
    Object.assign(this.pick, wanted);
    if (wanted.solved && this.modes.length) this.mode = "tasks";
    for (const [key, select] of Object.entries(this.selects)) select.value = this.pick[key];
    this.refresh(true);
    document.getElementById("episodes").scrollIntoView();
  },

  reset() {
    this.jump({ solved: "", missed: "" });
  },

  differs(rows) {
    const judged = rows.map((index) => data.rows[index]).filter((row) => row.outcome !== "failed" && !this.apart.has(row.source));
    return judged.some((row) => row.success) && judged.some((row) => !row.success);
  },

  fits(index) {
    const row = data.rows[index];
    const { solved, missed } = this.pick;
    if (this.outcome !== "differing" && !OUTCOMES[this.outcome](row)) return false;
    if (solved && !(row.source === solved || row.source === missed)) return false;
    for (const key of Object.keys(this.value)) if (this.pick[key] && this.value[key](row) !== this.pick[key]) return false;
    return !this.words || this.hits.has(index) || this.spoken(row).includes(this.words);
  },

  spoken(row) {
    const task = data.tasks[row.task];
    if (row.spoken === undefined) row.spoken = [task.id, task.goal, task.scenario, row.source, row.policy, row.failure, row.ending].join("\n").toLowerCase();
    return row.spoken;
  },

  fitsTask(rows) {
    const { solved, missed } = this.pick;
    if (this.outcome === "differing" && !this.differs(rows)) return false;
    if (!solved) return true;
    const has = (name, success) => rows.some((index) => data.rows[index].source === name && data.rows[index].outcome !== "failed" && data.rows[index].success === success);
    return has(solved, true) && has(missed, false);
  },

  // The rows behind an entry of the list: those of a task, or a single one.
  entries(entry) {
    return this.mode === "tasks" ? this.members[entry] : [entry];
  },

  refresh(reopen = false) {
    this.shown = PAGE;
    const tasks = this.members.map((rows) => this.fitsTask(rows));
    const rows = data.rows.map((_, index) => index).filter((index) => tasks[data.rows[index].task] && this.fits(index));
    const compare = ORDERS[this.order];
    rows.sort((a, b) => compare(data.rows[a], data.rows[b]) || a - b);
    this.found = this.mode === "tasks" ? [...new Set(rows.map((index) => data.rows[index].task))] : rows;
    this.matching = new Set(rows);
    this.outcomes.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === this.outcome)));
    this.modes.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === `by ${this.mode.slice(0, -1)}`)));
    const { solved, missed } = this.pick;
    this.note.hidden = !solved;
    this.note.textContent = solved ? `${solved} solved, ${missed} did not` : "";
    this.cleared.hidden = this.outcome === "all" && !this.words && !Object.values(this.pick).some(Boolean);
    this.count.textContent = this.mode === "tasks" ? `${counted(this.found.length, "task")}, ${counted(rows.length, "episode")}` : counted(rows.length, "episode");
    this.fill();
    if (reopen && this.found.length && !this.matching.has(this.current)) this.open(this.entries(this.found[0]).find((index) => this.matching.has(index)));
    else if (this.current >= 0) this.highlight();
  },

  fill() {
    this.list.replaceChildren(...this.found.slice(0, this.shown).map((entry) => (this.mode === "tasks" ? this.taskLine(entry) : this.line(entry))));
    if (!this.found.length) this.list.append(element("div", { class: "empty" }, "Nothing matches."));
    if (this.found.length > this.shown) {
      this.list.append(element("button", { class: "more", onclick: () => { this.shown += PAGE; this.fill(); this.highlight(); } }, `show ${Math.min(PAGE, this.found.length - this.shown)} more`));
    }
  },

  line(index) {
    const row = data.rows[index], task = data.tasks[row.task];
    const small = [data.contestants.length > 1 ? who(row) : "", task.scenario, counted(row.steps, "step"), row.sampled ? counted(row.sampled, "token") : ""];
    return element("button", { "data-entry": index, onclick: () => this.open(index) }, mark(row), element("span", { class: "line" }, task.goal || task.id),
      element("span", { class: "muted" }, short(row.reward)), element("span", { class: "small line" }, small.filter(Boolean).join(" · ")));
  },

  taskLine(number) {
    const task = data.tasks[number], rows = this.members[number].map((index) => data.rows[index]);
    const solved = rows.filter((row) => row.success).length, judged = rows.filter((row) => row.outcome !== "failed").length;
    const strip = rows.length <= 10 ? element("span", { class: "strip" }, rows.map((row) => element("i", { class: row.outcome === "failed" ? "warn" : row.success ? "good" : "bad", "data-tip": `${labelOf(row, rows)}: ${row.ending}` }))) : null;
    return element("button", { class: "task", "data-entry": number, onclick: () => this.open(this.members[number].find((index) => this.matching.has(index)) ?? this.members[number][0]) },
      element("span", { class: "line" }, task.goal || task.id), element("span", { class: "muted" }, `${solved}/${judged}`),
      element("span", { class: "small" }, strip, element("span", { class: "line" }, task.scenario || task.id)));
  },

  open(index, scroll = false) {
    if (index === undefined) return;
    this.current = index;
    this.highlight();
    showTask(this.talk, index, this);
    history.replaceState(null, "", `#episode-${index}`);
    if (scroll) document.getElementById("episodes").scrollIntoView();
  },

  widen(wide) {
    this.wide = wide;
    this.frame.classList.toggle("wide", wide);
    this.open(this.current);
  },

  highlight() {
    const entry = this.mode === "tasks" ? data.rows[this.current].task : this.current;
    for (const button of this.list.children) {
      const here = button.dataset.entry === String(entry);
      button.setAttribute("aria-current", String(here));
      if (here) this.reveal(button);
    }
  },

  reveal(line) {
    // Not scrollIntoView, which would scroll the page as well.
    const top = line.offsetTop - this.list.offsetTop, bottom = top + line.offsetHeight;
    if (top < this.list.scrollTop) this.list.scrollTop = top - 8;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight + 8;
  },

  // Goals and names at once; the texts of the turns, which must be inflated first, after a pause.
  seek() {
    this.words = this.search.value.toLowerCase();
    this.hits = new Set();
    this.refresh();
    const turn = ++this.searches;
    if (this.words) setTimeout(() => { if (turn === this.searches) this.seekTurns(turn); }, SEARCH_PAUSE_MS);
  },

  async seekTurns(turn) {
    const spelt = JSON.stringify(this.words).slice(1, -1);
    for (let index = 0; index < data.rows.length; index++) {
      const row = data.rows[index];
      if (row.block < 0) continue;
      const lines = await inflate(row.block);
      if (turn !== this.searches) return;
      // The line as it stands is quickly searched, but holds more than what was said.
      if (lines[row.line].toLowerCase().includes(spelt) && wordsOf(JSON.parse(lines[row.line])).includes(this.words)) this.hits.add(index);
    }
    this.refresh(true);
  },

  key(event) {
    if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const down = { j: 1, k: -1 }[event.key], along = { l: 1, h: -1 }[event.key];
    if (down) {
      const entry = this.mode === "tasks" ? data.rows[this.current].task : this.current;
      const next = this.found[this.found.indexOf(entry) + down];
      if (next === undefined) return;
      // The same contestant's episode, if it played the next task too.
      const rows = this.entries(next);
      this.open(rows.find((index) => data.rows[index].source === data.rows[this.current].source) ?? rows[0]);
    } else if (along) {
      const rows = this.members[data.rows[this.current].task];
      const next = rows[rows.indexOf(this.current) + along];
      if (next !== undefined) this.open(next);
    }
  },
};
