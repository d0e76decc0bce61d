//! `ecsrunner jobs list`.

use ecsrunner_api::job::JobView;
use ecsrunner_core::wire::job::Conclusion;
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::ListJobs;
use crate::deployment::{Deployment, Query, State};
use crate::exit::Failure;
use crate::output::{self, Rows, between, or_none, print, span_or_none};

#[derive(Serialize)]
struct Document<'a> {
    jobs: &'a [JobView],
}

pub(super) async fn list(arguments: &ListJobs) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let mut query = Query::of(&arguments.past);
    query.class.clone_from(&arguments.class);
    query.state = arguments.state.map(State::Job);
    let jobs = deployment.jobs(&query).await?;
    if arguments.format.json {
        output::print_json(&Document { jobs: &jobs })?;
    } else {
        print(&text(&jobs, output::is_for_people(), Timestamp::now()))?;
    }
    Ok(())
}

fn text(jobs: &[JobView], for_people: bool, now: Timestamp) -> String {
    if for_people && jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut rows = Rows::new(["JOB", "STATE", "REPOSITORY", "NAME", "CLASS", "SINCE>", "RESULT"]);
    for job in jobs {
        let reason = job.reason.as_ref().map(|reason| reason.text.as_str());
        rows.add([
            job.id.to_string(),
            job.state.to_string(),
            job.repository.clone(),
            job.name.clone(),
            or_none(job.class.as_deref()),
            span_or_none(between(job.timeline.last().map(|stage| stage.at), Some(now))),
            // People get the reason below the row.
            or_none(reason.filter(|_| !for_people).or(job.conclusion.as_ref().map(Conclusion::as_str))),
        ]);
        reason.iter().for_each(|reason| rows.note(reason));
    }
    rows.text(for_people)
}
