//! `ecsrunner local up`: runs everything on one machine until a signal stops it.

mod cgroups;
mod services;
mod warnings;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use ecsrunner_aws::store::{DynamoStore, Tables};
use ecsrunner_core::id::ClassName;
use ecsrunner_engine::ports::images::NoImages;
use ecsrunner_engine::{Engine, Ports, Ruleset, chain};
use ecsrunner_github::Client;
use ecsrunner_traces::Exporter;
use ecsrunner_web::connections;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::accounts::RunnerUsers;
use crate::attach;
use crate::boot_front::{self, AccessKeys, Front};
use crate::brake::Brake;
use crate::compute::{Engines, Processes, TaskDefinition};
use crate::config::Config;
use crate::embedded::Embedded;
use crate::machine::{self, NoQueue, OsRandomness, SystemClock, random};
use crate::namespaces;
use crate::preflight;
use crate::server::{self, App, Local, Shared};
use crate::state_dir::StateDir;
use crate::task::confinement::{Confinement, TaskLimits};
use crate::traces;

/// Start options of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where webhooks, API and page are served. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The state directory, which outlives the server.
    pub state: PathBuf,
    /// The configuration file, for commands that call GitHub themselves.
    pub config: PathBuf,
    /// The executable that tasks run.
    pub executable: PathBuf,
    /// Whether to poll GitHub for queued jobs, in case no webhook reports them.
    pub poll: bool,
    /// Where traces of jobs go, if anywhere.
    pub traces: Option<Exporter>,
}

const PORT_FILE: &str = "boot-port";
/// Connections of one listener. Each may hold a webhook of 700 KiB in memory.
const MAX_CONNECTIONS: usize = 256;
/// Open files that are left to the database, tasks and calls to GitHub.
const FILES_OF_TASKS: usize = 400;

/// The address of [`Options::listen`] cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Serves until SIGTERM or SIGINT. Runners continue; the next start adopts them.
///
/// `ready` gets the address once requests are served.
///
/// # Errors
///
/// Returns a [`ConfigError`](crate::config::ConfigError) if this machine does not
/// fit the configuration; nothing is started then. Fails also if the state
/// directory or an address cannot be used.
pub async fn up(config: Config, options: Options, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    warnings::of_isolation(&config, options.listen)?;
    let users = preflight::check(&config, &options)?;
    warnings::of_missing_accounts(&users);
    warnings::of_exposed_secrets(&config.exposed);
    let limit = max_connections();
    let state = StateDir::open(&options.state)?;
    let confinement = confinement(&config, &options.executable, &users, &state)?;
    let cgroups = cgroups::limits(&config, &options.executable, &confinement, &users, &state)?;
    warnings::of_busy_accounts(&users, &state);
    let database = Embedded::open(&state.database())?;
    let tables = Tables::of(&config.settings.deployment, "local");
    let store = DynamoStore::embedded(database.clone(), tables.clone());
    store.create_tables().await?;
    let (front_listener, front) = front(&state, &database, &tables).await?;
    let docker = docker(&config)?;
    let (namespaces, own_ports) = namespaces::find(&config, &options.executable)
        .map_or_else(|reason| (None, Some(reason)), |namespaces| (namespaces, None));
    let (task_events, heard) = mpsc::unbounded_channel();
    let definition = TaskDefinition {
        executable: options.executable,
        runner_dir: config.runner_dir,
        listener_env: config.listener_env,
        users,
        tables,
        endpoint: format!("http://{}", front.host),
        keys: front.keys.clone(),
        limits: config.settings.limits.clone(),
        confinement,
        cgroups,
        docker,
        namespaces,
    };
    let processes = Processes::new(state.tasks(), definition, task_events)?;
    let repositories = services::polled(&config.settings.policy.repositories, options.poll);
    let rules =
        Ruleset { settings: config.settings, catalogue: config.catalogue, subnets: Vec::new(), images: None };
    let brake = Brake::new(state.brake(), Arc::new(rules));
    let engine = engine(store, processes.clone(), config.github, brake);
    let app: App = Arc::new(Shared { engine, secrets: config.webhook_secrets });
    let token = SecretString::from(format!("{:032x}", u128::from_ne_bytes(random())));

    let listener = bind(options.listen).await?;
    let address = listener.local_addr()?;

    let mut services = JoinSet::new();
    services.spawn(connections::serve(front_listener, boot_front::router(front), limit));
    services.spawn(connections::serve(
        listener,
        server::router(app.clone(), token.clone(), config.hosts),
        limit,
    ));
    services.spawn(services::hear(app.clone(), heard));
    processes.adopt().context("the tasks of an earlier server cannot be adopted")?;
    services.spawn(services::sweep(app.clone(), database));
    services.spawn(services::dispatch(app.clone()));
    let last_traces = options.traces.map(|exporter| (app.clone(), exporter));
    if let Some((app, exporter)) = &last_traces {
        services.spawn(traces::export(app.clone(), exporter.clone()));
    }
    if options.poll {
        services.spawn(services::poll(app, repositories));
    }
    attach::leave(&state, &url_of(address), &token, &options.config, own_ports)?;
    // Before `ready`: from then on every signal must have its handler.
    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    ready(address);
    let ended = wait_for_end(services, signals).await;
    if let Some((app, exporter)) = last_traces {
        // What is not exported within its limit is lost.
        traces::flush(&app, &exporter).await;
    }
    ended
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Makes the engine with the ports of this machine.
fn engine(store: DynamoStore, compute: Processes, github: Client, brake: Brake) -> Engine<Local> {
    let rules = brake.rules();
    let ports = Ports {
        store,
        compute,
        github,
        images: NoImages,
        queue: NoQueue,
        rulebook: brake,
        clock: SystemClock,
        randomness: OsRandomness,
    };
    Engine::new(ports, rules).with_few_refusals()
}

/// Raises this process's limit of open files, and returns how many connections each listener may hold.
fn max_connections() -> usize {
    let files = match machine::raise_file_limit() {
        Ok(files) => files,
        Err(error) => {
            warn!(error = %chain(&error), "the limit of open files could not be raised");
            1024
        }
    };
    let most = (usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_OF_TASKS) / 2)
        .clamp(16, MAX_CONNECTIONS);
    if most < MAX_CONNECTIONS {
        warn!(
            files,
            connections = most,
            "few files may be open: raise the hard limit (ulimit -Hn) for more connections"
        );
    }
    most
}

/// Returns the URL under which a command on this machine reaches the server.
fn url_of(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::from((host, address.port())))
}

/// Returns the Docker engines of tasks, if a class has any.
fn docker(config: &Config) -> anyhow::Result<Option<Engines>> {
    let classes = preflight::engines(&config.catalogue);
    if classes.is_empty() {
        return Ok(None);
    }
    let names: Vec<_> = classes.iter().map(ClassName::as_str).collect();
    anyhow::ensure!(
        !config.settings.policy.public_repositories,
        "public_repositories is true, and jobs of the class {} can become root on this machine by their Docker engine: \
         a pull request of anyone could",
        names.join(", ")
    );
    warn!(
        classes = names.join(", "),
        "jobs of these classes can become root on this machine by their Docker engine: only trusted jobs may use them"
    );
    let addresses = config.docker.addresses()?;
    Ok(Some(Engines { classes, arguments: config.docker.dockerd_args.clone(), addresses }))
}

/// Returns how tasks are confined, as far as this machine allows it.
fn confinement(
    config: &Config,
    executable: &Path,
    users: &RunnerUsers,
    state: &StateDir,
) -> anyhow::Result<Confinement> {
    let tasks = &config.tasks;
    let own_users = !matches!(users, RunnerUsers::Shared);
    let limits = TaskLimits {
        processes: tasks.max_processes,
        files: tasks.max_files,
        memory: tasks.max_process_memory.map(|mebibytes| mebibytes << 20),
    };
    let read = [executable, &config.runner_dir].map(Path::to_owned).into();
    let wanted = Confinement {
        private_files: own_users && tasks.private_files != Some(false),
        no_new_privileges: tasks.no_new_privileges,
        writable: tasks.writable.clone(),
        read,
        limits,
    };
    let Err(error) = wanted.try_out(executable, &state.probe_dir()?, None) else { return Ok(wanted) };
    let without = Confinement { private_files: false, ..wanted.clone() };
    without.try_out(executable, &state.probe_dir()?, None).context("tasks cannot be confined")?;
    if tasks.private_files == Some(true) {
        bail!("runner.tasks.private_files: this machine does not allow tasks mounts of their own ({error})");
    }
    warn!(
        error = %chain(&error),
        "this machine does not allow tasks mounts of their own: jobs share /tmp and every directory that all users may \
         write to; start the server with CAP_SYS_ADMIN, or set runner.tasks.private_files to false to accept this"
    );
    Ok(without)
}

/// Binds the endpoint of tasks, and returns it with what it serves.
async fn front(
    state: &StateDir,
    database: &Embedded,
    tables: &Tables,
) -> anyhow::Result<(TcpListener, Front)> {
    let listener = bind_front(state).await?;
    let front = Front {
        database: database.clone(),
        keys: AccessKeys::new(state.secret("task-keys")?),
        boot_table: tables.boot.clone(),
        host: listener.local_addr()?.to_string(),
        tasks: state.tasks(),
    };
    Ok((listener, front))
}

/// Binds the front to its earlier port if possible, so that tasks of an earlier
/// server can still reach it.
async fn bind_front(state: &StateDir) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let earlier = match state.port(PORT_FILE) {
        Some(port) => TcpListener::bind(at(port)).await.ok(),
        None => None,
    };
    let listener = match earlier {
        Some(listener) => listener,
        None => TcpListener::bind(at(0)).await.context("cannot listen on 127.0.0.1")?,
    };
    state.remember_port(PORT_FILE, listener.local_addr()?.port())?;
    Ok(listener)
}

/// Waits for a signal. Fails if a service ends, which none should.
async fn wait_for_end(
    mut services: JoinSet<anyhow::Result<()>>,
    [mut terminate, mut interrupt]: [Signal; 2],
) -> anyhow::Result<()> {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        Some(ended) = services.join_next() => {
            ended.context("a service panicked")??;
            anyhow::bail!("a service ended unexpectedly");
        }
    }
    info!("stopping: runners continue, and the next start adopts them");
    std::io::stderr().flush()?;
    Ok(())
}
