//! Where traces go: OpenTelemetry's own variables.

use std::fmt;

use ecsrunner_core::host::loopback_of;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// The names of OpenTelemetry's variables that are read.
#[derive(Clone, Copy, Debug)]
pub struct Variables;

impl Variables {
    pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    pub const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    pub const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    pub const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    pub const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    pub const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    pub const DISABLED: &str = "OTEL_SDK_DISABLED";
    /// Those that say where traces go. The headers are a secret, and come from elsewhere on AWS.
    pub const OF_ENDPOINT: [&str; 5] =
        [Self::ENDPOINT, Self::TRACES_ENDPOINT, Self::PROTOCOL, Self::TRACES_PROTOCOL, Self::DISABLED];
    /// The only protocol that is spoken here.
    pub const ONLY_PROTOCOL: &str = "http/protobuf";
}

/// A mistake in the variables. No message repeats a header or a part of the endpoint that may be secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("{0} is not the URL of an OTLP endpoint: `http://…` or `https://…` is expected")]
    Url(&'static str),
    #[error("{0} has a user name or a password: give credentials as headers in {headers}", headers = Variables::HEADERS)]
    Credentials(&'static str),
    #[error("{key} is `{value}`: only `http/protobuf` is spoken, usually on port 4318")]
    Protocol { key: &'static str, value: String },
    #[error(
        "the headers of the OTLP endpoint: entry {0} is no `name=value`, or has characters that no header may have"
    )]
    Header(usize),
    #[error(
        "the headers of the OTLP endpoint would go to {0} without encryption: an `https://…` URL is expected, or one of \
         this machine"
    )]
    Unencrypted(String),
}

/// An OTLP endpoint for traces.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("origin", &self.origin()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads the endpoint without its headers; `None` if no endpoint is set, or OpenTelemetry is disabled.
    ///
    /// # Errors
    ///
    /// A variable has a mistake.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, EndpointError> {
        let get = |key| lookup(key).filter(|value| !value.trim().is_empty());
        if get(Variables::DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let endpoint = match (get(Variables::TRACES_ENDPOINT), get(Variables::ENDPOINT)) {
            // As it is.
            (Some(url), _) => Self::at(Variables::TRACES_ENDPOINT, url.trim())?,
            // The base of all signals.
            (None, Some(url)) => {
                let mut base = Self::at(Variables::ENDPOINT, url.trim())?;
                let path = format!("{}/v1/traces", base.url.path().trim_end_matches('/'));
                base.url.set_path(&path);
                base
            }
            (None, None) => return Ok(None),
        };
        for key in [Variables::TRACES_PROTOCOL, Variables::PROTOCOL] {
            match get(key) {
                Some(value) if value.trim() == Variables::ONLY_PROTOCOL => break,
                Some(value) => return Err(EndpointError::Protocol { key, value }),
                None => {}
            }
        }
        Ok(Some(endpoint))
    }

    fn at(key: &'static str, url: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(url).map_err(|_| EndpointError::Url(key))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(EndpointError::Url(key));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials(key));
        }
        Ok(Self { url, headers: HeaderMap::new() })
    }

    /// Returns the headers of the variables.
    #[must_use]
    pub fn headers(lookup: impl Fn(&str) -> Option<String>) -> Option<SecretString> {
        lookup(Variables::TRACES_HEADERS).or_else(|| lookup(Variables::HEADERS)).map(SecretString::from)
    }

    /// Adds headers in the form of OpenTelemetry's variable: `name=value,name=value`, values with percent-encoding.
    ///
    /// # Errors
    ///
    /// An entry cannot be a header.
    pub fn with_headers(mut self, headers: &SecretString) -> Result<Self, EndpointError> {
        let entries = headers.expose_secret().split(',').map(str::trim);
        for (number, entry) in (1..).zip(entries).filter(|(_, entry)| !entry.is_empty()) {
            let wrong = || EndpointError::Header(number);
            let (name, value) = entry.split_once('=').ok_or_else(wrong)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
            let value = decoded(value.trim()).ok_or_else(wrong)?;
            let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        if !self.headers.is_empty() && !self.is_private() {
            return Err(EndpointError::Unencrypted(self.origin()));
        }
        Ok(self)
    }

    /// Whether nobody else can read what is sent.
    fn is_private(&self) -> bool {
        self.url.scheme() == "https" || self.url.host_str().and_then(loopback_of).is_some()
    }

    /// The endpoint for people and logs, without its path, which may hold a key.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let lookup =
            |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        let read = Endpoint::read(lookup).map_err(|error| error.to_string())?;
        Ok(read.map(|endpoint| endpoint.url.to_string()))
    }

    #[test]
    fn the_general_endpoint_gets_a_path_and_the_one_for_traces_stays_as_it_is() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://otlp.example.com/ingest");
        assert_eq!(read(&[general]).unwrap().unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(read(&[general, own]).unwrap().unwrap(), "https://otlp.example.com/ingest");
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap(), None);
        assert_eq!(read(&[general, ("OTEL_SDK_DISABLED", "true")]).unwrap(), None);
    }

    #[test]
    fn a_mistake_is_named_and_no_secret_is_repeated() {
        let url = |url| read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).unwrap_err();
        for wrong in ["collector:4318", "grpc://collector", "http://", "collector"] {
            assert!(url(wrong).contains("OTEL_EXPORTER_OTLP_ENDPOINT is not the URL"), "{wrong}");
        }
        let told = url("https://me:hunter2@otlp.example.com");
        assert!(told.contains("user name or a password") && !told.contains("hunter2"), "{told}");
        let grpc =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(read(&grpc).unwrap_err().contains("is `grpc`: only `http/protobuf`"));
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let endpoint = || Endpoint::at("x", "https://otlp.example.com/key123").unwrap();
        let headers = |text: &str| endpoint().with_headers(&SecretString::from(text));
        let read = headers("authorization=Basic%20YWxhZGRpbg==, x-team = platform").unwrap();
        assert_eq!(read.headers["authorization"], "Basic YWxhZGRpbg==");
        assert_eq!(read.headers["x-team"], "platform");
        let shown = format!("{read:?} {:?}", read.headers);
        assert!(!shown.contains("YWx") && !shown.contains("key123"), "{shown}");
        for wrong in ["authorization", "a b=c", "a=%zz", "a=%0", "a=%0a"] {
            let told = headers(&format!("x=1,{wrong}")).unwrap_err().to_string();
            assert!(told.contains("entry 2 is no `name=value`"), "{wrong}: {told}");
        }
        assert!(headers("").unwrap().headers.is_empty());
    }

    #[test]
    fn headers_go_over_https_or_stay_on_this_machine() {
        let secret = SecretString::from("authorization=abc");
        let with = |url| Endpoint::at("x", url).unwrap().with_headers(&secret).map(|_| ());
        for url in
            ["https://otlp.example.com", "http://127.0.0.1:4318", "http://[::1]:4318", "http://localhost"]
        {
            assert_eq!(with(url), Ok(()), "{url}");
        }
        for url in ["http://otlp.example.com/key", "http://10.0.0.7:4318", "http://localhost.example.com"] {
            let told = with(url).unwrap_err().to_string();
            assert!(
                told.contains("without encryption") && !told.contains("abc") && !told.contains("key"),
                "{told}"
            );
        }
        let plain = Endpoint::at("x", "http://collector:4318").unwrap();
        assert!(plain.with_headers(&SecretString::from("")).is_ok(), "no headers");
    }
}
