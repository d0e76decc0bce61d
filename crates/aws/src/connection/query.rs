//! Calls of AWS's Query API, which takes a form and answers XML.
//!
//! EC2 is called so. Its crate of the SDK is by far the largest, and the few reads of networks do not need it.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use ecsrunner_engine::chain;
use roxmltree::Document;

use super::{Connection, Service};
use crate::fault::{Fault, PASSING};

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// How long one attempt may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt. The next one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

impl Connection {
    /// Calls an action that only reads, and returns the answer's XML. `parameters` include the action and the version.
    pub(crate) async fn query(
        &self,
        service: Service,
        parameters: &[(String, String)],
    ) -> Result<String, Fault> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.query_once(service, &body).await {
                Err(fault) if fault.passes => tokio::time::sleep(pause).await,
                answered => return answered,
            }
            pause *= 2;
        }
        self.query_once(service, &body).await
    }

    async fn query_once(&self, service: Service, body: &str) -> Result<String, Fault> {
        // Signed before the attempt's time begins, since a renewal of the key has a limit of its own.
        let request = self.signed(service, body).await?;
        let asking = async {
            let answer = self.0.http.send(request).await.map_err(|error| lost(&chain(&error)))?;
            let status = answer.status().as_u16();
            let body = ByteStream::new(answer.into_body()).collect().await;
            let body = body.map_err(|error| lost(&chain(&error)))?.into_bytes();
            let text =
                String::from_utf8(body.into()).map_err(|_| Fault::of_answer("the answer is not UTF-8"))?;
            if status == 200 { Ok(text) } else { Err(refused(status, &text)) }
        };
        let answered = tokio::time::timeout(ATTEMPT_LIMIT, asking).await;
        answered.unwrap_or_else(|_| Err(lost(&format!("no answer within {} s", ATTEMPT_LIMIT.as_secs()))))
    }

    /// A request with a signature (AWS Signature Version 4).
    async fn signed(&self, service: Service, body: &str) -> Result<http::Request<SdkBody>, Fault> {
        let invalid = |words: String| Fault { code: None, words, passes: false };
        let found = self.0.credentials.provide_credentials().await;
        let identity: Identity = found.map_err(|error| invalid(chain(&error)))?.into();
        let url = format!("{}/", self.endpoint(service).trim_end_matches('/'));
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region())
            .name(service.prefix())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| invalid(error.to_string()))?
            .into();
        let headers = [("content-type", CONTENT_TYPE)];
        let request =
            SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .map_err(|error| invalid(error.to_string()))?;
        let (signature, _) = sign(request, &params).map_err(|error| invalid(error.to_string()))?.into_parts();
        let mut request = http::Request::post(&url)
            .header("content-type", CONTENT_TYPE)
            .body(SdkBody::from(body))
            .map_err(|error| invalid(error.to_string()))?;
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// A call without an answer.
fn lost(words: &str) -> Fault {
    Fault { code: None, words: words.to_owned(), passes: true }
}

/// An error that AWS answered: `<Response><Errors><Error><Code>…</Code><Message>…</Message></Error></Errors></Response>`.
fn refused(status: u16, text: &str) -> Fault {
    let document = Document::parse(text).ok();
    let found = |name: &str| {
        let nodes = document.as_ref()?.descendants();
        nodes.filter(|node| node.has_tag_name(name)).find_map(|node| node.text()).map(str::to_owned)
    };
    let code = found("Code");
    let passes = status >= 500 || code.as_deref().is_some_and(|code| PASSING.contains(&code));
    Fault { words: found("Message").unwrap_or_else(|| format!("HTTP status {status}")), code, passes }
}
