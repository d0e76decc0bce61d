//! The image of the runners' tasks, and its age.

use jiff::Timestamp;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;
use crate::partition;
use crate::task::CONTAINER;

const DESCRIBE: &str = "ecs:DescribeTaskDefinition";
const IMAGES: &str = "ecr:DescribeImages";

/// The image of a task definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageInfo {
    /// The task definition's status, `ACTIVE` in normal operation.
    pub status: String,
    /// Registry, repository, and tag or digest.
    pub image: String,
    /// When it was pushed. Known only for private repositories in ECR.
    pub pushed_at: Option<Timestamp>,
}

impl Operator<'_> {
    /// Describes the image of a task definition.
    ///
    /// # Errors
    ///
    /// Those of AWS. The task definition or its image does not exist.
    pub async fn image(&self, task_definition: &str) -> Result<ImageInfo, OperateError> {
        let described = self
            .connection
            .ecs()
            .describe_task_definition()
            .task_definition(task_definition)
            .send()
            .await
            .map_err(|error| failed(DESCRIBE, task_definition, Fault::of(&error)))?;
        let missing = || OperateError::Missing(format!("task definition `{task_definition}` with a runner"));
        let definition = described.task_definition.ok_or_else(missing)?;
        let container = definition.container_definitions().iter().find(|it| it.name() == Some(CONTAINER));
        let image = container.and_then(|container| container.image()).ok_or_else(missing)?.to_owned();
        let pushed_at = match Private::read(&image) {
            Some(private) => self.pushed_at(&image, &private).await?,
            None => None,
        };
        let status = definition.status().map_or("unknown", |status| status.as_str()).to_owned();
        Ok(ImageInfo { status, image, pushed_at })
    }

    /// Returns the images of all containers of a task definition.
    ///
    /// # Errors
    ///
    /// Those of AWS. The task definition does not exist.
    pub async fn images(&self, task_definition: &str) -> Result<Vec<String>, OperateError> {
        let asked = self.connection.ecs().describe_task_definition().task_definition(task_definition);
        let described = asked.send().await;
        let described = described.map_err(|error| failed(DESCRIBE, task_definition, Fault::of(&error)))?;
        let containers = described.task_definition.and_then(|definition| definition.container_definitions);
        Ok(containers.into_iter().flatten().filter_map(|container| container.image).collect())
    }

    async fn pushed_at(&self, image: &str, of: &Private<'_>) -> Result<Option<Timestamp>, OperateError> {
        let identifier = aws_sdk_ecr::types::ImageIdentifier::builder()
            .set_image_tag(of.tag.map(str::to_owned))
            .set_image_digest(of.digest.map(str::to_owned))
            .build();
        let answer = self
            .connection
            .ecr()
            .describe_images()
            .registry_id(of.registry)
            .repository_name(of.repository)
            .image_ids(identifier)
            .send()
            .await
            .map_err(|error| failed(IMAGES, image, Fault::of(&error)))?;
        let pushed = answer.image_details().first().and_then(|detail| detail.image_pushed_at());
        Ok(pushed.and_then(|at| Timestamp::from_nanosecond(at.as_nanos()).ok()))
    }
}

/// Returns the registry of an image, as Docker reads its name, or `None` for a private repository in ECR.
#[must_use]
pub fn registry_outside_ecr(image: &str) -> Option<&str> {
    if Private::read(image).is_some() {
        return None;
    }
    let host = image.split_once('/').map(|(host, _)| host);
    Some(host.filter(|host| host.contains(['.', ':']) || *host == "localhost").unwrap_or("docker.io"))
}

/// An image in a private repository in ECR.
#[derive(PartialEq, Eq, Debug)]
struct Private<'a> {
    registry: &'a str,
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Private<'a> {
    fn read(image: &'a str) -> Option<Self> {
        let (host, path) = image.split_once('/')?;
        let (registry, rest) = host.split_once(".dkr.ecr.")?;
        let (region, domain) = rest.split_once('.')?;
        if domain != partition::domain(region) {
            return None;
        }
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (path, None),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        // A tag is redundant if there is a digest.
        let tag = if digest.is_some() { None } else { tag.or(Some("latest")) };
        Some(Self { registry, repository, tag, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_ecrs_is_taken_apart_and_another_one_is_not() {
        let of = |image: &str| {
            Private::read(image).map(|it| {
                let rest = [it.tag, it.digest].map(|part| part.unwrap_or("-").to_owned()).join(" ");
                format!("{} {} {rest}", it.registry, it.repository)
            })
        };
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner/runner";
        let told = [of(&format!("{host}:2.336.0")), of(&format!("{host}:2@sha256:0a")), of(host)];
        assert_eq!(
            told.map(Option::unwrap),
            [
                "123456789012 ecsrunner/runner 2.336.0 -",
                "123456789012 ecsrunner/runner - sha256:0a",
                "123456789012 ecsrunner/runner latest -",
            ]
        );
        for other in [
            "ghcr.io/actions/actions-runner:2",
            "runner",
            "public.ecr.aws/acme/runner:1",
            // Hosts that only look like ECR in this region.
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.example.org/runner:1",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com/runner:1",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn ecr_has_a_host_in_every_partition() {
        for (region, domain) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ] {
            let image = format!("123456789012.dkr.ecr.{region}.{domain}/runner:1");
            let read = Private::read(&image).unwrap();
            assert_eq!((read.registry, read.repository, read.tag), ("123456789012", "runner", Some("1")));
        }
    }

    #[test]
    fn only_private_repositories_of_ecr_are_within_a_vpc() {
        let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-x64";
        assert_eq!(registry_outside_ecr(own), None);
        for (image, registry) in [
            ("ghcr.io/actions/actions-runner:latest", "ghcr.io"),
            ("public.ecr.aws/docker/library/redis:7", "public.ecr.aws"),
            ("registry:5000/redis", "registry:5000"),
            ("localhost/redis", "localhost"),
            ("redis:7", "docker.io"),
            ("library/redis@sha256:0a", "docker.io"),
        ] {
            assert_eq!(registry_outside_ecr(image), Some(registry));
        }
    }
}
