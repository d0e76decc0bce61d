//! Converts DynamoDB's errors to the engine's.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use ecsrunner_engine::ports::store::StoreError;

use crate::fault::Fault;

/// Transient errors, in addition to those of the network.
const PASSING: [&str; 8] = [
    "ExpiredTokenException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionInProgressException",
    "ItemCollectionSizeLimitExceededException",
];

pub(super) fn failed<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if code(&error) == Some("TransactionConflictException") {
        return StoreError::Conflict;
    }
    let passing = match &error {
        SdkError::ServiceError(service) => {
            service.raw().status().as_u16() >= 500 || code(&error).is_some_and(|code| PASSING.contains(&code))
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    };
    let source = Box::new(Fault::of(&error));
    if passing {
        StoreError::Unavailable { operation, source }
    } else {
        StoreError::Refused { operation, source }
    }
}

pub(super) fn invalid(
    operation: &'static str,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> StoreError {
    StoreError::Refused { operation, source: source.into() }
}

/// Whether the condition of a single write failed.
pub(super) fn lost_condition<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code(error) == Some("ConditionalCheckFailedException")
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    match error {
        SdkError::ServiceError(service) => service.err().code(),
        _ => None,
    }
}

/// Whether a transaction was refused only because another one was writing the same item.
pub(super) fn is_race(error: &SdkError<TransactWriteItemsError, HttpResponse>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    codes().any(|code| code == "TransactionConflict")
        && codes().all(|code| matches!(code, "TransactionConflict" | "None"))
}

/// Converts the error of a transaction. `fence` is the index of the lease's check.
pub(super) fn transaction_failed(
    operation: &'static str,
    error: SdkError<TransactWriteItemsError, HttpResponse>,
    fence: Option<usize>,
) -> StoreError {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return failed(operation, error);
    };
    let code_of = |i: usize| cancelled.cancellation_reasons().get(i).and_then(|reason| reason.code());
    if fence.and_then(code_of) == Some("ConditionalCheckFailed") {
        return StoreError::Fenced;
    }
    let lost = cancelled
        .cancellation_reasons()
        .iter()
        .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict")));
    if lost {
        return StoreError::Conflict;
    }
    let throttled = cancelled
        .cancellation_reasons()
        .iter()
        .any(|reason| matches!(reason.code(), Some("ThrottlingError" | "ProvisionedThroughputExceeded")));
    let source = Box::new(error);
    if throttled {
        StoreError::Unavailable { operation, source }
    } else {
        StoreError::Refused { operation, source }
    }
}
