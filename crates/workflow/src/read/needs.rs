//! `needs`: the order of jobs.

use std::collections::BTreeSet;

use crate::model::Job;
use crate::problem::Position;

use super::Reader;

impl Reader<'_, '_> {
    /// Adds to each job the jobs that it needs. Refuses unknown ones and cycles.
    pub(super) fn link_needs(&mut self, jobs: Vec<(Job, Vec<(String, Position)>)>) -> Vec<Job> {
        let ids: Vec<String> = jobs.iter().map(|(job, _)| job.id.clone()).collect();
        let mut linked = Vec::with_capacity(jobs.len());
        let mut places = Vec::with_capacity(jobs.len());
        for (mut job, needs) in jobs {
            let mut found = Vec::new();
            for (need, at) in needs {
                match ids.iter().find(|id| id.eq_ignore_ascii_case(&need)) {
                    Some(id) => {
                        if !job.needs.contains(id) {
                            job.needs.push(id.clone());
                        }
                        found.push((id.clone(), at));
                    }
                    None => self.faults.add(
                        at,
                        format!(
                            "job `{}` needs `{need}`, which is not a job: {} is expected",
                            job.id,
                            listed(&ids)
                        ),
                    ),
                }
            }
            linked.push(job);
            places.push(found);
        }
        for (job, needs) in linked.iter().zip(&places) {
            for (need, at) in needs {
                if reaches(&linked, need, &job.id) {
                    let text =
                        format!("job `{}` needs `{need}`, which needs `{}` again: a cycle", job.id, job.id);
                    self.faults
                        .add(*at, if *need == job.id { format!("job `{need}` needs itself") } else { text });
                }
            }
        }
        linked
    }
}

/// Whether `from` is `to`, or needs it directly or through others.
fn reaches(jobs: &[Job], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if id == to {
            return true;
        }
        if seen.insert(id) {
            let needs = jobs.iter().find(|job| job.id == id).map(|job| job.needs.as_slice());
            open.extend(needs.unwrap_or_default().iter().map(String::as_str));
        }
    }
    false
}

fn listed(ids: &[String]) -> String {
    const MAX_SHOWN: usize = 12;
    let shown: Vec<String> = ids.iter().take(MAX_SHOWN).map(|id| format!("`{id}`")).collect();
    let more = if ids.len() > MAX_SHOWN { ", …" } else { "" };
    format!("one of {}{more}", shown.join(", "))
}
