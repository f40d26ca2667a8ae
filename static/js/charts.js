// What every chart shares: the data that the page carries, the colours of the theme, and drawing that follows both.

/** The JSON that a page holds in an element of this id. */
export function readData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** The colours of the present theme, as the style sheet names them. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--ink"),
    quiet: colour("--quiet"),
    line: colour("--line"),
    accent: colour("--accent"),
    card: colour("--card"),
  };
}

/** Draws into an element what `options` returns for the present colours, again when size or theme change. */
export function drawChart(holder, options) {
  const chart = window.echarts.init(holder, null, { renderer: "canvas" });
  const draw = () => chart.setOption(options(themeColours()), true);
  draw();
  addEventListener("resize", () => {
    chart.resize();
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
