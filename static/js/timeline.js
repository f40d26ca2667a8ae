// Draws one patient over time: % IS on a logarithmic axis with the response limits, treatment bars on the same time
// axis. What is not evaluable stands in a lane of its own at the bottom; zero never reaches the logarithmic axis.

import { drawChart, readData } from "./charts.js";

const holder = document.getElementById("timeline");
const data = readData("timeline-data");
const LOWEST_PERCENT = 0.0003;
const LANE_PERCENT = 0.00042; // where results without a value stand
const HIGHEST_PERCENT = Math.max(100, ...data.points.map((point) => point.percent ?? 0));
const SHAPES = {
  quantified: { symbol: "circle", hollow: false },
  below: { symbol: "diamond", hollow: true },
  above: { symbol: "arrow", hollow: false },
  undetected: { symbol: "triangle", rotate: 180, hollow: true },
  off_scale: { symbol: "pin", hollow: true },
  not_evaluable: { symbol: "rect", size: 7, hollow: true },
  waiting: { symbol: "roundRect", hollow: true },
};
const NOT_JOINED = ["waiting", "off_scale"];
const drugs = [...new Set(data.courses.map((course) => course.drug))];
const drugLaneHeight = Math.max(1, drugs.length) * 24;
const pointsOf = (shape) => data.points.filter((point) => point.shape === shape);
const usedShapes = Object.keys(SHAPES).filter((shape) => pointsOf(shape).length);

function pointSeries(shape, { ink, card, accent }) {
  const { symbol, rotate = 0, size = 11, hollow } = SHAPES[shape];
  const otherLaboratory = (point) => point.lab_changed && shape === "quantified";
  return {
    name: data.words[shape],
    type: "scatter",
    symbol,
    symbolRotate: rotate,
    symbolSize: size,
    itemStyle: { color: hollow ? card : accent, borderColor: hollow ? ink : accent, borderWidth: 1.6 },
    data: pointsOf(shape).map((point) => ({
      value: [point.on, point.percent ?? LANE_PERCENT],
      words: point.words,
      symbol: otherLaboratory(point) ? "rect" : undefined,
    })),
    z: 5,
  };
}

function limitLine(limit, quiet, narrow) {
  return {
    yAxis: limit.percent,
    lineStyle: { color: quiet, type: limit.percent === 0.1 ? "solid" : "dashed" },
    label: { show: !narrow, formatter: limit.label, color: quiet, position: "end" },
  };
}

function eventLine(mark, ink, narrow) {
  return {
    xAxis: mark.on,
    lineStyle: { color: ink, type: "dotted" },
    label: {
      formatter: narrow ? "" : mark.label,
      color: ink,
      position: "insideEndTop",
      rotate: 90,
      fontSize: 11,
    },
  };
}

/** The line that joins values, and with it the limits of the classes and the events. */
function joinedSeries({ ink, quiet, accent }, narrow) {
  const joined = data.points.filter((point) => point.percent && !NOT_JOINED.includes(point.shape));
  return {
    type: "line",
    data: joined.map((point) => [point.on, point.percent]),
    symbol: "none",
    lineStyle: { color: accent, width: 1, opacity: 0.55 },
    silent: true,
    z: 2,
    markLine: {
      silent: true,
      symbol: "none",
      precision: 8,
      data: [
        ...data.lines.map((limit) => limitLine(limit, quiet, narrow)),
        ...data.marks.map((mark) => eventLine(mark, ink, narrow)),
      ],
    },
  };
}

function drugBar(api, accent) {
  const [lane, from, to] = [api.value(0), api.value(1), api.value(2)];
  const [left, middle] = api.coord([from, lane]);
  const [right] = api.coord([to, lane]);
  const height = api.size([0, 1])[1] * 0.62;
  return {
    type: "rect",
    shape: { x: left, y: middle - height / 2, width: Math.max(2, right - left), height, r: 3 },
    style: { fill: accent, opacity: 0.55 },
  };
}

function treatmentSeries({ accent }) {
  return {
    type: "custom",
    xAxisIndex: 1,
    yAxisIndex: 1,
    silent: false,
    data: data.courses.map((course) => ({
      value: [drugs.indexOf(course.drug), course.from, course.to],
      words: `${course.label}\n${course.from} – ${course.open ? "…" : course.to}`,
      label: course.label,
    })),
    renderItem: (_params, api) => drugBar(api, accent),
    encode: { x: [1, 2], y: 0 },
  };
}

function timeAxis(gridIndex, isShown, { ink, quiet }) {
  return {
    type: "time",
    gridIndex,
    min: data.from,
    max: data.to,
    axisLabel: { show: isShown, color: ink, hideOverlap: true },
    axisTick: { show: isShown },
    axisLine: { lineStyle: { color: quiet } },
    splitLine: { show: false },
  };
}

function percentAxis({ ink, quiet, line }) {
  return {
    type: "log",
    min: LOWEST_PERCENT,
    max: HIGHEST_PERCENT,
    name: data.words.axis,
    nameTextStyle: { color: quiet },
    splitLine: { lineStyle: { color: line, opacity: 0.6 } },
    axisLabel: { color: ink, formatter: (value) => (value < 0.0009 ? "" : String(Number(value.toPrecision(2)))) },
  };
}

function drugAxis({ ink }) {
  return {
    type: "category",
    gridIndex: 1,
    data: drugs,
    axisLabel: { color: ink, fontSize: 11, width: 56, overflow: "truncate" },
    axisTick: { show: false },
    axisLine: { show: false },
  };
}

function options(colours) {
  const narrow = holder.clientWidth < 560;
  const sides = { left: 62, right: narrow ? 16 : 108 };
  return {
    animation: false,
    aria: { enabled: true },
    textStyle: { color: colours.ink },
    legend: {
      type: "scroll",
      textStyle: { color: colours.ink },
      top: 0,
      data: usedShapes.map((shape) => data.words[shape]),
    },
    grid: [
      { ...sides, top: 40, bottom: drugLaneHeight + 62 },
      { ...sides, height: drugLaneHeight, bottom: 34 },
    ],
    tooltip: { trigger: "item", renderMode: "richText", formatter: (shown) => shown.data.words ?? "" },
    xAxis: [timeAxis(0, false, colours), timeAxis(1, true, colours)],
    yAxis: [percentAxis(colours), drugAxis(colours)],
    series: [
      joinedSeries(colours, narrow),
      ...usedShapes.map((shape) => pointSeries(shape, colours)),
      ...(data.courses.length ? [treatmentSeries(colours)] : []),
    ],
  };
}

drawChart(holder, options);
