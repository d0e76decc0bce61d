//! Compares the services that a job asks for with those that its runner's class declares.
//!
//! The comparison is strict, because a declared service is started before the job is known: nothing that a workflow asks
//! for beyond the declaration can be done any more. Each difference is one sentence for the job's log. No sentence shows
//! the value of a variable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::image::ImageName;
use super::offer::{Offer, OtherClass, Outline};
use super::{Service, shown};
use crate::id::{ClassName, ServiceName};

/// A service that a job asks for, as GitHub's runner tells it. Its name is not told.
#[derive(Clone, Default)]
pub struct Asked {
    pub image: String,
    /// `5432:5432`, `5432` or `5432/tcp`.
    pub ports: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Names of variables in `env` that the runner has added by itself, or could have: no workflow can leave them out,
    /// so one that is not declared is no difference.
    pub added: BTreeSet<String>,
    /// Options for `docker create`, as one text.
    pub options: String,
    /// What no declared service can have, each in the words of workflows, such as `volumes`.
    pub impossible: Vec<&'static str>,
}

/// Shows neither variables nor options, which may hold the value of one.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("image", &self.image)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// A declared service that a job asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Met {
    pub name: ServiceName,
    /// The port that the workflow writes.
    pub port: u16,
    /// The port at which the job reaches it on `localhost`.
    pub host_port: u16,
}

/// Finds the declared service for each service that a job asks for, in the same order. `host_ports` has the ports of
/// services that are not at the port that their class declares.
///
/// # Errors
///
/// Every difference, each one sentence. The last one ends with the name of a class that fits.
pub fn compare(
    offer: &Offer,
    host_ports: &BTreeMap<ServiceName, u16>,
    asked: &[Asked],
) -> Result<Vec<Met>, Vec<String>> {
    let mut comparison = Comparison { offer, differences: Vec::new() };
    let met: Vec<Option<Met>> =
        (0..asked.len()).map(|index| comparison.one(host_ports, asked, index)).collect();
    if comparison.differences.is_empty() {
        return Ok(met.into_iter().flatten().collect());
    }
    let mut differences = comparison.differences;
    if let Some(last) = differences.last_mut() {
        // Only once: it is the same for all of them.
        *last = format!("{last}; {}", remedy(offer, asked));
    }
    Err(differences)
}

struct Comparison<'a> {
    offer: &'a Offer,
    differences: Vec<String>,
}

impl Comparison<'_> {
    fn one(&mut self, host_ports: &BTreeMap<ServiceName, u16>, all: &[Asked], index: usize) -> Option<Met> {
        let asked = &all[index];
        let service = format!("service {} (`{}`)", index + 1, shown(&asked.image));
        let mut differ = |what: String| self.differences.push(format!("{service}: {what}"));
        let class = &self.offer.class;
        for what in &asked.impossible {
            differ(format!("the workflow gives it `{what}`, which a declared service cannot have"));
        }
        let options = Options::read(&asked.options);
        for option in &options.others {
            differ(format!(
                "the workflow gives it the option `{option}`, and a declared service can have only those of a health check"
            ));
        }
        let Ok(image) = ImageName::parse(&asked.image) else {
            differ("its image is not the name of an image".to_owned());
            return None;
        };
        if all[..index].iter().any(|other| ImageName::parse(&other.image).is_ok_and(|other| other == image)) {
            differ(
                "an earlier service has the same image, and GitHub tells a runner no other difference"
                    .to_owned(),
            );
            return None;
        }
        let declared = self.offer.services.iter().find(|(_, declared)| declared.image.is_as_asked(&image));
        let Some((name, declared)) = declared else {
            differ(match images(self.offer, &image) {
                (images, true) => format!("class `{class}` declares {images} in its place"),
                (images, false) if images.is_empty() => format!("class `{class}` declares no services"),
                (images, false) => format!("class `{class}` declares only {images}"),
            });
            return None;
        };
        let is_taken = |other: &Asked| {
            ImageName::parse(&other.image).is_ok_and(|other| declared.image.is_as_asked(&other))
        };
        if all[..index].iter().any(is_taken) {
            differ(format!("class `{class}` declares one service for it and for an earlier one"));
            return None;
        }
        let host_port = host_ports.get(name).copied().unwrap_or(declared.port);
        for mapping in &asked.ports {
            if let Err(what) = port(mapping, declared.port, host_port) {
                differ(what);
            }
        }
        for what in variables(class, declared, asked) {
            differ(what);
        }
        if options.has_health && declared.health.is_none() {
            differ(format!(
                "the workflow waits for its health, and class `{class}` declares no health check for it"
            ));
        }
        Some(Met { name: name.clone(), port: declared.port, host_port })
    }
}

/// Returns the images of the class, and whether they are those of the same repository.
fn images(offer: &Offer, asked: &ImageName) -> (String, bool) {
    let list = |related: bool| {
        let images = offer.services.values().map(|service| &service.image);
        let images = images.filter(|image| !related || image.is_relative_of(asked));
        images.map(|image| format!("`{image}`")).collect::<Vec<_>>().join(" and ")
    };
    let related = list(true);
    if related.is_empty() { (list(false), false) } else { (related, true) }
}

/// Checks one `HOST:CONTAINER`, `CONTAINER`, or either with `/tcp` or `/udp`.
fn port(mapping: &str, declared: u16, host_port: u16) -> Result<(), String> {
    let written = shown(mapping);
    let (ports, _protocol) = mapping.split_once('/').unwrap_or((mapping, ""));
    let mut parts = ports.rsplit(':');
    let container = parts.next().and_then(|part| part.parse::<u16>().ok());
    let host = parts.next().map(str::parse::<u16>);
    match (container, host) {
        (Some(container), _) if container != declared => {
            Err(format!("the workflow maps its port {container} (`{written}`), and it listens on {declared}"))
        }
        (Some(_), None) => Ok(()),
        (Some(_), Some(Ok(host))) if host == host_port => Ok(()),
        (Some(_), Some(Ok(host))) => Err(format!(
            "the workflow puts it at port {host} (`{written}`), and on this runner it is at {host_port}: write \
             `{declared}` alone, and use the port that `job.services` has"
        )),
        (None, _) | (Some(_), Some(Err(_))) => Err(format!("`{written}` is not a port that can be compared")),
    }
}

/// Compares variables by name and value, and tells names alone.
fn variables(class: &ClassName, declared: &Service, asked: &Asked) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, value) in &asked.env {
        match declared.env.0.get(name) {
            Some(known) if known == value => {}
            None if asked.added.contains(name) => {}
            Some(_) => differences.push(format!(
                "the workflow gives `{}` another value in its env than class `{class}`",
                shown(name)
            )),
            None => differences.push(format!(
                "the workflow sets `{}` in its env, and class `{class}` does not",
                shown(name)
            )),
        }
    }
    let missing = declared.env.0.keys().filter(|name| !asked.env.contains_key(*name));
    differences.extend(
        missing.map(|name| format!("class `{class}` sets `{name}` in its env, and the workflow does not")),
    );
    differences
}

/// What a job can be given in place of this runner.
fn remedy(offer: &Offer, asked: &[Asked]) -> String {
    let suits: Vec<String> = offer
        .elsewhere
        .iter()
        .filter(|other| suits(other, asked))
        .map(|other| format!("`class:{}`", other.class))
        .collect();
    let none = "no class of this deployment declares what this job asks for";
    match (suits.is_empty(), offer.engines()) {
        (true, None) => none.to_owned(),
        (true, Some(engines)) => format!("{none}, and a class with a Docker engine serves it: {engines}"),
        (false, _) => format!("a class that declares what this job asks for: {}", suits.join(", ")),
    }
}

/// Whether another class declares everything, as far as its outline tells.
fn suits(other: &OtherClass, asked: &[Asked]) -> bool {
    asked.iter().all(|asked| {
        let options = Options::read(&asked.options);
        let Ok(image) = ImageName::parse(&asked.image) else { return false };
        let fits = |outline: &Outline| {
            let is_extra = |name: &String| asked.added.contains(name) && !outline.variables.contains(name);
            outline.image.is_as_asked(&image)
                && asked.ports.iter().all(|mapping| port(mapping, outline.port, outline.port).is_ok())
                && outline.variables.iter().eq(asked.env.keys().filter(|name| !is_extra(name)))
                && (outline.health || !options.has_health)
        };
        asked.impossible.is_empty() && options.others.is_empty() && other.services.iter().any(fits)
    })
}

/// The options of a service in a workflow.
struct Options {
    /// Whether they have the engine check its health.
    has_health: bool,
    /// Options that are not about health, by name.
    others: Vec<String>,
}

impl Options {
    fn read(text: &str) -> Self {
        let mut options = Self { has_health: false, others: Vec::new() };
        let Some(words) = shlex::split(text) else {
            options.others.push("…".to_owned());
            return options;
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, has_value) = match word.split_once('=') {
                Some((name, _)) => (name, true),
                None => (word.as_str(), false),
            };
            if name.starts_with("--health-") {
                options.has_health |= name == "--health-cmd";
                if !has_value {
                    words.next();
                }
            } else if name.starts_with("--") {
                options.others.push(shown(name));
            } else if name.starts_with('-') {
                // `-eNAME=value` shows no more than `-e`.
                options.others.push(name.chars().take(2).collect());
            }
        }
        options
    }
}

#[cfg(test)]
mod tests;
