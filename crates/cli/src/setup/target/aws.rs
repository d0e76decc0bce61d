//! The secrets of a deployment on AWS, in Secrets Manager.

use anyhow::anyhow;
use ecsrunner_aws::operate::{Content, OperateError};
use ecsrunner_aws::secrets::GitHubCredentials;
use ecsrunner_core::rules::Rules;
use ecsrunner_engine::Ruleset;
use ecsrunner_github::app_manifest::{NewApp, Registrar};
use ecsrunner_github::{ApiUrl, App, CALL_LIMIT, Client, Credentials};
use secrecy::SecretString;

use super::Held;
use crate::arguments::SetupArguments;
use crate::deployment::{AwsDeployment, Deployment, github};
use crate::exit::Failure;
use crate::operate::doctor::Document;

pub(crate) struct AwsTarget {
    deployment: Deployment,
    rules: Ruleset,
    api: ApiUrl,
    webhook_url: String,
}

impl AwsTarget {
    pub(super) async fn connect(arguments: &SetupArguments) -> Result<Self, Failure> {
        let deployment = Deployment::connect(&arguments.target).await?;
        let aws = deployment.on_aws("setup")?;
        let webhook_url = arguments.webhook_url.clone().or_else(|| aws.facts().webhook_url.clone());
        let webhook_url = webhook_url.ok_or_else(|| {
            Failure::usage(anyhow!("the parameters of deployment {} have no `webhook_url`", aws.name()))
                .hint("run `terraform apply` with this release, or give the output `webhook_url` in `--webhook-url`")
        })?;
        let rules = aws.rules();
        Ok(Self { rules, api: github::api()?, webhook_url, deployment })
    }

    /// A deployment of another kind was refused at the start.
    fn aws(&self) -> Result<&AwsDeployment, Failure> {
        self.deployment.on_aws("setup")
    }

    pub(super) fn name(&self) -> String {
        self.rules.settings.deployment.to_string()
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        self.rules.rules()
    }

    pub(super) fn api(&self) -> &ApiUrl {
        &self.api
    }

    pub(super) fn registrar(&self) -> Result<Registrar, Failure> {
        Ok(Registrar::new(self.api.clone(), CALL_LIMIT, Some(self.aws()?.tls()))?)
    }

    pub(super) fn webhook_url(&self) -> &str {
        &self.webhook_url
    }

    pub(super) fn place(&self) -> String {
        self.aws().map(|aws| format!("secret {}", aws.facts().github_secret)).unwrap_or_default()
    }

    pub(super) fn webhook_place(&self) -> String {
        self.aws().map(|aws| format!("secret {}", aws.facts().webhook_secret)).unwrap_or_default()
    }

    pub(super) async fn held(&self) -> Result<Held, Failure> {
        let aws = self.aws()?;
        // A webhook secret that cannot be written later would be found too late.
        aws.operator().webhook_secrets(&aws.facts().webhook_secret).await.map_err(told)?;
        let content = aws.operator().github_credentials(&aws.facts().github_secret).await.map_err(told)?;
        Ok(match content {
            Content::Empty => Held::Nothing,
            Content::Malformed(fault) => Held::Unusable(fault.to_owned()),
            Content::Value(GitHubCredentials::Token(_)) => Held::Token,
            Content::Value(GitHubCredentials::App(app)) => {
                match self.client(&app.id, app.private_key, app.installation) {
                    Ok(client) => Held::App { id: app.id, client: Box::new(client) },
                    Err(failure) => Held::Unusable(failure.to_string()),
                }
            }
        })
    }

    fn client(
        &self,
        id: &str,
        private_key: SecretString,
        installation: Option<u64>,
    ) -> Result<Client, Failure> {
        let app = App::new(id, private_key, installation)?;
        let tls = Some(self.aws()?.tls());
        Ok(Client::with_tls(self.api.clone(), &Credentials::App(app), CALL_LIMIT, tls)?)
    }

    pub(super) async fn webhook_secret(&self) -> Result<Option<SecretString>, Failure> {
        let aws = self.aws()?;
        let secret = &aws.facts().webhook_secret;
        match aws.operator().webhook_secrets(secret).await.map_err(told)? {
            Content::Empty => Ok(None),
            Content::Value(secrets) => Ok(secrets.into_iter().next()),
            Content::Malformed(fault) => Err(told(OperateError::Form { secret: secret.clone(), fault })),
        }
    }

    pub(super) async fn store(&self, app: &NewApp, webhook_secret: &SecretString) -> Result<Client, Failure> {
        let aws = self.aws()?;
        // The key first: a webhook secret can be replaced at GitHub, and the key is handed over once.
        let stored = aws.operator().store_app(&aws.facts().github_secret, app.id, &app.private_key).await;
        stored.map_err(told)?;
        self.store_webhook_secret(webhook_secret).await?;
        self.client(&app.id.to_string(), app.private_key.clone(), None)
    }

    pub(super) async fn store_webhook_secret(&self, secret: &SecretString) -> Result<(), Failure> {
        let aws = self.aws()?;
        aws.operator().store_webhook_secret(&aws.facts().webhook_secret, secret).await.map_err(told)
    }

    pub(super) async fn check(&self) -> Document {
        Document::of_deployment(&self.deployment).await
    }
}

fn told(error: OperateError) -> Failure {
    let hint = match &error {
        OperateError::Deleted(secret) => Some(format!(
            "restore it with `aws secretsmanager restore-secret --secret-id {secret}`, or wait until it is deleted and \
             run `terraform apply`"
        )),
        OperateError::Missing(_) => {
            Some("run `terraform apply` to create it, and check `--region` and `--profile`".to_owned())
        }
        OperateError::Form { .. } => {
            Some("correct or empty its value: setup adds to a list that it can read".to_owned())
        }
        OperateError::Failed { .. } | OperateError::NotRunning(_) | OperateError::ExecOff => None,
    };
    match (error, hint) {
        (error @ OperateError::Missing(_), Some(hint)) => Failure::not_found(error).hint(hint),
        (error, Some(hint)) => Failure::from(error).hint(hint),
        (error, None) => Failure::of_aws(error),
    }
}
