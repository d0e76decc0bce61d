//! The version of GitHub's runner in a runner. Its record does not have it; the image's record has.

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::store::Store;

use super::AwsDeployment;
use crate::exit::Failure;

impl AwsDeployment {
    /// Returns the version of GitHub's runner in a runner, as the deployment's own image says.
    pub(in crate::deployment) async fn runner_version(&self, name: &str) -> Result<Option<String>, Failure> {
        let Ok(name) = RunnerName::parse(name) else { return Ok(None) };
        let open = self.store.load(&Keys::of_runner(&name)).await.map_err(Failure::of_aws)?.runner;
        let (facts, began) = match open {
            Some(open) => (open.facts, open.timeline.began()),
            None => match self.store.gone(&name.into()).await.map_err(Failure::of_aws)? {
                Some(EndedTask::Runner(gone)) => (gone.facts, gone.timeline.began()),
                Some(EndedTask::Warm(_)) | None => return Ok(None),
            },
        };
        let images = self.open().await?.images;
        let image = images.get(&facts.size.arch());
        let version = image.and_then(|image| image.runner_in(facts.image.as_deref(), began));
        Ok(version.map(|version| version.to_string()))
    }
}
