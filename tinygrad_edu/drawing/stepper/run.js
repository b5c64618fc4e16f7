// The panel of a training run: the error curve, the decision boundary, and the numbers of the epoch on the slider.
function makeRun(run, word, row, framed) {
  const $ = (id) => document.getElementById(id);
  const COLOURS = 8;
  const SHAPES = [
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", "M-4.5 -4.5h9v9h-9z", "M0 -5.5L5.5 4.5h-11z", "M0 -6L6 0L0 6L-6 0z", "M-5.5 -4.5h11L0 5.5z",
  ];
  const look = (k) => `class${k % COLOURS}`;
  const shape = (k) => SHAPES[k % SHAPES.length];
  const frame = { left: 46, right: 330, top: 10, bottom: 172 };
  let squares = [];
  let here = null;

  function element(parent, name, attributes, text) {
    const e = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    if (text !== undefined) e.textContent = text;
    return e;
  }
  // A round step of 1, 2 or 5 times a power of ten that divides `length` into about `parts`.
  function roundStep(length, parts) {
    const power = 10 ** Math.floor(Math.log10(length / parts));
    return power * [1, 2, 5, 10].find((s) => length / (s * power) <= parts + 1);
  }
  function ticks(low, high, parts, whole) {
    const step = Math.max(roundStep(high - low || 1, parts), whole ? 1 : 0);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
  }
  const short = (x) => String(Number(x.toPrecision(3))).replace("-", "−");

  function axes(svg, box, [x0, x1], [y0, y1], xTitle, yTitle, whole) {
    const X = (x) => box.left + ((x - x0) / (x1 - x0 || 1)) * (box.right - box.left);
    const Y = (y) => box.bottom - ((y - y0) / (y1 - y0 || 1)) * (box.bottom - box.top);
    for (const x of ticks(x0, x1, 5, whole)) {
      element(svg, "path", { class: "axis", d: `M${X(x)} ${box.bottom}v4` });
      element(svg, "text", { x: X(x), y: box.bottom + 16, "text-anchor": "middle" }, short(x));
    }
    for (const y of ticks(y0, y1, 4, false)) {
      element(svg, "path", { class: "axis", d: `M${box.left} ${Y(y)}h-4` });
      element(svg, "text", { x: box.left - 6, y: Y(y) + 4, "text-anchor": "end" }, short(y));
    }
    element(svg, "path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` });
    element(svg, "text", { class: "title", x: (box.left + box.right) / 2, y: box.bottom + 32, "text-anchor": "middle" }, xTitle);
    const middle = (box.top + box.bottom) / 2;
    element(svg, "text", { class: "title", x: 11, y: middle, transform: `rotate(-90 11 ${middle})`, "text-anchor": "middle" }, yTitle);
    return [X, Y];
  }

  function drawErrors() {
    const svg = $("errors");
    svg.replaceChildren();
    svg.setAttribute("aria-label", word(run.curve));
    const finite = run.errors.filter((e) => e !== null);
    const low = Math.min(...finite, 0);
    const top = Math.max(...finite, 0) || (low ? 0 : 1);
    const [X, Y] = axes(svg, frame, [0, Math.max(run.errors.length - 1, 1)], [low, top], word("epoch").toLowerCase(), word(run.curve), true);
    const place = (i) => [X(i), run.errors[i] === null ? frame.top : Y(run.errors[i])];
    const d = run.errors.map((e, i) => (e === null ? "" : `${i && run.errors[i - 1] !== null ? "L" : "M"}${place(i).join(" ")}`)).join("");
    element(svg, "path", { class: "curve", d });
    // What has no place on the axis stands at its upper end, as its sign.
    run.errors.forEach((e, i) => { if (e === null) element(svg, "text", { x: X(i), y: frame.top + 10, "text-anchor": "middle" }, run.written[i]); });
    here = element(svg, "circle", { r: 5 });
    here.move = (i) => { const [x, y] = place(i); here.setAttribute("cx", x); here.setAttribute("cy", y); };
  }

  function drawBoundary() {
    $("boundaryFigure").hidden = !run.boundaries;
    if (!run.boundaries) return;
    const svg = $("boundary");
    svg.replaceChildren();
    const n = run.grid;
    const box = { left: 52, right: 322, top: 8, bottom: 260 };
    const [w, h] = [(box.right - box.left) / n, (box.bottom - box.top) / n];
    squares = Array.from({ length: n * n }, (_, k) =>
      element(svg, "rect", { x: box.left + (k % n) * w, y: box.top + Math.floor(k / n) * h, width: w + 0.3, height: h + 0.3 }));
    const [X, Y] = axes(svg, box, run.x, run.y, `${word("input")} 0`, `${word("input")} 1`, false);
    for (const [x, y, k] of run.points) element(svg, "path", { class: look(k), d: shape(k), transform: `translate(${X(x)} ${Y(y)})` });
    $("legend").replaceChildren(...Array.from({ length: run.classes }, (_, k) => {
      const item = document.createElement("li");
      const swatch = element(item, "svg", { viewBox: "-12 -9 24 18", width: 24, height: 18, "aria-hidden": "true" });
      element(swatch, "rect", { class: look(k), x: -12, y: -9, width: 24, height: 18 });
      element(swatch, "path", { class: look(k), d: shape(k) });
      item.append(`${word("class")} ${k}`);
      return item;
    }));
  }

  function show(i) {
    here.move(i);
    $("epoch").value = i;
    $("epochCount").textContent = `${word("epoch")} ${i} (0–${run.errors.length - 1}): ${run.written[i]}`;
    // Where the network has no numbers left that decide, no square has a class.
    squares.forEach((square, k) => square.setAttribute("class", run.boundaries[i] ? look(parseInt(run.boundaries[i][k], 36)) : "none"));
    row($("epochHeads"), [word("weight"), word("value"), word("gradient")], "th");
    framed($("epochRows"), 3, run.parameters, (p, k) => [p.name, run.weights[i][k], run.gradients[i][k]]);
  }
  // Which moment is shown: the numbers of an epoch here, and in the picture those of one pass.
  const moment = () => [word("moment"), run.at === null ? "" : word("pictureAt").replace("{epoch}", run.at)].filter(Boolean);
  $("training").hidden = false;
  $("training").parentElement.classList.add("run");
  $("epoch").max = run.errors.length - 1;
  $("epoch").value = run.errors.length - 1;
  $("epoch").oninput = () => show(Number($("epoch").value));
  return () => { $("moment").textContent = moment().join(word("between")); drawErrors(); drawBoundary(); show(Number($("epoch").value)); };
}
