//! Classifies ECS's answers: one table for exceptions, `failures[]` and the
//! messages in both.

use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::operation::stop_task::StopTaskError;
use ecsrunner_core::id::TaskId;
use ecsrunner_engine::ports::compute::ComputeError;

use crate::fault::Fault;
use crate::task::{task_id, tells_of_capacity};

const RUN_TASK: &str = "RunTask";

/// The meaning of an answer without a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    NoCapacity,
    Throttled,
    /// The effect is unknown: repeat the call with the same token.
    Unanswered,
    Refused,
}

/// Parts of messages about throttling, in lower case. Fargate's own calls to
/// EC2 can be throttled: `Error retrieving subnet information for […]: Rate
/// exceeded (ErrorCode: Throttling)`, as an `InvalidParameterException`.
const THROTTLE_WORDS: [&str; 6] = [
    "rate exceeded",
    "throttl",
    "too many requests",
    "too many concurrent",
    "request limit exceeded",
    "limit on the number of tasks you can launch",
];

const THROTTLE_CODES: [&str; 7] = [
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
];

fn tells_of_throttling(words: &str) -> bool {
    let words = words.to_lowercase();
    THROTTLE_WORDS.iter().any(|some| words.contains(some))
}

/// Classifies an entry of `failures[]`. `AGENT`, `ATTRIBUTE`, `LOCATION` and
/// `MISSING` are caused by the request and are permanent.
fn meaning_of_failure(reason: &str, detail: &str) -> Meaning {
    if reason.starts_with("RESOURCE") || tells_of_capacity(reason) || tells_of_capacity(detail) {
        Meaning::NoCapacity
    } else if tells_of_throttling(reason) || tells_of_throttling(detail) {
        Meaning::Throttled
    } else {
        Meaning::Refused
    }
}

fn meaning_of_fault(fault: &Fault) -> Meaning {
    let Some(code) = fault.code.as_deref() else {
        return if fault.passes { Meaning::Unanswered } else { Meaning::Refused };
    };
    if tells_of_capacity(&fault.words) {
        Meaning::NoCapacity
    } else if THROTTLE_CODES.contains(&code) || tells_of_throttling(&fault.words) {
        Meaning::Throttled
    } else if fault.passes {
        Meaning::Unanswered
    } else {
        Meaning::Refused
    }
}

fn told(meaning: Meaning, operation: &'static str, message: String) -> ComputeError {
    match meaning {
        Meaning::NoCapacity => ComputeError::NoCapacity { message },
        Meaning::Throttled => ComputeError::Throttled { message, after: None },
        Meaning::Unanswered => ComputeError::Unanswered { operation, source: message.into() },
        Meaning::Refused => ComputeError::Refused { message },
    }
}

/// Reads the task from RunTask's answer.
pub(super) fn started(output: &RunTaskOutput) -> Result<TaskId, ComputeError> {
    if let Some(task) = output.tasks().iter().find_map(|task| task_id(task.task_arn()?)) {
        return Ok(task);
    }
    let Some(failure) = output.failures().first() else {
        let message = "the answer has no task and no failure".to_owned();
        return Err(told(Meaning::Unanswered, RUN_TASK, message));
    };
    let (reason, detail) = (failure.reason().unwrap_or("no reason"), failure.detail().unwrap_or_default());
    let message = if detail.is_empty() { reason.to_owned() } else { format!("{reason}: {detail}") };
    Err(told(meaning_of_failure(reason, detail), RUN_TASK, message))
}

type Failed<E> = SdkError<E, aws_sdk_ecs::config::http::HttpResponse>;

/// Handles a failed RunTask. If its token has already started a task, returns that task.
pub(super) fn not_started(error: &Failed<RunTaskError>) -> Result<TaskId, ComputeError> {
    if let Some(RunTaskError::ConflictException(conflict)) = error.as_service_error() {
        let task = conflict.resource_ids().iter().find_map(|arn| task_id(arn));
        // If the conflict names no task, it is unknown whether there is one.
        let unnamed = || {
            let message = conflict.message().unwrap_or("its token is in use with other parameters");
            ComputeError::TokenSpent { message: message.to_owned() }
        };
        return task.ok_or_else(unnamed);
    }
    Err(failed(RUN_TASK, error))
}

/// Handles a failed StopTask. A task that ECS does not know has stopped.
pub(super) fn not_stopped(error: &Failed<StopTaskError>) -> Result<(), ComputeError> {
    let unknown = error.as_service_error().is_some_and(|error| {
        !error.is_cluster_not_found_exception() && error.message().is_some_and(is_unknown_task)
    });
    if unknown { Ok(()) } else { Err(failed("StopTask", error)) }
}

/// `The referenced task was not found.`
fn is_unknown_task(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("task") && message.contains("not found") && !message.contains("cluster")
}

pub(super) fn failed<E>(operation: &'static str, error: &Failed<E>) -> ComputeError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = Fault::of(error);
    told(meaning_of_fault(&fault), operation, fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: &str, words: &str, passes: bool) -> Meaning {
        let fault = Fault { code: Some(code.to_owned()), words: words.to_owned(), passes };
        meaning_of_fault(&fault)
    }

    #[test]
    fn a_failure_is_told_by_its_reason_and_detail() {
        for (reason, detail, expected) in [
            (
                "Capacity is unavailable at this time. Please try again later or in a different availability zone",
                "",
                Meaning::NoCapacity,
            ),
            (
                "You\u{2019}ve reached the limit on the number of vCPUs you can run concurrently",
                "",
                Meaning::NoCapacity,
            ),
            (
                "You\u{2019}ve reached the limit on the number of tasks you can run concurrently",
                "",
                Meaning::NoCapacity,
            ),
            ("RESOURCE:CPU", "", Meaning::NoCapacity),
            ("RESOURCE:ENI", "", Meaning::NoCapacity),
            ("Rate exceeded", "", Meaning::Throttled),
            ("You\u{2019}ve reached the limit on the number of tasks you can launch", "", Meaning::Throttled),
            ("INTERNAL", "Throttling: too many requests", Meaning::Throttled),
            ("AGENT", "", Meaning::Refused),
            ("ATTRIBUTE", "", Meaning::Refused),
            ("LOCATION", "", Meaning::Refused),
            ("MISSING", "", Meaning::Refused),
        ] {
            assert_eq!(meaning_of_failure(reason, detail), expected, "{reason}");
        }
    }

    #[test]
    fn an_exception_is_told_by_its_code_and_by_the_words_that_hide_in_its_message() {
        for (code, words, passes, expected) in [
            ("ThrottlingException", "Rate exceeded", true, Meaning::Throttled),
            (
                "InvalidParameterException",
                "Error retrieving subnet information for [subnet-0a]: Rate exceeded (ErrorCode: Throttling)",
                false,
                Meaning::Throttled,
            ),
            ("ClientException", "Too many concurrent attempts", false, Meaning::Throttled),
            (
                "ClientException",
                "You\u{2019}ve reached the limit on the number of vCPUs you can run concurrently",
                false,
                Meaning::NoCapacity,
            ),
            ("ServerException", "Service Unavailable. Please try again later.", true, Meaning::Unanswered),
            ("ExpiredTokenException", "The security token is expired", true, Meaning::Unanswered),
            ("ClusterNotFoundException", "Cluster not found.", false, Meaning::Refused),
            ("AccessDeniedException", "User is not authorized", false, Meaning::Refused),
            ("InvalidParameterException", "TaskDefinition not found.", false, Meaning::Refused),
            (
                "InvalidParameterException",
                "securityGroups can have at most 5 items.",
                false,
                Meaning::Refused,
            ),
            ("PlatformTaskDefinitionIncompatibilityException", "not with Fargate", false, Meaning::Refused),
        ] {
            assert_eq!(meaning(code, words, passes), expected, "{code}: {words}");
        }
    }

    #[test]
    fn silence_is_no_answer_and_a_request_that_cannot_be_made_is_refused() {
        let silence = |passes| Fault { code: None, words: "dispatch failure".to_owned(), passes };
        assert_eq!(meaning_of_fault(&silence(true)), Meaning::Unanswered);
        assert_eq!(meaning_of_fault(&silence(false)), Meaning::Refused);
    }

    #[test]
    fn only_a_task_that_is_not_found_counts_as_stopped() {
        assert!(is_unknown_task("The referenced task was not found."));
        assert!(!is_unknown_task("The referenced cluster was not found."));
        assert!(!is_unknown_task("User is not authorized to stop the task"));
    }
}
