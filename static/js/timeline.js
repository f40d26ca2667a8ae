// Draws one patient over time: % IS on a logarithmic axis with the response limits, treatment bars on the same time axis.
// What is not evaluable stands in a lane of its own at the bottom; zero never reaches the logarithmic axis.
const holder = document.getElementById("timeline");
const data = JSON.parse(document.getElementById("timeline-data").textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const LOWEST = 0.0003, LANE = 0.00042, HIGHEST = Math.max(100, ...data.points.map((p) => p.percent ?? 0));
const SHAPES = {
  quantified: { symbol: "circle", hollow: false }, below: { symbol: "diamond", hollow: true },
  above: { symbol: "arrow", hollow: false }, undetected: { symbol: "triangle", rotate: 180, hollow: true },
  off_scale: { symbol: "pin", hollow: true }, not_evaluable: { symbol: "rect", size: 7, hollow: true }, waiting: { symbol: "roundRect", hollow: true },
};

function pointSeries(shape, ink, card, accent) {
  const look = SHAPES[shape];
  const shown = data.points.filter((p) => p.shape === shape);
  if (!shown.length) return null;
  return {
    name: data.words[shape], type: "scatter", symbol: look.symbol, symbolRotate: look.rotate ?? 0, symbolSize: look.size ?? 11,
    itemStyle: { color: look.hollow ? card : accent, borderColor: look.hollow ? ink : accent, borderWidth: 1.6 },
    data: shown.map((p) => ({ value: [p.on, p.percent ?? LANE], words: p.words, symbol: p.lab_changed && shape === "quantified" ? "rect" : undefined })),
    z: 5,
  };
}

function bars(ink, accent) {
  const drugs = [...new Set(data.courses.map((c) => c.drug))];
  return {
    type: "custom", xAxisIndex: 1, yAxisIndex: 1, silent: false,
    data: data.courses.map((c) => ({ value: [drugs.indexOf(c.drug), c.from, c.to], words: `${c.label}\n${c.from} – ${c.open ? "…" : c.to}`, label: c.label })),
    renderItem: (params, api) => {
      const start = api.coord([api.value(1), api.value(0)]), end = api.coord([api.value(2), api.value(0)]);
      const height = api.size([0, 1])[1] * 0.62;
      return { type: "rect", shape: { x: start[0], y: start[1] - height / 2, width: Math.max(2, end[0] - start[0]), height, r: 3 }, style: { fill: accent, opacity: 0.55 } };
    },
    encode: { x: [1, 2], y: 0 },
  };
}

function options() {
  const ink = colour("--ink"), quiet = colour("--quiet"), line = colour("--line"), accent = colour("--accent"), card = colour("--card");
  const drugs = [...new Set(data.courses.map((c) => c.drug))];
  const narrow = holder.clientWidth < 560;
  const joined = data.points.filter((p) => p.percent && !["waiting", "off_scale"].includes(p.shape)).map((p) => [p.on, p.percent]);
  const time = (index, show) => ({ type: "time", gridIndex: index, min: data.from, max: data.to, axisLabel: { show, color: ink, hideOverlap: true }, axisTick: { show }, axisLine: { lineStyle: { color: quiet } }, splitLine: { show: false } });
  const lane = Math.max(1, drugs.length) * 24;
  return {
    animation: false, aria: { enabled: true }, textStyle: { color: ink },
    legend: { type: "scroll", textStyle: { color: ink }, top: 0, data: Object.keys(SHAPES).filter((s) => data.points.some((p) => p.shape === s)).map((s) => data.words[s]) },
    grid: [{ left: 62, right: narrow ? 16 : 108, top: 40, bottom: lane + 62 }, { left: 62, right: narrow ? 16 : 108, height: lane, bottom: 34 }],
    tooltip: { trigger: "item", renderMode: "richText", formatter: (shown) => shown.data.words ?? "" },
    xAxis: [time(0, false), time(1, true)],
    yAxis: [
      { type: "log", min: LOWEST, max: HIGHEST, name: data.words.axis, nameTextStyle: { color: quiet }, splitLine: { lineStyle: { color: line, opacity: 0.6 } }, axisLabel: { color: ink, formatter: (v) => (v < 0.0009 ? "" : String(Number(v.toPrecision(2)))) } },
      { type: "category", gridIndex: 1, data: drugs, axisLabel: { color: ink, fontSize: 11, width: 56, overflow: "truncate" }, axisTick: { show: false }, axisLine: { show: false } },
    ],
    series: [
      { type: "line", data: joined, symbol: "none", lineStyle: { color: accent, width: 1, opacity: 0.55 }, silent: true, z: 2,
        markLine: { silent: true, symbol: "none", precision: 8, data: [
          ...data.lines.map((l) => ({ yAxis: l.percent, lineStyle: { color: quiet, type: l.percent === 0.1 ? "solid" : "dashed" }, label: { show: !narrow, formatter: l.label, color: quiet, position: "end" } })),
          ...data.marks.map((m) => ({ xAxis: m.on, lineStyle: { color: ink, type: "dotted" }, label: { formatter: narrow ? "" : m.label, color: ink, position: "insideEndTop", rotate: 90, fontSize: 11 } })),
        ] } },
      ...Object.keys(SHAPES).map((shape) => pointSeries(shape, ink, card, accent)).filter(Boolean),
      ...(data.courses.length ? [bars(ink, accent)] : []),
    ],
  };
}

const chart = window.echarts.init(holder, null, { renderer: "canvas" });
chart.setOption(options());
addEventListener("resize", () => { chart.resize(); chart.setOption(options(), true); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.setOption(options(), true));
