//! Checks that each README names the tools that its commands need, with a command that checks them, where the first of
//! these commands stands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Tools that a machine may lack. What a shell or Debian's `coreutils` has is not listed.
const TOOLS: [&str; 9] = ["aws", "cargo", "docker", "gh", "jq", "openssl", "python3", "terraform", "unzip"];
/// Directories whose READMEs are checked, with those below.
const DIRECTORIES: [&str; 4] = ["bench", "fixtures", "runner", "terraform"];

/// Returns a sentence for each tool that a README uses before it says how to check for it.
pub(super) fn unchecked(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = vec![root.join("README.md")];
    for directory in DIRECTORIES {
        find(&root.join(directory), &mut files)?;
    }
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(root)?.display().to_string();
        faults.extend(unchecked_in(&text).into_iter().map(|tool| {
            format!("{name} uses `{tool}`: a line before it that prints its version is expected")
        }));
    }
    Ok(faults)
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !is_hidden {
            find(&path, files)?;
        } else if path.ends_with("README.md") {
            files.push(path);
        }
    }
    Ok(())
}

fn unchecked_in(text: &str) -> Vec<&'static str> {
    let (mut checked, mut faults) = (Vec::new(), Vec::new());
    let commands = text.lines().filter_map(|line| line.strip_prefix("    "));
    for command in commands.flat_map(|line| line.split(" #").next()) {
        for part in command.split(['|', '&', ';', '(', ')']) {
            let mut words = part.split_whitespace();
            let Some(tool) = words.next().and_then(|word| TOOLS.into_iter().find(|tool| *tool == word))
            else {
                continue;
            };
            if words.any(|word| matches!(word, "--version" | "version" | "-v")) {
                checked.push(tool);
            } else if !checked.contains(&tool) && !faults.contains(&tool) {
                faults.push(tool);
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_used_before_it_is_checked_is_a_fault() {
        let text = "Text with jq.\n\n    terraform version && jq --version\n    terraform apply\n    echo x | jq . | aws s3 ls\n";
        assert_eq!(unchecked_in(text), ["aws"]);
        assert_eq!(unchecked_in("    docker build .\n    docker version\n"), ["docker"]);
        assert_eq!(unchecked_in("    $(terraform output -raw x) | jq .\n"), ["terraform", "jq"]);
        assert!(unchecked_in("    ls # aws, of course\n    terraform {\n").contains(&"terraform"));
        assert!(unchecked_in("aws s3 ls\n").is_empty(), "prose is not a command");
    }
}
