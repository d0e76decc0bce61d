//! Calls of a deployment's function.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use super::{OperateError, Operator, failed};
use crate::fault::{Fault, denies_caller};

const ACTION: &str = "lambda:InvokeFunction";

impl Operator<'_> {
    /// Whether the caller may invoke a function.
    ///
    /// # Errors
    ///
    /// Those of AWS, except that it refuses the caller.
    pub async fn may_invoke(&self, function: &str) -> Result<bool, OperateError> {
        let call = self.connection.lambda().invoke().function_name(function);
        let asked = call.invocation_type(InvocationType::DryRun).send().await;
        match asked.map_err(|error| Fault::of(&error)) {
            Ok(_) => Ok(true),
            Err(fault) if denies_caller(&fault) => Ok(false),
            Err(fault) => Err(failed(ACTION, function, fault)),
        }
    }

    /// Invokes a function with a payload, and returns what it answers. Both are JSON.
    ///
    /// # Errors
    ///
    /// Those of AWS, and the function's own, with its message.
    pub async fn invoke(&self, function: &str, payload: String) -> Result<Vec<u8>, OperateError> {
        let call = self.connection.lambda().invoke().function_name(function);
        let answer = call
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| failed(ACTION, function, Fault::of(&error)))?;
        let told = answer.payload.map(Blob::into_inner).unwrap_or_default();
        if answer.function_error.is_some() {
            return Err(failed(ACTION, function, Fault::of_answer(&message(&told))));
        }
        Ok(told)
    }
}

/// Returns the message of a function's error.
fn message(told: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Failed {
        #[serde(rename = "errorMessage")]
        message: String,
    }
    let failed: Result<Failed, _> = serde_json::from_slice(told);
    failed.map_or_else(|_| "the function failed and does not say why".to_owned(), |failed| failed.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_own_words_are_told() {
        assert_eq!(message(br#"{"errorMessage":"no","errorType":"Refused"}"#), "no");
        assert_eq!(message(b"<html>"), "the function failed and does not say why");
    }
}
