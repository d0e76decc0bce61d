#!/usr/bin/env python3
"""Checks that the dashboard and alarms read only emitted metrics, and that the dashboard shows all of them.

    metrics.py [PLAN.json]        a plan of terraform/modules/observe by default

docs/metrics.md has the list of metrics, which the engine's own test compares with the code. Names and dimensions are
those of the planned values, which CloudWatch would get.
"""

import json
import re

import plan

DOCUMENT = plan.ROOT / "docs/metrics.md"
MODULE = "observe"
NAMESPACE = "ecsrunner"
DIMENSION = "Deployment"


def documented(text: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def woken_for(text: str) -> set[str]:
    """The metrics in the paragraph on what should wake a person."""
    paragraph = text.split("What should wake a person:", 1)
    if len(paragraph) != 2:
        raise plan.Unreadable("docs/metrics.md does not say what should wake a person")
    return set(re.findall(r"`([A-Z]\w+)`", paragraph[1].split("\n\n", 1)[0]))


def without_graph(text: str) -> set[str]:
    """The metrics in the paragraph on what the dashboard has no room for."""
    paragraph = text.split("on no graph:", 1)
    return set(re.findall(r"`([A-Z]\w+)`", paragraph[1].split("\n\n", 1)[0])) if len(paragraph) == 2 else set()


def of_alarms(terraform: dict) -> list[tuple[str, dict]]:
    found = []
    for alarm in plan.planned(terraform, "aws_cloudwatch_metric_alarm"):
        if alarm.get("metric_name"):
            found.append((alarm["namespace"], alarm["metric_name"], alarm.get("dimensions") or {}))
        for query in alarm.get("metric_query") or []:
            for metric in query.get("metric") or []:
                found.append((metric["namespace"], metric["metric_name"], metric.get("dimensions") or {}))
    return [(name, dimensions) for namespace, name, dimensions in found if namespace == NAMESPACE]


def of_dashboards(terraform: dict) -> list[tuple[str, dict]]:
    found = []
    for dashboard in plan.planned(terraform, "aws_cloudwatch_dashboard"):
        if "dashboard_body" not in dashboard:
            raise plan.Unreadable("the dashboard's body is not known at plan time: something in it comes from AWS")
        for widget in json.loads(dashboard["dashboard_body"])["widgets"]:
            for line in widget["properties"].get("metrics", []):
                words = [word for word in line if isinstance(word, str)]
                if words and words[0] == NAMESPACE:
                    found.append((words[1], dict(zip(words[2::2], words[3::2]))))
    return found


def check(terraform: dict, text: str) -> tuple[list[str], str]:
    emitted, alarming = documented(text), woken_for(text)
    alarms, shown = of_alarms(terraform), of_dashboards(terraform)
    if not alarms or not shown:
        raise plan.Unreadable(f"the plan has {len(alarms)} alarms and {len(shown)} graphs for metrics of `{NAMESPACE}`: at least one of each is expected")
    mistakes = []
    for where, used in (("an alarm", alarms), ("the dashboard", shown)):
        for name, dimensions in used:
            if name not in emitted:
                mistakes.append(f"{where} reads `{name}`, which is not in docs/metrics.md")
            if list(dimensions) != [DIMENSION]:
                mistakes.append(f"{where} reads `{name}` by {sorted(dimensions) or 'no dimension'}: only `{DIMENSION}` is expected")
    mistakes += [f"`{name}` is emitted, but not on the dashboard" for name in sorted(emitted - without_graph(text) - {name for name, _ in shown})]
    mistakes += [f"`{name}` should have an alarm, but has none" for name in sorted(alarming - {name for name, _ in alarms})]
    return mistakes, f"{len(emitted)} metrics are documented; the dashboard shows all but {len(without_graph(text))}, {len({name for name, _ in alarms})} have an alarm"


if __name__ == "__main__":
    plan.report(MODULE, lambda terraform: check(terraform, DOCUMENT.read_text()))
