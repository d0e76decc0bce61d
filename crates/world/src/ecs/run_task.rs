//! RunTask.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::faults::{StartFault, ThrottleForm};
use super::launch::Launch;
use super::options::Durations;
use super::reply::Refusal;
use super::representation::{Form, task_json};
use super::request;
use super::state::{Ecs, Number};
use super::task::{Provider, Status, Task};
use crate::Spread;

/// Fargate's message without capacity.
pub const CAPACITY_UNAVAILABLE: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// Fargate's message at the vCPU quota. The quote is U+2019.
pub const VCPU_LIMIT_REACHED: &str =
    "You\u{2019}ve reached the limit on the number of vCPUs you can run concurrently";

const CPU_UNITS: u32 = 1024;

/// Where a task will run.
struct Target {
    subnet: String,
    start_fault: Option<StartFault>,
}

impl Ecs {
    pub(super) fn run_task(
        &mut self,
        request: &Value,
        failure: Option<(&str, Option<&str>)>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let parsed: request::RunTask = request::parse(request)?;
        let launch = Arc::new(Launch::check(parsed, &request["overrides"], &self.options)?);
        let mut parameters = request.clone();
        if let Value::Object(members) = &mut parameters {
            members.remove("clientToken");
            members.remove("cluster");
        }
        if let Some(token) = &launch.token
            && let Some(answer) = self.tokens.recall(&launch.cluster, token, &parameters, now)?
        {
            return Ok(answer);
        }
        let providers = launch.capacity.allot(launch.count);
        let (started, failures) = match failure {
            Some((reason, detail)) => (Vec::new(), vec![failure_json(reason, detail)]),
            None if !self.within_launch_rate(&providers, now) => {
                (Vec::new(), vec![throttle(self.options.faults.throttle)?])
            }
            None => self.start_all(&launch, &providers, now),
        };
        let tasks: Vec<&Task> = started.iter().filter_map(|number| self.tasks.get(number)).collect();
        let form = Form::Api { tags: true };
        let described: Vec<Value> = tasks.iter().map(|task| task_json(task, &self.options, form)).collect();
        let answer = json!({"tasks": described, "failures": failures});
        if let Some(token) = &launch.token {
            let arns = tasks.iter().map(|task| task.arn.clone()).collect();
            self.tokens.remember(&launch.cluster, token, parameters, answer.clone(), arns, now);
        }
        Ok(answer)
    }

    /// Takes the launches from their buckets, all or none. Returns whether it took them.
    fn within_launch_rate(&mut self, providers: &[Provider], now: Timestamp) -> bool {
        let before = self.launches.clone();
        let rate = self.options.rates.launch;
        let fits =
            providers.iter().all(|provider| self.launches.entry(*provider).or_default().take(rate, 1, now));
        if !fits {
            self.launches = before;
        }
        fits
    }

    fn start_all(
        &mut self,
        launch: &Arc<Launch>,
        providers: &[Provider],
        now: Timestamp,
    ) -> (Vec<Number>, Vec<Value>) {
        let mut started = Vec::new();
        let mut failures = Vec::new();
        for &provider in providers {
            match self.choose(launch, provider) {
                Ok(target) => started.push(self.start(launch, provider, target, now)),
                Err(reason) => failures.push(failure_json(reason, None)),
            }
        }
        (started, failures)
    }

    /// Chooses one of the subnets with capacity.
    fn choose(&mut self, launch: &Launch, provider: Provider) -> Result<Target, &'static str> {
        if let Some(&quota) = self.options.faults.vcpu_quotas.get(&provider) {
            let used: u32 = self
                .tasks
                .values()
                .filter(|task| task.is_alive() && task.provider == provider)
                .map(|task| task.launch.size.cpu())
                .sum();
            if used + launch.size.cpu() > quota * CPU_UNITS {
                return Err(VCPU_LIMIT_REACHED);
            }
        }
        let arch = launch.size.arch();
        let short = |subnet: &str, late: bool| {
            let mut shortages = self.options.faults.short.iter();
            shortages.any(|shortage| shortage.late == late && shortage.hits(subnet, provider, arch))
        };
        let open: Vec<&String> = launch.subnets.iter().filter(|subnet| !short(subnet, false)).collect();
        let subnet = *open.get(self.random.below(open.len())).ok_or(CAPACITY_UNAVAILABLE)?;
        let start_fault = if short(subnet, true) {
            let reason = CAPACITY_UNAVAILABLE.to_owned();
            Some(StartFault { times: Some(1), subnet: None, reason, status: Status::Provisioning })
        } else {
            self.options.faults.start_fault(subnet)
        };
        Ok(Target { subnet: subnet.clone(), start_fault })
    }

    fn start(&mut self, launch: &Arc<Launch>, provider: Provider, target: Target, now: Timestamp) -> Number {
        self.launched += 1;
        let number = self.launched;
        let id = self.random.hex(32);
        let arn = format!(
            "arn:aws:ecs:{}:{}:task/{}/{id}",
            self.options.region, self.options.account, launch.cluster
        );
        let Durations { provisioning, provisioning_more, .. } = self.options.durations;
        let provisioning = Spread { least: provisioning, more: provisioning_more }.draw(&mut self.random);
        let task = Task {
            id: id.clone(),
            arn,
            launch: Arc::clone(launch),
            provider,
            subnet: target.subnet,
            instance: None,
            tags: launch.tags.clone(),
            start_fault: target.start_fault,
            provisioning,
            timeline: vec![(Status::Provisioning, now)],
            stop: None,
            exit: None,
            version: 0,
            updated_at: now,
            due: None,
        };
        self.numbers.insert(id, number);
        self.tasks.insert(number, task);
        self.note_change(number, now);
        number
    }
}

fn failure_json(reason: &str, detail: Option<&str>) -> Value {
    let mut failure = json!({"reason": reason});
    if let Some(detail) = detail {
        failure["detail"] = json!(detail);
    }
    failure
}

/// Returns the answer to a launch beyond the rate: an entry in `failures`, or an exception.
fn throttle(form: ThrottleForm) -> Result<Value, Refusal> {
    match form {
        ThrottleForm::ThrottlingException => Err(Refusal::throttled()),
        ThrottleForm::ClientException => Err(Refusal::client("Rate exceeded")),
        ThrottleForm::InvalidParameterException => {
            Err(Refusal::invalid("The request was throttled by Fargate. Rate exceeded."))
        }
        ThrottleForm::Failure => Ok(failure_json("Rate exceeded", None)),
    }
}
