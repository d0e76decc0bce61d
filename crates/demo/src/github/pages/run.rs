//! The pages of a run and of a job: steps, logs, outputs and annotations as they come.

use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use ecsrunner_core::id::{JobId, RunId};
use ecsrunner_core::text::html_escaped as escaped;

use super::html::{live, not_found};
use super::{App, page};
use crate::github::job::{Job, Run};
use crate::github::job_log::without_times;
use crate::github::state::State;

/// The part of a log that is shown, in bytes. It is the end of the log.
const MAX_LOG_BYTES: usize = 1 << 20;

pub(super) async fn run(
    Extract(shared): App,
    Path((owner, name, run)): Path<(String, String, RunId)>,
) -> Response {
    let state = shared.state();
    match state.runs.get(&run).filter(|run| is_of(run, &owner, &name)) {
        Some(run) => page(StatusCode::OK, state.run_page(run)),
        None => page(StatusCode::NOT_FOUND, not_found()),
    }
}

pub(super) async fn job(
    Extract(shared): App,
    Path((owner, name, run, job)): Path<(String, String, RunId, JobId)>,
) -> Response {
    let state = shared.state();
    let run = state.runs.get(&run).filter(|run| is_of(run, &owner, &name));
    let job = state.jobs.get(&job).filter(|job| run.is_some_and(|run| run.id == job.run));
    match (run, job) {
        (Some(run), Some(job)) => page(StatusCode::OK, state.job_page(run, job)),
        _ => page(StatusCode::NOT_FOUND, not_found()),
    }
}

fn is_of(run: &Run, owner: &str, name: &str) -> bool {
    let repository = &run.repository;
    repository.owner().eq_ignore_ascii_case(owner) && repository.name().eq_ignore_ascii_case(name)
}

impl State {
    fn run_page(&self, run: &Run) -> String {
        let (status, conclusion) = self.run_status(run);
        let jobs: Vec<&Job> = run.jobs.iter().filter_map(|job| self.jobs.get(job)).collect();
        let rows: String = jobs.iter().map(|job| row(run, job)).collect();
        let more: String = jobs.iter().map(|job| findings(job, Some(&job.name))).collect();
        let body = format!(
            "<p>{}: {}</p><table><tr><th>Job</th><th>State</th><th>Step</th></tr>{rows}</table>{more}",
            escaped(&run.workflow),
            conclusion.unwrap_or(status),
        );
        live(&run.title, conclusion.is_none(), &body)
    }

    fn job_page(&self, run: &Run, job: &Job) -> String {
        let steps: String = job
            .steps
            .iter()
            .map(|step| {
                let state = match step.conclusion {
                    Some(conclusion) => conclusion.as_str(),
                    None if step.is_in_progress() => "in progress",
                    None => "",
                };
                format!("<tr><td>{}</td><td>{state}</td></tr>", escaped(&step.name))
            })
            .collect();
        let log = without_times(&job.whole_log().unwrap_or_default());
        let body = format!(
            "<p><a href=\"../../{}\">{}</a>: {}</p><table>{steps}</table>{}<h2>Log</h2><pre>{}</pre>",
            run.id,
            escaped(&run.title),
            state_of(job),
            findings(job, None),
            lines(&log),
        );
        live(&job.name, job.state.conclusion().is_none(), &body)
    }
}

fn state_of(job: &Job) -> &'static str {
    let status = job.state.status().unwrap_or("waits for other jobs");
    job.state.conclusion().map_or(status, |conclusion| conclusion.as_str())
}

fn row(run: &Run, job: &Job) -> String {
    let step = job.steps.iter().find(|step| step.is_in_progress());
    format!(
        "<tr><td><a href=\"{}/job/{}\">{}</a></td><td>{}</td><td>{}</td></tr>",
        run.id,
        job.id,
        escaped(&job.name),
        state_of(job),
        step.map(|step| escaped(&step.name)).unwrap_or_default()
    )
}

/// Lists the annotations and outputs of a job.
fn findings(job: &Job, name: Option<&str>) -> String {
    let before = name.map(|name| format!("{}: ", escaped(name))).unwrap_or_default();
    let text =
        |annotation: &serde_json::Value, key: &str| annotation[key].as_str().unwrap_or_default().to_owned();
    let annotations = job.annotations.iter().map(|annotation| {
        let level = text(annotation, "level").to_lowercase();
        let class = if level == "failure" { " class=\"error\"" } else { "" };
        // Without a path, the line is one of the log.
        let place = match (text(annotation, "path"), annotation["startLine"].as_u64()) {
            (path, Some(line)) if !path.is_empty() && line > 0 => format!(" {path}:{line}"),
            (path, _) if !path.is_empty() => format!(" {path}"),
            _ => String::new(),
        };
        let title = Some(text(annotation, "title")).filter(|title| !title.is_empty());
        let title = title.map(|title| format!("{title}: ")).unwrap_or_default();
        let told = format!("{level}{place}: {title}{}", text(annotation, "message"));
        format!("<li{class}>{before}{}</li>", escaped(&told))
    });
    let outputs = job.outputs.iter().map(|(output, value)| {
        format!("<li>{before}output {} = <code>{}</code></li>", escaped(output), escaped(value))
    });
    let items: String = annotations.chain(outputs).collect();
    if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
}

/// Returns the end of a log without colours, with its errors marked.
fn lines(log: &str) -> String {
    let from = (log.len().saturating_sub(MAX_LOG_BYTES)..=log.len()).find(|at| log.is_char_boundary(*at));
    let mut out = String::new();
    for line in log[from.unwrap_or_default()..].lines() {
        let plain = escaped(&without_colours(line));
        match plain.starts_with("##[error]") {
            true => out.push_str(&format!("<span class=\"error\">{plain}</span>\n")),
            false => out.push_str(&format!("{plain}\n")),
        }
    }
    out
}

/// Removes the sequences that colour text on a terminal.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shown_as_text_without_colours_and_with_its_errors_marked() {
        assert_eq!(
            lines("\u{1b}[31;1mred\u{1b}[0m <b>\n##[error]no"),
            "red &lt;b&gt;\n<span class=\"error\">##[error]no</span>\n"
        );
        let long = "ä".repeat(MAX_LOG_BYTES);
        assert!(lines(&long).len() <= MAX_LOG_BYTES + 1);
    }
}
