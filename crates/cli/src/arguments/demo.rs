//! The arguments of `ecsrunner demo`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use ecsrunner_core::id::Repository;
use secrecy::SecretString;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArguments {
    #[command(subcommand)]
    pub(crate) command: Option<DemoCommand>,
    #[command(flatten)]
    pub(crate) options: DemoOptions,
}

/// `--workflow`, and the options that need it. clap does not ask for an option that is excluded by another one.
const OF_WORKFLOW: [&str; 14] = [
    "workflow", "action", "actions", "online", "event", "payload", "branch", "base", "tag", "changed",
    "input", "secret", "var", "label",
];

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Run this workflow file instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Run jobs with the official runner, unpacked in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) runner_dir: Option<PathBuf>,
    /// Use a local directory for an action (repeatable)
    #[arg(long, value_name = "OWNER/NAME@REF=DIR", requires = "workflow")]
    pub(crate) action: Vec<GivenAction>,
    /// Use the actions in this directory: OWNER/NAME@REF as a directory or a .tar.gz archive
    #[arg(long, value_name = "DIR", requires = "workflow")]
    pub(crate) actions: Option<PathBuf>,
    /// Get other actions and called workflows from GitHub
    #[arg(long, requires = "workflow")]
    pub(crate) online: bool,
    /// Event that starts the workflow
    #[arg(long, value_name = "EVENT", default_value = "push", requires = "workflow")]
    pub(crate) event: String,
    /// JSON file with more of the event's payload
    #[arg(long, value_name = "FILE", requires = "workflow")]
    pub(crate) payload: Option<PathBuf>,
    /// Branch of the run (default: the checked-out one, or main)
    #[arg(long, value_name = "NAME", requires = "workflow")]
    pub(crate) branch: Option<String>,
    /// Base branch of a pull request (default: the repository's default branch)
    #[arg(long, value_name = "NAME", requires = "workflow")]
    pub(crate) base: Option<String>,
    /// Tag of the run, as after a push of it
    #[arg(long, value_name = "NAME", requires = "workflow", conflicts_with = "branch")]
    pub(crate) tag: Option<String>,
    /// File that the event has changed, for filters by path (repeatable; default: those of the commit)
    #[arg(long, value_name = "FILE", requires = "workflow")]
    pub(crate) changed: Vec<ChangedFile>,
    /// Input of a workflow_dispatch (repeatable)
    #[arg(long, value_name = "NAME=VALUE", requires = "workflow")]
    pub(crate) input: Vec<Pair>,
    /// Secret, by value or from the environment variable NAME (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]", requires = "workflow")]
    pub(crate) secret: Vec<SecretArgument>,
    /// Configuration variable (repeatable)
    #[arg(long, value_name = "NAME=VALUE", requires = "workflow")]
    pub(crate) var: Vec<VariableArgument>,
    /// Class that serves jobs with this label (repeatable)
    #[arg(long, value_name = "LABEL=CLASS", requires = "workflow")]
    pub(crate) label: Vec<Pair>,
    /// Print the lines of each job's log to stderr as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Write the log of each job to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
    /// Run N short jobs instead of a workflow (1 to 256)
    #[arg(long, value_name = "N", conflicts_with_all = OF_WORKFLOW, value_parser = super::whole::<u32>(1, 256))]
    pub(crate) jobs: Option<u32>,
    /// Show each job's summary, with a note about its runner
    #[arg(long)]
    pub(crate) summary: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep serving the web page after the jobs end, until Ctrl-C
    #[arg(long)]
    pub(crate) web: bool,
}

/// An action of another repository, and the directory with its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GivenAction {
    /// `owner/name@ref`
    pub(crate) action: String,
    pub(crate) directory: PathBuf,
}

impl FromStr for GivenAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not an action: expected OWNER/NAME@REF=DIR");
        let (action, directory) = text.split_once('=').ok_or_else(expected)?;
        let (repository, version) = action.split_once('@').ok_or_else(expected)?;
        if Repository::parse(repository).is_err() || version.is_empty() || directory.is_empty() {
            return Err(expected());
        }
        Ok(Self { action: action.to_owned(), directory: PathBuf::from(directory) })
    }
}

/// The path of a file in the repository, as Git writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ChangedFile(pub(crate) String);

impl FromStr for ChangedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("./").unwrap_or(text);
        let is_inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        match is_inside {
            true => Ok(Self(path.to_owned())),
            false => {
                Err(format!("`{text}` is not the path of a file in the repository, such as `src/main.rs`"))
            }
        }
    }
}

impl DemoOptions {
    /// Returns the first option that is given twice for the same name, without regard to case.
    pub(crate) fn repeated(&self) -> Option<String> {
        let named = [
            ("--secret", self.secret.iter().map(|one| one.name.as_str()).collect::<Vec<_>>()),
            ("--var", self.var.iter().map(|one| one.name.as_str()).collect()),
            ("--label", self.label.iter().map(|one| one.name.as_str()).collect()),
        ];
        named.into_iter().find_map(|(flag, names)| {
            let is_there = |at: usize| names[..at].iter().any(|name| name.eq_ignore_ascii_case(names[at]));
            (0..names.len()).find(|at| is_there(*at)).map(|at| format!("`{flag} {}`", names[at]))
        })
    }
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("`{text}` is not NAME=VALUE")),
        }
    }
}

/// A configuration variable of a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct VariableArgument {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for VariableArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Pair { name, value } = text.parse()?;
        Ok(Self { name: name_of("configuration variable", &name)?, value })
    }
}

/// Checks the name of a secret or a configuration variable, and returns it as GitHub shows it.
/// (docs.github.com, "Naming your secrets" and "Naming conventions for configuration variables")
fn name_of(what: &str, name: &str) -> Result<String, String> {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = begins_well && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let upper = name.to_ascii_uppercase();
    if !is_name || upper.starts_with("GITHUB_") {
        return Err(format!(
            "`{name}` is not the name of a {what}: letters, digits and `_`, not beginning with a digit or `GITHUB_`, are expected"
        ));
    }
    Ok(upper)
}

/// A secret of a workflow, which is never printed.
#[derive(Clone)]
pub(crate) struct SecretArgument {
    pub(crate) name: String,
    pub(crate) value: SecretString,
}

impl std::fmt::Debug for SecretArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secret {}", self.name)
    }
}

impl FromStr for SecretArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = std::env::var(text);
                (text, value.map_err(|_| format!("the environment variable `{text}` is not set"))?)
            }
        };
        Ok(Self { name: name_of("secret", name)?, value: value.into() })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Serve only the fake GitHub
    Github(GithubArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GithubArguments {
    /// Address to listen on (port 0: any free port)
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    pub(crate) listen: SocketAddr,
    /// File with a token that the fake accepts with every permission
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Seed for reproducible choices and ids
    #[arg(long, value_name = "N", value_parser = super::whole::<u64>(0, u64::MAX))]
    pub(crate) seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_given_by_its_name_and_its_directory() {
        let given: GivenAction = "actions/checkout@v4=./stub".parse().unwrap();
        let directory = PathBuf::from("./stub");
        assert_eq!(given, GivenAction { action: "actions/checkout@v4".to_owned(), directory });
        for text in
            ["", "actions/checkout@v4", "checkout@v4=dir", "actions/checkout=dir", "a/b@=dir", "a/b@v1="]
        {
            assert!(text.parse::<GivenAction>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_changed_file_is_named_by_its_path_in_the_repository() {
        for text in ["src/main.rs", "./src/main.rs"] {
            assert_eq!(text.parse::<ChangedFile>().unwrap(), ChangedFile("src/main.rs".to_owned()));
        }
        for text in ["", "/src", "src/", "../a", "a/./b"] {
            assert!(text.parse::<ChangedFile>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_has_a_name_that_github_allows_and_is_never_printed() {
        let secret: SecretArgument = "token=hunter=2".parse().unwrap();
        assert_eq!((secret.name.as_str(), format!("{secret:?}").as_str()), ("TOKEN", "secret TOKEN"));
        for text in ["=x", "1a=x", "a-b=x", "GITHUB_TOKEN=x", "A_VARIABLE_THAT_IS_NOT_SET"] {
            assert!(text.parse::<SecretArgument>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_has_a_name_that_github_allows() {
        let variable: VariableArgument = "region=eu=1".parse().unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_str()), ("REGION", "eu=1"));
        for text in ["=x", "1a=x", "a-b=x", "GitHub_A=x", "A"] {
            assert!(text.parse::<VariableArgument>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_given_once() {
        use clap::Parser as _;

        #[derive(clap::Parser)]
        struct Demo {
            #[command(flatten)]
            options: DemoOptions,
        }
        let repeated = |arguments: &[&str]| {
            let given = ["demo", "--workflow", "ci.yml"].iter().chain(arguments);
            Demo::try_parse_from(given).unwrap().options.repeated()
        };
        for flag in ["--secret", "--var", "--label"] {
            assert_eq!(repeated(&[flag, "A=1", flag, "B=1"]), None);
            let twice = repeated(&[flag, "A=1", flag, "B=1", flag, "a=2"]).unwrap();
            assert!(twice.eq_ignore_ascii_case(&format!("`{flag} a`")), "{twice}");
        }
    }
}
