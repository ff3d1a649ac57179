// What this page is about, in a few words, and how to get it again.

function showHeader() {
  const when = new Date(data.when);
  const date = Number.isNaN(when.getTime()) ? data.when : when.toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
  const facts = data.panel ? [["panel", data.panel.name], ["digest", data.panel.digest], ["tasks", grouped(data.panel.size)]] : [];
  if (data.measured) facts.push(["contestants", grouped(data.contestants.length)]);
  if (data.total_episodes) facts.push(["episodes", grouped(data.total_episodes)]);
  facts.push(["written", date], ["from", data.path]);
  const header = document.getElementById("header");
  header.append(
    element("div", { class: "eyebrow" }, `palaestra · ${data.kind}`),
    element("h1", {}, data.title),
    element("div", { class: "facts" }, facts.map(([name, value]) => element("span", {}, `${name} `, element("b", {}, String(value))))),
    ...warnings().map((note) => element("div", { class: "note" }, note)),
    ...inShort(),
  );
  const settings = Object.entries(data.config);
  if (settings.length) {
    const pairs = settings.map(([name, value]) =>
      element("div", { class: "pair" }, element("span", { class: "muted" }, name), element("code", {}, plain(value))));
    header.append(element("details", { class: "config" },
      element("summary", {}, `Settings (${settings.length})`), element("div", { class: "card columns" }, pairs)));
  }
  showReproduction(header);
  document.getElementById("footer").append(`Made by palaestra ${data.version}. This file needs no network.`);
}

function warnings() {
  const notes = [...data.notes];
  const shard = data.shard;
  if (shard) notes.unshift(`A part of the benchmark: shard ${shard.number} of ${shard.of}, with ${grouped(shard.tasks)} of the panel's ${counted(data.panel.size, "task")}. Every number here is about these only.`);
  else if (data.measured && data.panel) {
    const played = (row) => row.n + (row.failures || 0);
    const partial = data.contestants.filter((row) => known(row.n) && played(row) < data.panel.size);
    if (partial.length) notes.unshift(`Not all of the panel was played: ${partial.map((row) => `${row.name} ${grouped(played(row))}`).join(", ")} of ${counted(data.panel.size, "task")}.`);
  }
  return notes;
}

// The result in a few sentences, from the numbers below.
function inShort() {
  const rated = data.contestants.filter((row) => known(row.success) && row.interval);
  if (!data.measured || !rated.length) return [];
  const played = rated.filter((row) => !isScripted(row)), scale = rated.filter(isScripted);
  const words = played.length ? [winners(played), ...(scale.length ? [` For scale: ${scale.map((row) => `${row.name} ${percent(row.success)}`).join(", ")}.`] : [])] : [winners(rated)];
  const lost = data.contestants.reduce((sum, row) => sum + (row.failures || 0), 0);
  if (lost) words.push(` ${counted(lost, "episode")} failed for reasons of the machine and count${lost === 1 ? "s" : ""} in no rate.`);
  return [element("p", { class: "short" }, words)];
}

function winners(rows) {
  const most = Math.max(...rows.map((row) => row.success));
  if (most === 0) return [`Nobody solved any of ${counted(rows[0].n, "task")}.`];
  const best = rows.filter((row) => row.success === most), others = rows.filter((row) => row.success < most);
  const { n, interval } = best[0];
  const amount = `${percent(most)} of ${counted(n, "task")} (95 % interval ${percent(interval[0], 0)} to ${percent(interval[1], 0)})`;
  if (!others.length) return [listed(best), `${best.length > 2 ? " all" : best.length === 2 ? " both" : ""} solved ${amount}.`];
  const rival = (row) => data.comparisons.find((pair) => [pair.first, pair.second].includes(row.name) && [pair.first, pair.second].includes(best[0].name));
  const compared = best.length === 1 && others.every(rival);
  const equal = compared ? others.filter((row) => !clear(rival(row))) : [];
  let verdict = "";
  if (compared && !equal.length) verdict = `, clearly more than ${others.length === 1 ? "the other" : "each of the others"}`;
  else if (equal.length > 2 && equal.length === others.length) verdict = ", with no clear difference to any of the others";
  else if (equal.length) verdict = [", with no clear difference to ", listed(equal)];
  return [listed(best), ` solved the most: ${amount}`, verdict, "."];
}

function listed(rows) {
  return rows.flatMap((row, i) => [i ? (i === rows.length - 1 ? " and " : ", ") : "", element("b", {}, breakable(row.name))]);
}

function showReproduction(header) {
  const rows = data.contestants.filter((row) => row.settings);
  if (!rows.length) return;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.settings)))].filter((name) => name !== "name");
  const empty = (value) => value === null || value === undefined || value === "" || value === false;
  const told = names.filter((name) => rows.some((row) => !empty(row.settings[name])));
  const differs = (name) => new Set(rows.map((row) => plain(row.settings[name] ?? null))).size > 1;
  const lines = rows.map((row) => element("tr", {}, element("td", { class: "name" }, breakable(row.name)),
    told.map((name) => element("td", { class: differs(name) ? "text differs" : "text" }, empty(row.settings[name]) ? "–" : text(plain(row.settings[name]))))));
  header.append(element("details", { class: "config" }, element("summary", {}, "How to reproduce: the command and the settings of each contestant"),
    data.command ? element("div", { class: "command" }, element("code", {}, data.command), copyButton(data.command)) : null,
    table([["contestant"], ...told.map((name) => [name.replaceAll("_", " ")])], lines, "settings")));
}

function copyButton(words) {
  const button = element("button", { onclick: () => {
    // The clipboard may be closed to a page from the disk; then the text stands there selected.
    const done = () => { button.textContent = "copied"; };
    if (navigator.clipboard) navigator.clipboard.writeText(words).then(done, select);
    else select();
  } }, "copy");
  const select = () => getSelection().selectAllChildren(button.previousElementSibling);
  return button;
}
