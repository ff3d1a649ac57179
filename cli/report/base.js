"use strict";
// Every text of the data reaches the page as a text node, never as HTML: an observation may hold anything.
const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
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
const counted = (count, noun, more = `${noun}s`) => `${grouped(count)} ${count === 1 ? noun : more}`;
const percent = (value, digits = 1) => (known(value) ? `${(100 * value).toFixed(digits).replace(/\.0$/, "")} %` : "–");
const points = (value) => (Math.abs(value) < 0.0005 ? "0" : `${value > 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1).replace(/\.0$/, "")}`);
const environmentName = (id) => id.slice(id.lastIndexOf("/") + 1);

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

// Names such as pick_and_place may break behind their signs, not within a word.
function breakable(name) {
  return name.split(/(?<=[_/,=:-])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
}

function section(id, title, ...children) {
  const made = document.getElementById(id);
  made.append(element("h2", {}, title), ...children);
  made.hidden = false;
  return made;
}

// A list whose end is hidden until someone wants it.
function folded(children, most, noun) {
  if (children.length <= most + 2) return children;
  const rest = element("div", { hidden: true }, children.slice(most));
  const more = element("button", { class: "quiet", onclick: () => { rest.hidden = false; more.remove(); } }, `show all ${children.length} ${noun}`);
  return [...children.slice(0, most), rest, more];
}

// Code between fences stands in the letters of code.
function fenced(words) {
  return words.split(/(^```[^]*?(?:^```|$(?![^])))/m).map((part, i) => (i % 2 ? element("code", {}, part) : part)).filter((part) => part !== "");
}

const FOLD_CHARACTERS = 1400, FOLD_LINES = 24;

// A text that takes no more room than it is worth, until it is opened.
function text(words, kind = "") {
  const lines = words.split("\n");
  if (words.length <= FOLD_CHARACTERS * 1.25 && lines.length <= FOLD_LINES * 1.25) return element("div", { class: kind }, fenced(words));
  const start = lines.slice(0, FOLD_LINES).join("\n").slice(0, FOLD_CHARACTERS);
  const shown = element("div", { class: kind }, fenced(start), "…");
  const left = words.length - start.length;
  const button = element("button", { class: "quiet", "aria-expanded": "false", onclick: () => {
    const open = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(open));
    shown.replaceChildren(...(open ? fenced(words) : [...fenced(start), "…"]));
    button.textContent = open ? "show less" : `show ${counted(left, "more character", "more characters")}`;
  } }, `show ${counted(left, "more character", "more characters")}`);
  return element("div", {}, shown, button);
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
