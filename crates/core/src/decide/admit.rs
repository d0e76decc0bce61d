//! Whether a queued job is ours, allowed and served by a class: labels → class → pool.

use crate::id::ClassName;
use crate::reason::{Code, Reason};
use crate::records::job::Assignment;
use crate::rules::class::{Catalogue, Class};
use crate::rules::policy::{Refusal, Subject};
use crate::rules::pool::Pool;
use crate::rules::settings::Settings;
use crate::wire::job::JobFacts;

/// Returns the class and pool of a job.
///
/// # Errors
///
/// A rule refuses the job; the reason is that of the first such rule.
pub fn admit(
    facts: &JobFacts,
    private: Option<bool>,
    settings: &Settings,
    catalogue: &Catalogue,
) -> Result<Assignment, Reason> {
    let labels = &facts.labels;
    if labels.is_empty() {
        // GitHub would give such a job to any runner of its group. None of ours may serve it.
        return Err(Code::LabelsEmpty.into());
    }
    let mapped = catalogue.mapped_class(labels);
    if let Some(missing) = labels.missing_from(&settings.required_labels).next()
        && mapped.is_none()
    {
        return Err(Reason::with(Code::LabelsNotOurs, missing));
    }
    settings
        .policy
        .judge(&Subject { repository: &facts.repository, private, event: None, head_repository: None })
        .map_err(|refusal| refused(&refusal))?;
    let class = class_of(facts, mapped, catalogue)?;
    let is_foreign = |label: &&str| !catalogue.maps(label, class);
    if let Some(label) = class.offers.missing_from(labels).find(is_foreign) {
        return Err(Reason::with(
            Code::LabelNotOffered,
            format_args!(
                "class `{}` does not offer the label `{label}`: it offers {}",
                class.name, class.offers
            ),
        ));
    }
    if !class.allows(&facts.repository) {
        return Err(Reason::with(
            Code::ClassNotAllowed,
            format_args!("`{}` does not serve repository `{}`", class.name, facts.repository),
        ));
    }
    let scope = settings.registration.scope(&facts.repository);
    Ok(Assignment { class: class.name.clone(), pool: Pool { scope, labels: labels.clone() }.id() })
}

fn class_of<'a>(
    facts: &JobFacts,
    mapped: Option<&'a Class>,
    catalogue: &'a Catalogue,
) -> Result<&'a Class, Reason> {
    let Some(asked) = facts.labels.iter().find_map(|label| label.strip_prefix("class:")) else {
        return mapped
            .or_else(|| catalogue.default_class())
            .ok_or_else(|| Reason::with(Code::ClassMissing, class_labels(catalogue)));
    };
    let name = ClassName::parse(asked).ok();
    if let Some(class) = name.as_ref().and_then(|name| catalogue.get(name)) {
        return Ok(class);
    }
    Err(match name.and_then(|name| catalogue.invalid(&name)) {
        Some(error) => Reason::with(Code::ClassInvalid, error),
        None => Reason::with(
            Code::ClassUnknown,
            format_args!("`{asked}` does not exist: the catalogue has {}", catalogue.names()),
        ),
    })
}

fn class_labels(catalogue: &Catalogue) -> String {
    catalogue.iter().map(|class| format!("class:{}", class.name)).collect::<Vec<_>>().join(", ")
}

/// Returns the reason of the same meaning.
#[must_use]
pub fn refused(refusal: &Refusal) -> Reason {
    let code = match refusal {
        Refusal::Repository(_) => Code::RepositoryNotAllowed,
        Refusal::Public(_) | Refusal::VisibilityUnknown(_) => Code::RepositoryPublic,
        Refusal::Fork(_) | Refusal::HeadGone(_) | Refusal::SourceUnknown(_) => Code::ForkNotAllowed,
        Refusal::Event(_) => Code::EventNotAllowed,
    };
    Reason::with(code, refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalogue, job_facts, settings};

    fn judge(repository: &str, private: bool, labels: &[&str]) -> String {
        let facts = job_facts(7, repository, labels);
        match admit(&facts, Some(private), &settings(), &catalogue()) {
            Ok(assignment) => format!("{}", assignment.class),
            Err(reason) => format!("{}: {reason}", reason.code().as_str()),
        }
    }

    #[test]
    fn a_job_is_served_by_the_class_that_it_names_or_by_the_default() {
        assert_eq!(judge("acme/app", true, &["self-hosted", "class:large"]), "large");
        assert_eq!(judge("acme/app", true, &["Self-Hosted", "Linux", "X64"]), "small");
        assert_eq!(judge("acme/app", true, &["self-hosted", "arm64", "class:large"]), "large");
    }

    #[test]
    fn a_mapped_label_makes_a_job_ours_and_chooses_its_class() {
        let mut catalogue = catalogue();
        let labels = [("ubuntu-latest", "large"), ("self-hosted", "small")];
        let labels = labels.map(|(label, class)| (label.to_owned(), class.to_owned())).into();
        assert!(catalogue.map_labels(&labels).is_empty());
        let judge = |labels: &[&str]| match admit(
            &job_facts(7, "acme/app", labels),
            Some(true),
            &settings(),
            &catalogue,
        ) {
            Ok(assignment) => assignment.class.to_string(),
            Err(reason) => reason.code().as_str().to_owned(),
        };
        assert_eq!(judge(&["ubuntu-latest"]), "large");
        assert_eq!(judge(&["self-hosted", "ubuntu-latest"]), "large");
        assert_eq!(judge(&["self-hosted"]), "small");
        assert_eq!(judge(&["self-hosted", "class:large"]), "large");
        assert_eq!(judge(&["ubuntu-latest", "class:small"]), "label_not_offered");
        assert_eq!(judge(&["windows-latest"]), "labels_not_ours");
        assert_eq!(judge(&["ubuntu-latest", "gpu"]), "label_not_offered");
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let cases = [
            judge("acme/app", true, &[]),
            judge("acme/app", true, &["ubuntu-latest"]),
            judge("acme/app", true, &["self-hosted", "class:huge"]),
            judge("acme/app", true, &["self-hosted", "class:broken"]),
            judge("acme/app", true, &["self-hosted", "class:"]),
            judge("acme/app", true, &["self-hosted", "arm64"]),
            judge("acme/app", true, &["self-hosted", "class:small", "class:large"]),
            judge("other/app", true, &["self-hosted"]),
            judge("acme/app", false, &["self-hosted"]),
            judge("acme/web", true, &["self-hosted", "class:large"]),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r"
        labels_empty: the job names no label
        labels_not_ours: the job lacks the label this deployment requires: self-hosted
        class_unknown: runner class `huge` does not exist: the catalogue has large, small
        class_invalid: class `broken`: cpu 500 is not a size of Fargate's: 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768 is expected
        class_unknown: runner class `` does not exist: the catalogue has large, small
        label_not_offered: class `small` does not offer the label `arm64`: it offers class:small,linux,self-hosted,x64
        label_not_offered: class `large` does not offer the label `class:small`: it offers arm64,class:large,linux,self-hosted
        repository_not_allowed: repository `other/app` is not allowed on this deployment
        repository_public: repository `acme/app` is public, and this deployment refuses public repositories
        class_not_allowed: runner class `large` does not serve repository `acme/web`
        ");
    }
}
