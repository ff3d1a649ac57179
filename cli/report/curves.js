// The curves of a training run.

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
