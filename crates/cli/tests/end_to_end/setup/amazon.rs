//! A stand-in for the parts of AWS that setup needs: a deployment's parameters and its
//! secrets, which remember what is stored. All other calls are denied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const GITHUB_SECRET: &str =
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/github-a1b2c3";
pub(crate) const WEBHOOK_SECRET: &str =
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/webhook-a1b2c3";
pub(crate) const WEBHOOK_URL: &str = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/live/webhook";
const KEY: &str = "AKIDEXAMPLE";

#[derive(Clone)]
pub(crate) struct Amazon {
    url: String,
    account: Arc<Mutex<Account>>,
}

/// What the account has, and how it refuses.
pub(crate) struct Account {
    /// The parameter `deployment`.
    pub(crate) facts: Value,
    pub(crate) settings: Value,
    /// Values by ARN; `None` for a secret without a value.
    pub(crate) secrets: BTreeMap<String, Option<String>>,
    /// ARNs of secrets that are scheduled for deletion.
    pub(crate) deleted: Vec<String>,
    /// The error that writing a secret meets.
    pub(crate) write_error: Option<(&'static str, &'static str)>,
    /// Whether the caller's session has expired.
    pub(crate) is_expired: bool,
    /// Access keys that called.
    pub(crate) callers: Vec<String>,
}

impl Amazon {
    /// A deployment `ci` for `acme/app`, whose secrets have no value.
    pub(crate) async fn start() -> Self {
        let facts = json!({
            "version": 1, "state_table": "ecsrunner-ci-state", "boot_table": "boot", "boot_owner": "AROA",
            "boot_owner_exec": "AROAEXEC", "cluster": "ci", "subnets": ["subnet-aaaa1111"], "security_groups": ["sg-1"],
            "task_definitions": {"default/x64": "runner:1"}, "queue_url": "https://queue",
            "webhook_url": WEBHOOK_URL, "webhook_secret": WEBHOOK_SECRET, "github_secret": GITHUB_SECRET,
            "log_group": "runners",
        });
        let account = Account {
            facts,
            settings: json!({"version": 1, "deployment": "ci", "repositories": ["acme/app"]}),
            secrets: [GITHUB_SECRET, WEBHOOK_SECRET].map(|arn| (arn.to_owned(), None)).into(),
            deleted: Vec::new(),
            write_error: None,
            is_expired: false,
            callers: Vec::new(),
        };
        let account = Arc::new(Mutex::new(account));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&account));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, account }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Changes the account.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.account.lock().unwrap());
    }

    /// Returns the value of a secret.
    pub(crate) fn secret(&self, arn: &str) -> Option<String> {
        self.account.lock().unwrap().secrets[arn].clone()
    }

    pub(crate) fn callers(&self) -> Vec<String> {
        self.account.lock().unwrap().callers.clone()
    }

    /// Returns the variables of a caller with a key, who names the deployment `ci`.
    pub(crate) fn variables<'a>(&'a self, github: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("GITHUB_API_URL", github),
            ("ECSRUNNER_DEPLOYMENT", "ci"),
        ]
    }
}

async fn answer(State(account): State<Arc<Mutex<Account>>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut account = account.lock().unwrap();
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    // `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`
    let credential = text("authorization").split("Credential=").nth(1).unwrap_or_default();
    let scope: Vec<&str> = credential.split('/').collect();
    if let [key, _, region, ..] = scope.as_slice() {
        account.callers.push((*key).to_owned());
        if account.is_expired {
            return error("ExpiredTokenException", "The security token included in the request is expired");
        }
        let operation = text("x-amz-target").rsplit('.').next().unwrap_or_default();
        return account.answer(operation, region, &serde_json::from_slice(&body).unwrap_or_default());
    }
    error("MissingAuthenticationToken", "a signature is expected")
}

impl Account {
    fn answer(&mut self, operation: &str, region: &str, request: &Value) -> Response {
        match operation {
            "GetParameters" => self.parameters(region, request),
            "GetSecretValue" => self.with_secret(request, |account, arn| match &account.secrets[arn] {
                Some(text) => {
                    success(&json!({"ARN": arn, "Name": arn, "VersionId": "1", "SecretString": text}))
                }
                None => error(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
                ),
            }),
            "DescribeSecret" => {
                match request["SecretId"].as_str().filter(|arn| self.secrets.contains_key(*arn)) {
                    Some(arn) if self.deleted.iter().any(|deleted| deleted == arn) => {
                        success(&json!({"ARN": arn, "DeletedDate": 1_764_000_000.0}))
                    }
                    Some(arn) => success(&json!({"ARN": arn})),
                    None => {
                        error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
                    }
                }
            }
            "PutSecretValue" => match self.write_error {
                Some((code, message)) => error(code, message),
                None => self.with_secret(request, |account, arn| {
                    let text = request["SecretString"].as_str().map(str::to_owned);
                    account.secrets.insert(arn.to_owned(), text);
                    success(&json!({"ARN": arn, "VersionId": "2"}))
                }),
            },
            _ => error("AccessDeniedException", "this stand-in has no such operation"),
        }
    }

    fn with_secret(&mut self, request: &Value, with: impl FnOnce(&mut Self, &str) -> Response) -> Response {
        let arn = request["SecretId"].as_str().unwrap_or_default().to_owned();
        if !self.secrets.contains_key(&arn) {
            return error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
        }
        if self.deleted.contains(&arn) {
            let words = "You can't perform this operation on the secret because it was marked for deletion.";
            return error("InvalidRequestException", words);
        }
        with(self, &arn)
    }

    fn parameters(&self, region: &str, request: &Value) -> Response {
        let classes = json!({"small": {"cpu": 1024, "memory": 2048, "default": true}});
        let known = [("deployment", &self.facts), ("settings", &self.settings), ("classes", &classes)];
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in request["Names"].as_array().unwrap() {
            let text = name.as_str().unwrap();
            let value = known.iter().find(|(last, _)| text == format!("/ecsrunner/ci/{last}"));
            match value.filter(|_| region == REGION) {
                Some((_, value)) => {
                    found.push(json!({"Name": text, "Type": "String", "Value": value.to_string()}));
                }
                None => missing.push(text),
            }
        }
        success(&json!({"Parameters": found, "InvalidParameters": missing}))
    }
}

fn success(body: &Value) -> Response {
    (StatusCode::OK, body.to_string()).into_response()
}

fn error(code: &str, message: &str) -> Response {
    (StatusCode::BAD_REQUEST, json!({"__type": code, "message": message}).to_string()).into_response()
}
