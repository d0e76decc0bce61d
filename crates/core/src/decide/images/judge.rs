//! Learns from runners whether they can start from an image.

use jiff::Timestamp;

use super::days_left;
use crate::reason::Reason;
use crate::records::image::{Built, FailedStart, Image};
use crate::records::open::Open;
use crate::records::runner::{Ending, EndingKind, Runner, RunnerStage, RunnerState};
use crate::rules::image::NEXT;
use crate::wire::fault::Fault;

/// Learns from runners that started from the image, or did not.
pub(super) fn judge(image: &mut Image, open: &Open) {
    let arch = image.arch;
    let mut runners: Vec<&Runner> =
        open.runners.values().filter(|runner| runner.facts.size.arch() == arch).collect();
    runners.sort_by_key(|runner| lesson_at(runner));
    for runner in runners {
        let built = match runner.facts.image.as_deref() {
            None => image.current.as_mut(),
            Some(NEXT) => image.next.as_mut(),
            Some(_) => None,
        };
        let Some(built) = built.filter(|built| runner.timeline.began() >= built.since) else { continue };
        let Some(at) = lesson_at(runner).filter(|at| built.sound_at.is_none_or(|sound| *at > sound)) else {
            continue;
        };
        match failure(runner) {
            // GitHub has many reasons to refuse a session. The runner's age is one of them only after its limit.
            Some(Fault::SessionRefused) if !is_past_githubs_limit(built, at) => {}
            Some(fault) => {
                built.refused |= matches!(fault, Fault::ImageTooOld | Fault::SessionRefused);
                let (placement, words) = (runner.placement.clone(), words(runner, fault));
                built.add_failure(FailedStart { runner: runner.name().clone(), placement, words, at });
            }
            // The container of a warm task started before, perhaps from another image.
            None if runner.facts.warm.is_some() => {}
            None => {
                built.sound_at = Some(at);
                built.failed.retain(|failed| failed.at > at);
            }
        }
    }
}

/// When something was learnt from a runner: it failed to start, or its listener listened. A container that runs is not
/// enough: its listener may be missing.
fn lesson_at(runner: &Runner) -> Option<Timestamp> {
    let listened = |ending: &Ending| matches!(ending.kind, EndingKind::Completed | EndingKind::IdleTimeout);
    match &runner.state {
        RunnerState::Ending(_) if failure(runner).is_some() => runner.stopped_at(),
        RunnerState::Ending(ending) if listened(ending) => runner.timeline.at(RunnerStage::Ending),
        _ => runner.timeline.at(RunnerStage::Busy),
    }
}

/// Returns the fault of a runner that the image may have caused.
fn failure(runner: &Runner) -> Option<Fault> {
    let RunnerState::Ending(ending) = &runner.state else { return None };
    ending.fault.filter(|fault| {
        matches!(
            fault,
            Fault::ImagePull
                | Fault::ContainerStart
                | Fault::ListenerMissing
                | Fault::DirectoryUnreadable
                | Fault::FilesFailed
                | Fault::DockerFailed
                | Fault::BootItemUnreadable
                | Fault::ImageTooOld
                | Fault::SessionRefused
        )
    })
}

fn is_past_githubs_limit(built: &Built, now: Timestamp) -> bool {
    days_left(built, now).is_some_and(|days| days < 0.0)
}

fn words(runner: &Runner, fault: Fault) -> String {
    let note = match &runner.state {
        RunnerState::Ending(ending) => ending.note.as_ref().and_then(Reason::detail),
        _ => None,
    };
    note.unwrap_or_else(|| fault.as_str()).to_owned()
}
