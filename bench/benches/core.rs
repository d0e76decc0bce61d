//! Measures `record` and `plan`, on one core.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ecsrunner_core::decide::plan::{Means, plan};
use ecsrunner_core::decide::record::record;
use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use ecsrunner_core::wire::event::{Event, JobAction, JobEvent};
use ecsrunner_core::wire::job::JobFacts;
use jiff::Timestamp;

struct Deployment {
    settings: Settings,
    catalogue: Catalogue,
}

impl Deployment {
    fn new() -> Self {
        let settings: SettingsEntry = serde_json::from_str(
            r#"{"version": 1, "deployment": "bench", "repositories": ["acme/*"], "limits": {"max_runners": 2000},
                "paces": {"github": {"burst": 2000, "per_minute": 6000}, "fargate": {"burst": 2000, "per_minute": 6000}}}"#,
        )
        .expect("settings");
        let classes: BTreeMap<_, _> =
            serde_json::from_str(r#"{"small": {"cpu": 512, "memory": 1024}}"#).expect("classes");
        Self {
            settings: Settings::read(&settings).expect("sound settings"),
            catalogue: Catalogue::read(&classes).0,
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, catalogue: &self.catalogue }
    }
}

fn queued(id: u64) -> Event {
    Event::Job(JobEvent {
        action: JobAction::Queued,
        facts: Arc::new(JobFacts {
            id: JobId::new(id),
            run: RunId::new(id / 10),
            attempt: 1,
            repository: Repository::parse("acme/app").expect("a repository"),
            name: Arc::from("build (linux, stable)"),
            workflow: Some(Arc::from("CI")),
            labels: Labels::new(["self-hosted", "linux", "x64", "class:small"]),
        }),
        private: Some(true),
        created_at: Some(Timestamp::UNIX_EPOCH),
        received_at: Timestamp::UNIX_EPOCH,
    })
}

fn benches(criterion: &mut Criterion) {
    let deployment = Deployment::new();
    let mut group = criterion.benchmark_group("core");
    let event = queued(7);
    group.throughput(Throughput::Elements(1));
    group.bench_function("record a queued event", |bencher| {
        let records = Records::default();
        bencher.iter(|| record(black_box(&event), black_box(&records), deployment.rules()));
    });
    let mut open = Open::default();
    for id in 0..1000 {
        let recorded = record(&queued(id), &Records::default(), deployment.rules());
        for change in recorded.changes {
            if let Change::Job(job) = change {
                open.add_job(job);
            }
        }
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("record and plan with 1,000 open jobs of one pool", |bencher| {
        let records = Records::default();
        bencher.iter(|| {
            let recorded = record(black_box(&event), &records, deployment.rules());
            let plan = plan(black_box(&open), deployment.rules(), Means::default(), Timestamp::UNIX_EPOCH);
            (recorded, plan)
        });
    });
    group.finish();
}

criterion_group!(core, benches);
criterion_main!(core);
