// Draws the Kaplan–Meier curve with its band; the risk table hangs on the same axis, under each tick.
const holder = document.getElementById("curve");
const data = JSON.parse(document.getElementById("curve-data").textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (value) => (value * 100).toFixed(1);

function options() {
  const ink = colour("--ink"), quiet = colour("--quiet"), line = colour("--line"), accent = colour("--accent");
  const { steps, censored, ticks, step_months: stepMonths, words } = data;
  const atRisk = new Map(ticks.map((tick) => [tick.months, tick.at_risk]));
  const known = steps.filter((step) => step[2] !== null);
  return {
    animation: false,
    aria: { enabled: true },
    textStyle: { color: ink },
    legend: { data: [words.curve, words.band, words.censored], textStyle: { color: ink }, top: 0 },
    grid: { left: 58, right: 24, top: 56, bottom: 84 },
    tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "line" }, formatter: (shown) => {
      const months = shown[0].axisValue;
      const row = steps.filter((step) => step[0] <= months).pop() ?? steps[0];
      const limits = row[2] === null ? "" : ` (${percent(row[2])}–${percent(row[3])})`;
      return `${Number(months).toFixed(1)} ${words.months}\n${percent(row[1])} %${limits}`;
    } },
    xAxis: {
      type: "value", min: 0, max: ticks.at(-1).months, interval: stepMonths, name: `${words.months} · ${words.at_risk}`,
      nameLocation: "middle", nameGap: 52, nameTextStyle: { color: quiet }, axisLine: { lineStyle: { color: quiet } },
      splitLine: { show: false },
      axisLabel: { color: ink, lineHeight: 18, formatter: (months) => `${months}\n${atRisk.get(months) ?? ""}` },
    },
    yAxis: { type: "value", min: 0, max: 1, interval: 0.25, splitLine: { lineStyle: { color: line } },
      axisLabel: { color: ink, formatter: (value) => `${Math.round(value * 100)} %` } },
    series: [
      { type: "line", step: "end", data: known.map((s) => [s[0], s[2]]), stack: "band", symbol: "none",
        lineStyle: { opacity: 0 }, silent: true },
      { name: words.band, type: "line", step: "end", data: known.map((s) => [s[0], s[3] - s[2]]), stack: "band",
        stackStrategy: "all", symbol: "none", lineStyle: { opacity: 0 }, itemStyle: { color: accent },
        areaStyle: { color: accent, opacity: 0.18 }, silent: true },
      { name: words.curve, type: "line", step: "end", data: steps.map((s) => [s[0], s[1]]), symbol: "none",
        itemStyle: { color: accent }, lineStyle: { color: accent, width: 2.5 } },
      { name: words.censored, type: "scatter", data: censored, symbol: "rect", symbolSize: [2, 12],
        itemStyle: { color: ink } },
    ],
  };
}

const chart = window.echarts.init(holder, null, { renderer: "canvas" });
chart.setOption(options());
addEventListener("resize", () => chart.resize());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.setOption(options(), true));
