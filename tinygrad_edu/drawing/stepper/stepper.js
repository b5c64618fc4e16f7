// Replays a recorded pass. State is one number, the step; `show` makes the page from it. Nothing is computed here.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const svg = document.querySelector("#picture svg");
  const total = data.steps.length;
  // A notebook shows the page in a frame without an address; only where there is one, the step is kept in it.
  const addressed = /^(https?|file):$/.test(location.protocol);
  let step = 0;
  let timer = null;
  let language = data.language;

  // Texts. Names and numbers are never broken inside: each is whole, with the signs that touch it.
  const word = (key) => data.words[language][key];
  function whole(text) {
    const span = Object.assign(document.createElement("span"), { textContent: text, className: text.length > 30 ? "long" : "whole" });
    if (/^\S*(\[.*, |\(.*: )/.test(text)) span.className = "array";
    return span;
  }
  function filled(key, values) {
    const parts = word(key).split(/([(]?\{\w+\}[.,:;)]*)/);
    return parts.flatMap((part) => {
      const match = /^([(]?)\{(\w+)\}(.*)$/.exec(part);
      if (!match) return [part];
      const given = [values[match[2]]].flat().map(String);
      return given.flatMap((text, i) => [
        ...(i ? [" "] : []),
        whole((i ? "" : match[1]) + text + (i === given.length - 1 ? match[3] : ",")),
      ]);
    });
  }
  const between = () => (language === "zh" ? "" : " ");

  function sentence(s) {
    if (!s) return [word("start")];
    if (s.byRun) return filled("updateRun", s);
    if (s.phase !== "backward" || s.folded) return filled(s.folded ? `${s.phase}Folded` : s.phase, s);
    return [...filled(s.slope === null ? "backwardArray" : "backward", s), between(), ...filled(s.before === null ? "firstTerm" : "added", s)];
  }

  function label(e, text) {
    e.setAttribute("aria-label", text);
    if (e.tagName === "BUTTON") e.title = text;
  }
  function translate() {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.title = word("title");
    for (const e of document.querySelectorAll("[data-word]")) e.textContent = word(e.dataset.word);
    for (const e of document.querySelectorAll("[data-label]")) label(e, word(e.dataset.label));
    $("language").textContent = word("language");
    $("keyList").replaceChildren(...Object.entries(word("keyList")).flatMap(([key, what]) =>
      [["dt", key], ["dd", what]].map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text }))));
    if (timer) label($("play"), word("pause"));
    heads = null;
    drawHand();
    show(step);
    showRun?.();
  }

  // The picture: its parts by id, and of each value the texts of its numbers.
  const parts = {};
  const part = (id) => (parts[id] ??= svg.querySelector(`#${id}`));
  const SVG = "http://www.w3.org/2000/svg";
  function drawn(parent, name, attributes, text) {
    const e = parent.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    if (text !== undefined) e.textContent = text;
    return e;
  }
  const textsIn = (e) => [...(e?.querySelectorAll("text") ?? [])];
  // A number: what is hidden while it isn't known, and its texts.
  function numberAt(place) {
    const [id, from, to] = [place].flat();
    const texts = textsIn(part(id));
    if (from === undefined) return { hidden: part(id) ? [part(id)] : [], texts };
    const own = texts.slice(from + texts.length, to + texts.length);
    return { hidden: own, texts: own };
  }
  const hide = (number, unknown) => number.hidden.forEach((e) => e.classList.toggle("unknown", unknown));
  const cells = {};
  for (const [id, value] of Object.entries(data.values)) {
    const grads = value.grad.map(numberAt).filter((number) => number.texts.length);
    for (const number of grads) {
      number.last = number.texts.map((t) => t.textContent);
      for (const t of number.texts) t.classList.add("gradient");
    }
    cells[id] = { data: value.data.map(numberAt), grads, here: true, sum: undefined };
  }
  // Arrows lie below boxes, and above the grounds of layers, in which they end.
  const firstNode = svg.querySelector(".node, .cluster");
  const grounds = svg.querySelectorAll(".cluster > path, .cluster > polygon");
  for (const e of [...grounds, ...svg.querySelectorAll(".edge")]) firstNode.parentElement.insertBefore(e, firstNode);

  // When a value becomes known, the gradients that it gets, and for each phase the first step of every part in it.
  const known = {};
  const sums = {};
  const firstStep = {};
  const firstIn = { forward: {}, backward: {}, update: {} };
  const phaseOf = (s) => (!s || s.phase === "forward" ? "forward" : s.phase === "update" ? "update" : "backward");
  data.steps.forEach((s, i) => {
    for (const id of s.shows) known[id] = i + 1;
    for (const [id, sum] of Object.entries(s.gains)) (sums[id] ??= []).push([i + 1, sum]);
    for (const id of [...s.boxes, ...s.rows]) firstStep[id] ??= i + 1;
    for (const id of [...s.boxes, ...s.arrows]) firstIn[phaseOf(s)][id] ??= i + 1;
  });
  const sumAt = (id, n) => (sums[id] ?? []).findLast(([i]) => i <= n)?.[1];

  // Only what changes is touched, so that a thousand steps run by smoothly.
  let lit = new Set();
  let faint = new Set();
  function mark(old, now, name) {
    for (const id of old) if (!now.has(id)) part(id)?.classList.remove(name);
    for (const id of now) if (!old.has(id)) part(id)?.classList.add(name);
    return now;
  }
  // A sum on the way is written where it has as many numbers as the last one; a heat map waits for the last.
  function showSum(number, sum, isLast) {
    const now = isLast ? number.last : sum?.cells ?? [sum?.text];
    const fits = sum !== null && now.length === number.texts.length;
    hide(number, !fits);
    if (fits) number.texts.forEach((t, i) => { t.textContent = now[i]; });
  }
  // The values whose numbers may differ between two steps.
  function touched(from, to) {
    if (from === null) return Object.keys(data.values);
    return data.steps.slice(Math.min(from, to), Math.max(from, to)).flatMap((s) => [...s.shows, ...Object.keys(s.gains)]);
  }
  function showNumbers(ids) {
    for (const id of ids) {
      const cell = cells[id];
      if (!cell) continue; // it is folded
      const here = data.values[id].leaf || step >= known[id];
      if (here !== cell.here) for (const number of cell.data) hide(number, !here);
      const sum = sumAt(id, step) ?? null;
      if (sum !== cell.sum) for (const number of cell.grads) showSum(number, sum, sum === sums[id]?.at(-1)[1]);
      Object.assign(cell, { here, sum });
    }
  }
  let shown = null; // the step that the page shows
  let addressing = null;
  function show(n) {
    step = Math.max(0, Math.min(total, n));
    const s = data.steps[step - 1];
    const ids = touched(shown, step);
    shown = step;
    showNumbers(ids);
    lit = mark(lit, new Set(s ? [...s.boxes, ...s.rows.map((id) => `${id}mark`), ...s.arrows] : []), "lit");
    const coming = Object.entries(firstIn[phaseOf(s)]).filter(([, i]) => i > step).map(([id]) => id);
    faint = mark(faint, new Set(coming), "faint");
    const next = s ?? data.steps[0];
    const all = (ids) => ids.map(part).filter(Boolean);
    camera.follow([all([...(next.near ?? []), ...next.boxes]), all(next.boxes), all(next.boxes.slice(-1)), all(next.rows.slice(-1))]);
    $("sentence").replaceChildren(...sentence(s));
    $("rule").textContent = s?.formula && !s.folded ? `${word("rule")}: ${s.formula}` : "";
    showEntries(s);
    table(s, ids);
    showHand();
    $("slider").value = step;
    $("count").textContent = `${word("step")} ${step} ${word("of")} ${total}`;
    $("slider").setAttribute("aria-valuetext", $("count").textContent);
    // Not `disabled`: a button that is disabled loses the focus, and the next key would go to the page.
    for (const id of ["first", "previous"]) $(id).setAttribute("aria-disabled", step === 0);
    for (const id of ["next", "last"]) $(id).setAttribute("aria-disabled", step === total);
    if (step === total) stop();
    reveal((data.hand ?? []).find((h) => h.step === step)?.row ?? litLeaves[0]);
    // After a while: browsers allow an address only so many changes a second.
    clearTimeout(addressing);
    if (addressed) addressing = setTimeout(() => history.replaceState(null, "", `#step=${step}`), 150);
  }

  // Tables.
  function row(parent, texts, tag) {
    const tr = parent.tagName === "TR" ? parent : parent.appendChild(document.createElement("tr"));
    tr.replaceChildren(...texts.map((text) => {
      const cell = Object.assign(document.createElement(tag), { textContent: text });
      if (tag === "th") cell.scope = "col";
      return cell;
    }));
    return tr;
  }
  // The numbers of an array that the picture shows as squares.
  function showEntries(s) {
    $("entries").hidden = !s?.entries || Boolean(s.folded);
    if ($("entries").hidden) return;
    $("entriesTitle").replaceChildren(...filled(s.phase === "forward" ? "entriesData" : "entriesGradient", s));
    $("entryRows").replaceChildren();
    for (const numbers of s.entries) row($("entryRows"), numbers, "td");
  }
  // Rows under the names of the frames that they stand in; a new one wherever the frame changes.
  function framed(parent, columns, items, texts) {
    parent.replaceChildren();
    let frame = "";
    return items.map((item, i) => {
      if (item.frame && item.frame !== frame) {
        Object.assign(row(parent, [item.frame], "td").cells[0], { colSpan: columns, className: "frame" });
      }
      frame = item.frame;
      return row(parent, texts(item, i), "td");
    });
  }
  // Scrolls the panel, where it scrolls, and nothing around it, to a row that is hidden.
  function reveal(tr) {
    const panel = $("panel");
    if (!tr || panel.scrollHeight <= panel.clientHeight) return;
    const [low, high] = [Math.min($("step").offsetHeight, panel.clientHeight / 2), panel.clientHeight - tr.offsetHeight];
    const y = tr.getBoundingClientRect().top - panel.getBoundingClientRect().top;
    if (y < low || y > high) panel.scrollTop += y - (low + high) / 2;
  }
  let heads = null; // which of the two tables stands there
  let leaves = {};
  let litLeaves = [];
  function table(s, ids) {
    const kind = phaseOf(s) === "update" ? "update" : "gradients";
    if (heads !== kind) {
      heads = kind;
      $("tableTitle").textContent = word(kind === "update" ? "updateTitle" : kind);
      row($("heads"), (kind === "update" ? ["leaf", "old", "gradient", "change", "new"] : ["leaf", "gradient"]).map(word), "th");
      const rows = kind === "update" ? framed($("rows"), 5, s.leaves, (r) => [r.name, r.old, r.grad, r.step, r.new])
        : framed($("rows"), 2, data.parameters, (p) => [p.name, "–"]);
      leaves = kind === "update" ? {} : Object.fromEntries(data.parameters.map((p, i) => [p.id, rows[i]]));
      ids = Object.keys(leaves);
    }
    for (const id of ids) if (leaves[id]) leaves[id].cells[1].textContent = sumAt(id, step)?.text ?? "–";
    for (const tr of litLeaves) tr.classList.remove("lit");
    litLeaves = Object.keys(s?.gains ?? {}).map((id) => leaves[id]).filter(Boolean);
    for (const tr of litLeaves) tr.classList.add("lit");
  }

  // A gradient written by hand, beside the right one: a table in the order of the backward pass, and marks in the picture.
  const SIGNS = { right: "✓", here: "✗", follows: "(✗)" };
  function drawHand() {
    if (!data.hand) return;
    $("byHand").hidden = $("handSentence").hidden = false;
    row($("handHeads"), ["value", "data", "gradient", "byHand", "verdict"].map((key) => word(key)), "th");
    const rows = framed($("handRows"), 5, data.hand, (h) => ["", h.data, h.right, h.hand, `${SIGNS[h.verdict]} ${word(h.verdict)}`]);
    for (const [i, h] of data.hand.entries()) {
      h.row = rows[i];
      h.row.classList.add(h.verdict);
      const button = h.row.cells[0].appendChild(Object.assign(document.createElement("button"), { type: "button", textContent: h.name }));
      button.onclick = () => go(h.step);
    }
    const first = data.hand.find((h) => h.verdict === "here");
    $("handSentence").classList.toggle("right", !first);
    $("handSentence").replaceChildren(...(first ? filled("handParts", { ...first, name: first.whole }) : [word("handHolds")]));
  }
  function showHand() {
    for (const h of data.hand ?? []) h.row.classList.toggle("lit", h.step === step);
  }
  // One badge for each place: the first wrong number there, by its place among all that are wrong by themselves.
  function drawBadges() {
    const places = new Map();
    let count = 0;
    for (const h of data.hand ?? []) {
      const key = h.home.join(" ");
      const sign = h.verdict === "here" ? `✗ ${++count}` : SIGNS[h.verdict];
      const rank = ["here", "follows", "right"].indexOf(h.verdict);
      if (rank < (places.get(key)?.rank ?? 3)) places.set(key, { home: h.home, verdict: h.verdict, sign, rank });
    }
    for (const { home, verdict, sign } of places.values()) {
      const [box, row] = home.map((id) => id && part(id));
      if (!box) continue;
      const r = camera.rectangle(row ? part(`${home[1]}mark`) : box);
      const badge = drawn(svg, "g", { class: `badge ${verdict}` });
      const width = 8 + 7 * sign.length;
      const { x: left, y: top } = svg.viewBox.baseVal;
      const [x, y] = [camera.rectangle(box).right - width / 2 + left, (row ? (r.top + r.bottom) / 2 : r.top) + top];
      drawn(badge, "rect", { x, y: y - 8, width, height: 16, rx: 4 });
      drawn(badge, "text", { x: x + width / 2, y: y + 4, "text-anchor": "middle", "font-size": 11 }, sign);
    }
  }
  // In cards, a ground for each row, behind its texts.
  function drawRows() {
    for (const [id, rows] of Object.entries(data.rows)) {
      const card = part(id);
      if (!card) continue;
      card.classList.add("card");
      const shape = card.querySelector("path, polygon");
      const inner = shape?.parentElement ?? card;
      for (const e of inner.children) if (/^(path|polygon)$/.test(e.tagName)) e.classList.add("outline");
      const { x, width } = card.getBBox();
      const first = card.querySelector("text");
      const isGround = shape && first && shape.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING;
      for (const name of rows) {
        const groups = ["", "input", "data", "grad"].map((cell) => part(name + cell)).filter((e) => e && textsIn(e).length);
        if (!groups.length) continue;
        const boxes = groups.map((e) => e.getBBox());
        const [top, bottom] = [Math.min(...boxes.map((b) => b.y)), Math.max(...boxes.map((b) => b.y + b.height))];
        const ground = drawn(inner, "rect", { class: "row", id: `${name}mark`, x: x + 2, y: top - 1, width: width - 4, height: bottom - top + 2 });
        inner.insertBefore(ground, isGround ? shape.nextSibling : inner.firstChild);
        parts[ground.id] = ground;
      }
    }
  }

  // Moving about.
  function stop() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "▶";
    label($("play"), word("play"));
  }
  function play() {
    if (timer) return stop();
    if (step === total) show(0);
    timer = setInterval(() => show(step + 1), Number($("speed").value));
    $("play").textContent = "■";
    label($("play"), word("pause"));
  }
  const go = (n) => { stop(); show(n); };
  $("first").onclick = () => go(0);
  $("previous").onclick = () => go(step - 1);
  $("next").onclick = () => go(step + 1);
  $("last").onclick = () => go(total);
  $("play").onclick = play;
  $("speed").onchange = () => { if (timer) { stop(); play(); } };
  $("slider").max = total;
  $("slider").oninput = () => go(Number($("slider").value));
  $("language").onclick = () => { language = language === "en" ? "zh" : "en"; translate(); };

  const camera = makeCamera($("picture"), svg, (mode) => $("fit").setAttribute("aria-pressed", mode === "whole"), () => {
    drawRows();
    drawBadges();
    lit = mark(lit, new Set(), "lit");
    show(step);
  });
  $("larger").onclick = () => camera.zoom(1.25);
  $("smaller").onclick = () => camera.zoom(0.8);
  $("fit").onclick = camera.fit;
  for (const node of svg.querySelectorAll(".node")) {
    node.addEventListener("click", (event) => {
      event.stopPropagation();
      const row = event.target.closest("[id]").id.replace(/(data|grad|input|mark)$/, "");
      if (!camera.dragged()) go(firstStep[row] ?? firstStep[node.id] ?? step);
      keepFocus();
    });
  }
  $("keys").onclick = () => $("help").showModal();
  $("close").onclick = () => $("help").close();

  const KEYS = {
    ArrowRight: () => go(step + 1), ArrowLeft: () => go(step - 1), Home: () => go(0), End: () => go(total),
    "+": () => camera.zoom(1.25), "=": () => camera.zoom(1.25), "-": () => camera.zoom(0.8), "−": () => camera.zoom(0.8),
    f: camera.fit, F: camera.fit, "?": () => $("help").showModal(),
  };
  const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const field = event.target.matches("select, #epoch") && /^(Arrow|Home|End)/.test(event.key);
    let action = KEYS[event.key];
    if (event.shiftKey && PANS[event.key]) action = () => camera.pan(...PANS[event.key]);
    if (event.key === " " && !event.target.closest("button, select")) action = play;
    if (!action || field) return;
    event.preventDefault();
    action();
  });
  // The focus never falls to the page, where keys would scroll or, in a notebook, belong to nobody.
  function keepFocus() {
    if (document.activeElement === document.body && getSelection().isCollapsed) $("picture").focus({ preventScroll: true });
  }
  document.addEventListener("click", keepFocus);
  window.addEventListener("hashchange", () => {
    const match = /^#step=(\d+)$/.exec(location.hash);
    if (match && Number(match[1]) !== step) go(Number(match[1]));
  });

  const showRun = data.epochs ? makeRun(data.epochs, word, row, framed) : null;
  const match = /^#step=(\d+)$/.exec(location.hash);
  step = match ? Number(match[1]) : data.hand?.find((h) => h.verdict === "here")?.step ?? 0;
  translate();
  camera.measure();
  document.documentElement.classList.add("ready");
})();
