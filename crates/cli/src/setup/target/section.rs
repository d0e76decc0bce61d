//! Sections that are added to a configuration in TOML. The rest of the text stays as it is.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use toml::{Table, Value};

/// A section that setup writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Section {
    /// The keys that lead to it.
    path: &'static [&'static str],
    lines: Vec<(&'static str, String)>,
}

impl Section {
    pub(super) fn app(id: u64, key_file: &str) -> Self {
        let lines = vec![("id", id.to_string()), ("private_key_file", string(key_file))];
        Self { path: &["github", "app"], lines }
    }

    pub(super) fn webhook(secret_file: &str) -> Self {
        Self { path: &["webhook"], lines: vec![("secret_files", format!("[{}]", string(secret_file)))] }
    }

    fn is_in(&self, table: &Table) -> bool {
        let mut found = table.get(self.path[0]);
        for key in &self.path[1..] {
            found = found.and_then(|value| value.get(key));
        }
        found.is_some()
    }

    /// Whether the table has the section with these values.
    fn is_so_in(&self, table: &Table) -> bool {
        let Ok(Value::Table(own)) = self.to_string().parse::<Table>().map(Value::Table) else { return false };
        own.iter().all(|(key, value)| table.get(key).is_some_and(|there| contains(there, value)))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.path.join("."))?;
        self.lines.iter().try_for_each(|(key, value)| write!(f, "\n{key} = {value}"))
    }
}

fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Whether `there` has every key of `wanted`, and each list every item.
fn contains(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Table(there), Value::Table(wanted)) => {
            wanted.iter().all(|(key, value)| there.get(key).is_some_and(|there| contains(there, value)))
        }
        (Value::Array(there), Value::Array(wanted)) => wanted.iter().all(|item| there.contains(item)),
        _ => there == wanted,
    }
}

/// Returns the text with those sections that it lacks, if there are any, and those that it has with other values.
pub(super) fn add(text: &str, sections: &[Section]) -> (Option<String>, Vec<Section>) {
    let table: Table = text.parse().unwrap_or_default();
    let left = sections.iter().filter(|section| !section.is_so_in(&table));
    let (mut left, lacking): (Vec<Section>, Vec<Section>) =
        left.cloned().partition(|section| section.is_in(&table));
    if lacking.is_empty() {
        return (None, left);
    }
    let mut longer = text.trim_end().to_owned();
    for section in &lacking {
        longer += &format!("\n\n{section}");
    }
    longer.push('\n');
    // An inline table, such as `github = {…}`, cannot be added to.
    match longer.parse::<Table>() {
        Ok(table) if lacking.iter().all(|section| section.is_so_in(&table)) => (Some(longer), left),
        _ => {
            left.extend(lacking);
            (None, left)
        }
    }
}

/// Replaces a file's text at once, and keeps its mode.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut new, text.as_bytes())?;
    new.as_file().sync_all()?;
    fs::set_permissions(new.path(), fs::metadata(file)?.permissions())?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: &str = "version = 1\nrepositories = [\"acme/app\"] # ours\n";

    fn sections() -> [Section; 2] {
        [Section::app(7, "ci.private-key.pem"), Section::webhook("ci.webhook-secret")]
    }

    #[test]
    fn sections_that_are_missing_are_added_and_the_rest_stays() {
        let (text, left) = add(TOP, &sections());
        let text = text.unwrap();
        assert_eq!(
            text,
            format!(
                "{TOP}\n[github.app]\nid = 7\nprivate_key_file = \"ci.private-key.pem\"\n\n\
                 [webhook]\nsecret_files = [\"ci.webhook-secret\"]\n"
            )
        );
        assert_eq!(left, []);
        // A second time, nothing is to be done.
        assert_eq!(add(&text, &sections()), (None, vec![]));
        let with_url = format!("{TOP}[github]\napi_url = \"https://ghes.example/api/v3\"\n");
        assert!(add(&with_url, &sections()).0.is_some());
    }

    #[test]
    fn sections_that_are_there_are_left_to_the_operator() {
        let own = format!("{TOP}[webhook]\nsecret_files = [\"mine\"]\n");
        let (text, left) = add(&own, &sections());
        assert!(text.unwrap().starts_with(own.trim_end()));
        assert_eq!(left, [Section::webhook("ci.webhook-secret")]);
        let more = format!("{TOP}[webhook]\nsecret_files = [\"mine\", \"ci.webhook-secret\"]\n");
        assert_eq!(add(&more, &sections()).1, []);
        let inline = format!("{TOP}github = {{ api_url = \"https://ghes.example/api/v3\" }}\n");
        let (text, left) = add(&inline, &sections());
        assert_eq!((text, left), (None, sections().into_iter().collect::<Vec<_>>()));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, TOP).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, "version = 1\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "version = 1\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
