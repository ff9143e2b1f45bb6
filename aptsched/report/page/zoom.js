"use strict";
document.documentElement.classList.add("scripted");
for (const figure of document.querySelectorAll(".gantt")) {
  const rows = figure.querySelector(".rows"), ticks = figure.querySelector(".ticks");
  const end = Number(figure.dataset.end), height = rows.viewBox.baseVal.height;
  let start = 0, span = end;
  const show = () => {
    span = Math.min(Math.max(span, end / 1e5), end);
    start = Math.min(Math.max(start, 0), end - span);
    rows.setAttribute("viewBox", `${start} 0 ${span} ${height}`);
    const rough = span / (rows.clientWidth > 700 ? 10 : 5), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((part) => part * power).find((each) => each >= rough * 0.999);
    ticks.replaceChildren();
    for (let at = Math.ceil(start / step - 1e-9); at * step <= start + span + 1e-9 * span; at++) {
      const tick = document.createElement("span");
      tick.textContent = String(Number((at * step).toPrecision(8)));
      tick.style.left = `${((at * step - start) / span) * 100}%`;
      ticks.append(tick);
    }
  };
  const zoom = (factor, at = 0.5) => { start += span * at * (1 - factor); span *= factor; show(); };
  const actions = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => { start -= span / 4; show(); },
    right: () => { start += span / 4; show(); }, all: () => { start = 0; span = end; show(); },
  };
  figure.querySelectorAll("button").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  rows.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, event.offsetX / rows.clientWidth);
  }, { passive: false });
  let from = null;
  rows.addEventListener("pointerdown", (event) => { from = event.clientX; rows.setPointerCapture(event.pointerId); });
  rows.addEventListener("pointermove", (event) => {
    if (from === null) return;
    start -= ((event.clientX - from) / rows.clientWidth) * span;
    from = event.clientX;
    show();
  });
  for (const over of ["pointerup", "pointercancel"]) rows.addEventListener(over, () => { from = null; });
  new ResizeObserver(show).observe(rows);
}
