//! Writes metrics in CloudWatch's embedded metric format, one line for each invocation.

use std::io::Write;

use ecsrunner_engine::metrics::{Metric, Unit};
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "ecsrunner";
/// The only dimension. Each further one would multiply the bill.
const DIMENSION: &str = "Deployment";
/// The most values of one metric in one line, by the format's specification.
const MAX_VALUES: usize = 100;

/// Formats the lines: none if nothing was measured, otherwise nearly always one.
pub(crate) fn lines(deployment: &str, millis: i64, mut measured: Vec<(Metric, Vec<f64>)>) -> Vec<String> {
    let mut lines = Vec::new();
    while !measured.is_empty() {
        let rest = measured.iter_mut().filter(|(_, values)| values.len() > MAX_VALUES);
        let rest = rest.map(|(metric, values)| (*metric, values.split_off(MAX_VALUES))).collect();
        lines.push(line(deployment, millis, &measured));
        measured = rest;
    }
    lines
}

fn line(deployment: &str, millis: i64, measured: &[(Metric, Vec<f64>)]) -> String {
    let metrics: Vec<Value> = measured
        .iter()
        .map(|(metric, _)| json!({"Name": metric.as_str(), "Unit": metric.unit().as_str()}))
        .collect();
    let mut line = Map::new();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
    line.insert("_aws".to_owned(), json!({"Timestamp": millis, "CloudWatchMetrics": [directive]}));
    line.insert(DIMENSION.to_owned(), deployment.into());
    for (metric, values) in measured {
        let value = match (metric.unit(), values.as_slice()) {
            (Unit::Milliseconds, values) => json!(values),
            (_, values) => json!(values.first()),
        };
        line.insert(metric.as_str().to_owned(), value);
    }
    Value::Object(line).to_string()
}

/// Writes a line to stdout, which Lambda collects.
pub(crate) fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    // If stdout is closed, the error cannot be reported anywhere.
    let _told = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_cloudwatch_each_metric_with_its_unit() {
        let measured = [(Metric::JobsSucceeded, vec![2.0]), (Metric::QueueWait, vec![1500.0, 20.0])];
        let line: Value = serde_json::from_str(&line("ci", 7, &measured)).unwrap();
        assert_eq!(
            line,
            json!({
                "_aws": {"Timestamp": 7, "CloudWatchMetrics": [{
                    "Namespace": "ecsrunner",
                    "Dimensions": [["Deployment"]],
                    "Metrics": [{"Name": "JobsSucceeded", "Unit": "Count"}, {"Name": "QueueWait", "Unit": "Milliseconds"}],
                }]},
                "Deployment": "ci",
                "JobsSucceeded": 2.0,
                "QueueWait": [1500.0, 20.0],
            })
        );
    }

    #[test]
    fn nothing_measured_is_no_line() {
        assert_eq!(lines("ci", 7, Vec::new()), Vec::<String>::new());
    }

    #[test]
    fn more_values_than_a_line_holds_go_on_in_further_lines() {
        let waits = (0..250).map(f64::from).collect();
        let lines = lines("ci", 7, vec![(Metric::JobsOpen, vec![3.0]), (Metric::QueueWait, waits)]);
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let counts = lines.iter().map(|line| line["QueueWait"].as_array().unwrap().len());
        assert_eq!(counts.collect::<Vec<_>>(), [100, 100, 50]);
        let open = lines.iter().map(|line| line["JobsOpen"].as_f64());
        assert_eq!(open.collect::<Vec<_>>(), [Some(3.0), None, None], "a level is told once");
    }
}
