//! `ecsrunner classes` and `list-class-sizes`.

use std::path::Path;

use anyhow::{Context, anyhow};
use ecsrunner_api::budget::{BudgetOf, BudgetView};
use ecsrunner_api::class::{ClassBudgetView, ClassView};
use ecsrunner_core::rules::budget::Usd;
use ecsrunner_core::rules::class::{Catalogue, ClassError, Compute, Gpu};
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use ecsrunner_core::rules::service::Place;
use ecsrunner_entries as entries;
use serde::Serialize;
use serde_json::Value;

use super::costs::told_budgets;
use super::input;
use crate::arguments::{CheckClasses, ListClasses};
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, Rows, or_none, print, say, wrapped};

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
    for mistake in catalogue.iter().filter_map(|class| class.unfit_compute(Place::Ecs)) {
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
    let classes: serde_json::Map<String, Value> = serde_json::from_str(&input::text(file)?)
        .with_context(|| format!("{} is not a JSON object of classes by name (HCL is not read)", input::name(file)))
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

/// Returns an error that lists every mistake in a file.
pub(super) fn mistaken(file: &Path, mistakes: &[String]) -> Failure {
    let (name, count) = (input::name(file), mistakes.len());
    let plural = if count == 1 { "mistake" } else { "mistakes" };
    Failure::usage(anyhow!("{name} has {count} {plural}:\n  {}", mistakes.join("\n  ")))
}

fn show(classes: Vec<ClassView>, budgets: Vec<BudgetView>, json: bool) -> Result<(), Failure> {
    if json {
        output::print_json(&Document { classes, budgets, prices_as_of: PRICES_AS_OF })?;
        return Ok(());
    }
    let width = output::width_for_people();
    print(&table(&classes, width.is_some()).text(width.is_some()))?;
    if let Some(width) = width {
        let mut told = String::new();
        for class in classes.iter().filter(|class| class.docker || class.compute != Compute::default()) {
            told += &compute(class);
        }
        for class in &classes {
            let services = class.services.iter();
            let services: Vec<String> = services
                .map(|service| format!("{} (`{}`, port {})", service.name, service.image, service.port))
                .collect();
            if !services.is_empty() {
                told += &format!("services of {}: {}\n", class.name, services.join(", "));
            }
        }
        print(&wrapped(&told, width))?;
        print(&told_budgets(&budgets))?;
        let footer =
            format!("\nper hour at list prices of us-east-1, {PRICES_AS_OF}; * marks the default class\n");
        print(&wrapped(&footer, width))?;
    }
    Ok(())
}

/// A line such as `compute of cuda: managed-instances, no Docker engine, 1 GPU (g5.*, g6.*)`.
fn compute(class: &ClassView) -> String {
    let docker = if class.docker { "a Docker engine for each task" } else { "no Docker engine" };
    let mut line = format!("compute of {}: {}, {docker}", class.name, class.compute);
    if let Some(Gpu { count, instance_types }) = &class.gpu {
        line += &format!(", {count} {}", if *count == 1 { "GPU" } else { "GPUs" });
        if !instance_types.is_empty() {
            line += &format!(" ({})", instance_types.join(", "));
        }
    }
    line + "\n"
}

fn table(classes: &[ClassView], for_people: bool) -> Rows {
    // People get no column in which no class has anything. Labels and budgets, which may be long, are below their class.
    let shows = |has: fn(&ClassView) -> bool| !for_people || classes.iter().any(has);
    let (limited, warm) = (shows(|class| class.max_runners.is_some()), shows(|class| class.warm.is_some()));
    let columns = [
        ("CLASS", true),
        ("VCPU>", true),
        ("MEMORY>", true),
        ("DISK>", true),
        ("ARCH", true),
        ("CAPACITY", true),
        ("MAX RUNNERS>", limited),
        ("PER HOUR>", true),
        ("LABELS", !for_people),
        ("WARM>", warm),
        ("BUDGET", !for_people),
    ];
    let shown = |(_, is_shown): &(_, bool)| *is_shown;
    let mut rows =
        Rows::new(columns.into_iter().filter(shown).map(|(heading, _)| heading).collect::<Vec<_>>());
    for class in classes {
        let own = class.labels.iter().filter(|label| !is_built_in(label));
        let own = Some(own.map(String::as_str).collect::<Vec<_>>().join(", ")).filter(|own| !own.is_empty());
        let budget = class.budget.as_ref().map(limits);
        let star = if for_people && class.default { " *" } else { "" };
        let spot = class.capacity.starts_with("spot");
        let cells = [
            format!("{}{star}", class.name),
            (f64::from(class.cpu) / 1024.0).to_string(),
            format!("{} GiB", f64::from(class.memory) / 1024.0),
            format!("{} GiB", class.ephemeral_storage_gib),
            class.labels.iter().find(|label| is_arch(label)).cloned().unwrap_or_default(),
            class.capacity.clone(),
            or_none(class.max_runners.map(|most| most.to_string()).as_deref()),
            if spot { class.spot_usd_per_hour } else { class.usd_per_hour }
                .map_or_else(|| "unknown".to_owned(), |usd| format!("${usd:.3}")),
            or_none(own.as_deref()),
            or_none(class.warm.as_ref().map(|warm| warm.count.to_string()).as_deref()),
            or_none(budget.as_deref()),
        ];
        let cells = cells.into_iter().zip(columns).filter(|(_, (_, is_shown))| *is_shown);
        rows.add(cells.map(|(cell, _)| cell).collect::<Vec<_>>());
        let notes = [own.map(|own| format!("labels {own}")), budget.map(|limits| format!("budget {limits}"))];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        if !notes.is_empty() {
            rows.note(&notes.join("; "));
        }
    }
    rows
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(classes: &str, for_people: bool) -> String {
        let catalogue = Catalogue::read(&serde_json::from_str(classes).unwrap()).0;
        let rows = table(&ClassView::all(&catalogue), for_people);
        if for_people { rows.table(Some(80)) } else { rows.text(false) }
    }

    #[test]
    fn the_compute_of_a_class_is_told_with_its_gpus() {
        let told = |rest: &str| {
            let class =
                format!(r#"{{"c": {{"cpu": 4096, "memory": 8192, "compute": "managed-instances"{rest}}}}}"#);
            compute(&ClassView::all(&Catalogue::read(&serde_json::from_str(&class).unwrap()).0)[0])
        };
        assert_eq!(told(""), "compute of c: managed-instances, no Docker engine\n");
        assert_eq!(
            told(r#", "docker": true, "gpu": {"count": 1, "instance_types": ["g5.*", "g6.xlarge"]}"#),
            "compute of c: managed-instances, a Docker engine for each task, 1 GPU (g5.*, g6.xlarge)\n"
        );
        assert_eq!(
            told(r#", "gpu": {"count": 4}"#),
            "compute of c: managed-instances, no Docker engine, 4 GPUs\n"
        );
    }

    #[test]
    fn people_get_what_a_class_has_in_80_columns_and_programs_get_every_column() {
        let bare = r#"{"small": {"cpu": 1024, "memory": 2048, "default": true}}"#;
        insta::assert_snapshot!(shown(bare, true), @r"
        CLASS    VCPU  MEMORY    DISK  ARCH  CAPACITY   PER HOUR
        small *     1   2 GiB  20 GiB  x64   on-demand    $0.054
        ");
        assert_eq!(shown(bare, false), "small\t1\t2 GiB\t20 GiB\tx64\ton-demand\t—\t$0.054\t—\t—\t—\n");
        let full = r#"{"compute-large": {"cpu": 16384, "memory": 122880, "capacity": "spot-then-on-demand", "max_runners": 8,
                       "labels": ["ubuntu-latest", "gpu", "a-label-that-is-long", "another-label-that-is-long"],
                       "warm": {"count": 2}, "budget": {"daily_usd": 5, "monthly_usd": 80, "action": "hold"}}}"#;
        insta::assert_snapshot!(shown(full, true), @r"
        CLASS          VCPU   MEMORY    DISK  ARCH  CAPACITY          MAX     PER  WARM
                                                                  RUNNERS    HOUR
        compute-large    16  120 GiB  20 GiB  x64   spot-then-on        8  $0.381     2
                                                    -demand
            labels a-label-that-is-long, another-label-that-is-long, gpu, ubuntu-latest;
            budget $5.00 a day, $80.00 a month: hold
        ");
        assert_eq!(
            shown(full, false),
            "compute-large\t16\t120 GiB\t20 GiB\tx64\tspot-then-on-demand\t8\t$0.381\ta-label-that-is-long, another-label-that-is-long, gpu, ubuntu-latest\t2\t$5.00 a day, $80.00 a month: hold\n"
        );
    }
}
