// A task with the episodes that were played on it, one at a time or side by side.

const TOLD_ELSEWHERE = new Set(["thought", "aside", "no_action", "purpose", "prompt_tokens", "completion_tokens", "cost", "failure_kind"]);
const CHIP_CHARACTERS = 60;

// What sets an episode apart from the others on its task.
function labelOf(row, rows) {
  if (data.measured) return row.source;
  const differs = (key) => rows.some((other) => other[key] !== row[key]);
  const parts = [differs("policy") ? row.policy : "", differs("source") ? row.source : "", differs("attempt") ? `try ${row.attempt + 1}` : ""].filter(Boolean);
  return parts.join(" · ") || row.policy;
}

async function showTask(talk, index, state) {
  const row = data.rows[index], task = data.tasks[row.task];
  const members = state.members[row.task], rows = members.map((one) => data.rows[one]);
  const many = members.length > 1;
  const wide = state.wide && many;
  const tabs = many && !wide ? element("div", { class: "tabs", role: "tablist" }, members.map((one, i) =>
    element("button", { role: "tab", "aria-selected": String(one === index), onclick: () => state.open(one) }, mark(rows[i]), " ", breakable(labelOf(rows[i], rows))))) : null;
  const toggle = many ? element("button", { class: "quiet", onclick: () => state.widen(!state.wide) }, wide ? "back to the list" : "all side by side") : null;
  const facts = [task.id, environmentName(task.env), task.scenario, `seed ${task.seed}`];
  const columns = element("div", { class: wide ? "columns" : "single" });
  talk.replaceChildren(
    element("div", { class: "titled" }, text(task.goal || task.id, (task.goal || "").length > 140 ? "goal long" : "goal"), toggle),
    element("div", { class: "chips" }, facts.filter(Boolean).map((fact) => element("span", { class: "chip" }, fact)), chips(task.options)),
    ...(tabs ? [tabs] : []), columns);
  talk.scrollTop = 0;
  for (const one of wide ? rows : [row]) {
    const column = element("div", { class: "column" });
    columns.append(column);
    let episode = null, problem = "";
    try { episode = await turnsOf(one); } catch (error) { problem = String(error); }
    // Another episode may have been opened while this one was inflated.
    if (!column.isConnected) return;
    column.append(...episodeParts(one, episode, wide || !many ? labelOf(one, rows) : "", problem));
  }
}

function episodeParts(row, episode, name, problem) {
  const failed = row.outcome === "failed";
  const verdict = failed ? [row.ending, "warn"] : row.success ? ["solved", "good"] : ["not solved", "bad"];
  const facts = [failed || row.success ? "" : row.ending, failed ? "" : `reward ${short(row.reward)}`, counted(row.steps, "step"),
    row.sampled ? `${grouped(row.sampled)} sampled, ${grouped(row.prompted)} prompt tokens` : "", `${short(row.seconds)} s`, known(row.cost) ? `cost ${short(row.cost)}` : "", `${row.policy} · ${row.agent}`,
    row.attempt ? `attempt ${row.attempt}` : ""];
  const parts = [
    name ? element("div", { class: "whose" }, mark(row), " ", breakable(name)) : null,
    element("div", { class: "chips" }, element("span", { class: `chip ${verdict[1]}` }, verdict[0]), facts.filter(Boolean).map((fact) => element("span", { class: "chip" }, fact))),
    row.failure ? element("div", { class: "note mono" }, row.failure) : null,
  ];
  if (!episode) {
    const where = `line ${row.number} of ${row.file}`;
    const words = problem ? `The turns cannot be shown (${problem}); they are in ${where}.` : `The turns of this episode are not in this page: they are in ${where}.`;
    return [...parts, element("div", { class: "note" }, words)].filter(Boolean);
  }
  const tags = Object.entries(episode.tags || {}).filter(([, value]) => !["", "[]", "{}", "null"].includes(plain(value)));
  const isLong = ([, value]) => plain(value).length > CHIP_CHARACTERS || (Array.isArray(value) && value.some((one) => typeof one === "string"));
  const long = tags.filter(isLong), brief = Object.fromEntries(tags.filter((tag) => !isLong(tag)));
  parts.push(
    element("div", { class: "chips" }, chips(brief, "accent"),
      Object.entries(episode.checks || {}).map(([check, passed]) => element("span", { class: `chip ${passed ? "good" : "bad"}` }, `${passed ? "✓" : "✗"} ${check}`))),
    ...long.map(([tag, value]) => element("details", { class: "tag" }, element("summary", {}, tag.replaceAll("_", " ")), text(Array.isArray(value) ? value.map(plain).join("\n\n") : plain(value), "words"))),
    ...episode.turns.map((turn, number) => showTurn(turn, number, episode)),
    episode.final ? element("div", { class: "turn" }, element("span", { class: "step" }, "end"), element("div", { class: "bubble" }, text(episode.final))) : null);
  return parts.filter(Boolean);
}

function chips(record, kind = "") {
  return Object.entries(record || {}).filter(([name]) => !TOLD_ELSEWHERE.has(name)).map(([name, value]) => element("span", { class: `chip ${kind}` }, `${name.replaceAll("_", " ")}: ${known(value) ? short(value) : plain(value)}`));
}

function showTurn(turn, number) {
  const tags = turn.tags || {};
  const spelt = turn.t ? turn.t.join("") : "";
  const under = element("div", { class: "under" }, underTurn(turn, tags));
  if (tags.aside) {
    return element("div", { class: "turn aside" }, element("span", { class: "step" }, String(number + 1)),
      element("details", { class: "tag" }, element("summary", {}, `asked beside the episode${tags.purpose ? `: ${tags.purpose}` : ""}`), text(turn.o, "words")),
      element("div", { class: "act" }, element("div", { class: "bubble words" }, turn.t ? tokens(turn) : text(turn.a || "(an answer that cannot be spelt here)")), under));
  }
  // Where the tokens do not spell the action (another tokenizer, or text around it), the action is shown.
  const said = turn.t && spelt.includes(turn.a.trim()) ? element("div", {}, tokens(turn)) : text(turn.a || "(no action)", turn.a ? "" : "muted");
  // A thought is part of what the tokens spell.
  const thought = tags.thought && !spelt.includes(tags.thought) ? text(tags.thought, "thought") : null;
  return element("div", { class: "turn" }, element("span", { class: "step" }, String(number + 1)), element("div", { class: "bubble" }, text(turn.o)),
    element("div", { class: "act" }, element("div", { class: "bubble" }, thought, said), under));
}

function underTurn(turn, tags) {
  const under = [];
  if (turn.r) under.push(element("span", { class: turn.r > 0 ? "mark good" : "mark bad" }, `reward ${short(turn.r)}`));
  if (turn.invalid) under.push(element("span", { class: "mark bad" }, "not valid"));
  if (turn.finish) under.push(element("span", { class: "mark warn" }, `ended by ${turn.finish}`));
  if (turn.n) under.push(element("span", { "data-tip": `${counted(turn.p || 0, "token")} were added to the prompt before` }, counted(turn.n, "token")));
  if (turn.l) under.push(element("span", {}, `log-prob ${short(turn.l.reduce((sum, value) => sum + (value ?? 0), 0))}`));
  return [...under, ...chips(tags, "accent")];
}

function tokens(turn) {
  return turn.t.map((words, i) => {
    const logprob = turn.l ? turn.l[i] : null;
    const surprise = known(logprob) ? Math.min(1, -logprob / 3) : 0;
    return element("span", { class: "token", style: surprise > 0.02 ? `background:rgba(var(--shade), ${(0.6 * surprise).toFixed(2)})` : null,
      "data-tip": known(logprob) ? `probability ${percent(Math.exp(logprob))}\nlog-prob ${logprob}` : null }, i ? words : words.trimStart());
  });
}
