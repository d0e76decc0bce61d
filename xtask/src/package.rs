//! `cargo xtask package`: builds what a deployment needs, and packs it into one archive.
//!
//! zig links for each architecture, so that one machine builds for all, and for older C libraries than its own. The
//! agent is linked statically with musl, so that it runs on any base.

mod architecture;
mod build;
mod options;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use self::architecture::{Architecture, missing_targets};
use self::build::Linker;
use self::options::Options;
use crate::archive;
use crate::pypi;
use crate::steps::say;
use crate::tools::{is_there, succeed};

pub(crate) use self::build::newest_glibc;

/// The version of every crate here.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What is needed beside Rust, and the check of each.
const TOOLS: [(&str, &str); 3] = [("git", "--version"), ("readelf", "--version"), ("sha256sum", "--version")];

/// Builds and checks all parts, and packs them.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(arguments)?;
    if let Some(why) = pypi::missing() {
        bail!(why);
    }
    if let Some((tool, _)) = TOOLS.iter().find(|(tool, check)| !is_there(Command::new(tool).arg(check))) {
        bail!("`{tool}` is not installed");
    }
    missing_targets(&options.architectures)?;
    let python = pypi::Packages::install(root, "package")?;
    let parts = Parts::begin(python.dir().join("parts"))?;
    let linker = Linker { root, python: &python };
    for architecture in &options.architectures {
        parts.build(root, &linker, *architecture)?;
    }
    if let Some(directory) = &options.binaries {
        parts.add_binaries(directory)?;
    }

    let out = root.join("dist");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let archive = out.join(format!("ecsrunner-{VERSION}.zip"));
    succeed(python.run(&["pack.py", VERSION]).arg(&parts.dir).arg(&archive))
        .context("cannot pack the archive")?;
    write_sum(&archive)?;
    say(&format!("{}, with:", archive.display()));
    parts.list()
}

/// What was built, as the archive has it.
struct Parts {
    dir: PathBuf,
}

impl Parts {
    /// Begins with an empty directory.
    fn begin(dir: PathBuf) -> anyhow::Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir })
    }

    fn build(&self, root: &Path, linker: &Linker<'_>, of: Architecture) -> anyhow::Result<()> {
        let function = linker.build(&build::FUNCTION, of)?;
        let packed = self.dir.join(format!("control-plane-{}.zip", of.name()));
        archive::pack(root, &function, &packed, 9)?;
        build::FUNCTION.check_size(&packed)?;
        let agent = self.dir.join(format!("agent-{}", of.label()));
        fs::copy(linker.build(&build::AGENT, of)?, &agent)?;
        build::AGENT.check_size(&agent)?;
        let built = linker.build(&build::COMMAND_LINE, of)?;
        let cli = self.add_binary(&built, &format!("linux-{}", of.name()))?;
        build::COMMAND_LINE.check_size(&cli)?;
        if of.is_here() { start(&cli, &agent) } else { Ok(()) }
    }

    /// Adds command lines that were built elsewhere: `<os>-<arch>/ecsrunner`.
    fn add_binaries(&self, from: &Path) -> anyhow::Result<()> {
        let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
        for entry in entries {
            let system = entry?;
            let found = ["ecsrunner", "ecsrunner.exe"].map(|name| system.path().join(name));
            let Some(executable) = found.iter().find(|path| path.is_file()) else {
                bail!(
                    "{} has no `ecsrunner` and no `ecsrunner.exe`: one is expected",
                    system.path().display()
                );
            };
            self.add_binary(executable, &system.file_name().to_string_lossy())?;
        }
        Ok(())
    }

    /// Adds a command line, and returns its path in the package.
    fn add_binary(&self, executable: &Path, system: &str) -> anyhow::Result<PathBuf> {
        let dir = self.dir.join("bin").join(system);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let name = executable.file_name().with_context(|| format!("{} is no file", executable.display()))?;
        let added = dir.join(name);
        fs::copy(executable, &added).with_context(|| format!("cannot copy {}", executable.display()))?;
        // An upload of GitHub's artifacts takes this permission away.
        fs::set_permissions(&added, fs::Permissions::from_mode(0o755))?;
        Ok(added)
    }

    fn list(&self) -> anyhow::Result<()> {
        let mut found = Vec::new();
        let mut open = vec![self.dir.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&self.dir)?.display().to_string());
                }
            }
        }
        found.sort();
        say(&format!("  {}", found.join("\n  ")));
        Ok(())
    }
}

/// Starts what was built for this machine.
fn start(cli: &Path, agent: &Path) -> anyhow::Result<()> {
    let told = Command::new(cli).arg("--version").output();
    let told = told.with_context(|| format!("cannot start {}", cli.display()))?;
    let version = String::from_utf8_lossy(&told.stdout);
    ensure!(
        told.status.success() && version.trim() == format!("ecsrunner {VERSION}"),
        "`{} --version` prints `{}`: `ecsrunner {VERSION}` is expected",
        cli.display(),
        version.trim()
    );
    // It has no configuration here, and says which variables are missing.
    let told = Command::new(agent).env_clear().output();
    let told = told.with_context(|| format!("cannot start {}", agent.display()))?;
    let words = String::from_utf8_lossy(&told.stdout);
    ensure!(
        words.contains("ECSRUNNER_BOOT_TABLE"),
        "{} prints `{}`: the names of missing variables are expected",
        agent.display(),
        words.trim()
    );
    say(&format!("{} and {} start here", cli.display(), agent.display()));
    Ok(())
}

/// Writes the archive's sum, in the format of `sha256sum --check`.
fn write_sum(archive: &Path) -> anyhow::Result<()> {
    let (Some(dir), Some(name)) = (archive.parent(), archive.file_name()) else {
        bail!("{} is no file", archive.display());
    };
    let sum = Command::new("sha256sum").arg(name).current_dir(dir).output();
    let sum = sum.context("cannot start sha256sum")?;
    ensure!(sum.status.success(), "sha256sum failed");
    Ok(fs::write(dir.join("SHA256SUMS"), sum.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_from_elsewhere_is_executable_and_a_directory_without_one_is_refused() {
        let home = std::env::temp_dir().join(format!("ecsrunner-package-{}", std::process::id()));
        let (from, parts) = (home.join("from"), Parts::begin(home.join("parts")).unwrap());
        for (system, name) in [("macos-arm64", "ecsrunner"), ("windows-x86_64", "ecsrunner.exe")] {
            fs::create_dir_all(from.join(system)).unwrap();
            fs::write(from.join(system).join(name), system).unwrap();
        }
        parts.add_binaries(&from).unwrap();
        let added = fs::metadata(parts.dir.join("bin/windows-x86_64/ecsrunner.exe")).unwrap();
        assert_eq!(added.permissions().mode() & 0o777, 0o755);
        assert!(parts.dir.join("bin/macos-arm64/ecsrunner").is_file());
        fs::create_dir_all(from.join("plan9-mips")).unwrap();
        assert!(parts.add_binaries(&from).unwrap_err().to_string().contains("plan9-mips"));
        fs::remove_dir_all(home).unwrap();
    }
}
