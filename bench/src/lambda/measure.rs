//! The runs: alternating cold starts of both sides, then jobs through warm functions.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::calls::{Call, Named, Service, Units, by_name, fakes_own};
use super::crowd::Crowd;
use super::fakes::Fakes;
use super::function::{Answer, Function};
use super::job::{Action, Job};
use super::ours::Told;
use super::peer::Handler;
use super::process::Program;
use super::share::{Cgroups, Share};
use super::{ours, peer};
use crate::testbed::percentile;

/// Jobs of a warm function that are not counted, since just-in-time compilers need some.
const UNCOUNTED: usize = 5;

/// The number of repetitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) cold: usize,
    pub(crate) warm: usize,
}

/// Both sides with one set of fakes.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) fakes: Fakes,
    pub(crate) ours: Program,
    pub(crate) peer: Vec<(Handler, Program)>,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) logs: PathBuf,
    pub(crate) counts: Counts,
}

/// One start, in milliseconds and MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cold {
    /// The time until the function asked for its event.
    pub(crate) init: f64,
    /// The time until RunTask was answered, if the function calls it.
    pub(crate) launch: Option<f64>,
    /// The fakes' part of that time.
    pub(crate) fakes_to_launch: f64,
    pub(crate) response: f64,
    pub(crate) cpu: f64,
}

/// Events of a warm function: its latency and its CPU time for each, in milliseconds.
#[derive(Clone, Default, Debug)]
pub(crate) struct Events {
    pub(crate) latency: Vec<f64>,
    pub(crate) cpu: Vec<f64>,
    /// The calls, if they are counted by event.
    pub(crate) called: Vec<Called>,
}

/// The calls of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    pub(crate) aws: usize,
    pub(crate) github: usize,
    /// Calls of AWS until the configuration was handed over, or all if it was not.
    pub(crate) aws_to_hand_over: usize,
    pub(crate) units: Units,
}

/// The hand-over is the transaction that follows RunTask.
fn to_hand_over(calls: &[Call]) -> usize {
    let aws: Vec<&Call> = calls.iter().filter(|call| call.service != Service::GitHub).collect();
    let launched = aws.iter().position(|call| call.operation == "RunTask");
    let follows =
        |launched: usize| aws[launched..].iter().position(|call| call.operation == "TransactWriteItems");
    launched.and_then(|launched| Some(launched + follows(launched)? + 1)).unwrap_or(aws.len())
}

impl Called {
    fn of(calls: &[Call]) -> Self {
        let github = calls.iter().filter(|call| call.service == Service::GitHub).count();
        let sum = |of: fn(&Units) -> f64| calls.iter().map(|call| of(&call.units)).sum();
        let units = Units { read: sum(|units| units.read), write: sum(|units| units.write) };
        Self { aws: calls.len() - github, github, aws_to_hand_over: to_hand_over(calls), units }
    }
}

impl Events {
    fn add(&mut self, answer: &Answer) {
        self.latency.push(ms(answer.latency));
        self.cpu.push(ms(answer.cpu));
    }

    fn add_told(&mut self, (answer, calls): &Told) {
        self.add(answer);
        self.called.push(Called::of(calls));
    }

    /// The mean count of a call.
    pub(crate) fn mean(&self, of: fn(&Called) -> f64) -> f64 {
        self.called.iter().map(of).sum::<f64>() / self.called.len() as f64
    }
}

/// A function's figures. A job has one event of each kind.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) cold: Vec<Cold>,
    pub(crate) warm: Vec<(&'static str, Events)>,
    pub(crate) peak_rss_mb: f64,
    /// The calls of the first job that the process had.
    pub(crate) first_job: Named,
    /// The calls of all the jobs counted.
    pub(crate) jobs: Named,
}

/// All figures of one CPU share, with one set of fakes.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) share: Share,
    pub(crate) scheme: &'static str,
    pub(crate) jobs: usize,
    pub(crate) ours: Figures,
    pub(crate) peer: Vec<(Handler, Figures)>,
}

impl Row {
    pub(crate) fn peer(&self, handler: Handler) -> anyhow::Result<&Figures> {
        let figures = self.peer.iter().find(|(of, _)| *of == handler);
        Ok(&figures.with_context(|| format!("{} was not run", handler.name()))?.1)
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    percentile(&values, 50)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Stand {
    pub(crate) async fn row(&self, share: Share) -> anyhow::Result<Row> {
        let mut ours = Vec::new();
        // The reaper's start delays no job, so one measurement for its price is enough.
        let timed = [Handler::Webhook, Handler::Token];
        let mut colds: Vec<(Handler, Vec<Cold>)> = timed.map(|handler| (handler, Vec::new())).to_vec();
        for _ in 0..self.counts.cold {
            ours.push(self.cold_ours(share).await.context("our cold start")?);
            for (handler, colds) in &mut colds {
                colds.push(self.cold_peer(*handler, share).await.context("the peer's cold start")?);
            }
        }
        let mut figures = self.warm_ours(share).await.context("our jobs")?;
        figures.cold = ours;
        let mut row =
            Row { share, scheme: self.fakes.scheme, jobs: self.counts.warm, ours: figures, peer: Vec::new() };
        for handler in Handler::ALL {
            let mut figures = self.warm_peer(handler, share).await.context("the peer's jobs")?;
            if let Some((_, colds)) = colds.iter_mut().find(|(of, _)| *of == handler) {
                figures.cold = std::mem::take(colds);
            }
            row.peer.push((handler, figures));
        }
        Ok(row)
    }

    async fn start(&self, program: &Program, share: Share) -> anyhow::Result<Function> {
        self.fakes.calls.take();
        Function::start(program, share, self.cgroups.as_ref(), &self.logs).await
    }

    fn of_peer(&self, handler: Handler) -> anyhow::Result<&Program> {
        let program = self.peer.iter().find(|(of, _)| *of == handler);
        Ok(&program.with_context(|| format!("{} is not prepared", handler.name()))?.1)
    }

    async fn cold_ours(&self, share: Share) -> anyhow::Result<Cold> {
        ours::reset(&self.fakes).await?;
        let mut function = self.start(&self.ours, share).await?;
        let answer = ours::launch(&mut function, &self.fakes, &Job::new()).await?;
        let cold = cold(&function, &answer, &self.fakes.calls.take())?;
        function.end().await?;
        Ok(cold)
    }

    async fn cold_peer(&self, handler: Handler, share: Share) -> anyhow::Result<Cold> {
        let mut function = self.start(self.of_peer(handler)?, share).await?;
        let answer = match handler {
            Handler::Webhook => peer::webhook(&mut function, Action::Queued).await?,
            Handler::Token => peer::token(&mut function, &self.fakes).await?,
            Handler::Reaper => peer::reaper(&mut function).await?,
        };
        let cold = cold(&function, &answer, &self.fakes.calls.take())?;
        function.end().await?;
        Ok(cold)
    }

    async fn warm_ours(&self, share: Share) -> anyhow::Result<Figures> {
        ours::reset(&self.fakes).await?;
        let mut function = self.start(&self.ours, share).await?;
        let first = ours::live(&mut function, &self.fakes).await?;
        for _ in 0..UNCOUNTED {
            ours::live(&mut function, &self.fakes).await?;
        }
        let mut calls = Vec::new();
        let mut warm = ours::LIFE.map(|event| (event, Events::default())).to_vec();
        for _ in 0..self.counts.warm {
            let told = ours::live(&mut function, &self.fakes).await?;
            warm.iter_mut().zip(&told).for_each(|((_, events), told)| events.add_told(told));
            calls.extend(told.into_iter().flat_map(|(_, calls)| calls));
        }
        let first: Vec<Call> = first.into_iter().flat_map(|(_, calls)| calls).collect();
        let (first_job, jobs) = (by_name(&first), by_name(&calls));
        let peak_rss_mb = function.peak_rss_mb()?;
        function.end().await?;
        Ok(Figures { cold: Vec::new(), warm, peak_rss_mb, first_job, jobs })
    }

    /// Our events with many jobs open, at full CPU.
    pub(crate) async fn crowded(&self) -> anyhow::Result<Vec<(&'static str, Events)>> {
        ours::reset(&self.fakes).await?;
        let mut function = self.start(&self.ours, Share::Full).await?;
        let mut crowd = Crowd::gather(&mut function, &self.fakes).await?;
        let mut warm = ours::LIFE.map(|event| (event, Events::default())).to_vec();
        for _ in 0..self.counts.warm {
            let told = crowd.turn(&mut function, &self.fakes).await?;
            warm.iter_mut().zip(&told).for_each(|((_, events), told)| events.add_told(told));
        }
        function.end().await?;
        Ok(warm)
    }

    async fn warm_peer(&self, handler: Handler, share: Share) -> anyhow::Result<Figures> {
        let mut function = self.start(self.of_peer(handler)?, share).await?;
        let answers = self.peer_job(handler, &mut function).await?;
        let calls = self.fakes.calls.take();
        let (_, first) = answers.first().context("no event")?;
        let first = cold(&function, first, &calls)?;
        for _ in 0..UNCOUNTED {
            self.peer_job(handler, &mut function).await?;
        }
        self.fakes.calls.take();
        let mut warm: Vec<_> = answers.iter().map(|(event, _)| (*event, Events::default())).collect();
        for _ in 0..self.counts.warm {
            let answers = self.peer_job(handler, &mut function).await?;
            warm.iter_mut().zip(&answers).for_each(|((_, events), (_, answer))| events.add(answer));
        }
        self.figures(function, vec![first], warm, by_name(&calls)).await
    }

    /// A job's events of one of the peer's functions.
    async fn peer_job(
        &self,
        handler: Handler,
        function: &mut Function,
    ) -> anyhow::Result<Vec<(&'static str, Answer)>> {
        Ok(match handler {
            Handler::Webhook => vec![
                ("queued", peer::webhook(function, Action::Queued).await?),
                ("in_progress", peer::webhook(function, Action::InProgress("bench")).await?),
                ("completed", peer::webhook(function, Action::Completed("bench")).await?),
            ],
            Handler::Token => vec![("token", peer::token(function, &self.fakes).await?)],
            Handler::Reaper => vec![("reaper", peer::reaper(function).await?)],
        })
    }

    async fn figures(
        &self,
        function: Function,
        cold: Vec<Cold>,
        warm: Vec<(&'static str, Events)>,
        first_job: Named,
    ) -> anyhow::Result<Figures> {
        let peak_rss_mb = function.peak_rss_mb()?;
        let jobs = by_name(&self.fakes.calls.take());
        function.end().await?;
        Ok(Figures { cold, warm, peak_rss_mb, first_job, jobs })
    }
}

fn cold(function: &Function, answer: &Answer, calls: &[Call]) -> anyhow::Result<Cold> {
    let since_start = |at: Instant| ms(at.saturating_duration_since(function.started()));
    let launched = calls.iter().find(|call| call.service == Service::Ecs && call.operation == "RunTask");
    let launched = launched.map(|call| call.ended);
    Ok(Cold {
        init: ms(function.init),
        launch: launched.map(since_start),
        fakes_to_launch: ms(fakes_own(calls, launched.unwrap_or(answer.at))),
        response: since_start(answer.at),
        cpu: ms(function.cpu()?),
    })
}
