// The picture as seen through its frame. What is at work is kept in view, at a size at which it can be read.
// `measured` is called once the picture is on the screen, where it can be measured: a notebook may show it later.
// The one thing to know: the picture keeps its own size; one CSS transform, {x, y, k}, moves and scales it, and `place`
// lets no edge of it come inside the frame, so that it can't be lost.
function makeCamera(frame, svg, changed, measured) {
  const MARGIN = 14;
  const { width, height } = svg.viewBox.baseVal;
  const sizes = [...svg.querySelectorAll("text")].map((t) => parseFloat(t.getAttribute("font-size")) || 14);
  const font = Math.min(...sizes, 14);
  let mode = "follow"; // "follow": at a readable size; "own": at the size that the reader chose; "whole": all of it
  let at = { x: 0, y: 0, k: 1 };
  let wanted = [];

  // What doesn't fit beside the panel, and is much wider than high, has room above it.
  frame.parentElement.classList.toggle("flat", width > 700 && width > 2 * height);
  document.documentElement.style.setProperty("--ratio", height / width);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  const whole = () => Math.min((frame.clientWidth - 2 * MARGIN) / width, (frame.clientHeight - 2 * MARGIN) / height);
  // All of it where the smallest text has 10 px then; else a part of it.
  const readable = () => (whole() >= 10 / font ? Math.min(whole(), 20 / font) : 11 / font);

  function inside(position, length, room) {
    const [low, high] = [room - MARGIN - length, MARGIN];
    return low > high ? (room - length) / 2 : Math.min(Math.max(position, low), high);
  }
  function place(x, y, k) {
    if (!frame.clientWidth || !frame.clientHeight) return; // not on the screen yet
    k = Math.min(Math.max(k, Math.min(whole(), 1) * 0.8), 64 / font);
    at = { x: inside(x, width * k, frame.clientWidth), y: inside(y, height * k, frame.clientHeight), k };
    svg.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.k})`;
  }

  // Rectangles are in the picture's own units.
  const known = new Map();
  function rectangle(element) {
    if (!known.has(element)) {
      const { x, y, width: w, height: h } = element.getBBox();
      const m = svg.getScreenCTM().inverse().multiply(element.getScreenCTM());
      const corners = [[x, y], [x + w, y + h]].map(([u, v]) => [m.a * u + m.c * v + m.e - svg.viewBox.baseVal.x, m.b * u + m.d * v + m.f - svg.viewBox.baseVal.y]);
      known.set(element, {
        left: Math.min(corners[0][0], corners[1][0]), right: Math.max(corners[0][0], corners[1][0]),
        top: Math.min(corners[0][1], corners[1][1]), bottom: Math.max(corners[0][1], corners[1][1]),
      });
    }
    return known.get(element);
  }
  function union(elements) {
    const all = elements.map(rectangle);
    const side = (name, pick) => pick(...all.map((r) => r[name]));
    return { left: side("left", Math.min), top: side("top", Math.min), right: side("right", Math.max), bottom: side("bottom", Math.max) };
  }

  // Along one axis: as it is where the stretch is in view, else with the stretch in the middle.
  function aim(position, low, high, k, room, moved) {
    const [from, to] = [position + low * k, position + high * k];
    return !moved && from >= MARGIN && to <= room - MARGIN ? position : room / 2 - (k * (low + high)) / 2;
  }
  // Keep elements in view: all of `groups[0]`, or where they don't fit together those of the next group.
  function follow(groups) {
    wanted = groups;
    if (!isMeasured || !frame.clientWidth || !frame.clientHeight) return;
    if (mode === "whole") return place(0, 0, whole());
    const k = mode === "own" ? at.k : readable();
    const fits = (r) => (r.right - r.left) * k <= frame.clientWidth - 2 * MARGIN && (r.bottom - r.top) * k <= frame.clientHeight - 2 * MARGIN;
    const all = groups.filter((g) => g.length).map(union);
    const r = all.find(fits) ?? all.at(-1);
    if (!r) return place(at.x, at.y, k);
    const moved = k !== at.k;
    place(aim(at.x, r.left, r.right, k, frame.clientWidth, moved), aim(at.y, r.top, r.bottom, k, frame.clientHeight, moved), k);
  }

  // The point (u, v) of the frame stays where it is.
  function zoomAt(factor, u, v) {
    choose("own");
    const k = Math.min(Math.max(at.k * factor, Math.min(whole(), 1) * 0.8), 64 / font);
    place(u - ((u - at.x) * k) / at.k, v - ((v - at.y) * k) / at.k, k);
  }
  function zoom(factor) {
    const r = wanted.length && wanted.at(-1).length ? union(wanted.at(-1)) : { left: 0, right: width, top: 0, bottom: height };
    const middle = (low, high, start, room) => Math.min(Math.max(start + (at.k * (low + high)) / 2, 0), room);
    zoomAt(factor, middle(r.left, r.right, at.x, frame.clientWidth), middle(r.top, r.bottom, at.y, frame.clientHeight));
  }
  const pan = (dx, dy) => place(at.x + dx, at.y + dy, at.k);
  function choose(next) {
    mode = next;
    changed(mode);
  }
  function fit() {
    choose(mode === "whole" ? "follow" : "whole");
    follow(wanted);
  }

  // Mouse and pen: drag. Touch: one finger scrolls the page, two move and scale the picture.
  const point = (event) => {
    const box = frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  frame.addEventListener("scroll", () => frame.scrollTo(0, 0)); // what a browser does to show what it found in the page
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomAt(event.deltaY > 0 ? 1 / 1.1 : 1.1, ...point(event));
  }, { passive: false });
  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    drag = event.pointerType === "touch" || event.button ? null : { x: event.clientX, y: event.clientY, moved: false };
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag || !event.buttons) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.abs(dx) + Math.abs(dy) < 4) return;
    if (!drag.moved) frame.setPointerCapture(event.pointerId);
    frame.classList.add("held");
    pan(dx, dy);
    drag = { x: event.clientX, y: event.clientY, moved: true };
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => frame.classList.remove("held"));
  let pinch = null;
  const spread = (touches) => {
    const [[a, b], [c, d]] = [...touches].map(point);
    return { u: (a + c) / 2, v: (b + d) / 2, length: Math.hypot(a - c, b - d) || 1 };
  };
  frame.addEventListener("touchstart", (event) => {
    pinch = event.touches.length === 2 ? spread(event.touches) : null;
    frame.classList.toggle("held", Boolean(pinch));
    if (pinch && event.cancelable) event.preventDefault();
  }, { passive: false });
  frame.addEventListener("touchmove", (event) => {
    if (!pinch || event.touches.length !== 2) return;
    if (event.cancelable) event.preventDefault();
    const now = spread(event.touches);
    pan(now.u - pinch.u, now.v - pinch.v);
    zoomAt(now.length / pinch.length, now.u, now.v);
    pinch = now;
  }, { passive: false });
  for (const end of ["touchend", "touchcancel"]) {
    frame.addEventListener(end, () => { pinch = null; frame.classList.remove("held"); });
  }
  let isMeasured = false;
  function measure() {
    if (!frame.clientWidth || !svg.getBBox().width) return;
    if (!isMeasured) {
      isMeasured = true;
      measured();
    }
    follow(wanted);
  }
  new ResizeObserver(measure).observe(frame);
  return { measure, follow, zoom, pan, fit, rectangle, dragged: () => Boolean(drag?.moved) };
}
