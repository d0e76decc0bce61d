//! A job that calls another workflow.

use crate::model::{Body, Call, Callee, Secrets};
use crate::token::Token;

use super::{Reader, filled};

impl Reader<'_, '_> {
    pub(super) fn call(&mut self, uses: &Token, job: &Token) -> Body {
        let text = uses.text().unwrap_or_default();
        let callee = callee(&text).unwrap_or_else(|wrong| {
            self.faults.add(uses.at, wrong);
            Callee::Local { file: String::new() }
        });
        let secrets = match job.get("secrets") {
            Some(secrets) if secrets.text().as_deref() == Some("inherit") => Secrets::Inherit,
            given => Secrets::Given(filled(given.cloned())),
        };
        Body::Call(Call { uses: callee, at: uses.at, inputs: filled(job.get("with").cloned()), secrets })
    }
}

/// Reads the `uses` of a job.
fn callee(uses: &str) -> Result<Callee, String> {
    let wrong = || {
        format!(
            "`{uses}` is not a workflow: `./.github/workflows/FILE` or `OWNER/NAME/.github/workflows/FILE@REF` is expected"
        )
    };
    let is_file = |file: &str| {
        let name = file.strip_prefix(".github/workflows/");
        name.is_some_and(|name| {
            !name.contains('/') && [".yml", ".yaml"].iter().any(|end| name.ends_with(end))
        })
    };
    // Both mean the repository and commit of the file itself.
    if let Some(file) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
        return if is_file(file) { Ok(Callee::Local { file: file.to_owned() }) } else { Err(wrong()) };
    }
    let (path, version) = uses.split_once('@').ok_or_else(wrong)?;
    let mut parts = path.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(owner), Some(name), Some(file))
            if !owner.is_empty() && !name.is_empty() && is_file(file) && !version.is_empty() =>
        {
            Ok(Callee::Remote {
                repository: format!("{owner}/{name}"),
                file: file.to_owned(),
                version: version.to_owned(),
            })
        }
        _ => Err(wrong()),
    }
}
