//! Checks Terraform's format and validity, runs its tests, and compares it with
//! the code's calls and metrics.
//!
//! Nothing is applied at AWS. `xtask/lifecycle` applies with a stand-in for the
//! provider, which has its schema. The provider comes from its registry or from the source in
//! `TF_CLI_CONFIG_FILE`. If neither has it, only the format is checked.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::pypi;
use crate::steps::{Done, say};
use crate::tools::{cargo, is_there, succeed};

/// Tests of the scripts that Terraform ships, with the shell that runs each.
const SCRIPTS: [(&str, &str); 4] = [
    ("sh", "image/tests/build_test.sh"),
    ("bash", "image/tests/actions_test.sh"),
    ("bash", "image/tests/buildspec_test.sh"),
    ("bash", "fleet/tests/official_test.sh"),
];
/// Compare with the code: actions with policies, metrics with dashboard and alarms, the README with inputs.
/// Compares the types of inputs with those that `modules/inputs` checks.
/// Compares tags with the provider's schema. Compares the addresses of resources with the previous version.
const CHECKS: [&[&str]; 8] = [
    &["-m", "unittest", "--quiet", "test_checks"],
    &["actions.py"],
    &["access.py"],
    &["metrics.py"],
    &["readme.py"],
    &["inputs.py"],
    &["addresses.py"],
    &["tags.py"],
];

/// Checks the root, each module and each example.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if !is_there(Command::new("terraform").arg("version")) {
        return Ok(Done::Skipped("`terraform` is not installed".to_owned()));
    }
    if let Some(why) = pypi::missing() {
        return Ok(Done::Skipped(why));
    }
    let source = root.join("terraform");
    let format =
        Command::new("terraform").args(["fmt", "-check", "-diff", "-recursive"]).arg(&source).status()?;
    ensure!(format.success(), "run `terraform fmt -recursive terraform`");
    for (shell, test) in SCRIPTS {
        let file = source.join("modules").join(test);
        succeed(Command::new(shell).arg(&file)).with_context(|| format!("{} failed", file.display()))?;
    }

    let modules = [subdirectories(&source, "modules")?, subdirectories(&source, "examples")?].concat();
    let cache = root.join("target/xtask/terraform");
    for module in modules.iter().chain([&source]) {
        let terraform = Terraform::of(module, &cache);
        if let Some(why) = terraform.init()? {
            return Ok(Done::Skipped(why));
        }
        say(&terraform.name());
        terraform.run(&["validate", "-no-color"])?;
        terraform.run(&["test", "-no-color"])?;
    }
    let python = pypi::Packages::install(root, "terraform")?;
    for check in CHECKS {
        succeed(&mut python.run(check)).context("Terraform and the code differ")?;
    }
    let lifecycle = pypi::Packages::install(root, "lifecycle")?;
    say("lifecycle");
    succeed(&mut lifecycle.run(&[
        "-m",
        "unittest",
        "--quiet",
        "test_lifecycle",
        "test_upgrade",
        "test_package",
    ]))
    .context("a deployment's life with the stand-in for AWS's provider failed")?;
    read_parameters(root, &python)?;
    scan(&python, &source)?;
    Ok(Done::Passed)
}

fn subdirectories(source: &Path, name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let directory = source.join(name);
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    found.sort();
    Ok(found)
}

/// Checks that the control plane can read the parameters that Terraform writes.
fn read_parameters(root: &Path, python: &pypi::Packages) -> anyhow::Result<()> {
    let planned = python.dir().join("parameters.json");
    succeed(python.run(&["parameters.py"]).arg(&planned)).context("cannot plan the parameters")?;
    // The whole workspace, so that nothing is recompiled with other features.
    let mut test = cargo(root);
    test.args(["test", "--workspace", "--all-features", "--quiet", "--test", "planned", "--", "--nocapture"]);
    succeed(test.env("ECSRUNNER_PLANNED_PARAMETERS", planned))
        .context("the control plane cannot read the parameters that Terraform writes")
}

/// Checks checkov's policies. Each skipped policy has a reason in the Terraform file. A file that it cannot parse would be
/// checked by none.
fn scan(python: &pypi::Packages, source: &Path) -> anyhow::Result<()> {
    let mut checkov = python.program("checkov");
    checkov.args(["--framework", "terraform", "--skip-download", "--compact", "--quiet", "--directory"]);
    checkov.arg(source).env("BC_SKIP_MAPPING", "TRUE").env("LOG_LEVEL", "ERROR");
    // Else its exit code says nothing of them.
    checkov.env("CKV_PARSE_ERROR_FAIL", "true");
    succeed(&mut checkov).context(
        "checkov found violations that are not skipped with a reason, or a file that it cannot parse: without `--quiet` it names it",
    )
}

/// Terraform in one directory, with its data in another.
struct Terraform {
    directory: PathBuf,
    data: PathBuf,
}

impl Terraform {
    fn of(directory: &Path, cache: &Path) -> Self {
        let name = directory.file_name().unwrap_or(directory.as_os_str());
        Self { directory: directory.to_owned(), data: cache.join("data").join(name) }
    }

    fn name(&self) -> String {
        self.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut terraform = Command::new("terraform");
        terraform.args(arguments).current_dir(&self.directory);
        terraform.env("TF_DATA_DIR", &self.data).env("TF_IN_AUTOMATION", "1");
        terraform
    }

    /// Returns why there is no provider, if so.
    fn init(&self) -> anyhow::Result<Option<String>> {
        let output = self.command(&["init", "-backend=false", "-input=false", "-no-color"]).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        // If the provider's source is configured, a failure is an error and not a reason to skip.
        let configured = env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| Path::new(&file).is_file());
        if !output.status.success()
            && !configured
            && words.contains("Failed to query available provider packages")
        {
            return Ok(Some("no registry with the provider hashicorp/aws can be reached".to_owned()));
        }
        ensure!(
            output.status.success(),
            "`terraform init` in {}: {}",
            self.directory.display(),
            words.trim()
        );
        Ok(None)
    }

    /// Runs a command, and shows its output only if it fails.
    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.command(arguments).output()?;
        let (told, words) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success(),
            "`terraform {}` in {}:\n{told}{words}",
            arguments.join(" "),
            self.directory.display()
        );
        if let Some(summary) =
            told.lines().rev().find(|line| line.starts_with("Success! ") && line.contains("passed"))
        {
            say(&format!("  {summary}"));
        }
        Ok(())
    }
}
