//! What must not be lost if setup fails: GitHub's code, or the credentials that it was
//! exchanged for. They go to a file of their own, from which `--from` continues.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_github::app_manifest::{ManifestCode, NewApp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::private_file;
use crate::exit::Failure;
use crate::{environment, random};

const FILE: &str = "app.json";
const VERSION: u32 = 1;

#[derive(Debug)]
pub(super) enum Kept {
    /// Valid for an hour.
    Code(ManifestCode),
    App {
        app: NewApp,
        webhook_secret: SecretString,
    },
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<StoredApp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredApp {
    id: u64,
    slug: String,
    name: String,
    html_url: String,
    private_key: String,
    webhook_secret: String,
}

impl Kept {
    pub(super) fn app_id(&self) -> Option<u64> {
        match self {
            Self::Code(_) => None,
            Self::App { app, .. } => Some(app.id),
        }
    }

    fn stored(&self) -> Stored {
        match self {
            Self::Code(code) => {
                Stored { version: VERSION, code: Some(code.secret().expose_secret().to_owned()), app: None }
            }
            Self::App { app, webhook_secret } => {
                let app = StoredApp {
                    id: app.id,
                    slug: app.slug.clone(),
                    name: app.name.clone(),
                    html_url: app.html_url.clone(),
                    private_key: app.private_key.expose_secret().to_owned(),
                    webhook_secret: webhook_secret.expose_secret().to_owned(),
                };
                Stored { version: VERSION, code: None, app: Some(app) }
            }
        }
    }
}

/// Writes a file in a new directory, for its owner alone. Returns its path.
pub(super) fn write(kept: &Kept) -> Result<PathBuf, anyhow::Error> {
    let text = serde_json::to_vec(&kept.stored())?;
    let homes = environment::state_home().into_iter().chain([std::env::temp_dir()]);
    let mut last = anyhow!("there is no directory for it");
    for home in homes {
        match write_below(&home, &text) {
            Ok(file) => return Ok(file),
            Err(error) => last = anyhow::Error::new(error).context(format!("in {}", home.display())),
        }
    }
    Err(last)
}

fn write_below(home: &Path, text: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(home)?;
    let id = random::text().map_err(io::Error::other)?;
    let dir = home.join(format!("ecsrunner-setup-{}", id.get(..12).unwrap_or(&id)));
    private_file::create_dir(&dir)?;
    let file = dir.join(FILE);
    private_file::create(&file, text)?;
    Ok(file)
}

/// Reads a file that [`write`] has made.
pub(super) fn read(file: &Path) -> Result<Kept, Failure> {
    let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()));
    let text = text.map_err(Failure::usage)?;
    // The parser's error could repeat a part of a secret.
    let stored = serde_json::from_slice(&text).ok().and_then(understood);
    stored.ok_or_else(|| {
        Failure::usage(anyhow!(
            "{} is not a file that a failed `ecsrunner setup` has left, version {VERSION}",
            file.display()
        ))
    })
}

fn understood(stored: Stored) -> Option<Kept> {
    match (stored.version, stored.code, stored.app) {
        (VERSION, Some(code), None) => ManifestCode::parse(&code).ok().map(Kept::Code),
        (VERSION, None, Some(app)) => Some(Kept::App {
            webhook_secret: SecretString::from(app.webhook_secret),
            app: NewApp {
                id: app.id,
                slug: app.slug,
                name: app.name,
                html_url: app.html_url,
                private_key: SecretString::from(app.private_key),
                webhook_secret: None,
            },
        }),
        _ => None,
    }
}

/// Deletes a file whose content is stored now, and its directory.
pub(super) fn remove(file: &Path) {
    match fs::remove_file(file) {
        Ok(()) => {
            crate::output::say(&format!("deleted {}", file.display()));
            // Only a directory of our own is empty now, and no other one is removed.
            let _kept = file.parent().map(fs::remove_dir);
        }
        Err(error) => {
            crate::output::say(&format!(
                "note: delete {}: its content is stored now ({error})",
                file.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Kept {
        let app = NewApp {
            id: 7,
            slug: "ci".to_owned(),
            name: "CI".to_owned(),
            html_url: "https://github.com/apps/ci".to_owned(),
            private_key: SecretString::from("-----BEGIN k3y"),
            webhook_secret: None,
        };
        Kept::App { app, webhook_secret: SecretString::from("s3cret") }
    }

    #[test]
    fn what_is_written_is_read_again_and_deleted_with_its_directory() {
        let home = tempfile::tempdir().unwrap();
        let file = write_below(home.path(), &serde_json::to_vec(&app().stored()).unwrap()).unwrap();
        let Kept::App { app, webhook_secret } = read(&file).unwrap() else { panic!("an App is expected") };
        assert_eq!((app.id, app.private_key.expose_secret()), (7, "-----BEGIN k3y"));
        assert_eq!(webhook_secret.expose_secret(), "s3cret");
        remove(&file);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);

        let code = Kept::Code(ManifestCode::parse("a180b1a3d263").unwrap());
        let file = write_below(home.path(), &serde_json::to_vec(&code.stored()).unwrap()).unwrap();
        assert!(
            matches!(read(&file).unwrap(), Kept::Code(code) if code.secret().expose_secret() == "a180b1a3d263")
        );
    }

    #[test]
    fn a_file_of_another_form_is_refused_without_showing_it() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("app.json");
        for text in [
            "s3cret",
            r#"{"version":2,"code":"s3cret"}"#,
            r#"{"version":1}"#,
            r#"{"version":1,"code":"s3/cret"}"#,
        ] {
            fs::write(&file, text).unwrap();
            let told = read(&file).unwrap_err().to_string();
            assert!(told.contains("app.json") && !told.contains("s3"), "{told}");
        }
    }
}
