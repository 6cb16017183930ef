// Brushing of parallel axes: drag along an axis to keep the lines that cross it there, click to
// free it. With the keyboard: arrows move the upper end, with Shift the lower one, Escape frees.

function brushChart(chart) {
  const [top, tall] = [Number(chart.dataset.top), Number(chart.dataset.tall)];
  const lines = [...chart.querySelectorAll("path.plan")].sort((a, b) => a.dataset.plan - b.dataset.plan);
  const places = lines.map((line) => line.dataset.at.split(" ").map((word) => (word === "-" ? NaN : Number(word))));
  const rows = (plan) => document.querySelectorAll(`tr[data-plan="${plan}"]`);
  const names = lines.map((line) => line.querySelector("title").textContent);
  const told = document.querySelector("#kept");
  const brushes = new Map(); // of each axis: [low, high], 0 at its foot, 1 at its top

  const value = (axis, share) => {
    const found = Number(axis.dataset.low) + share * (axis.dataset.high - axis.dataset.low);
    return axis.dataset.share === "1" ? `${(100 * found).toPrecision(3)} %` : found.toPrecision(3);
  };

  function show() {
    let kept = [];
    places.forEach((at, plan) => {
      const inside = [...brushes].every(([axis, [low, high]]) => at[axis] >= low && at[axis] <= high);
      lines[plan].classList.toggle("out", !inside);
      chart.querySelector(`text[data-name="${plan}"]`)?.classList.toggle("out", !inside);
      rows(plan).forEach((row) => row.classList.toggle("out", !inside));
      if (inside) kept.push(names[plan]);
    });
    chart.querySelectorAll("g.axis").forEach((axis) => {
      const [box, range] = [axis.querySelector(".brush"), brushes.get(Number(axis.dataset.axis))];
      box.setAttribute("visibility", range ? "visible" : "hidden");
      if (!range) return;
      box.setAttribute("y", top + (1 - range[1]) * tall);
      box.setAttribute("height", Math.max((range[1] - range[0]) * tall, 2));
    });
    const ranges = [...brushes].map(([number, [low, high]]) => {
      const axis = chart.querySelector(`g.axis[data-axis="${number}"]`);
      return `${axis.getAttribute("aria-label")} ${value(axis, low)} to ${value(axis, high)}`;
    });
    const some = kept.length > 12 ? `${kept.slice(0, 12).join(", ")} and ${kept.length - 12} more` : kept.join(", ");
    told.textContent = brushes.size ? `${ranges.join("; ")}: ${kept.length} of ${lines.length} plans. ${some}` : "";
  }

  function set(axis, low, high) {
    const [a, b] = [Math.max(0, Math.min(low, high)), Math.min(1, Math.max(low, high))];
    if (a <= 0 && b >= 1) brushes.delete(axis);
    else brushes.set(axis, [a, b]);
    show();
  }

  const shareAt = (event) => {
    const box = chart.getBoundingClientRect();
    const y = (event.clientY - box.top) / box.height * chart.viewBox.baseVal.height;
    return Math.min(1, Math.max(0, 1 - (y - top) / tall));
  };

  chart.querySelectorAll("g.axis").forEach((axis) => {
    const number = Number(axis.dataset.axis);
    const hit = axis.querySelector(".hit");
    let start = null;
    hit.addEventListener("pointerdown", (event) => { start = shareAt(event); hit.setPointerCapture(event.pointerId); });
    hit.addEventListener("pointermove", (event) => { if (start !== null) set(number, start, shareAt(event)); });
    hit.addEventListener("pointerup", (event) => {
      if (Math.abs(shareAt(event) - start) < 0.01) { brushes.delete(number); show(); }
      start = null;
    });
    hit.addEventListener("pointercancel", () => { start = null; });
    axis.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 0.04, ArrowDown: -0.04 }[event.key];
      const [low, high] = brushes.get(number) ?? [0, 1];
      if (event.key === "Escape") { brushes.delete(number); show(); } else if (!step) return;
      else if (event.shiftKey) set(number, Math.min(low + step, high - 0.02), high);
      else set(number, low, Math.max(high + step, low + 0.02));
      event.preventDefault();
    });
  });

  // A line and its rows light up together.
  const light = (plan, on) => {
    lines[plan].classList.toggle("lit", on);
    chart.classList.toggle("some", on);
    rows(plan).forEach((row) => row.classList.toggle("lit", on));
  };
  lines.forEach((line, plan) => {
    line.addEventListener("pointerenter", () => light(plan, true));
    line.addEventListener("pointerleave", () => light(plan, false));
    rows(plan).forEach((row) => {
      row.addEventListener("pointerenter", () => light(plan, true));
      row.addEventListener("pointerleave", () => light(plan, false));
    });
  });
  document.querySelector("#free").addEventListener("click", () => { brushes.clear(); show(); });
}

document.querySelectorAll("figure.parallel svg").forEach((chart) => {
  Object.assign(chart.dataset, chart.parentElement.dataset);
  brushChart(chart);
});
