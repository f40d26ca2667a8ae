"""Rebuilds what lifelines and scipy can of the figures, from rows.csv, and prints what differs: python rebuild.py"""

import csv
import math
import platform
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from scipy import stats

MONTH = 30.4375
shown = {}
with open("figures.tsv", encoding="utf-8") as file:
    for line in file:
        place, _tab, value = line.rstrip("\n").partition("\t")
        shown[place] = float(value)
with open("settings.csv", encoding="utf-8") as file:
    setting = {row["name"]: row["value"] for row in csv.DictReader(file)}
rows = pd.read_csv("rows.csv", dtype=str, keep_default_na=False)
terms = pd.read_csv("terms.csv", dtype=str, keep_default_na=False)
members = rows[rows["included"] == "true"].copy()
members["days"] = members["days"].astype(int)
members["event"] = members["event"] == "true"
level = float(setting["level"])

seen: set[str] = set()
wrong = 0


def compare(place, value):
    """Print a figure that comes out differently."""
    global wrong
    if place not in shown or value is None or not math.isfinite(value):
        return
    seen.add(place)
    if abs(value - shown[place]) > 1e-6 * max(1e-3, abs(shown[place])):
        wrong += 1
        print(f"{place}\tsnapshot {shown[place]:.12g}\there {value:.12g}\tdifference {value - shown[place]:.3g}")


def curve(place, frame):
    """The curve with log-log limits, which is the one scale that lifelines has."""
    if not len(frame):
        return
    fit = KaplanMeierFitter(alpha=1 - level).fit(frame["days"], frame["event"])
    days = np.sort(frame["days"].unique())
    estimate = fit.survival_function_at_times(days).to_numpy()
    for position, value in enumerate(estimate):
        compare(f"{place}.points[{position}].estimate", float(value))
    limits = fit.confidence_interval_survival_function_
    position = 0
    while f"{place}.landmarks[{position}].months" in shown:
        at = f"{place}.landmarks[{position}]"
        day = shown[f"{at}.months"] * MONTH
        if day <= days[-1]:
            compare(f"{at}.estimate", float(fit.predict(day)))
            if setting["transform"] == "log-log" and fit.predict(day) > 0:
                lower, upper = limits[limits.index <= day].iloc[-1]
                compare(f"{at}.lower", float(lower))
                compare(f"{at}.upper", float(upper))
        compare(f"{at}.at_risk", float((frame["days"] >= day).sum()))
        position += 1


def model(place, columns):
    """A Cox model of the rows that have all of its columns."""
    frame = members[["days", "event", *columns]].replace("", np.nan).dropna().astype(dict.fromkeys(columns, float))
    try:
        fit = CoxPHFitter(alpha=1 - level).fit(frame, "days", "event", fit_options={"precision": 1e-12})
    except Exception as problem:  # a separated or constant column: the figures hold Firth's estimate or a warning
        print(f"{place}: lifelines cannot fit it ({type(problem).__name__})")
        return
    if fit.summary["se(coef)"].max() > 100:
        print(f"{place}: separated; the figures hold Firth's estimate")
        return
    for position, column in enumerate(columns):
        at = (
            place
            if len(columns) == 1 and place != "cox"
            else f"{place}{'.terms' if place == 'cox' else ''}[{position}]"
        )
        one = fit.summary.loc[column]
        compare(f"{at}.coef", float(one["coef"]))
        compare(f"{at}.se", float(one["se(coef)"]))
        compare(f"{at}.hr", float(one["exp(coef)"]))
        compare(f"{at}.p", float(one["p"]))


compare("counts.members", float(len(members)))
compare("counts.events", float(members["event"].sum()))
if setting["attempts"] == "first":
    curve("kaplan_meier", members)
    if setting["ties"] == "efron":
        for place, part in terms.groupby("place", sort=False):
            model(place, list(part["column"]))
    for name in (c for c in members.columns if c.startswith("group.")):
        frame = members[members[name] != ""]
        own = terms["group"].eq(name) & terms["place"].str.startswith("univariate")
        places = terms["place"][own]
        if not len(places):
            continue
        place = places.iloc[0].removesuffix(".cox")
        if frame[name].nunique() > 1 and frame["event"].any():
            test = multivariate_logrank_test(frame["days"], frame[name], frame["event"])
            compare(f"{place}.logrank.chi2", float(test.test_statistic))
        counts = pd.crosstab(frame[name], frame["event"])
        if counts.shape == (2, 2):
            compare(f"{place}.fisher_p", float(stats.fisher_exact(counts)[1]))
            compare(f"{place}.chi2_p", float(stats.chi2_contingency(counts, correction=False)[1]))
        labels = sorted(frame[name].unique(), key=lambda label: (label.startswith("<"), label))
        for position, label in enumerate(labels):
            curve(f"{place}.groups[{position}]", frame[frame[name] == label])

print(f"{len(seen) - wrong} figures agree, {wrong} differ, {len(shown) - len(seen)} are not rebuilt here")
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in ("lifelines", "pandas", "scipy")))
sys.exit(1 if wrong or not seen else 0)
