#!/usr/bin/env python3
"""What January 2013 really was, computed straight from the CSV, and whether the airport example agrees.

    check.py                                   print the truth as text
    check.py --json                            print the truth as JSON, in the shape of the program's summary
    check.py --summary FILE [--output FILE]    compare the program's summary (airport --once --summary FILE) and,
                                               if given, what it printed; exit 1 with a list of differences

It shares no code with the example: Python's standard library only. The rules it applies are those of the example's
README: a flight departs at its scheduled time + dep_delay and belongs to the UTC hour in which it departed; it has
arrived if air_time is known; it is cancelled if dep_time is not.
"""

import argparse
import csv
import datetime
import gzip
import io
import json
import math
import pathlib
import re
import sys
import zipfile

DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "airport" / "data"
WORST_HOUR_DEPARTURES = 10  # hours with fewer departures say nothing about an airport
SHOWN = 20  # differences of one kind that are printed


def open_csv(path):
    """Open a CSV file: plain, gzipped, or the only member of a zip archive."""
    path = pathlib.Path(path)
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def rfc3339(t):
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def january(path, days):
    """Yield the rows of January 2013 up to the given day, and refuse ids that repeat."""
    seen = set()
    with open_csv(path) as file:
        for row in csv.DictReader(file):
            if row["month"] != "1" or int(row["day"]) > days:
                continue
            flight = "2013-01-%02d.%s.%s.%s" % (int(row["day"]), row["carrier"], row["flight"], row["origin"])
            if flight in seen:
                sys.exit(f"{path}: flight id {flight} repeats")
            seen.add(flight)
            yield row


def compute(flights, airlines, days):
    with open_csv(airlines) as file:
        names = {row["carrier"]: row["name"] for row in csv.DictReader(file)}
    scheduled = cancelled = departed = arrived = 0
    routes, windows, hours = {}, {}, {}
    for row in january(flights, days):
        scheduled += 1
        if row["dep_time"] == "NA":
            cancelled += 1
            continue
        departed += 1
        arrived += row["air_time"] != "NA"
        route = row["origin"] + "-" + row["dest"]
        routes[route] = routes.get(route, 0) + 1
        delay = int(row["dep_delay"])
        hour = datetime.datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ")
        departure = hour + datetime.timedelta(minutes=int(row["minute"]) + delay)
        start = departure.replace(minute=0)
        windows.setdefault((row["carrier"], start), []).append(delay)
        hours.setdefault(start, []).append(delay)
    crowded = {start: delays for start, delays in hours.items() if len(delays) >= WORST_HOUR_DEPARTURES}
    worst = min(crowded, key=lambda start: (-sum(crowded[start]) / len(crowded[start]), start), default=None)
    return {
        "scheduled": scheduled,
        "cancelled": cancelled,
        "departed": departed,
        "arrived": arrived,
        "routes": [
            {"route": route, "departures": n} for route, n in sorted(routes.items(), key=lambda kv: (-kv[1], kv[0]))
        ],
        "windows": [
            {
                "start": rfc3339(start),
                "end": rfc3339(start + datetime.timedelta(hours=1)),
                "carrier": carrier,
                "airline": names[carrier],
                "departures": len(delays),
                "meanDelayMinutes": sum(delays) / len(delays),
                "maxDelayMinutes": max(delays),
            }
            for (carrier, start), delays in sorted(windows.items())
        ],
        "worstHour": worst
        and {
            "start": rfc3339(worst),
            "departures": len(crowded[worst]),
            "meanDelayMinutes": sum(crowded[worst]) / len(crowded[worst]),
            "maxDelayMinutes": max(crowded[worst]),
        },
    }


def counts_line(s):
    return "scheduled %d, cancelled %d, departed %d, arrived %d" % tuple(
        s[name] for name in ("scheduled", "cancelled", "departed", "arrived")
    )


def print_truth(truth):
    print(counts_line(truth))
    worst = truth["worstHour"]
    print("worst hour %(start)s: %(departures)d departures, mean delay %(meanDelayMinutes).1f min, "
          "max %(maxDelayMinutes)d min" % worst)
    print(f"{len(truth['routes'])} routes:")
    for route in truth["routes"]:
        print(f"  {route['route']} {route['departures']}")
    print(f"{len(truth['windows'])} windows of carrier and hour:")
    for w in truth["windows"]:
        print("  %(start)s %(carrier)s departures %(departures)d mean %(meanDelayMinutes).4f "
              "max %(maxDelayMinutes)d %(airline)s" % w)


def same(want, got):
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and all(same(want[k], got[k]) for k in want)
    number = (int, float)
    if isinstance(want, number) and isinstance(got, number) and not isinstance(got, bool):
        return math.isclose(want, got, rel_tol=1e-9, abs_tol=1e-9)
    return type(want) is type(got) and want == got


def compare(truth, summary):
    """Return the differences as lines of text."""
    differences = []
    for name in ("scheduled", "cancelled", "departed", "arrived", "worstHour"):
        if not same(truth[name], summary.get(name)):
            differences.append(f"{name}: want {truth[name]}, got {summary.get(name)}")
    for name, key in (("routes", lambda r: r["route"]), ("windows", lambda w: (w["carrier"], w["start"]))):
        if not isinstance(summary.get(name), list):
            differences.append(f"{name}: the summary has none")
            continue
        want, got = {key(e): e for e in truth[name]}, {key(e): e for e in summary[name]}
        found = []
        if len(got) != len(summary[name]):
            found.append(f"{name}: {len(summary[name]) - len(got)} entries repeat")
        for k in sorted(want.keys() | got.keys()):
            if k not in got:
                found.append(f"{name}: missing {want[k]}")
            elif k not in want:
                found.append(f"{name}: unexpected {got[k]}")
            elif not same(want[k], got[k]):
                found.append(f"{name}: want {want[k]}\n{' ' * len(name)}   got {got[k]}")
        differences += found[:SHOWN]
        if len(found) > SHOWN:
            differences.append(f"{name}: and {len(found) - SHOWN} more")
    if not differences and truth["routes"] != summary["routes"]:
        order = [r["departures"] for r in summary["routes"]]
        if order != sorted(order, reverse=True):
            differences.append("routes: not in the order of departures, largest first")
    return differences


def compare_output(truth, text):
    """The line of counts must be there, and every line that looks like it must say the same."""
    lines = re.findall(r"scheduled \d+, cancelled \d+, departed \d+, arrived \d+", text)
    want = counts_line(truth)
    if not lines:
        return [f"output: no line says {want!r}"]
    return [f"output: want {want!r}, got {line!r}" for line in lines if line != want]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flights", default=DATA / "flights.csv.gz", help="flights.csv, .csv.gz or .csv.zip")
    parser.add_argument("--airlines", default=DATA / "airlines.csv.gz", help="airlines.csv or .csv.gz")
    parser.add_argument("--limit-days", type=int, default=31, help="only the first days of January")
    parser.add_argument("--json", action="store_true", help="print the truth as JSON")
    parser.add_argument("--summary", help="JSON summary of the program to compare with the truth")
    parser.add_argument("--output", help="what the program printed, to compare its line of counts")
    args = parser.parse_args()

    truth = compute(args.flights, args.airlines, args.limit_days)
    if args.json:
        json.dump(truth, sys.stdout, indent=1)
        print()
    elif not args.summary and not args.output:
        print_truth(truth)
    differences = []
    if args.summary:
        with open(args.summary, encoding="utf-8") as file:
            differences += compare(truth, json.load(file))
    if args.output:
        differences += compare_output(truth, pathlib.Path(args.output).read_text(encoding="utf-8"))
    for difference in differences:
        print(difference, file=sys.stderr)
    if differences:
        sys.exit(1)
    if args.summary or args.output:
        print(f"the airport agrees with the CSV: {counts_line(truth)}, "
              f"{len(truth['routes'])} routes, {len(truth['windows'])} windows of carrier and hour")


if __name__ == "__main__":
    main()
