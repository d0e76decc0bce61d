//! `ecsrunner classes` and `list-class-sizes`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use ecsrunner_api::budget::{BudgetOf, BudgetView};
use ecsrunner_api::class::{ClassBudgetView, ClassView};
use ecsrunner_core::rules::budget::Usd;
use ecsrunner_core::rules::class::{Catalogue, ClassError, Compute};
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use ecsrunner_core::rules::service::Place;
use ecsrunner_entries as entries;
use serde::Serialize;
use serde_json::Value;

use super::costs::told_budgets;
use crate::arguments::{CheckClasses, ListClasses};
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, Rows, or_none, print, say};

#[derive(Serialize)]
struct Document {
    classes: Vec<ClassView>,
    /// What was spent of the classes' budgets; empty for a file, since nothing runs by it.
    budgets: Vec<BudgetView>,
    prices_as_of: &'static str,
}

/// What `check --json` prints in place of the classes.
#[derive(Serialize)]
struct Mistakes<'a> {
    mistakes: &'a [String],
}

pub(super) async fn list(arguments: &ListClasses) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let classes = deployment.classes().await?;
    // Without a class that has one, nothing is read.
    let mut budgets = match classes.iter().any(|class| class.budget.is_some()) {
        true => deployment.budgets().await?.budgets,
        false => Vec::new(),
    };
    budgets.retain(|budget| budget.of == BudgetOf::Class);
    show(classes, budgets, arguments.format.json)
}

/// Checks a catalogue in the form of Terraform's `runner_class_sizes`, and reports every mistake in it.
pub(super) fn check(arguments: &CheckClasses) -> Result<(), Failure> {
    let (catalogue, mut mistakes) = catalogue(&arguments.file)?;
    match arguments.max_warm {
        Some(max_warm) => mistakes.extend(catalogue.check_warm(max_warm).map(|mistake| mistake.to_string())),
        None => {
            if let Some(ClassError::TooManyWarm { count, .. }) = catalogue.check_warm(0) {
                say(&format!(
                    "warm.count of all classes together is {count}: limits.max_warm must be at least {count} \
                     (--max-warm checks it)"
                ));
            }
        }
    }
    for mistake in catalogue.iter().filter_map(|class| class.unfit_docker(Place::Ecs)) {
        let text = mistake.to_string();
        let (class, why) = text.split_once(": ").unwrap_or(("a class", &text));
        say(&format!("{class} is valid on one machine only: {why}"));
    }
    for class in catalogue.iter() {
        let containers = class.services.iter().filter(|(_, service)| service.process.is_none());
        for (name, service) in containers.filter(|(_, service)| !service.image.is_pinned()) {
            say(&format!(
                "class `{}`: the image `{}` of the service `{name}` has no digest: its tag can be moved to another image",
                class.name, service.image
            ));
        }
    }
    if mistakes.is_empty() {
        return show(ClassView::all(&catalogue), Vec::new(), arguments.format.json);
    }
    if arguments.format.json {
        output::print_json(&Mistakes { mistakes: &mistakes })?;
    }
    Err(mistaken(&arguments.file, &mistakes))
}

/// Returns the valid classes of a file, and every mistake in it.
pub(super) fn catalogue(file: &Path) -> Result<(Catalogue, Vec<String>), Failure> {
    let classes: serde_json::Map<String, Value> = serde_json::from_str(&read(file)?)
        .with_context(|| format!("{} is not a JSON object of classes by name (HCL is not read)", name(file)))
        .map_err(|error| {
            Failure::usage(error).hint(
                "keep the classes in a JSON file, and write `runner_class_sizes = jsondecode(file(\"classes.json\"))`",
            )
        })?;
    let classes = classes.into_iter().map(|(class, entry)| (class, entries::of_json(entry))).collect();
    let mut mistakes = Vec::new();
    let catalogue = entries::classes("", classes, &mut mistakes);
    Ok((catalogue, mistakes))
}

/// Names a file in a message.
fn name(file: &Path) -> String {
    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() }
}

/// Returns an error that lists every mistake in a file.
pub(super) fn mistaken(file: &Path, mistakes: &[String]) -> Failure {
    let (name, count) = (name(file), mistakes.len());
    let plural = if count == 1 { "mistake" } else { "mistakes" };
    Failure::usage(anyhow!("{name} has {count} {plural}:\n  {}", mistakes.join("\n  ")))
}

/// Reads a file, or stdin for `-`.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let read = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.with_context(|| format!("{} cannot be read", name(file))).map_err(Failure::usage)
}

fn show(classes: Vec<ClassView>, budgets: Vec<BudgetView>, json: bool) -> Result<(), Failure> {
    if json {
        output::print_json(&Document { classes, budgets, prices_as_of: PRICES_AS_OF })?;
        return Ok(());
    }
    let for_people = output::is_for_people();
    print(&text(&classes, for_people))?;
    if for_people {
        for class in classes.iter().filter(|class| class.docker || class.compute != Compute::default()) {
            let docker = if class.docker { "a Docker engine for each task" } else { "no Docker engine" };
            print(&format!("compute of {}: {}, {docker}\n", class.name, class.compute))?;
        }
        for class in &classes {
            let services = class.services.iter();
            let services: Vec<String> = services
                .map(|service| format!("{} (`{}`, port {})", service.name, service.image, service.port))
                .collect();
            if !services.is_empty() {
                print(&format!("services of {}: {}\n", class.name, services.join(", ")))?;
            }
        }
        print(&told_budgets(&budgets))?;
        print(&format!(
            "\nper hour at list prices of us-east-1, {PRICES_AS_OF}; * marks the default class\n"
        ))?;
    }
    Ok(())
}

fn text(classes: &[ClassView], for_people: bool) -> String {
    let mut rows = Rows::new([
        "CLASS",
        "VCPU>",
        "MEMORY>",
        "DISK>",
        "ARCH",
        "CAPACITY",
        "MAX RUNNERS>",
        "PER HOUR>",
        "LABELS",
        "WARM>",
        "BUDGET",
    ]);
    for class in classes {
        let own = class.labels.iter().filter(|label| !is_built_in(label));
        let own = own.map(String::as_str).collect::<Vec<_>>().join(", ");
        let star = if for_people && class.default { " *" } else { "" };
        let spot = class.capacity.starts_with("spot");
        rows.add([
            format!("{}{star}", class.name),
            (f64::from(class.cpu) / 1024.0).to_string(),
            format!("{} GiB", f64::from(class.memory) / 1024.0),
            format!("{} GiB", class.ephemeral_storage_gib),
            class.labels.iter().find(|label| is_arch(label)).cloned().unwrap_or_default(),
            class.capacity.clone(),
            or_none(class.max_runners.map(|most| most.to_string()).as_deref()),
            if spot { class.spot_usd_per_hour } else { class.usd_per_hour }
                .map_or_else(|| "unknown".to_owned(), |usd| format!("${usd:.3}")),
            or_none(Some(own.as_str()).filter(|own| !own.is_empty())),
            or_none(class.warm.as_ref().map(|warm| warm.count.to_string()).as_deref()),
            or_none(class.budget.as_ref().map(limits).as_deref()),
        ]);
    }
    rows.text(for_people)
}

/// The limits of a budget, such as `$5.00 a day, $80.00 a month: hold`.
fn limits(budget: &ClassBudgetView) -> String {
    let periods = [(budget.daily_usd, "day"), (budget.monthly_usd, "month")];
    let limits = periods.iter().filter_map(|(usd, period)| Some(format!("{} a {period}", Usd::of((*usd)?))));
    format!("{}: {}", limits.collect::<Vec<_>>().join(", "), budget.action.as_str())
}

fn is_arch(label: &str) -> bool {
    matches!(label.to_ascii_lowercase().as_str(), "x64" | "arm64")
}

fn is_built_in(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    is_arch(label) || matches!(lower.as_str(), "self-hosted" | "linux") || lower.starts_with("class:")
}
