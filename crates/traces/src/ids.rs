//! Ids of traces and spans. They follow from the job: stable across processes and releases.

use ecsrunner_core::wire::job::JobFacts;
use sha2::{Digest, Sha256};

/// Returns the trace's id: the first 16 bytes of the SHA-256 of `ecsrunner/<run>/<attempt>/<job>`.
pub(crate) fn trace_id(job: &JobFacts) -> Vec<u8> {
    hash(&subject(job))[..16].to_vec()
}

/// Returns a span's id: the first 8 bytes of the SHA-256 of `ecsrunner/<run>/<attempt>/<job>/<span>`.
pub(crate) fn span_id(job: &JobFacts, span: &str) -> Vec<u8> {
    hash(&format!("{}/{span}", subject(job)))[..8].to_vec()
}

fn subject(job: &JobFacts) -> String {
    format!("ecsrunner/{}/{}/{}", job.run, job.attempt, job.id)
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash: [u8; 32] = Sha256::digest(text).into();
    // An id of zeros is invalid in OpenTelemetry. No known input has one.
    hash[0] |= u8::from(hash[..8].iter().all(|byte| *byte == 0));
    hash
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ecsrunner_core::id::{JobId, Repository, RunId};
    use ecsrunner_core::rules::labels::Labels;

    use super::*;

    fn job(run: u64, attempt: u32, id: u64) -> JobFacts {
        JobFacts {
            id: JobId::new(id),
            run: RunId::new(run),
            attempt,
            repository: Repository::parse("acme/app").unwrap(),
            name: Arc::from("build"),
            workflow: None,
            labels: Labels::new(["self-hosted"]),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The expected values are those of `printf ecsrunner/42/1/7 | sha256sum`.
    #[test]
    fn the_ids_of_a_job_never_change() {
        assert_eq!(hex(&trace_id(&job(42, 1, 7))), "963b9c3dc6829157f7a21b085e56bdc1");
        assert_eq!(hex(&span_id(&job(42, 1, 7), "run")), "a70aa84c640ed8bc");
    }

    #[test]
    fn each_run_attempt_job_and_span_has_an_id_of_its_own() {
        let of = |run, attempt, id, span| span_id(&job(run, attempt, id), span);
        let ids = [
            of(1, 1, 1, "run"),
            of(2, 1, 1, "run"),
            of(1, 2, 1, "run"),
            of(1, 1, 2, "run"),
            of(1, 1, 1, "job"),
        ];
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }
}
