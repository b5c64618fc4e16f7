"use strict";
// Replays a recorded pass. State is one number, the step; `show` makes the page from it. Nothing is computed here.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const svg = document.querySelector("#picture svg");
  const total = data.steps.length;
  let step = 0;
  let timer = null;
  let language = data.language;

  // Texts.
  const word = (key) => data.words[language][key];
  const filled = (key, values) =>
    word(key).replace(/\{(\w+)\}/g, (_, name) => (Array.isArray(values[name]) ? values[name].join(", ") : String(values[name])));

  function sentence(s) {
    if (!s) return word("start");
    if (s.phase !== "backward") return filled(s.phase, s);
    const way = filled(s.slope === null ? "backwardArray" : "backward", s);
    return way + (language === "zh" ? "" : " ") + filled(s.before === null ? "firstTerm" : "added", s);
  }

  function translate() {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.title = word("title");
    for (const e of document.querySelectorAll("[data-word]")) e.textContent = word(e.dataset.word);
    for (const e of document.querySelectorAll("[data-label]")) {
      e.setAttribute("aria-label", word(e.dataset.label));
      if (e.tagName === "BUTTON") e.title = word(e.dataset.label);
    }
    $("language").textContent = word("language");
    show(step);
    if (data.epochs) showEpoch(Number($("epoch").value));
  }

  // The picture: of each value the texts of its data and of its gradient, counted from the end of its box.
  const cells = {};
  for (const [id, value] of Object.entries(data.values)) {
    const texts = [...svg.querySelectorAll(`#${id} text`)];
    const [nData, nGrad] = value.cells;
    const grad = nGrad ? texts.slice(texts.length - nGrad - 1) : [];
    const rest = nGrad ? texts.slice(0, texts.length - nGrad - 1) : texts;
    cells[id] = { data: rest.slice(rest.length - nData - 1), grad, final: grad.map((t) => t.textContent) };
    for (const t of grad) t.classList.add("gradient");
  }

  // When a value becomes known, its gradient after each step, and the first step that each box has a part in.
  const known = {};
  const firstStep = {};
  data.steps.forEach((s, i) => {
    if (s.shows) known[s.shows] = i + 1;
    for (const id of s.boxes) firstStep[id] ??= i + 1;
  });

  function gradientsAt(n) {
    const now = {};
    for (const s of data.steps.slice(0, n)) if (s.target) now[s.target] = s.sum;
    return now;
  }

  function show(n) {
    step = Math.max(0, Math.min(total, n));
    const s = data.steps[step - 1];
    const gradients = gradientsAt(step);
    for (const [id, value] of Object.entries(data.values)) {
      const there = value.leaf || step >= known[id];
      const { data: dataCells, grad, final } = cells[id];
      for (const t of dataCells) t.classList.toggle("unknown", !there);
      for (const t of grad) t.classList.toggle("unknown", !(id in gradients));
      if (grad.length === 2 && id in gradients) grad[1].textContent = gradients[id];
      else grad.forEach((t, i) => { t.textContent = final[i]; });
      svg.querySelector(`#${id}`).classList.toggle("waiting", !there);
    }
    for (const e of svg.querySelectorAll(".lit")) e.classList.remove("lit");
    for (const id of s ? [...s.boxes, ...s.arrows] : []) svg.querySelector(`#${id}`)?.classList.add("lit");
    $("sentence").textContent = sentence(s);
    $("rule").textContent = s && s.formula ? `${word("rule")}: ${s.formula}` : "";
    table(s, gradients);
    $("slider").value = step;
    $("count").textContent = `${word("step")} ${step} ${word("of")} ${total}`;
    for (const id of ["first", "previous"]) $(id).disabled = step === 0;
    for (const id of ["next", "last"]) $(id).disabled = step === total;
    if (step === total) stop();
    history.replaceState(null, "", `#step=${step}`);
  }

  function row(parent, texts, tag) {
    const tr = parent.tagName === "TR" ? parent : parent.appendChild(document.createElement("tr"));
    tr.replaceChildren(...texts.map((text) => Object.assign(document.createElement(tag), { textContent: text })));
    return tr;
  }

  function table(s, gradients) {
    $("rows").replaceChildren();
    if (s && s.phase === "update") {
      row($("heads"), [word("leaf"), word("old"), word("gradient"), word("new")], "th");
      for (const r of s.rows) row($("rows"), [r.name, r.old, r.grad, r.new], "td");
      return;
    }
    row($("heads"), [word("leaf"), word("gradient")], "th");
    for (const p of data.parameters) {
      const tr = row($("rows"), [p.name, gradients[p.id] ?? "–"], "td");
      tr.classList.toggle("lit", Boolean(s) && s.target === p.id);
    }
  }

  // Moving about.
  function stop() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "▶";
    $("play").setAttribute("aria-label", word("play"));
  }
  function play() {
    if (timer) return stop();
    if (step === total) show(0);
    timer = setInterval(() => show(step + 1), Number($("speed").value));
    $("play").textContent = "■";
    $("play").setAttribute("aria-label", word("pause"));
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
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, #epoch")) return;
    const keys = { ArrowRight: () => go(step + 1), ArrowLeft: () => go(step - 1), Home: () => go(0), End: () => go(total) };
    if (event.key === " " && event.target.tagName !== "BUTTON") keys[" "] = play;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("hashchange", () => {
    const match = /^#step=(\d+)$/.exec(location.hash);
    if (match && Number(match[1]) !== step) go(Number(match[1]));
  });

  // The training run, where there is one.
  const run = data.epochs;
  function element(parent, name, attributes) {
    const e = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    return e;
  }
  function drawRun() {
    const top = Math.max(...run.errors) || 1;
    const place = (i) => [10 + (300 * i) / Math.max(run.errors.length - 1, 1), 150 - (140 * run.errors[i]) / top];
    element($("errors"), "polyline", { points: run.errors.map((_, i) => place(i).join(",")).join(" ") });
    const dot = element($("errors"), "circle", { r: 5 });
    run.move = (i) => { const [x, y] = place(i); dot.setAttribute("cx", x); dot.setAttribute("cy", y); };
    $("boundaryFigure").hidden = !run.boundaries;
    if (!run.boundaries) return;
    const n = run.grid;
    run.squares = Array.from({ length: n * n }, (_, k) =>
      element($("boundary"), "rect", { x: (k % n) / n, y: Math.floor(k / n) / n, width: 1.02 / n, height: 1.02 / n }));
    for (const [x, y, k] of run.points) element($("boundary"), "circle", { cx: x, cy: y, r: 0.018, class: `class${k % 4}` });
  }
  function showEpoch(i) {
    run.move(i);
    $("epoch").value = i;
    $("epochCount").textContent = `${word("epoch")} ${i + 1} / ${run.errors.length}: ${run.errors[i].toPrecision(4)}`;
    run.squares?.forEach((square, k) => square.setAttribute("class", `class${parseInt(run.boundaries[i][k], 36) % 4}`));
    row($("epochHeads"), [word("weight"), word("value"), word("gradient")], "th");
    $("epochRows").replaceChildren();
    run.names.forEach((name, k) => row($("epochRows"), [name, run.weights[i][k], run.gradients[i][k]], "td"));
  }
  if (run) {
    $("training").hidden = false;
    drawRun();
    $("epoch").max = run.errors.length - 1;
    $("epoch").value = run.errors.length - 1;
    $("epoch").oninput = () => showEpoch(Number($("epoch").value));
  }

  // Zoom and pan: both change the view box.
  const whole = svg.viewBox.baseVal;
  const home = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  function zoom(factor) {
    const width = whole.width * factor;
    if (width > home.width * 4 || width < home.width / 40) return;
    whole.x += (whole.width - width) / 2;
    whole.y += (whole.height - whole.height * factor) / 2;
    whole.height *= factor;
    whole.width = width;
  }
  $("larger").onclick = () => zoom(0.8);
  $("smaller").onclick = () => zoom(1.25);
  $("fit").onclick = () => Object.assign(whole, home);
  $("picture").addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.1 : 0.9);
  }, { passive: false });
  let from = null;
  svg.addEventListener("pointerdown", (event) => { from = { x: event.clientX, y: event.clientY, moved: false }; });
  svg.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    const scale = Math.max(whole.width / svg.clientWidth, whole.height / svg.clientHeight);
    whole.x -= (event.clientX - from.x) * scale;
    whole.y -= (event.clientY - from.y) * scale;
    const far = Math.abs(event.clientX - from.x) + Math.abs(event.clientY - from.y) > 2;
    from = { x: event.clientX, y: event.clientY, moved: from.moved || far };
  });
  for (const node of svg.querySelectorAll(".node")) {
    node.addEventListener("click", () => { if (!(from && from.moved)) go(firstStep[node.id] ?? 0); });
  }

  svg.removeAttribute("width");
  svg.removeAttribute("height");
  const match = /^#step=(\d+)$/.exec(location.hash);
  step = match ? Number(match[1]) : 0;
  translate();
})();
