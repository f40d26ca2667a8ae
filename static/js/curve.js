// Draws the Kaplan–Meier curve with its band; the risk table hangs on the same axis, under each tick.

import { drawChart, readData } from "./charts.js";

const data = readData("curve-data");
const words = data.words;
const percent = (value) => (value * 100).toFixed(1);
// A step is [months, estimate, lower limit, upper limit]; the limits are null where there is no interval.
const withLimits = data.steps.filter((step) => step[2] !== null);
const atRisk = new Map(data.ticks.map((tick) => [tick.months, tick.at_risk]));

function stepAt(months) {
  return data.steps.filter((step) => step[0] <= months).pop() ?? data.steps[0];
}

function tooltipWords(shown) {
  const months = shown[0].axisValue;
  const [, estimate, lower, upper] = stepAt(months);
  const limits = lower === null ? "" : ` (${percent(lower)}–${percent(upper)})`;
  return `${Number(months).toFixed(1)} ${words.months}\n${percent(estimate)} %${limits}`;
}

function monthsAxis({ ink, quiet }) {
  return {
    type: "value",
    min: 0,
    max: data.ticks.at(-1).months,
    interval: data.step_months,
    name: `${words.months} · ${words.at_risk}`,
    nameLocation: "middle",
    nameGap: 52,
    nameTextStyle: { color: quiet },
    axisLine: { lineStyle: { color: quiet } },
    splitLine: { show: false },
    axisLabel: {
      color: ink,
      lineHeight: 18,
      formatter: (months) => `${months}\n${atRisk.get(months) ?? ""}`,
    },
  };
}

function proportionAxis({ ink, line }) {
  return {
    type: "value",
    min: 0,
    max: 1,
    interval: 0.25,
    splitLine: { lineStyle: { color: line } },
    axisLabel: { color: ink, formatter: (value) => `${Math.round(value * 100)} %` },
  };
}

/** The lower limit unseen, and on top of it the height of the band. */
function bandSeries({ accent }) {
  const unseen = { type: "line", step: "end", stack: "band", symbol: "none", lineStyle: { opacity: 0 }, silent: true };
  return [
    { ...unseen, data: withLimits.map(([months, , lower]) => [months, lower]) },
    {
      ...unseen,
      name: words.band,
      data: withLimits.map(([months, , lower, upper]) => [months, upper - lower]),
      stackStrategy: "all",
      itemStyle: { color: accent },
      areaStyle: { color: accent, opacity: 0.18 },
    },
  ];
}

function curveSeries({ accent }) {
  return {
    name: words.curve,
    type: "line",
    step: "end",
    data: data.steps.map(([months, estimate]) => [months, estimate]),
    symbol: "none",
    itemStyle: { color: accent },
    lineStyle: { color: accent, width: 2.5 },
  };
}

function censoredSeries({ ink }) {
  return {
    name: words.censored,
    type: "scatter",
    data: data.censored,
    symbol: "rect",
    symbolSize: [2, 12],
    itemStyle: { color: ink },
  };
}

function options(colours) {
  return {
    animation: false,
    aria: { enabled: true },
    textStyle: { color: colours.ink },
    legend: { data: [words.curve, words.band, words.censored], textStyle: { color: colours.ink }, top: 0 },
    grid: { left: 58, right: 24, top: 56, bottom: 84 },
    tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "line" }, formatter: tooltipWords },
    xAxis: monthsAxis(colours),
    yAxis: proportionAxis(colours),
    series: [...bandSeries(colours), curveSeries(colours), censoredSeries(colours)],
  };
}

drawChart(document.getElementById("curve"), options);
