//! `ecsrunner completions` and `ecsrunner man`: files that a package installs with the executable.

use clap::CommandFactory;

use crate::arguments::{Arguments, CompletionsArguments};
use crate::exit::Failure;
use crate::output::print;

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "ecsrunner", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(())
}

/// Prints one manual page with a section for each command.
pub(crate) fn page() -> Result<(), Failure> {
    let mut command = Arguments::command();
    command.build();
    let mut text = Vec::new();
    write(&command, &mut text)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(())
}

fn write(command: &clap::Command, text: &mut Vec<u8>) -> Result<(), std::io::Error> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help") {
        write(subcommand, text)?;
    }
    Ok(())
}
