// What went wrong on the machine's side, in its own words.

function showFailures() {
  const groups = new Map();
  data.rows.forEach((row, index) => {
    if (row.outcome !== "failed") return;
    const words = row.failure || "(no text)";
    if (!groups.has(words)) groups.set(words, []);
    groups.get(words).push(index);
  });
  if (!groups.size) return;
  const open = (index) => () => { browser.reset(); browser.open(index, true); };
  const rows = [...groups].sort((a, b) => b[1].length - a[1].length).map(([words, members]) => element("tr", {},
    element("td", { class: "number" }, String(members.length)), element("td", { class: "text mono" }, text(words)),
    element("td", {}, members.slice(0, 6).map((index) => element("button", { onclick: open(index) }, `${data.tasks[data.rows[index].task].id}${data.measured ? ` · ${data.rows[index].source}` : ""}`)),
      members.length > 6 ? ` and ${members.length - 6} more` : "")));
  section("failures", "Failures of the machine, in its words", table([["times", 1], ["what happened"], ["episodes"]], rows));
}

showHeader();
showResults();
showComparisons();
showBreakdown();
showEndings();
showCurves();
browser.build();
showFailures();
