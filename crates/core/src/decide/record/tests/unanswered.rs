//! Tests of jobs for which GitHub gives no answer any more.

use super::*;

const DAY_MILLIS: i64 = 24 * 3_600_000;

/// Scenario R: the App was uninstalled while a job ran, so no webhook comes and no question is answered.
/// Must be: the job ends after GitHub's own limits and does not stay open forever.
#[test]
fn a_running_job_that_github_no_longer_answers_for_stays_open() {
    let mut book = Book::default();
    book.tell(&queued(7));
    book.tell(&in_progress(7));
    for day in 1..=90 {
        let Some(JobRecord::Open(job)) = book.jobs.get(&JobId::new(7)) else {
            panic!("it ended on day {day}")
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
    let record = book.jobs.get(&JobId::new(7));
    assert!(matches!(record, Some(JobRecord::Open(_))), "{record:?}");
}
