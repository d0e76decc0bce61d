//! Answers to calls.

use serde_json::{Value, json};

/// The answer to a call of the API.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// 200 with the operation's output.
    Answer(Value),
    Refusal(Refusal),
    /// No answer: the connection is dropped.
    Lost,
}

/// An exception of the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The name of the exception, such as `InvalidParameterException`.
    pub code: String,
    pub message: String,
    /// For a `ConflictException`: the tasks that the token has started.
    pub resource_ids: Vec<String>,
}

impl Refusal {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), resource_ids: Vec::new() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    pub fn cluster_not_found() -> Self {
        Self::new("ClusterNotFoundException", "Cluster not found.")
    }

    pub fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        if self.code == "ServerException" { 500 } else { 400 }
    }

    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({"__type": self.code, "message": self.message});
        if self.code == "ConflictException" {
            body["resourceIds"] = json!(self.resource_ids);
        }
        body
    }
}

impl From<Result<Value, Refusal>> for Reply {
    fn from(result: Result<Value, Refusal>) -> Self {
        match result {
            Ok(answer) => Self::Answer(answer),
            Err(refusal) => Self::Refusal(refusal),
        }
    }
}
