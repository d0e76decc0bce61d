//! The port to what builds and keeps the deployment's own image.

use std::error::Error;
use std::future::Future;

use ecsrunner_core::records::image::{Built, Newest, Ordered};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;

/// Builds images, names them, and knows GitHub's newest runner.
pub trait Images: Send + Sync {
    /// Starts a build and returns its id. Repeated calls for one number start one build, within minutes.
    fn start_build(
        &self,
        arch: Arch,
        ordered: &Ordered,
    ) -> impl Future<Output = Result<String, ImageError>> + Send;

    fn build(&self, arch: Arch, id: &str) -> impl Future<Output = Result<BuildState, ImageError>> + Send;

    /// Lets the tag `current-<arch>` name this image. Repeated calls change nothing.
    fn promote(&self, arch: Arch, built: &Built) -> impl Future<Output = Result<(), ImageError>> + Send;

    /// Returns the newest release of GitHub's runner; `None` if it cannot be known here.
    fn newest_runner(&self) -> impl Future<Output = Result<Option<Newest>, ImageError>> + Send;
}

/// How a build is going.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildState {
    Underway,
    Pushed {
        digest: String,
        /// The runner in it, if the build says so.
        runner: Option<RunnerVersion>,
    },
    Failed {
        words: String,
        /// Where its log is.
        log: Option<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No answer, or a passing fault: a later call may succeed.
    #[error("no answer to {operation}")]
    Unanswered {
        operation: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{message}")]
    Refused {
        /// The service's message.
        message: String,
    },
}

/// No images: tasks are processes of this machine.
#[derive(Clone, Copy, Debug)]
pub struct NoImages;

impl NoImages {
    fn refused<T>() -> Result<T, ImageError> {
        Err(ImageError::Refused { message: "there are no images here".to_owned() })
    }
}

impl Images for NoImages {
    async fn start_build(&self, _arch: Arch, _ordered: &Ordered) -> Result<String, ImageError> {
        Self::refused()
    }

    async fn build(&self, _arch: Arch, _id: &str) -> Result<BuildState, ImageError> {
        Self::refused()
    }

    async fn promote(&self, _arch: Arch, _built: &Built) -> Result<(), ImageError> {
        Self::refused()
    }

    async fn newest_runner(&self) -> Result<Option<Newest>, ImageError> {
        Ok(None)
    }
}
