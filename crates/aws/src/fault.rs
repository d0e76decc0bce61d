//! A failed call to AWS, with a message that can be shown.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecsrunner_engine::chain;

/// The error of a call. It holds neither the request nor the answer's body, which
/// may contain a secret. The SDK's own errors show both by `Debug`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// AWS's error code, if AWS answered.
    pub(crate) code: Option<String>,
    /// AWS's message, or the error of a lower layer.
    pub(crate) words: String,
    /// Whether the same call may succeed later.
    pub(crate) passes: bool,
}

/// Codes of transient errors, of all services.
pub(crate) const PASSING: [&str; 17] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
];

impl Fault {
    /// An answer without the expected content.
    #[cfg(feature = "operate")]
    pub(crate) fn of_answer(words: &str) -> Self {
        Self { code: None, words: words.to_owned(), passes: false }
    }

    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(answer) = error else {
            let passes = !matches!(error, SdkError::ConstructionFailure(_));
            return Self { code: None, words: chain(error), passes };
        };
        let code = answer.err().code().map(str::to_owned);
        let status = answer.raw().status().as_u16();
        let passes = status >= 500 || code.as_deref().is_some_and(|code| PASSING.contains(&code));
        let words = match answer.err().message() {
            Some(message) => message.to_owned(),
            None => format!("HTTP status {status}"),
        };
        Self { code, words, passes }
    }
}

/// Codes that mean that AWS does not know the caller, or denies the caller permission.
const DENYING: [&str; 10] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// Whether AWS refused the caller rather than the call. `error` is an error of this crate.
#[must_use]
pub fn denies_caller(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.code.as_deref().is_some_and(|code| DENYING.contains(&code));
        }
        cause = error.source();
    }
    false
}

/// Whether AWS refused the caller's credentials because they have expired. `error` is an error of this crate.
#[must_use]
pub fn is_expired(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.code.as_deref().is_some_and(|code| code.starts_with("ExpiredToken"));
        }
        cause = error.source();
    }
    false
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{code}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Error for Fault {}
