//! The control plane's environment variables for AWS. No other file reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::Service;

/// One variable, as the documentation lists it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($id:ident = $name:literal, $meaning:literal;)*) => {
        $(const $id: &str = $name;)*
        /// Every variable that is read here. Each has its meaning in the AWS CLI.
        pub const VARIABLES: &[Variable] = &[$(Variable { name: $name, meaning: $meaning }),*];
    };
}

variables! {
    REGION = "AWS_REGION", "The AWS Region.";
    DEFAULT_REGION = "AWS_DEFAULT_REGION", "The same, where the variable above is not set.";
    ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID", "The access key, which Lambda sets.";
    SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY", "Its secret, which Lambda sets.";
    SESSION_TOKEN = "AWS_SESSION_TOKEN", "Its session token, if the key is temporary.";
    CA_BUNDLE = "AWS_CA_BUNDLE", "A PEM file of the certificate authorities to trust, and no others; Mozilla's by default.";
    ENDPOINT = "AWS_ENDPOINT_URL", "The URL of every service; the Region's own by default.";
    ENDPOINT_LOGS = "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "CloudWatch Logs' URL; read by the command line only.";
    ENDPOINT_CODE_BUILD = "AWS_ENDPOINT_URL_CODEBUILD", "CodeBuild's URL.";
    ENDPOINT_DYNAMODB = "AWS_ENDPOINT_URL_DYNAMODB", "DynamoDB's URL.";
    ENDPOINT_EC2 = "AWS_ENDPOINT_URL_EC2", "EC2's URL; read by the command line only.";
    ENDPOINT_ECR = "AWS_ENDPOINT_URL_ECR", "ECR's URL.";
    ENDPOINT_ECS = "AWS_ENDPOINT_URL_ECS", "ECS's URL.";
    ENDPOINT_LAMBDA = "AWS_ENDPOINT_URL_LAMBDA", "Lambda's URL; read by the command line only.";
    ENDPOINT_S3 = "AWS_ENDPOINT_URL_S3", "S3's URL, from which GitHub's own image downloads the agent.";
    ENDPOINT_SECRETS_MANAGER = "AWS_ENDPOINT_URL_SECRETS_MANAGER", "Secrets Manager's URL.";
    ENDPOINT_SERVICE_QUOTAS = "AWS_ENDPOINT_URL_SERVICE_QUOTAS", "Service Quotas' URL; read by the command line only.";
    ENDPOINT_SQS = "AWS_ENDPOINT_URL_SQS", "SQS's URL.";
    ENDPOINT_SSM = "AWS_ENDPOINT_URL_SSM", "Systems Manager's URL.";
}

const ENDPOINTS: [(Service, &str); 12] = [
    (Service::CodeBuild, ENDPOINT_CODE_BUILD),
    (Service::DynamoDb, ENDPOINT_DYNAMODB),
    (Service::Logs, ENDPOINT_LOGS),
    (Service::Ec2, ENDPOINT_EC2),
    (Service::Ecr, ENDPOINT_ECR),
    (Service::Ecs, ENDPOINT_ECS),
    (Service::Lambda, ENDPOINT_LAMBDA),
    (Service::S3, ENDPOINT_S3),
    (Service::SecretsManager, ENDPOINT_SECRETS_MANAGER),
    (Service::ServiceQuotas, ENDPOINT_SERVICE_QUOTAS),
    (Service::Sqs, ENDPOINT_SQS),
    (Service::Ssm, ENDPOINT_SSM),
];

/// Region, endpoints and credentials. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Environment {
    pub region: String,
    pub access_key: AccessKey,
    /// The URLs of services that are not at the Region's endpoint.
    pub endpoints: BTreeMap<Service, String>,
    /// Certificate authorities to trust instead of Mozilla's.
    pub ca_bundle: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its id, which is not a secret.
    pub id: String,
    pub secret: SecretString,
    /// The session token of a temporary key.
    pub session_token: Option<SecretString>,
}

/// All faults of the environment, by the variables' names and without a secret's value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct EnvironmentError(Vec<String>);

impl Environment {
    /// Reads the environment through `lookup`, usually [`std::env::var`].
    ///
    /// # Errors
    ///
    /// Names all variables that are missing or invalid.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut faults = Vec::new();
        // An empty variable counts as not set.
        let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut endpoints = BTreeMap::new();
        for (service, name) in ENDPOINTS {
            let named = [name, ENDPOINT].into_iter().find_map(|name| Some((name, optional(name)?)));
            let Some((name, url)) = named else { continue };
            if url.starts_with("http://") || url.starts_with("https://") {
                endpoints.insert(service, url);
            } else if !faults.iter().any(|fault: &String| fault.starts_with(name)) {
                faults.push(format!("{name} is `{url}`: an http or https URL is expected"));
            }
        }
        let mut required = |value: Option<String>, name: &str| {
            value.unwrap_or_else(|| {
                faults.push(format!("{name} is not set"));
                String::new()
            })
        };
        let environment = Self {
            region: required(optional(REGION).or_else(|| optional(DEFAULT_REGION)), REGION),
            access_key: AccessKey {
                id: required(optional(ACCESS_KEY_ID), ACCESS_KEY_ID),
                secret: required(optional(SECRET_ACCESS_KEY), SECRET_ACCESS_KEY).into(),
                session_token: optional(SESSION_TOKEN).map(SecretString::from),
            },
            endpoints,
            ca_bundle: optional(CA_BUNDLE).map(PathBuf::from),
        };
        if faults.is_empty() { Ok(environment) } else { Err(EnvironmentError(faults)) }
    }

    pub(super) fn endpoint(&self, service: Service) -> Option<&str> {
        self.endpoints.get(&service).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Environment::read(lookup)
    }

    const KEY: [(&str, &str); 3] =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];

    #[test]
    fn what_lambda_sets_is_enough_and_no_secret_is_shown() {
        let environment = read(&[&KEY[..], &[("AWS_SESSION_TOKEN", "t0ken")]].concat()).unwrap();
        assert_eq!(environment.region, "eu-west-1");
        assert_eq!(environment.endpoint(Service::Ecs), None);
        let shown = format!("{environment:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }

    #[test]
    fn a_services_own_endpoint_stands_above_that_of_all() {
        let endpoints = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_ECS", "http://ecs")];
        let environment = read(&[&KEY[..], &endpoints].concat()).unwrap();
        assert_eq!(environment.endpoint(Service::Ecs), Some("http://ecs"));
        assert_eq!(environment.endpoint(Service::Sqs), Some("http://all"));
    }

    #[test]
    fn every_fault_is_told_at_once_by_its_name() {
        let error = read(&[("AWS_ENDPOINT_URL", "localhost:4566"), ("AWS_REGION", "")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AWS_ENDPOINT_URL is `localhost:4566`: an http or https URL is expected; AWS_REGION is not set; \
             AWS_ACCESS_KEY_ID is not set; AWS_SECRET_ACCESS_KEY is not set"
        );
    }
}
