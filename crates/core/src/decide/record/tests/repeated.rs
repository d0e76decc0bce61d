//! Tests of a second `queued` event of a job that still waits.

use super::*;

#[test]
fn a_second_queued_event_plans_again_only_while_the_first_may_not_have_been_planned() {
    let second = |millis| {
        let mut book = Book::default();
        book.tell(&queued(7));
        let told = book.tell(&job_event(7, JobAction::Queued, millis));
        assert_eq!(told.changes, []);
        told.replan
    };
    assert!(second(180_000), "an invocation that failed is tried again within three minutes");
    assert!(!second(310_000), "a sweep has planned it");
}
