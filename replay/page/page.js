"use strict";
// Figures come as exact decimal strings and are shown as they are; numbers are made of them only to
// place pixels and to sort rows.
const $ = (id) => document.getElementById(id);
const figures = JSON.parse($("figures").textContent);
const SIGNED = new Set(["net_pnl", "realized_pnl", "unrealized_pnl", "funding", "worst", "best"]);
const AMOUNT = /^-?\d+(\.\d+)?$/;
const LABELS = {
  key: "", position_id: "position", opened_seq: "opened by", closed_seq: "closed by",
  opened_at: "opened", closed_at: "closed", entry_price: "entry", exit_price: "exit",
  realized_pnl: "realized", unrealized_pnl: "unrealized", net_pnl: "net", event_count: "events",
  placed_seq: "event", placed_at: "placed", order_id: "order", filled_quantity: "filled",
  average_price: "average", trade_id: "trade", seq: "event", at: "time", steps: "life",
  current_price: "mark", total_balance: "cash", available_balance: "available",
};
const label = (name) => LABELS[name] ?? name.replaceAll("_", " ");

function make(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function grouped(text) {
  const [whole, rest] = text.split(".");
  const cut = rest && rest.length > 6 ? rest.slice(0, 4) + "…" : rest;
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (cut ? "." + cut : "");
}

function amount(text, signed) {
  if (text === undefined || text === null) return "—";
  if (!AMOUNT.test(text)) return text;
  const shown = grouped(text);
  return signed && Number(text) > 0 ? "+" + shown : shown;
}

const tone = (text, signed) =>
  !signed || !AMOUNT.test(text ?? "") || Number(text) === 0 ? "" : Number(text) > 0 ? "gain" : "loss";
const moment = (text) =>
  text.replace("T", " ").replace(/(\.\d*)?(Z|\+00:00)$/, "").replace(/ 00:00:00$/, "");

// ── the head, and the tiles ────────────────────────────────────────────────────────────────────
$("name").textContent = figures.name;
document.title = figures.name + " · session report";
const curve = figures.equity.rows;
const span = curve.length ? `${moment(curve[0][1])} – ${moment(curve[curve.length - 1][1])}` : "";
$("about").textContent = [
  figures.mode, figures.state, span, figures.currency && "in " + figures.currency,
].filter(Boolean).join(" · ");
$("proof").textContent =
  `Portfolio ${figures.portfolio}, events #${grouped(String(figures.first_seq))} to ` +
  `#${grouped(String(figures.last_seq))}, times in UTC as ${figures.clock}. Digest of the state ` +
  `at the end: ${figures.digest}. Every figure is what the fold of those events says, digit for ` +
  "digit; pledger state prints the same.";
for (const [name, text, beside] of figures.tiles) {
  const tile = make("div", null, "tile");
  const signed = ["Net PnL", "Realized", "Unrealized"].includes(name);
  const shown = make("b", amount(text, signed), tone(text, signed));
  shown.title = text ?? "";
  tile.append(make("span", name), shown, make("span", (beside || "\u00a0").replace(/\d{4,}(\.\d+)?/, grouped)));
  $("tiles").append(tile);
}

$("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
});

// ── the curves ─────────────────────────────────────────────────────────────────────────────────
const chart = document.querySelector(".chart");
const seqSpan = Math.max(figures.last_seq - figures.first_seq, 1);
const places = curve.map((row) => Date.parse(row[1]));
const begin = places[0] ?? 0;
const length = Math.max((places[places.length - 1] ?? 1) - begin, 1);
const isTimed = places.length > 1 && places[places.length - 1] > begin;
const placeOf = (seq, at) => (isTimed ? (at - begin) / length : (seq - figures.first_seq) / seqSpan);

function draw(id, values, low, high, line, area) {
  const svg = $(id);
  svg.setAttribute("viewBox", "0 0 1000 1000");
  const y = (value) => (1000 - (1000 * (value - low)) / (high - low || 1)).toFixed(1);
  const points = values.map(
    (value, i) => `${(1000 * placeOf(curve[i][0], places[i])).toFixed(1)},${y(value)}`);
  const put = (kind, d) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", d);
    svg.append(path);
  };
  const rest = points[points.length - 1].split(",")[0];
  const floor = id === "equity" ? 1000 : 0;
  for (const tick of ticks(low, high)) {
    put("grid", `M0,${y(tick)}H1000`);
    const text = make("span", tick.toLocaleString("en-US"), "y");
    const box = id === "equity" ? [0, 66] : [72, 22];
    text.style.top = `${box[0] + (box[1] * y(tick)) / 1000}%`;
    $("axes").append(text);
  }
  put(area, `M${points[0].split(",")[0]},${floor}L${points.join("L")}L${rest},${floor}Z`);
  put(line, `M${points.join("L")}`);
}

function ticks(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step)
    found.push(Number(at.toPrecision(12)));
  return found;
}

function drawTimes() {
  for (let part = 0; part <= 6; part += 1) {
    const at = new Date(begin + (length * part) / 6).toISOString();
    const text = make("span", length > 6 * 86400000 ? at.slice(0, 10) : at.slice(5, 16).replace("T", " "), "x");
    text.style.left = `${(100 * part) / 6}%`;
    if (part === 6) text.style.transform = "translateX(-85%)"; // it must not stick out of the card
    $("axes").append(text);
  }
  for (const [text, top] of [["Equity", 0], ["Drawdown", 70]]) {
    const title = make("span", text, "title");
    title.style.top = `${top}%`;
    $("axes").append(title);
  }
}

if (curve.length) {
  const values = curve.map((row) => Number(row[2]));
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * 0.06 || 1;
  draw("equity", values, low - room, high + room, "line", "area");
  const depths = curve.map((row) => -Number(row[4]));
  draw("drawdown", depths, Math.min(...depths, -1e-9), 0, "low", "lows");
  drawTimes();
} else {
  const said = document.querySelector("#curve .unknown");
  said.hidden = false;
  said.textContent = figures.equity.unknown || "There is no event to draw.";
  chart.hidden = true;
}

const nearest = (fraction) => {
  let best = 0;
  for (let i = 1; i < curve.length; i += 1)
    if (Math.abs(placeOf(curve[i][0], places[i]) - fraction) < Math.abs(placeOf(curve[best][0], places[best]) - fraction)) best = i;
  return best;
};
chart.addEventListener("pointermove", (event) => {
  if (!curve.length) return;
  const box = chart.getBoundingClientRect();
  const row = curve[nearest((event.clientX - box.left) / box.width)];
  const tip = $("tip");
  tip.textContent = `${moment(row[1])}  #${grouped(String(row[0]))}\nequity    ${grouped(row[2])}\nnet PnL   ${grouped(row[3])}\ndrawdown  ${grouped(row[4])}`;
  tip.style.display = "block";
  const left = event.clientX - box.left;
  tip.style.left = `${left > box.width / 2 ? left - tip.offsetWidth - 14 : left + 14}px`;
});
chart.addEventListener("pointerleave", () => { $("tip").style.display = "none"; });
chart.addEventListener("click", (event) => {
  const box = chart.getBoundingClientRect();
  if (curve.length) goToSeq(curve[nearest((event.clientX - box.left) / box.width)][0]);
});

// ── tables ─────────────────────────────────────────────────────────────────────────────────────
const COUNTS = new Set(["event_count"]);
function cell(name, value, most) {
  const text = value === null ? "" : String(value);
  const td = make("td");
  if (name.endsWith("seq") && value !== null) {
    const go = make("button", "#" + grouped(text));
    go.type = "button";
    go.title = "Show the moment after this event";
    go.addEventListener("click", () => { goToSeq(value); $("moment").scrollIntoView(); });
    td.append(go);
  } else if (name.endsWith("at") || (name === "key" && text.endsWith("Z"))) {
    td.textContent = moment(text);
  } else if (AMOUNT.test(text) && !name.endsWith("_id")) {
    const signed = SIGNED.has(name);
    td.className = `n ${tone(text, signed)}`;
    td.title = text;
    if (name === "net_pnl" && most) {
      td.classList.add("bar");
      const bar = make("i");
      bar.style.width = `${(100 * Math.abs(Number(text))) / most}%`;
      td.append(bar, make("b", amount(text, signed)));
    } else td.textContent = amount(text, signed);
  } else {
    td.textContent = text.replaceAll("_", " ");
    td.className = name === "steps" || name === "reason" ? "wide" : "";
    if (name.endsWith("_id")) td.textContent = text;
    td.title = text;
  }
  return td;
}

function table(place, { columns, rows, total, unknown }, withBars) {
  const used = columns.map((name, i) => i < 2 || rows.some((row) => row[i] !== null && row[i] !== "0"));
  columns = columns.filter((_, i) => used[i]);
  rows = rows.map((row) => row.filter((_, i) => used[i]));
  if (unknown || !rows.length) {
    place.replaceChildren(make("p", unknown || "None.", unknown ? "unknown" : "none"));
    return;
  }
  const at = columns.indexOf("net_pnl");
  const most = withBars ? Math.max(...rows.map((row) => Math.abs(Number(row[at])))) || 1 : 0;
  let shown = rows;
  let sorted = -1;
  let isDown = false;
  const body = make("tbody");
  const fill = () => body.replaceChildren(...shown.map((row) => {
    const tr = make("tr");
    tr.append(...row.map((value, i) => cell(columns[i], value, most)));
    return tr;
  }));
  const heads = columns.map((name, i) => {
    const th = make("th", null, rows.some((row) => AMOUNT.test(row[i] ?? "")) && !name.endsWith("seq") && !name.endsWith("_id") ? "n" : "");
    const sort = make("button", label(name));
    sort.type = "button";
    sort.title = "Sort";
    sort.addEventListener("click", () => {
      isDown = sorted === i ? !isDown : false;
      sorted = i;
      const key = (row) => row[i] ?? "";
      shown = [...shown].sort((a, b) => {
        const numeric = AMOUNT.test(key(a)) && AMOUNT.test(key(b));
        const order = numeric ? Number(key(a)) - Number(key(b)) : String(key(a)).localeCompare(String(key(b)));
        return isDown ? -order : order;
      });
      for (const other of heads) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      fill();
    });
    th.append(sort);
    return th;
  });
  const count = make("span");
  const tell = () => {
    const of = shown.length === total ? "" : ` of ${grouped(String(total))}`;
    count.textContent = `${grouped(String(shown.length))}${of}`;
  };
  const above = make("div", null, "above");
  if (rows.length > 12) {
    const filter = make("input");
    filter.placeholder = "Filter";
    filter.setAttribute("aria-label", "Filter the rows");
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      shown = rows.filter((row) => row.some((value) => String(value ?? "").toLowerCase().includes(wanted)));
      tell();
      fill();
    });
    above.append(filter);
    above.append(count);
  }
  const head = make("thead");
  const first = make("tr");
  first.append(...heads);
  head.append(first);
  const whole = make("table");
  whole.append(head, body);
  const scroll = make("div", null, "scroll");
  scroll.tabIndex = 0;
  scroll.append(whole);
  place.replaceChildren(above, scroll);
  tell();
  fill();
}
const NAMES = { m: "minute", h: "hour", d: "day" };
const [, many, unit] = figures.period.match(/(\d+)(.)/);
$("period").textContent = "Per " + (many === "1" ? NAMES[unit] : `${many} ${NAMES[unit]}s`);
for (const place of document.querySelectorAll("[data-table]"))
  table(place, figures[place.dataset.table], place.dataset.table.startsWith("by_"));

// ── any moment ─────────────────────────────────────────────────────────────────────────────────
// A stop's changes lead from the state before it to the state after it, each figure as the fold had
// it; going back starts again from the nearest state that was kept.
let steps = null;
let stop = -1;
let state = new Map();
let timer = 0;
const kept = [];
const KEEP_EVERY = 500;

function apply(into, index) {
  const found = steps.changes[index];
  for (let i = 0; i < found.length; i += 2) {
    const path = steps.paths[found[i]];
    if (found[i + 1] === null) into.delete(path);
    else into.set(path, found[i + 1]);
  }
}

function stateAt(index) {
  const from = Math.min(Math.floor((index + 1) / KEEP_EVERY), kept.length - 1);
  const at = new Map(kept[from]);
  for (let i = from * KEEP_EVERY; i <= index; i += 1) apply(at, i);
  return at;
}

function show(index, isFlashing) {
  const next = Math.max(-1, Math.min(index, steps.seqs.length - 1));
  const before = state;
  if (next === stop + 1 && stop >= 0) {
    state = new Map(state);
    apply(state, next);
  } else state = stateAt(next);
  stop = next;
  $("slider").value = String(next);
  const changed = (path) => isFlashing && before.get(path) !== state.get(path);
  tellEvent();
  tellTotals(changed);
  tellRows("p", $("positions"), ["side", "quantity", "entry_price", "current_price", "value", "unrealized_pnl", "realized_pnl"], "Nothing is held.", changed);
  tellRows("o", $("working"), ["side", "status", "quantity", "filled_quantity", "price"], "No order is working.", changed);
  const at = stop < 0 ? 0 : placeOf(steps.seqs[stop], steps.times[stop]);
  $("cursor").style.left = `${100 * Math.max(0, Math.min(1, at))}%`;
}

function tellEvent() {
  const line = $("event");
  if (stop < 0) {
    line.replaceChildren(make("span", "Before the first event.", "when"));
    return;
  }
  const at = moment(new Date(steps.times[stop]).toISOString().replace(/\.000Z$/, "Z"));
  const symbol = steps.symbol_names[steps.symbols[stop]];
  line.replaceChildren(
    make("span", `#${grouped(String(steps.seqs[stop]))}`, "number"),
    make("span", `  ${at}  `, "when"),
    make("b", `${steps.type_names[steps.types[stop]]} ${symbol} `),
    make("span", steps.texts[stop]));
  $("slider").setAttribute("aria-valuetext", `event ${steps.seqs[stop]}, ${at}`);
}

function tellTotals(changed) {
  const names = ["equity", "total_balance", "available_balance", "net_pnl", "realized_pnl", "unrealized_pnl", "fees", "drawdown"];
  $("totals").replaceChildren(...names.map((name) => {
    const text = state.get(name);
    const signed = SIGNED.has(name);
    const box = make("div");
    const figure = make("b", amount(text, signed), `${tone(text, signed)} ${changed(name) ? "changed" : ""}`);
    figure.title = text ?? "";
    box.append(make("span", label(name)), figure);
    return box;
  }));
}

function tellRows(kind, place, names, otherwise, changed) {
  const rows = new Map();
  for (const path of state.keys()) {
    if (!path.startsWith(kind + "|")) continue;
    const id = path.slice(2, path.lastIndexOf("|"));
    if (!rows.has(id)) rows.set(id, []);
  }
  if (!rows.size) {
    place.replaceChildren(make("p", otherwise, "none"));
    return;
  }
  const whole = make("table");
  const head = make("tr");
  head.append(make("th", "symbol"), ...names.map((name) => make("th", label(name), name === "side" || name === "status" ? "" : "n")));
  whole.append(head);
  for (const id of [...rows.keys()].sort()) {
    const row = make("tr");
    const [symbol, ...rest] = id.split("|");
    const first = make("td", symbol);
    first.title = rest.join("|");
    row.append(first);
    for (const name of names) {
      const path = `${kind}|${id}|${name}`;
      const td = cell(name, state.get(path) ?? null);
      if (changed(path)) td.classList.add("changed");
      row.append(td);
    }
    whole.append(row);
  }
  const scroll = make("div", null, "scroll");
  scroll.append(whole);
  place.replaceChildren(scroll);
}

function goToSeq(seq) {
  if (!steps) return;
  let low = 0;
  let high = steps.seqs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps.seqs[middle] <= seq) low = middle + 1;
    else high = middle;
  }
  show(low - 1, false);
}

function goToText(text) {
  const wanted = text.trim();
  const number = wanted.match(/^#?([\d,]+)$/);
  if (number) return goToSeq(Number(number[1].replaceAll(",", "")));
  const isDay = /^\d{4}-\d\d-\d\d$/.test(wanted);  // a day is meant to its end
  const at = Date.parse(isDay ? wanted + "T23:59:59.999Z" : wanted.replace(" ", "T").replace(/([^Z])$/, "$1Z"));
  if (Number.isNaN(at)) return $("to").setCustomValidity("Write #1204 or 2010-05-06");
  let last = -1;
  while (last + 1 < steps.times.length && steps.times[last + 1] <= at) last += 1;
  return show(last, false);
}

function play(isWanted) {
  clearInterval(timer);
  timer = 0;
  const button = document.querySelector('[data-go="play"]');
  button.textContent = isWanted ? "⏸ Stop" : "▶ Play";
  if (!isWanted) return;
  if (stop >= steps.seqs.length - 1) show(-1, false);
  const rate = Number($("speed").value);
  const at_once = Math.max(1, Math.round(rate / 25));
  timer = setInterval(() => {
    show(stop + at_once, true);
    if (stop >= steps.seqs.length - 1) play(false);
  }, (1000 * at_once) / rate);
}

const MOVES = {
  first: () => show(-1, false),
  back: () => show(stop - 1, true),
  next: () => show(stop + 1, true),
  last: () => show(steps.seqs.length - 1, false),
  play: () => play(!timer),
};

function begun() {
  const start = new Map(Object.entries(steps.start));
  kept.push(start);
  const at = new Map(start);
  for (let i = 0; i < steps.changes.length; i += 1) {
    apply(at, i);
    if ((i + 1) % KEEP_EVERY === 0) kept.push(new Map(at));
  }
  const slider = $("slider");
  slider.min = "-1";
  slider.max = String(steps.seqs.length - 1);
  slider.addEventListener("input", () => { play(false); show(Number(slider.value), true); });
  for (const button of document.querySelectorAll("[data-go]"))
    button.addEventListener("click", () => {
      if (button.dataset.go !== "play") play(false);
      MOVES[button.dataset.go]();
    });
  $("speed").addEventListener("change", () => { if (timer) play(true); });
  const types = $("type");
  types.append(make("option", "event of a type"), ...[...steps.type_names].sort().map((name) => make("option", name)));
  types.addEventListener("change", () => {
    const wanted = steps.type_names.indexOf(types.value);
    const found = steps.types.indexOf(wanted, stop + 1);
    if (wanted >= 0 && found >= 0) show(found, true);
    types.selectedIndex = 0;
  });
  $("to").addEventListener("input", () => $("to").setCustomValidity(""));
  $("jump").addEventListener("submit", (event) => {
    event.preventDefault();
    play(false);
    goToText($("to").value);
    $("to").reportValidity();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, button, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { Home: "first", ArrowLeft: "back", ArrowRight: "next", End: "last", " ": "play" }[event.key];
    if (!move) return;
    event.preventDefault();
    if (move !== "play") play(false);
    MOVES[move]();
  });
  if (steps.every > 1)
    document.querySelector("#moment h2").textContent = `Any moment (every ${steps.every} events)`;
  show(steps.seqs.length - 1, false);
  document.body.dataset.ready = "yes";
  if (location.hash.startsWith("#event=")) goToText(location.hash.slice(7));
}

async function unpacked() {
  const packed = Uint8Array.from(atob($("steps").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
if (typeof DecompressionStream === "undefined") {
  $("event").textContent = "This browser cannot unpack the steps of the session; a newer one can.";
} else {
  unpacked().then((found) => { steps = found; begun(); });
}
