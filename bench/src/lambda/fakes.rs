//! Stand-ins for AWS and GitHub on loopback. Each service has its own port, since
//! each real service has its own host and needs its own connection.

mod aws;
mod dynamodb;
mod github;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use super::calls::{Call, Calls, Service, Units};
use crate::serve::Server;

pub(crate) use aws::LaunchedTask;
pub(crate) use dynamodb::Dynamo;

const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// The fakes' data, and what they recorded.
#[derive(Default, Debug)]
pub(crate) struct World {
    /// SSM's parameters by name.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Secrets Manager's secrets by ARN or name.
    pub(crate) secrets: BTreeMap<String, String>,
    /// The last task launched.
    pub(crate) task: Option<LaunchedTask>,
    /// The name in the last just-in-time configuration.
    pub(crate) runner: Option<String>,
    /// The input of the last execution of a state machine.
    pub(crate) execution_input: Option<String>,
    ids: u64,
}

impl World {
    /// Clears the last launch, so that later records belong to the next one.
    pub(crate) fn forget_launch(&mut self) {
        (self.task, self.runner) = (None, None);
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}

#[derive(Debug)]
pub(crate) struct Fakes {
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    pub(crate) calls: Calls,
    pub(crate) dynamo: Dynamo,
    world: Arc<Mutex<World>>,
    servers: Vec<(Service, Server)>,
}

#[derive(Clone)]
struct Fake {
    service: Service,
    latency: Duration,
    calls: Calls,
    dynamo: Dynamo,
    world: Arc<Mutex<World>>,
}

struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The operation's name in AWS's JSON protocols: the part of `X-Amz-Target` after the last dot.
    fn target(&self) -> &str {
        let target = self.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        target.and_then(|target| target.rsplit('.').next()).unwrap_or("no operation")
    }
}

/// An answer of a fake.
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    units: Units,
}

impl Reply {
    fn aws(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/x-amz-json-1.1",
            body: body.to_string().into_bytes(),
            units: Units::default(),
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self { content_type: "application/json; charset=utf-8", ..Self::aws(status, body) }
    }
}

impl Fakes {
    /// Starts all fakes. Each answer is delayed by `latency`.
    pub(crate) async fn start(tls: Option<&TlsAcceptor>, latency: Duration) -> anyhow::Result<Self> {
        let calls = Calls::default();
        let dynamo = Dynamo::new()?;
        let world = Arc::new(Mutex::new(World::default()));
        let mut servers = Vec::new();
        for service in Service::ALL {
            let (calls, dynamo, world) = (calls.clone(), dynamo.clone(), Arc::clone(&world));
            let router =
                Router::new().fallback(answer).with_state(Fake { service, latency, calls, dynamo, world });
            servers.push((service, Server::start(router, tls.cloned()).await?));
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { scheme, calls, dynamo, world, servers })
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port of a service.
    pub(crate) fn host(&self, of: Service) -> anyhow::Result<String> {
        let server = self.servers.iter().find(|(service, _)| *service == of);
        let (_, server) = server.with_context(|| format!("there is no fake of {}", of.name()))?;
        Ok(server.address().to_string())
    }

    pub(crate) fn url(&self, of: Service) -> anyhow::Result<String> {
        Ok(format!("{}://{}", self.scheme, self.host(of)?))
    }

    /// The variables that point every AWS SDK to the fakes.
    pub(crate) fn endpoints(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let variables =
            Service::ALL.into_iter().filter_map(|service| Some((service, service.endpoint_variable()?)));
        variables.map(|(service, variable)| Ok((variable.to_owned(), self.url(service)?))).collect()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return status_only(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let began = Instant::now();
    let asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let operation = match fake.service {
        Service::GitHub => github::operation(&asked),
        _ => asked.target().to_owned(),
    };
    let reply = match fake.service {
        Service::DynamoDb => fake.dynamo.answer(asked).await,
        Service::GitHub => github::answer(&asked, &mut lock(&fake.world)),
        service => aws::answer(service, &asked, &mut lock(&fake.world)),
    };
    if !fake.latency.is_zero() {
        tokio::time::sleep(fake.latency).await;
    }
    let (service, status) = (fake.service, reply.status);
    fake.calls.add(Call { service, operation, status, began, ended: Instant::now(), units: reply.units });
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header("x-amzn-requestid", "00000000-0000-4000-8000-000000000000")
        .body(Body::from(reply.body));
    response.unwrap_or_else(|_| status_only(StatusCode::INTERNAL_SERVER_ERROR))
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
