//! The link from which GitHub's own image downloads the agent: a presigned GET of one version of an object in S3. The link
//! lets its reader download the agent, which is no secret, for fifteen minutes. It is never recorded or logged.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_engine::ports::compute::ComputeError;

use crate::connection::{Connection, Service};

/// The variable with the link, which the image's entry point removes before the agent begins.
pub(super) const AGENT_URL: &str = "ECSRUNNER_AGENT_URL";
/// A task that is accepted starts within minutes.
const VALID: Duration = Duration::from_mins(15);

/// One version of an agent in S3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentObject {
    pub bucket: String,
    pub key: String,
    /// S3's version id.
    pub version: String,
}

/// Makes links to the agents of a deployment.
#[derive(Clone)]
pub(super) struct Links {
    objects: BTreeMap<Arch, AgentObject>,
    region: String,
    credentials: Credentials,
    /// The URL of S3, and whether a bucket is the first part of its paths, as at a stand-in.
    endpoint: String,
    has_bucket_in_path: bool,
}

impl Links {
    pub(super) fn new(connection: &Connection, objects: BTreeMap<Arch, AgentObject>) -> Self {
        Self {
            objects,
            region: connection.region().to_owned(),
            credentials: connection.credentials(),
            endpoint: connection.endpoint(Service::S3),
            has_bucket_in_path: connection.names_endpoint(Service::S3),
        }
    }

    /// Returns a link to the agent, valid from `at` on.
    ///
    /// # Errors
    ///
    /// There is no agent for the architecture, or its link cannot be signed.
    pub(super) fn make(&self, arch: Arch, at: SystemTime) -> Result<String, ComputeError> {
        self.sign(arch, at).map_err(|message| ComputeError::Refused { message })
    }

    fn sign(&self, arch: Arch, at: SystemTime) -> Result<String, String> {
        let object = self.objects.get(&arch).ok_or_else(|| {
            format!("the parameter `deployment` names no agent for {} in `agents`", arch.label())
        })?;
        let url = self.url(object);
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(VALID);
        // S3 signs paths as they are.
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity: Identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(at)
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::UnsignedPayload);
        let request = request.map_err(|error| error.to_string())?;
        let (instructions, _) = sign(request, &params).map_err(|error| error.to_string())?.into_parts();
        let mut signed = http::Request::builder().uri(&url).body(()).map_err(|error| error.to_string())?;
        instructions.apply_to_request_http1x(&mut signed);
        Ok(signed.uri().to_string())
    }

    fn url(&self, object: &AgentObject) -> String {
        let AgentObject { bucket, key, version } = object;
        let (scheme, host) = self.endpoint.split_once("://").unwrap_or(("https", &self.endpoint));
        let host = host.trim_end_matches('/');
        if self.has_bucket_in_path {
            format!("{scheme}://{host}/{bucket}/{key}?versionId={version}")
        } else {
            format!("{scheme}://{bucket}.{host}/{key}?versionId={version}")
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("objects", &self.objects).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(endpoint: &str, has_bucket_in_path: bool) -> Links {
        let object = AgentObject {
            bucket: "examplebucket".to_owned(),
            key: "agent/x64/ecsrunner-agent".to_owned(),
            version: "v1".to_owned(),
        };
        Links {
            objects: [(Arch::X64, object)].into(),
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("AKIAEXAMPLE", "s3cret", Some("t0ken".to_owned()), None, "test"),
            endpoint: endpoint.to_owned(),
            has_bucket_in_path,
        }
    }

    #[test]
    fn a_link_names_one_version_and_ends_after_fifteen_minutes() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let link = links("https://s3.us-east-1.amazonaws.com", false).sign(Arch::X64, at).unwrap();
        let path = "https://examplebucket.s3.us-east-1.amazonaws.com/agent/x64/ecsrunner-agent?versionId=v1&";
        assert!(link.starts_with(path), "{link}");
        for part in [
            "X-Amz-Expires=900",
            "X-Amz-Date=20251124T160000Z",
            "X-Amz-Security-Token=t0ken",
            "X-Amz-Signature=",
        ] {
            assert!(link.contains(part), "{part}: {link}");
        }
        assert!(!link.contains("s3cret"), "{link}");
        let local = links("http://127.0.0.1:4566", true).sign(Arch::X64, at).unwrap();
        assert!(local.starts_with("http://127.0.0.1:4566/examplebucket/agent/x64/"), "{local}");
        assert!(links("https://s3", false).sign(Arch::Arm64, at).unwrap_err().contains("no agent for arm64"));
    }
}
