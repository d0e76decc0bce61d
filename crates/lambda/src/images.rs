//! Builds of the deployment's own image, and GitHub's newest runner.

use ecsrunner_aws::images::Builds;
use ecsrunner_core::records::image::{Built, Newest, Ordered};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_engine::ports::images::{BuildState, ImageError, Images};
use ecsrunner_github::releases::Release;

use crate::github::LazyGitHub;

/// CodeBuild and ECR, if the deployment has its image built, and GitHub.
#[derive(Clone, Debug)]
pub(crate) struct AwsImages {
    builds: Option<Builds>,
    github: LazyGitHub,
}

impl AwsImages {
    pub(crate) fn new(builds: Option<Builds>, github: LazyGitHub) -> Self {
        Self { builds, github }
    }

    fn builds(&self) -> Result<&Builds, ImageError> {
        self.builds.as_ref().ok_or_else(|| ImageError::Refused {
            message: "the deployment has no image that is built here".to_owned(),
        })
    }
}

impl Images for AwsImages {
    async fn start_build(&self, arch: Arch, ordered: &Ordered) -> Result<String, ImageError> {
        self.builds()?.start(arch, ordered).await
    }

    async fn build(&self, _arch: Arch, id: &str) -> Result<BuildState, ImageError> {
        self.builds()?.state(id).await
    }

    async fn promote(&self, arch: Arch, built: &Built) -> Result<(), ImageError> {
        self.builds()?.promote(arch, built).await
    }

    async fn newest_runner(&self) -> Result<Option<Newest>, ImageError> {
        let unanswered = |source: Box<dyn std::error::Error + Send + Sync>| ImageError::Unanswered {
            operation: "the request for the newest runner",
            source,
        };
        let client = self.github.client().await.map_err(|error| unanswered(Box::new(error)))?;
        let release: Option<Release> =
            client.newest_runner().await.map_err(|error| unanswered(Box::new(error)))?;
        let Some(release) = release else { return Ok(None) };
        let version = RunnerVersion::parse(&release.tag_name).map_err(|error| unanswered(Box::new(error)))?;
        Ok(Some(Newest { version, released_at: release.published_at }))
    }
}
