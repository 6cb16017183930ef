// Click on a column's head to sort by it, again to turn the order; printing opens what is folded.
document.querySelectorAll("table.sort").forEach((table) => {
  table.querySelectorAll("th button").forEach((button, column) => {
    let up = false;
    button.addEventListener("click", () => {
      up = !up;
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].dataset.key;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [Number(key(a)), Number(key(b))];
        const order = isNaN(x) || isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
        return up ? order : -order;
      });
      rows.forEach((row) => { row.classList.remove("first"); body.append(row); });
    });
  });
});
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details.print").forEach((fold) => { fold.open = true; });
});
