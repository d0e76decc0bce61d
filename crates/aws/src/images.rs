//! The deployment's own image: CodeBuild builds it, and ECR keeps its tags.

use aws_sdk_codebuild::types::{EnvironmentVariable, StatusType};
use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::ImageIdentifier;
use ecsrunner_core::records::image::{Built, Ordered};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_engine::ports::images::{BuildState, ImageError};

use crate::connection::Connection;
use crate::fault::Fault;
use crate::parameters::ImageFacts;

/// The variables that a build is given, and those that it exports.
const RUNNER_VERSION: &str = "RUNNER_VERSION";
const IMAGE_TAG: &str = "IMAGE_TAG";
const IMAGE_DIGEST: &str = "IMAGE_DIGEST";
/// What a build takes if no version is wanted: the tag of GitHub's image.
const LATEST: &str = "latest";

/// Builds of a deployment.
#[derive(Clone, Debug)]
pub struct Builds {
    connection: Connection,
    facts: ImageFacts,
}

impl Builds {
    #[must_use]
    pub fn new(connection: &Connection, facts: ImageFacts) -> Self {
        Self { connection: connection.clone(), facts }
    }

    /// Starts a build. CodeBuild recognizes a repeated token for five minutes.
    ///
    /// # Errors
    ///
    /// CodeBuild refuses the build, or does not answer.
    pub async fn start(&self, arch: Arch, ordered: &Ordered) -> Result<String, ImageError> {
        let project = self.project(arch)?;
        let runner = ordered.of.runner.map_or_else(|| LATEST.to_owned(), |runner| runner.to_string());
        let mut call = self.connection.code_build().start_build().project_name(project);
        for (name, value) in [(RUNNER_VERSION, runner.as_str()), (IMAGE_TAG, ordered.tag.as_str())] {
            let variable = EnvironmentVariable::builder().name(name).value(value).build();
            call = call.environment_variables_override(variable.map_err(impossible)?);
        }
        let token = format!("{project}-{}", ordered.number);
        let started = call.idempotency_token(token).send().await;
        let started = started.map_err(|error| failed("codebuild:StartBuild", Fault::of(&error)))?;
        started.build_value.and_then(|build| build.id).ok_or_else(|| ImageError::Refused {
            message: format!("CodeBuild started no build of `{project}`"),
        })
    }

    /// Looks how a build is going.
    ///
    /// # Errors
    ///
    /// CodeBuild does not answer, or refuses to.
    pub async fn state(&self, id: &str) -> Result<BuildState, ImageError> {
        let found = self.connection.code_build().batch_get_builds().ids(id).send().await;
        let found = found.map_err(|error| failed("codebuild:BatchGetBuilds", Fault::of(&error)))?;
        let Some(build) = found.builds().first() else {
            return Ok(BuildState::Failed { words: format!("CodeBuild has no build `{id}`"), log: None });
        };
        let log = build.logs().and_then(|logs| logs.deep_link()).map(str::to_owned);
        let exported = |name: &str| {
            let variables = build.exported_environment_variables();
            let found = variables.iter().find(|variable| variable.name() == Some(name));
            found.and_then(|variable| variable.value()).filter(|value| !value.is_empty())
        };
        match build.build_status() {
            None | Some(StatusType::InProgress) => Ok(BuildState::Underway),
            Some(StatusType::Succeeded) => Ok(match exported(IMAGE_DIGEST) {
                Some(digest) => BuildState::Pushed {
                    digest: digest.to_owned(),
                    runner: exported(RUNNER_VERSION).and_then(|text| RunnerVersion::parse(text).ok()),
                },
                None => BuildState::Failed { words: format!("build `{id}` exported no {IMAGE_DIGEST}"), log },
            }),
            Some(status) => {
                let phases = build.phases().iter().flat_map(|phase| phase.contexts());
                let words: Vec<&str> = phases.filter_map(|context| context.message()).collect();
                let words = match words.as_slice() {
                    [] => status.as_str().to_owned(),
                    words => words.join("; "),
                };
                Ok(BuildState::Failed { words, log })
            }
        }
    }

    /// Lets `current-<arch>` name an image. ECR refuses to write a tag that names it already.
    ///
    /// # Errors
    ///
    /// ECR does not answer, has no such image, or refuses the call.
    pub async fn promote(&self, arch: Arch, built: &Built) -> Result<(), ImageError> {
        let repository = self.facts.repository.as_deref().ok_or_else(|| ImageError::Refused {
            message: "the parameter `deployment` names no `image.repository`".to_owned(),
        })?;
        let ecr = self.connection.ecr();
        let image = ImageIdentifier::builder().image_digest(&built.digest).build();
        let found = ecr.batch_get_image().repository_name(repository).image_ids(image).send().await;
        let found = found.map_err(|error| failed("ecr:BatchGetImage", Fault::of(&error)))?;
        let image = found.images().iter().find(|image| image.image_manifest().is_some());
        let Some(manifest) = image.and_then(|image| image.image_manifest()) else {
            return Err(ImageError::Refused {
                message: format!("`{repository}` has no image {}", built.digest),
            });
        };
        let put = ecr
            .put_image()
            .repository_name(repository)
            .image_manifest(manifest)
            .set_image_manifest_media_type(
                image.and_then(|image| image.image_manifest_media_type()).map(str::to_owned),
            )
            .image_tag(format!("current-{}", arch.label()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ImageAlreadyExistsException") => Ok(()),
            Err(error) => Err(failed("ecr:PutImage", Fault::of(&error))),
        }
    }

    fn project(&self, arch: Arch) -> Result<&str, ImageError> {
        self.facts.projects.get(&arch).map(String::as_str).ok_or_else(|| ImageError::Refused {
            message: format!("the parameter `deployment` names no project for {}", arch.label()),
        })
    }
}

fn failed(operation: &'static str, fault: Fault) -> ImageError {
    if fault.passes {
        ImageError::Unanswered { operation, source: Box::new(fault) }
    } else {
        ImageError::Refused { message: format!("{operation}: {fault}") }
    }
}

/// Converts a builder's error. It cannot occur, since all required fields are set above.
fn impossible(error: aws_sdk_codebuild::error::BuildError) -> ImageError {
    ImageError::Refused { message: error.to_string() }
}
