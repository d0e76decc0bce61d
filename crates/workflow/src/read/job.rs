//! The jobs of a workflow.

use crate::expression;
use crate::matrix;
use crate::model::{Body, Job, StepsJob};
use crate::problem::Position;
use crate::run;
use crate::token::{Content, Token};

use super::names::Names;
use super::{Reader, filled};

impl Reader<'_, '_> {
    pub(super) fn jobs(&mut self, jobs: &Token) -> Vec<Job> {
        let mut names = Names::default();
        if jobs.entries().is_empty() {
            self.faults.add(jobs.at, "there are no jobs: at least one is needed");
        }
        let mut read = Vec::new();
        for (key, value) in jobs.entries() {
            let id = key.text().unwrap_or_default();
            if let Err(wrong) = names.take(&id) {
                self.faults.add(key.at, wrong);
            }
            if let Content::Map(_) = value.content {
                read.push((self.job(&id, key.at, value), needed(value)));
            }
        }
        self.link_needs(read)
    }

    fn job(&mut self, id: &str, at: Position, value: &Token) -> Job {
        let owned = |key: &str| value.get(key).cloned();
        if let Some(strategy) = value.get("strategy") {
            for (at, text) in matrix::early_faults(strategy) {
                self.faults.add(at, text);
            }
        }
        if let Some(concurrency) = value.get("concurrency") {
            self.concurrency(concurrency);
        }
        let body = match value.get("uses") {
            Some(uses) => self.call(uses, value),
            None => Body::Steps(Box::new(self.steps_job(value))),
        };
        Job {
            id: id.to_owned(),
            at,
            name: owned("name").filter(|name| name.text().is_none_or(|text| !text.is_empty())),
            written_name: None,
            needs: Vec::new(),
            condition: condition(value.get("if")),
            strategy: owned("strategy"),
            permissions: owned("permissions"),
            concurrency: owned("concurrency"),
            body,
        }
    }

    fn steps_job(&mut self, value: &Token) -> StepsJob {
        let owned = |key: &str| value.get(key).cloned();
        let runs_on = value.get("runs-on").cloned();
        if let Some(snapshot) = value.get("snapshot") {
            let text =
                "`snapshot` makes an image of a GitHub-hosted runner, which self-hosted runners cannot";
            self.faults.add(snapshot.at, text);
        }
        for key in ["timeout-minutes", "cancel-timeout-minutes"] {
            self.minutes(key, value.get(key));
        }
        if let Some(runs_on) = &runs_on {
            self.runs_on(runs_on);
        }
        if let Some(limit) = value.get("cancel-timeout-minutes") {
            self.faults.note(limit.at, "`cancel-timeout-minutes` has no effect here: it is 5 minutes");
        }
        self.images(value);
        StepsJob {
            runs_on: runs_on.unwrap_or(Token { at: value.at, content: Content::Null }),
            timeout_minutes: owned("timeout-minutes"),
            continue_on_error: owned("continue-on-error"),
            env: filled(owned("env")),
            defaults: filled(owned("defaults")),
            outputs: filled(owned("outputs")),
            container: owned("container").filter(|token| token.text().is_none_or(|text| !text.is_empty())),
            services: filled(owned("services")),
            environment: owned("environment")
                .filter(|token| token.text().is_none_or(|text| !text.is_empty())),
            steps: value.get("steps").map(|steps| self.steps(steps)).unwrap_or_default(),
        }
    }

    fn minutes(&mut self, key: &str, value: Option<&Token>) {
        if let Some(Token { at, content: Content::Number(minutes) }) = value
            && *minutes < 1.0
        {
            self.faults.add(*at, format!("`{key}` is {minutes}: at least 1 minute is expected"));
        }
    }

    fn runs_on(&mut self, runs_on: &Token) {
        if let Content::Map(entries) = &runs_on.content {
            if entries.is_empty() {
                self.faults.add(runs_on.at, "`runs-on` is empty: `group`, `labels` or both are needed");
            }
            if let Some(group) = runs_on.get("group")
                && let Some(name) = group.text()
                && let Err(wrong) = run::check_group(&name)
            {
                self.faults.add(group.at, wrong);
            }
        } else if matches!(&runs_on.content, Content::List(items) if items.is_empty()) {
            self.faults.add(runs_on.at, "`runs-on` is empty: at least one label is needed");
        }
    }

    /// Checks that a service, and a container with a scheme, has an image.
    fn images(&mut self, value: &Token) {
        let image = |token: &Token| match &token.content {
            Content::Map(_) => token.get("image").map_or(Some(String::new()), Token::text),
            _ => token.text(),
        };
        let mut wrong: Vec<(Position, &str)> = Vec::new();
        for (_, service) in value.get("services").map(Token::entries).unwrap_or_default() {
            if image(service).is_some_and(|image| image.trim_start_matches("docker://").is_empty()) {
                wrong.push((service.at, "the service has no image"));
            }
        }
        if let Some(container) = value.get("container")
            && image(container).is_some_and(|image| image == "docker://")
        {
            wrong.push((container.at, "the container has no image"));
        }
        wrong.into_iter().for_each(|(at, text)| self.faults.add(at, text));
    }
}

/// Returns the ids that a job needs, with their places.
fn needed(job: &Token) -> Vec<(String, Position)> {
    let Some(needs) = job.get("needs") else { return Vec::new() };
    let all = match &needs.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![needs],
    };
    all.into_iter().filter_map(|need| Some((need.text()?, need.at))).collect()
}

/// Returns a condition as GitHub completes it.
pub(super) fn condition(written: Option<&Token>) -> String {
    match written.map(|token| &token.content) {
        Some(Content::Expression(expression)) => expression::completed(expression),
        Some(Content::Text(text)) => expression::completed(text),
        _ => expression::completed(""),
    }
}
