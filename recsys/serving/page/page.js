"use strict";
/* The explorer: recommendations, items, the latent map and poems. No library, no other site. */

const byId = (id) => document.getElementById(id);
const state = {
  user: null, liked: [], excluded: [], titles: new Map(), ready: null, map: null, asked: 0,
};

/* ---- small means ---- */

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null));
  return made;
}

function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function tell(problem) {
  byId("problem").textContent = problem || "";
  byId("problem").hidden = !problem;
}

async function ask(path, body) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { headers };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer.");
  }
  if (response.status === 401) byId("ask-token").hidden = false;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

function later(work, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

const shown = (item) => state.titles.get(item) || item;
const itemAddress = (item) => `#/item/${encodeURIComponent(item)}`;

function remember(items) {
  for (const each of items) if (each.title) state.titles.set(each.item, each.title);
}

/* Put other children in an element's place; who stood on a button of it stays at that place. */
function replaceIn(place, ...children) {
  const buttons = () => [...place.querySelectorAll("a, button")];
  const at = buttons().indexOf(document.activeElement);
  place.replaceChildren(...children);
  if (at >= 0) buttons()[Math.min(at, buttons().length - 1)]?.focus();
}

/* ---- a text field with suggestions: arrows, Enter, Escape ---- */

/* Enter takes what is marked, or the first that is found for the text as it stands, however late;
   with `asTyped`, where nothing is found, the text itself. */
function suggest(input, list, find, choose, asTyped = false) {
  let found = [], foundFor = null, at = -1, asked = 0, isToTake = false;
  const close = () => {
    list.hidden = true; at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (place) => {
    at = place;
    [...list.children].forEach((each, index) => each.setAttribute("aria-selected", index === at));
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", list.children[at].id);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  };
  const take = (place) => {
    const text = input.value.trim();
    const chosen = found[place] || (asTyped && text ? { key: text, label: text } : null);
    isToTake = false;
    if (!chosen) { tell(`nothing is found for “${text}”`); return; }
    input.value = ""; close();
    choose(chosen);
  };
  const look = later(async () => {
    const mine = ++asked, text = input.value.trim();
    try {
      const answer = await find(text);
      if (mine !== asked || document.activeElement !== input) return;
      found = answer; foundFor = text;
    } catch (error) { tell(error.message); return; }
    if (isToTake) { take(0); return; }
    list.replaceChildren(...found.map((each, place) => element("li", {
      role: "option", id: `${list.id}-${place}`, "aria-selected": "false",
      onmousedown: (event) => { event.preventDefault(); take(place); },
    }, each.label)));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    at = -1;
  }, 120);
  input.addEventListener("input", () => { isToTake = false; look(); });
  input.addEventListener("focus", look);
  input.addEventListener("blur", () => { asked++; isToTake = false; close(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { isToTake = false; close(); }
    if (event.key === "Enter") {
      event.preventDefault();
      if (input.value.trim() !== foundFor) isToTake = input.value.trim() !== "";
      else if (!list.hidden || input.value.trim()) take(Math.max(at, 0));
      return;
    }
    if (list.hidden) return;
    if (event.key === "ArrowDown") { event.preventDefault(); mark((at + 1) % found.length); }
    if (event.key === "ArrowUp") { event.preventDefault(); mark(at <= 0 ? found.length - 1 : at - 1); }
  });
}

async function findItems(text) {
  const answer = await ask(`items?limit=8&query=${encodeURIComponent(text)}`);
  remember(answer.items);
  return answer.items.filter((each) => !state.liked.includes(each.item))
    .map((each) => ({ key: each.item, label: each.title || each.item }));
}

async function findUsers(text) {
  const answer = await ask(`users?limit=8&query=${encodeURIComponent(text)}`);
  return answer.users.map((each) => ({ key: each, label: each }));
}

/* ---- recommendations ---- */

function rules() {
  const where = byId("where").value.trim();
  return {
    deny: state.excluded,
    where: where || null,
    diversity: Number(byId("diversity").value),
    popularity: Number(byId("popularity").value),
  };
}

const recommend = later(async () => {
  const mine = ++state.asked;
  const nobody = state.user === null && state.liked.length === 0;
  const query = { items: state.liked };
  if (state.user !== null) query.user = state.user;
  const k = Math.min(100, Math.max(1, Math.round(Number(byId("k").value)) || 10));
  try {
    const answer = await ask("recommend", { ...query, k, why: !nobody, rules: rules() });
    if (mine !== state.asked) return;
    tell("");
    remember(answer.items);
    showList(answer, nobody);
  } catch (error) {
    if (mine !== state.asked) return;
    tell(error.message);
    byId("list-title").textContent = "Recommendations";
    replaceIn(byId("list"));
  }
}, 60);

function showList(answer, nobody) {
  let title = "For somebody who liked these";
  if (nobody) title = "Popular with everybody";
  else if (state.user !== null) title = `For user ${state.user}${state.liked.length ? ", had they liked these too" : ""}`;
  if (answer.requested) title += `: only ${answer.items.length} of ${answer.requested} exist under these rules`;
  byId("list-title").textContent = title;
  const lows = answer.items.map((each) => each.low ?? each.score);
  const highs = answer.items.map((each) => each.high ?? each.score);
  const range = [Math.min(...lows), Math.max(...highs)];
  replaceIn(byId("list"), ...answer.items.map((each) => oneOf(each, range)));
}

function oneOf(each, [low, high]) {
  const place = (value) => 100 * (value - low) / (high - low || 1);
  const reasons = (each.why || []).map((one) => one.title || one.item);
  const why = reasons.length ? element("p", { class: "why" }, `because of ${reasons.join(" · ")}`) : null;
  const what = element("div", { class: "what" },
    element("a", { href: itemAddress(each.item) }, each.title || each.item), why);
  const acts = element("div", { class: "acts" },
    element("button", { type: "button", class: "act", title: "Count it as liked",
      "aria-label": `Liked: ${shown(each.item)}`, onclick: () => like(each.item) }, "Liked"),
    element("button", { type: "button", class: "act", title: "Leave it out",
      "aria-label": `Not this: ${shown(each.item)}`, onclick: () => exclude(each.item) }, "Not this"));
  const score = element("div", { class: "score", title: spread(each) });
  const picture = drawing("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": spread(each) });
  picture.append(drawing("rect", { class: "axis", x: 0, y: 4.5, width: 100, height: 1 }));
  if (each.low !== undefined) {
    const from = place(each.low);
    picture.append(drawing("rect", { class: "span", x: from, y: 2, width: place(each.high) - from, height: 6 }));
  }
  picture.append(drawing("rect", { class: "dot", x: Math.min(99.2, place(each.score)), y: 0, width: .8, height: 10 }));
  score.append(picture);
  return element("li", {}, element("span", { class: "rank" }, String(each.rank)), what, acts, score);
}

function spread(each) {
  const score = `score ${each.score.toFixed(2)}`;
  return each.low === undefined ? score
    : `${score}, 95 % of scores from ${each.low.toFixed(2)} to ${each.high.toFixed(2)}`;
}

function chips(items, remove, word) {
  return element("ul", { class: "chips" }, ...items.map((item) => element("li", { class: "chip" },
    element("span", {}, shown(item)),
    element("button", { type: "button", "aria-label": `${word} ${shown(item)}`, onclick: () => remove(item) }, "×"))));
}

async function showHistory() {
  const place = byId("history"), user = state.user;
  const liked = state.liked.length ? [chips(state.liked, unlike, "Forget")] : [];
  if (user === null) { replaceIn(place, ...liked); return; }
  const head = element("p", {}, element("span", {}, `User ${user} `),
    element("button", { type: "button", class: "act", onclick: forgetUser }, "Somebody else"));
  replaceIn(place, head, ...liked);
  try {
    const answer = await ask(`users/${encodeURIComponent(user)}`);
    if (state.user !== user) return;
    remember(answer.items);
    const names = answer.items.slice(0, 12).map((each) => each.title || each.item);
    const rest = answer.total - names.length;
    head.after(element("p", { class: "quiet" },
      `liked ${answer.total}: ${names.join(" · ")}${rest > 0 ? ` · and ${rest} more` : ""}`));
  } catch (error) { tell(error.message); }
}

function renew() {
  showHistory();
  replaceIn(byId("excluded"), ...(state.excluded.length
    ? [element("p", { class: "quiet" }, "Left out"), chips(state.excluded, allow, "Allow")] : []));
  recommend();
}

function like(item) {
  if (!state.liked.includes(item)) state.liked.push(item);
  location.hash = "#/";
  renew();
}
function unlike(item) { state.liked = state.liked.filter((each) => each !== item); renew(); }
function exclude(item) { state.excluded.push(item); renew(); }
function allow(item) { state.excluded = state.excluded.filter((each) => each !== item); renew(); }
function forgetUser() { state.user = null; renew(); byId("user").focus(); }
function chooseUser(user) { state.user = user; renew(); }

function startAnew() {
  Object.assign(state, { user: null, liked: [], excluded: [] });
  byId("diversity").value = 0; byId("popularity").value = 0;
  byId("where").value = ""; byId("k").value = 10;
  showDials(); renew();
}

function showDials() {
  const diversity = Number(byId("diversity").value), popularity = Number(byId("popularity").value);
  byId("diversity-value").textContent = diversity ? diversity.toFixed(2) : "off";
  let said = "as it is";
  if (popularity) said = `${popularity > 0 ? "more" : "less"}, ${popularity > 0 ? "+" : "−"}${Math.abs(popularity).toFixed(1)}`;
  byId("popularity-value").textContent = said;
}

/* ---- one item ---- */

async function showItem(item) {
  byId("item-title").textContent = shown(item);
  byId("item-facts").replaceChildren();
  byId("item-like").onclick = () => like(item);
  for (const path of ["latent", "sparse"]) byId(path).replaceChildren(element("li", { class: "quiet" }, "…"));
  const facts = async () => {
    const found = await ask(`items/${encodeURIComponent(item)}`);
    remember([found]);
    byId("item-title").textContent = shown(item);
    byId("item-facts").replaceChildren(...Object.entries(found).flatMap(([name, cell]) =>
      name === "title" ? [] : [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, cell)]));
  };
  const neighbours = async (path) => {
    if (path === "sparse" && !state.ready?.sparse) {
      byId(path).replaceChildren(element("li", { class: "quiet" }, "this model is a VAE alone, which has no item-item path"));
      return;
    }
    try {
      const found = await ask(`similar/items/${encodeURIComponent(item)}?k=12&path=${path}`);
      remember(found.items);
      byId(path).replaceChildren(...(found.items.length ? found.items.map((each) => element("li", {},
        element("a", { href: itemAddress(each.item) }, each.title || each.item),
        element("span", { class: "quiet" }, each.score.toFixed(3)))) : [element("li", { class: "quiet" }, "nothing")]));
    } catch (error) { byId(path).replaceChildren(element("li", { class: "quiet" }, error.message)); }
  };
  try {
    await Promise.all([facts(), neighbours("latent"), neighbours("sparse")]);
    tell("");
  } catch (error) { tell(error.message); }
}

/* ---- the map ---- */

const view = { x: .5, y: .5, zoom: 1, cluster: null, near: null, drag: null, marked: [] };

async function showMap() {
  if (state.map === null) {
    byId("map-note").textContent = "laying the items out …";
    try { state.map = await ask("map"); } catch (error) { byId("map-note").textContent = error.message; return; }
    remember(state.map.points);
    byId("map-note").textContent = `${state.map.points.length.toLocaleString("en")} items by their two first principal components `
      + `(${Math.round(100 * state.map.explained)} % of the variance); near in the plane may still be far in the space.`;
    byId("legend").replaceChildren(...state.map.clusters.map((each, number) => {
      const dot = drawing("svg", { viewBox: "0 0 10 10" });
      dot.append(drawing("circle", { cx: 5, cy: 5, r: 4.5, fill: each.colour }));
      const button = element("button", { type: "button", "aria-pressed": "false" }, dot, element("span", {}, each.name));
      button.addEventListener("click", () => {
        view.cluster = view.cluster === number ? null : number;
        [...byId("legend").querySelectorAll("button")].forEach((one, at) => one.setAttribute("aria-pressed", String(at === view.cluster)));
        draw();
      });
      return element("li", {}, button);
    }));
  }
  draw();
}

function frame() {
  const canvas = byId("canvas"), box = canvas.getBoundingClientRect();
  const size = Math.min(box.width, box.height) * .94 * view.zoom;
  return {
    canvas, box, size,
    left: box.width / 2 - view.x * size, top: box.height / 2 - view.y * size,
  };
}

function draw() {
  if (state.map === null || byId("map").hidden) return;
  const { canvas, box, size, left, top } = frame();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * ratio); canvas.height = Math.round(box.height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  const radius = Math.min(7, Math.max(2, 110 / Math.sqrt(state.map.points.length)) * Math.sqrt(view.zoom));
  const marked = new Set(view.marked);
  state.map.points.forEach((each, place) => {
    const x = left + each.x * size, y = top + (1 - each.y) * size;
    if (x < -9 || y < -9 || x > box.width + 9 || y > box.height + 9) return;
    const faded = (view.cluster !== null && each.cluster !== view.cluster) || (marked.size > 0 && !marked.has(place));
    pen.globalAlpha = faded ? .12 : .8;
    pen.fillStyle = state.map.clusters[each.cluster].colour;
    pen.beginPath(); pen.arc(x, y, marked.has(place) ? radius + 2 : radius, 0, 7); pen.fill();
  });
  pen.globalAlpha = 1; pen.fillStyle = ink; pen.font = "13px system-ui, sans-serif";
  const written = [];
  for (const place of view.marked.slice(0, 60)) {
    const each = state.map.points[place];
    const label = { x: left + each.x * size + radius + 4, y: top + (1 - each.y) * size + 4, width: pen.measureText(each.title).width };
    if (label.x + label.width > box.width) label.x -= label.width + 2 * radius + 8;
    const hidden = written.some((one) => Math.abs(one.y - label.y) < 15 && one.x < label.x + label.width && label.x < one.x + one.width);
    if (hidden || written.length >= 20) continue;
    written.push(label);
    pen.fillText(each.title, label.x, label.y);
  }
  if (view.near !== null) {
    const each = state.map.points[view.near];
    pen.strokeStyle = ink; pen.lineWidth = 2; pen.beginPath();
    pen.arc(left + each.x * size, top + (1 - each.y) * size, radius + 3, 0, 7); pen.stroke();
  }
}

function nearestTo(x, y, reach) {
  const { size, left, top } = frame();
  let best = null, least = reach * reach;
  state.map.points.forEach((each, place) => {
    if (view.cluster !== null && each.cluster !== view.cluster) return;
    const across = left + each.x * size - x, down = top + (1 - each.y) * size - y;
    const distance = across * across + down * down;
    if (distance < least) { least = distance; best = place; }
  });
  return best;
}

function point(at) {
  view.near = at;
  const tip = byId("tip");
  tip.hidden = at === null;
  if (at !== null) {
    const { box, size, left, top } = frame(), each = state.map.points[at];
    tip.textContent = each.title;
    const x = left + each.x * size;
    const side = x > box.width / 2;
    tip.style.left = side ? "" : `${x + 12}px`;
    tip.style.right = side ? `${box.width - x + 12}px` : "";
    tip.style.top = `${Math.max(4, Math.min(box.height - 34, top + (1 - each.y) * size - 12))}px`;
  }
  draw();
}

function zoom(factor, x = null, y = null) {
  const before = frame();
  const centreX = x ?? before.box.width / 2, centreY = y ?? before.box.height / 2;
  const inX = (centreX - before.left) / before.size, inY = (centreY - before.top) / before.size;
  view.zoom = Math.min(60, Math.max(.8, view.zoom * factor));
  const { size, box } = frame();
  view.x = inX - (centreX - box.width / 2) / size;
  view.y = inY - (centreY - box.height / 2) / size;
  point(null);
}

function move(across, down) {
  const { size } = frame();
  view.x += across / size; view.y += down / size;
  point(null);
}

function watchMap() {
  const canvas = byId("canvas");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    view.drag = { x: event.clientX, y: event.clientY, moved: 0 };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (state.map === null) return;
    if (view.drag) {
      const across = event.clientX - view.drag.x, down = event.clientY - view.drag.y;
      view.drag = { x: event.clientX, y: event.clientY, moved: view.drag.moved + Math.abs(across) + Math.abs(down) };
      move(-across, -down);
    } else {
      point(nearestTo(event.offsetX, event.offsetY, 14));
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = view.drag && view.drag.moved < 5;
    view.drag = null;
    if (!clicked || state.map === null) return;
    const at = nearestTo(event.offsetX, event.offsetY, 14);
    if (at !== null) location.hash = itemAddress(state.map.points[at].item);
  });
  canvas.addEventListener("pointerleave", () => { if (state.map !== null && !view.drag) point(null); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-40, 0], ArrowRight: [40, 0], ArrowUp: [0, -40], ArrowDown: [0, 40] };
    if (state.map === null) return;
    if (steps[event.key]) move(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "Enter" && view.near !== null) location.hash = itemAddress(state.map.points[view.near].item);
    else return;
    event.preventDefault();
    const { box } = frame();
    if (event.key !== "Enter") point(nearestTo(box.width / 2, box.height / 2, 200));
  });
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("zoom-reset").addEventListener("click", () => { Object.assign(view, { x: .5, y: .5, zoom: 1 }); point(null); });
  byId("map-search").addEventListener("input", later(() => {
    if (state.map === null) return;
    const text = byId("map-search").value.trim().toLowerCase();
    view.marked = text ? state.map.points.flatMap((each, place) => each.title.toLowerCase().includes(text) ? [place] : []) : [];
    byId("map-found").textContent = text ? `${view.marked.length} found` : "";
    draw();
  }, 80));
  window.addEventListener("resize", draw);
}

/* ---- poems ---- */

async function findPoems(event) {
  event.preventDefault();
  const list = byId("similar-list");
  try {
    const found = await ask("poems/similar", { text: byId("line").value, k: 8 });
    tell("");
    list.replaceChildren(...found.items.map((each) => element("li", {},
      element("span", { class: "rank" }, String(each.rank)),
      element("div", { class: "what", lang: "zh" }, element("b", {}, each.line),
        element("p", { class: "why" }, `${each.author || "anonymous"}: ${each.title || each.poem}`)),
      element("span", { class: "quiet" }, each.score.toFixed(2)))));
  } catch (error) { list.replaceChildren(); tell(error.message); }
}

let seed = 0;
async function writePoem(event) {
  event.preventDefault();
  const button = byId("write").querySelector("button");
  const theme = byId("about").value.trim();
  button.disabled = true; button.textContent = "Writing …";
  try {
    const answer = await ask("poems/generate", {
      form: byId("form").value, theme: theme || null, acrostic: byId("acrostic").value.trim(),
      first_line: byId("first").value.trim(), free: byId("free").checked,
      temperature: Number(byId("warmth").value), seed: seed++, candidates: 16,
    });
    tell(answer.unknown.length ? `Not in the model and counted for nothing: ${answer.unknown.join(" ")}` : "");
    byId("written").replaceChildren(...answer.poems.map(onePoem));
  } catch (error) { tell(error.message); }
  button.disabled = false; button.textContent = "Write another";
}

function onePoem(poem) {
  return element("div", { class: "poem" }, ...poem.lines.map((each) => {
    const verse = element("p", { class: "verse", lang: "zh" });
    [...each.line].forEach((character, at) => verse.append(element("ruby", {}, character,
      element("rt", {}, each.tones ? [...each.tones][at] : ""))));
    const rhyme = each.rhymes && poem.rhyme ? ` · rhyme ${poem.rhyme}` : "";
    const nearest = each.nearest
      ? `nearest: ${each.nearest.line} (${each.nearest.author || "anonymous"}, ${Math.round(100 * each.nearest.closeness)} % shared)` : "no line is near";
    return element("div", { class: "line" }, verse, element("p", { class: "quiet" }, nearest + rhyme));
  }), element("p", { class: "quiet" }, `score ${poem.score.toFixed(2)}`));
}

/* ---- which view, and the start ---- */

function route() {
  const [, name = "", ...rest] = location.hash.split("/");
  const views = { map: "map", poems: "poems", item: "item" };
  const hasPoems = state.ready && (state.ready.poems || state.ready.verse);
  const chosen = name === "poems" && !hasPoems ? "recommend" : views[name] || "recommend";
  for (const each of ["recommend", "item", "map", "poems"]) byId(each).hidden = each !== chosen;
  document.querySelectorAll("nav a").forEach((each) => {
    if (each.dataset.view === chosen) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  });
  tell("");
  if (chosen === "item") showItem(decoded(rest.join("/")));
  if (chosen === "map") showMap();
}

/* An address may be typed by hand, with a % that stands for itself. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
  localStorage.setItem("theme", name);
  draw();
}

async function start() {
  const themes = ["auto", "light", "dark"];
  const kept = localStorage.getItem("theme");
  setTheme(themes.includes(kept) ? kept : "auto");
  byId("theme").addEventListener("click", () => {
    const now = localStorage.getItem("theme");
    setTheme(themes[(themes.indexOf(now) + 1) % 3]);
  });
  byId("ask-token").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", byId("token").value);
    byId("ask-token").hidden = true;
    begin();
  });
  suggest(byId("user"), byId("user-list"), findUsers, (chosen) => chooseUser(chosen.key), true);
  suggest(byId("liked"), byId("liked-list"), findItems, (chosen) => { like(chosen.key); byId("liked").focus(); });
  for (const dial of ["diversity", "popularity"]) byId(dial).addEventListener("input", () => { showDials(); recommend(); });
  byId("warmth").addEventListener("input", () => { byId("warmth-value").textContent = Number(byId("warmth").value).toFixed(2); });
  byId("where").addEventListener("change", recommend); // a rule that is half typed is none
  byId("k").addEventListener("input", recommend);
  byId("reset").addEventListener("click", startAnew);
  byId("similar").addEventListener("submit", findPoems);
  byId("write").addEventListener("submit", writePoem);
  watchMap();
  byId("rules").open = window.matchMedia("(min-width: 46rem)").matches;
  window.addEventListener("hashchange", route);
  await begin();
}

/* Ask what is served, and show the view of the address; again once a token was given. */
async function begin() {
  try {
    state.ready = await ask("readyz");
    const { n_users, n_items, model, poems, verse } = state.ready;
    byId("served").textContent = `${n_users.toLocaleString("en")} users · ${n_items.toLocaleString("en")} items · model ${model.slice(0, 8)}`;
    document.querySelector('[data-view="poems"]').hidden = !(poems || verse);
    byId("similar-part").hidden = !poems;
    byId("write-part").hidden = !verse;
    if ((poems || verse) && location.hash === "") location.hash = "#/poems";
    const first = await ask("items?limit=1");
    const columns = Object.keys(first.items[0] || {}).filter((each) => each !== "item");
    byId("columns").textContent = columns.length ? `such as ${exampleRule(columns, first.items[0])}; columns: ${columns.join(", ")}` : "the items have no attributes";
  } catch (error) { tell(error.message); }
  route();
  renew();
}

function exampleRule(columns, item) {
  const numeric = columns.find((each) => item[each] && !Number.isNaN(Number(item[each])));
  return numeric ? `${numeric} >= ${item[numeric]}` : `${columns[0]} contains '${item[columns[0]].split(/[ |]/)[0].replaceAll("'", "''")}'`;
}

start();
