//! Tests of jobs for which GitHub gives no answer any more.

use super::*;

const DAY_MILLIS: i64 = 24 * 3_600_000;

/// Scenario R: the App was uninstalled while a job ran, so no webhook comes and no question is answered.
#[test]
fn a_running_job_that_github_no_longer_answers_for_ends_after_githubs_own_limit() {
    let mut book = Book::default();
    book.tell(&queued(7));
    book.tell(&in_progress(7));
    let mut ended_on = None;
    for day in 1..=90 {
        let Some(JobRecord::Open(job)) = book.jobs.get(&JobId::new(7)) else {
            ended_on = Some(day - 1);
            break;
        };
        let answer = JobAnswer {
            job: job.id(),
            asked: job.version,
            on_behalf_of: None,
            outcome: JobOutcome::Unanswered,
            at: at(day * DAY_MILLIS),
        };
        book.tell(&Event::JobAnswer(answer));
    }
    assert_eq!(ended_on, Some(6), "GitHub ends it after five days");
    let record = book.jobs.get(&JobId::new(7));
    assert!(
        matches!(record, Some(JobRecord::Ended(EndedJob { ending: JobEnding::Completed { .. }, .. }))),
        "{record:?}"
    );
}
