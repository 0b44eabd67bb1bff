#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads Prometheus text as its own library does, and says what is against the rules that promtool checks.
Usage: read_metrics.py FILE...   all of them as one, as node-exporter has them; prints lines NAME{LABEL="VALUE",...} NUMBER"""
import sys

from prometheus_client.parser import text_string_to_metric_families

UNITS = ("_seconds", "_bytes_total", "_info", "_total")
known = {}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert text.endswith("\n"), path + " does not end with a newline"
    lines = text.splitlines()
    names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE ")]
    helps = [line.split(" ")[2] for line in lines if line.startswith("# HELP ")]
    assert names == helps and len(set(names)) == len(names), path
    for name in names:
        assert name not in known, name + " is in two files"
        known[name] = path
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge"), family.name
        seen = set()
        for sample in family.samples:
            assert sample.name in names, sample.name + " has no TYPE"
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            labels = ",".join('%s="%s"' % pair for pair in sorted(sample.labels.items()))
            assert labels not in seen, sample.name + " twice with " + labels
            seen.add(labels)
            assert sample.value >= 0, sample.name
            print("%s%s %d" % (sample.name, "{" + labels + "}" if labels else "", sample.value))
# a gauge beside a counter of the same name is one thing too many for OpenMetrics
for name in known:
    assert not name.endswith("_total") or name[: -len("_total")] not in known, name
