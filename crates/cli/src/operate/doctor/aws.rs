//! The parts of a deployment on AWS.

use std::collections::BTreeSet;

use ecsrunner_aws::ecs::CapacityProvider;
use ecsrunner_aws::ecs::definition::Variant;
use ecsrunner_aws::operate::{OperateError, registry_outside_ecr};
use ecsrunner_core::rules::class::Class;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::image::OFFICIAL;
use jiff::{SignedDuration, Timestamp};

use super::network::{Needs, Pulls};
use super::{Check, image, network, one_line, runner_image};
use crate::deployment::AwsDeployment;
use crate::exit::Failure;
use crate::output::span;

/// The sweep runs every 5 minutes while nothing is open.
const SWEPT_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// CPU units of a vCPU.
const VCPU: f64 = 1024.0;

pub(super) async fn look(aws: &AwsDeployment) -> Vec<Check> {
    let mut checks = vec![parameters(aws), state(aws).await, sweep(aws).await, cluster(aws).await];
    checks.extend(network(aws).await);
    checks.extend(instances(aws).await);
    checks.push(exec(aws));
    checks.extend(image::look(aws).await);
    checks.extend(runner_images(aws).await);
    checks.extend(queues(aws).await);
    checks.push(webhook_secret(aws).await);
    checks.extend(quotas(aws).await);
    checks
}

fn parameters(aws: &AwsDeployment) -> Check {
    const NAME: &str = "parameters";
    let (rules, region) = (aws.rules(), aws.region());
    let faults = aws.class_faults();
    if !faults.is_empty() {
        return Check::failed(
            NAME,
            one_line(&faults.join("; ")),
            "correct the classes in runner_class_sizes, and run `terraform apply`: jobs of these classes are refused",
        );
    }
    if rules.settings.paused {
        return Check::warning(NAME, "launches are paused", "run `ecsrunner resume` to resume them");
    }
    let classes = rules.catalogue.iter().count();
    Check::ok(NAME, format_args!("deployment {} in {region}, {classes} classes", aws.name()))
}

async fn state(aws: &AwsDeployment) -> Check {
    const NAME: &str = "records";
    match aws.counts().await {
        Ok((open, 0)) => Check::ok(NAME, format_args!("{open} open jobs and runners")),
        Ok((_, unreadable)) => Check::failed(
            NAME,
            format_args!("{unreadable} open records cannot be read"),
            "use the release that wrote them, or inspect them in the state table: until then they are ignored",
        ),
        Err(failure) => {
            Check::broken(NAME, &failure, "check that the state table exists: `terraform apply` creates it")
        }
    }
}

async fn sweep(aws: &AwsDeployment) -> Check {
    const NAME: &str = "sweep";
    const REMEDY: &str = "check that the schedule is enabled, and look for errors in the function's log";
    match aws.swept_at().await {
        Ok(Some(at)) => {
            let ago = Timestamp::now().duration_since(at);
            let found = format!("the last sweep began {} ago", span(ago));
            if ago <= SWEPT_WITHIN { Check::ok(NAME, found) } else { Check::failed(NAME, found, REMEDY) }
        }
        Ok(None) => Check::failed(NAME, "no sweep has run yet", REMEDY),
        Err(failure) => Check::broken(NAME, &failure, "check that the state table exists"),
    }
}

async fn cluster(aws: &AwsDeployment) -> Check {
    const NAME: &str = "cluster";
    let cluster = match aws.operator().cluster(&aws.facts().cluster).await {
        Ok(cluster) => cluster,
        Err(error @ OperateError::Missing(_)) => {
            return Check::failed(NAME, error, "run `terraform apply` to create it");
        }
        Err(error) => return Check::unknown(NAME, &Failure::of_aws(error)),
    };
    if cluster.status != "ACTIVE" {
        return Check::failed(
            NAME,
            format_args!("{} is {}", cluster.name, cluster.status),
            "run `terraform apply` to create it again",
        );
    }
    let rules = aws.rules();
    let missing: BTreeSet<&str> = rules
        .catalogue
        .iter()
        .filter(|class| !class.is_managed())
        .flat_map(|class| Market::all_of(class.capacity))
        .map(|market| market.capacity_provider())
        .filter(|provider| !cluster.capacity_providers.iter().any(|has| has == provider))
        .collect();
    if missing.is_empty() {
        return Check::ok(NAME, format_args!("{} is {}", cluster.name, cluster.status));
    }
    let missing: Vec<&str> = missing.into_iter().collect();
    Check::failed(
        NAME,
        format_args!("{} lacks the capacity provider {}", cluster.name, missing.join(" and ")),
        "add it to the cluster's capacity providers: some classes need it",
    )
}

/// Checks the capacity providers of classes on managed instances, which AWS makes and deletes by itself.
async fn instances(aws: &AwsDeployment) -> Option<Check> {
    const NAME: &str = "instances";
    let names: Vec<&str> = aws.facts().capacity_providers.values().flat_map(CapacityProvider::all).collect();
    if names.is_empty() {
        return None;
    }
    let found = match aws.operator().capacity_providers(&aws.facts().cluster, &names).await {
        Ok(found) => found,
        Err(error) => return Some(Check::unknown(NAME, &Failure::of_aws(error))),
    };
    let status = |name: &str| found.get(name).map_or("missing", String::as_str);
    let bad: Vec<String> = names
        .iter()
        .filter(|name| status(name) != "ACTIVE")
        .map(|name| format!("{name} is {}", status(name)))
        .collect();
    Some(if bad.is_empty() {
        Check::ok(NAME, format_args!("{} capacity providers of managed instances are ACTIVE", names.len()))
    } else {
        Check::failed(
            NAME,
            bad.join(", "),
            "run `terraform apply` to create it again: jobs of its class wait until it is ACTIVE",
        )
    })
}

async fn network(aws: &AwsDeployment) -> Vec<Check> {
    const NAME: &str = "network";
    let network = &aws.facts().network;
    let found = match aws.operator().network(&network.subnets).await {
        Ok(found) => found,
        Err(error @ OperateError::Missing(_)) => {
            let remedy = "correct `network` in Terraform's inputs, and run `terraform apply`";
            return vec![Check::failed(NAME, error, remedy)];
        }
        Err(error) => return vec![Check::unknown(NAME, &Failure::of_aws(error))],
    };
    let needs = Needs {
        account: account(&aws.facts().queue_url),
        pulls: pulls(aws).await,
        has_public_address: network.assign_public_ip,
        has_exec: aws.rules().catalogue.iter().any(|class| class.exec),
        is_github_outside: aws.is_github_outside(),
    };
    network::check(&found, &needs)
}

/// Returns the account of a queue: `https://HOST/ACCOUNT/NAME`.
fn account(queue_url: &str) -> Option<String> {
    let account = queue_url.rsplit('/').nth(1)?;
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then(|| account.to_owned())
}

/// Finds out from where tasks pull their images. A task definition that cannot be read counts as one of ECR: other checks
/// report it.
async fn pulls(aws: &AwsDeployment) -> Pulls {
    let (facts, rules) = (aws.facts(), aws.rules());
    let image_rules = facts.image_rules();
    // GitHub's own image is for classes that ask for it, and while there is no other.
    let is_official_used = |arch: Arch| {
        let is_given = image_rules.as_ref().is_some_and(|rules| rules.given.contains(&arch));
        !is_given || rules.catalogue.iter().any(|class| class.image.as_deref() == Some(OFFICIAL))
    };
    let is_used = |variant: &Variant| {
        let is_official_used =
            || Arch::ALL.into_iter().any(|arch| variant.arch == arch.into() && is_official_used(arch));
        !variant.exec && (variant.image != OFFICIAL || is_official_used())
    };
    let own = facts.task_definitions.iter().filter(|(variant, _)| is_used(variant));
    let own = own.map(|(variant, definition)| (definition, variant.image == OFFICIAL));
    let with_services = facts.service_definitions.values().flatten();
    let with_services = with_services.map(|(image, definition)| (definition, image == OFFICIAL));
    let mut pulls = Pulls::default();
    for (definition, is_official) in own.chain(with_services) {
        let images = aws.operator().images(definition).await.unwrap_or_default();
        pulls.from_ecr |= images.is_empty();
        for image in &images {
            match registry_outside_ecr(image) {
                None => pulls.from_ecr = true,
                Some(registry) => *pulls.others.entry(registry.to_owned()).or_default() |= is_official,
            }
        }
    }
    pulls
}

/// ECS's agent in the container holds the task's role, and a job that is root can use it.
fn exec(aws: &AwsDeployment) -> Check {
    const NAME: &str = "exec";
    let rules = aws.rules();
    let classes = rules.catalogue.iter().filter(|class| class.exec);
    let classes: Vec<&str> = classes.map(|class| class.name.as_str()).collect();
    if classes.is_empty() {
        return Check::ok(NAME, "no class allows ECS Exec");
    }
    Check::warning(
        NAME,
        format_args!(
            "ECS Exec is on for {}: their jobs can use their tasks' identity at AWS",
            classes.join(", ")
        ),
        "leave out `exec` in runner_class_sizes if nobody needs a shell in these jobs",
    )
}

async fn runner_images(aws: &AwsDeployment) -> Vec<Check> {
    let Some(rules) = aws.facts().image_rules() else { return Vec::new() };
    let open = match aws.open().await {
        Ok(open) => open,
        Err(failure) => return vec![Check::unknown("runner image", &failure)],
    };
    let now = Timestamp::now();
    let check = |arch: &Arch| runner_image::check(*arch, open.images.get(arch), &rules, now);
    rules.built.iter().flat_map(check).collect()
}

async fn queues(aws: &AwsDeployment) -> Vec<Check> {
    let (operator, url) = (aws.operator(), &aws.facts().queue_url);
    let queue = match operator.queue(url).await {
        Ok(queue) => queue,
        Err(error) => return vec![Check::unknown("kicks", &Failure::of_aws(error))],
    };
    let mut checks = vec![Check::ok("kicks", format_args!("{} waiting", queue.waiting))];
    // The dead-letter queue of the function's events is found by the name that Terraform gives it.
    let of_events = url.strip_suffix("-kicks").map(|name| format!("{name}-events-dead"));
    for letters in queue.dead_letters.into_iter().chain(of_events) {
        checks.push(dead_letters(aws, &letters).await);
    }
    checks
}

async fn dead_letters(aws: &AwsDeployment, url: &str) -> Check {
    const NAME: &str = "dead letters";
    let name = url.rsplit('/').next().unwrap_or(url);
    match aws.operator().queue(url).await {
        Ok(queue) if queue.waiting == 0 => Check::ok(NAME, format_args!("{name} is empty")),
        Ok(queue) => Check::warning(
            NAME,
            format_args!("{name} has {} that could not be handled", queue.waiting),
            "read them in the queue, and fix the cause; the sweep has repaired the effects of most of them",
        ),
        Err(error) => Check::unknown(NAME, &Failure::of_aws(error)),
    }
}

async fn webhook_secret(aws: &AwsDeployment) -> Check {
    const NAME: &str = "webhook secret";
    match aws.webhook_secrets().await {
        Ok(count) => Check::ok(NAME, format_args!("{count} in {}", aws.facts().webhook_secret)),
        Err(failure) => Check::broken(
            NAME,
            &failure,
            "run `ecsrunner setup`, or store a JSON array of secrets there: without one every webhook is refused",
        ),
    }
}

async fn quotas(aws: &AwsDeployment) -> Vec<Check> {
    const NAME: &str = "quota";
    let rules = aws.rules();
    let mut checks = Vec::new();
    for market in [Market::OnDemand, Market::Spot] {
        let classes: Vec<&Class> = rules
            .catalogue
            .iter()
            .filter(|class| !class.is_managed() && Market::all_of(class.capacity).contains(&market))
            .collect();
        let Some(most) = most_vcpus(&classes, rules.settings.limits.max_runners) else { continue };
        checks.push(match aws.operator().quota(market).await {
            Ok(quota) if quota.vcpus >= most => {
                Check::ok(NAME, format_args!("{}: {} vCPU", market.capacity_provider(), quota.vcpus))
            }
            Ok(quota) => Check::warning(
                NAME,
                format_args!(
                    "{}: {} vCPU, but the limits allow runners with {most} vCPU",
                    market.capacity_provider(),
                    quota.vcpus
                ),
                format_args!(
                    "request an increase of {} in Service Quotas: above the quota, jobs wait",
                    quota.code
                ),
            ),
            Err(error) => Check::unknown(NAME, &Failure::of_aws(error)),
        });
    }
    checks
}

/// Returns the most vCPUs that runners of these classes can have at once.
fn most_vcpus(classes: &[&Class], max_runners: u32) -> Option<f64> {
    let of = |class: &&Class| {
        let most = class.max_runners.unwrap_or(max_runners).min(max_runners);
        (class.size.cpu(), most)
    };
    let mut sizes: Vec<(u32, u32)> = classes.iter().map(of).collect();
    if sizes.is_empty() {
        return None;
    }
    sizes.sort_by_key(|(cpu, _)| std::cmp::Reverse(*cpu));
    let (mut left, mut vcpus) = (max_runners, 0.0);
    for (cpu, most) in sizes {
        let count = most.min(left);
        left -= count;
        vcpus += f64::from(cpu) / VCPU * f64::from(count);
    }
    Some(vcpus)
}
