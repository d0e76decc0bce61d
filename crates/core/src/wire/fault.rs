//! What goes wrong with runners, as a closed list of kinds. Words of AWS and of the agent become a kind where they are
//! read, without the numbers, addresses and digests in them: two faults are of one kind if they are equal here.

use crate::wire::exit::AgentExit;
use crate::wire_form::by_wire_form;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $suspect:ident, $text:literal;)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Fault { $($(#[$doc])* $name),+ }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The wire form, pinned: it is stored.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// What happened, for people: a clause without a full stop.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Where the cause may be.
            #[must_use]
            pub const fn suspect(self) -> Suspect {
                match self { $(Self::$name => Suspect::$suspect),+ }
            }
        }
    };
}

/// Where the cause of a fault may be, from the narrowest to the widest place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suspect {
    /// The placement has no capacity.
    Capacity,
    /// The class's image or role, or the placement; never the pool, since nothing of a job was involved.
    Start,
    /// The pool, or what [`Suspect::Start`] names.
    Runner,
    /// The pool: its labels, its runner group, its registrations.
    Use,
    /// The scope at GitHub, or the account.
    GitHub,
    /// Nothing here: a single host, or our own doing.
    Nothing,
}

faults! {
    /// AWS has no capacity, or a quota is used up.
    NoCapacity = "no_capacity": Capacity, "AWS has no capacity";
    ImagePull = "image_pull": Start, "the image cannot be pulled";
    /// Secrets, logs or the registry could not be reached, before the container was created.
    ResourceInitialization = "resource_initialization": Start, "secrets, logs or the registry cannot be reached";
    ContainerStart = "container_start": Start, "the container cannot be started";
    NetworkInterface = "network_interface": Start, "the task gets no network interface";
    /// AWS refused the request for a task.
    LaunchRefused = "launch_refused": Start, "AWS refuses the request for a task";
    /// Its task was placed on an instance that another runner had before.
    InstanceUsed = "instance_used": Start, "the task was placed on an instance that another runner had before";
    /// The task was accepted, and its container never ran.
    NeverStarted = "never_started": Start, "the task was accepted, and its container never ran";
    /// Agent: the table of boot items cannot be reached, or refuses.
    BootTable = "boot_table": Start, "the agent cannot read the table of boot items";
    /// Agent: ECS told neither the task nor its credentials.
    TaskUnknown = "task_unknown": Start, "ECS gave the agent neither its task nor its credentials";
    /// Agent: no boot item came.
    BootItemAbsent = "boot_item_absent": Nothing, "no boot item came for the agent";
    /// Agent: the request for the boot item got no answer.
    BootItemUnanswered = "boot_item_unanswered": Start, "the agent's request for its boot item got no answer";
    BootItemUnreadable = "boot_item_unreadable": Start, "the agent cannot read its boot item";
    FilesFailed = "files_failed": Start, "the agent cannot write the runner's files";
    /// Agent: the Docker engine of a Docker class did not come up.
    DockerFailed = "docker_failed": Start, "the Docker engine did not start";
    ListenerMissing = "listener_missing": Start, "the image has no listener";
    DirectoryUnreadable = "directory_unreadable": Start, "the agent cannot read the runner's directory";
    ImageTooOld = "image_too_old": Start, "GitHub no longer accepts the version of the runner in the image";
    /// GitHub's own image could not download the agent, or downloaded another file.
    AgentUnavailable = "agent_unavailable": Start, "the image cannot download the agent";
    /// Agent: the listener did not listen within the connect limit.
    NotConnected = "not_connected": Runner, "the listener did not connect to GitHub in time";
    SessionRefused = "session_refused": Runner, "GitHub refused the listener's session";
    SessionConflict = "session_conflict": Use, "GitHub has another session of the runner open";
    /// Agent: GitHub answered the listener with errors until the connect limit.
    GithubUnavailable = "github_unavailable": Use, "GitHub answered the listener with errors";
    ListenerCrashed = "listener_crashed": Runner, "the listener crashed";
    AgentFailed = "agent_failed": Runner, "the agent failed";
    OutOfMemory = "out_of_memory": Runner, "the container ran out of memory";
    /// The container ended with an exit code that the agent does not use.
    Killed = "killed": Runner, "the container was killed";
    Interrupted = "interrupted": Nothing, "the task was stopped";
    /// The task is no longer there, and how it ended is unknown.
    TaskMissing = "task_missing": Runner, "the task is no longer there";
    /// No job came within the idle limit, though one was queued.
    NoJob = "no_job": Use, "no job came within the idle limit";
    /// GitHub removed the registration of a runner that waited.
    RegistrationLost = "registration_lost": Use, "GitHub removed the registration of a waiting runner";
    /// The listener ended by itself while it waited.
    JobWithdrawn = "job_withdrawn": Use, "the listener ended by itself while it waited for a job";
    /// Its hook refused the job that GitHub gave it, so it served none: most likely a job of another repository.
    JobRefused = "job_refused": Use, "the runner's hook refused the job that GitHub gave it";
    /// GitHub refuses to register runners.
    RegistrationRefused = "registration_refused": GitHub, "GitHub refuses to register runners";
    /// GitHub answers with errors, or not at all.
    NoAnswer = "no_answer": GitHub, "GitHub answers with errors, or not at all";
    /// GitHub does not answer, where it refused to register runners before.
    RefusedUnanswered = "refused_unanswered": GitHub, "GitHub does not answer, and refused to register runners before";
    /// GitHub does not answer registrations, whatever else it answers.
    RegistrationUnanswered = "registration_unanswered": GitHub, "GitHub does not answer registrations";
    /// GitHub asks to come back later.
    Throttled = "throttled": GitHub, "GitHub asks to be called later";
    /// Words that are not known here.
    Unknown = "unknown": Runner, "the cause is not known";
}

by_wire_form!(Fault, "kind of fault");

impl Fault {
    /// Whether it can only happen before the container runs, so that a container that runs is a success.
    #[must_use]
    pub const fn is_before_boot(self) -> bool {
        matches!(
            self,
            Self::NoCapacity
                | Self::ImagePull
                | Self::ResourceInitialization
                | Self::ContainerStart
                | Self::NetworkInterface
                | Self::LaunchRefused
                | Self::NeverStarted
        )
    }

    /// Whether GitHub is left alone until its hold ends, with every kind of call.
    #[must_use]
    pub const fn rests_github(self) -> bool {
        matches!(self, Self::NoAnswer | Self::RefusedUnanswered | Self::Throttled)
    }

    /// Returns the fault if GitHub stops to answer where this one is held.
    #[must_use]
    pub const fn unanswered(self) -> Self {
        match self {
            Self::RegistrationRefused | Self::RefusedUnanswered => Self::RefusedUnanswered,
            _ => Self::NoAnswer,
        }
    }

    /// Whether no runner is registered until its hold ends, because GitHub does not answer.
    #[must_use]
    pub const fn rests_registrations(self) -> bool {
        self.rests_github() || matches!(self, Self::RegistrationUnanswered)
    }

    /// Returns the fault in ECS's reason for a task that stopped or never started. The names are ECS's
    /// (`CannotPullContainerError: …`); what follows them differs from case to case.
    #[must_use]
    pub fn of_ecs_words(words: &str) -> Self {
        const NAMES: &[(&str, Fault)] = &[
            ("cannotpull", Fault::ImagePull),
            ("resourceinitializationerror", Fault::ResourceInitialization),
            ("cannotcreatecontainer", Fault::ContainerStart),
            ("cannotstartcontainer", Fault::ContainerStart),
            ("cannotinspectcontainer", Fault::ContainerStart),
            ("containerruntime", Fault::ContainerStart),
            ("network interface", Fault::NetworkInterface),
            ("outofmemory", Fault::OutOfMemory),
            ("never started", Fault::NeverStarted),
            ("exit code", Fault::Killed),
            ("was killed", Fault::Killed),
        ];
        let words = words.to_ascii_lowercase();
        // The name that stands first: an exit code may precede the container's own reason.
        let found = NAMES.iter().filter_map(|(name, fault)| Some((words.find(name)?, *fault)));
        let specific = found.clone().filter(|(_, fault)| *fault != Self::Killed).min_by_key(|(at, _)| *at);
        specific.or_else(|| found.min_by_key(|(at, _)| *at)).map_or(Self::Unknown, |(_, fault)| fault)
    }

    /// Returns the fault of an agent that ended in this way; `None` if its runner did what it was for, or if the job that
    /// it had decides.
    #[must_use]
    pub const fn of_exit(exit: AgentExit) -> Option<Self> {
        Some(match exit {
            AgentExit::Completed
            | AgentExit::JobTimeout
            | AgentExit::HookSilent
            | AgentExit::JobNotStarted
            | AgentExit::JobAbandoned
            | AgentExit::ListenerHung
            | AgentExit::InterruptedBusy
            | AgentExit::NotNeeded => return None,
            AgentExit::Failed => Self::AgentFailed,
            AgentExit::NoBootItem => Self::BootItemAbsent,
            AgentExit::BootFailed => Self::BootTable,
            AgentExit::BootAmbiguous => Self::BootItemUnanswered,
            AgentExit::ListenerMissing => Self::ListenerMissing,
            AgentExit::NotConnected => Self::NotConnected,
            AgentExit::ImageTooOld => Self::ImageTooOld,
            AgentExit::NoJob => Self::NoJob,
            AgentExit::RegistrationLost => Self::RegistrationLost,
            AgentExit::ListenerCrashed => Self::ListenerCrashed,
            AgentExit::Interrupted => Self::Interrupted,
            AgentExit::TaskUnknown => Self::TaskUnknown,
            AgentExit::BootItemUnreadable => Self::BootItemUnreadable,
            AgentExit::FilesFailed => Self::FilesFailed,
            AgentExit::DockerFailed => Self::DockerFailed,
            AgentExit::SessionConflict => Self::SessionConflict,
            AgentExit::SessionRefused => Self::SessionRefused,
            AgentExit::JobWithdrawn => Self::JobWithdrawn,
            AgentExit::JobRefused => Self::JobRefused,
            AgentExit::DirectoryUnreadable => Self::DirectoryUnreadable,
            AgentExit::AgentAbsent | AgentExit::AgentAltered => Self::AgentUnavailable,
            AgentExit::GithubUnavailable => Self::GithubUnavailable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_addresses_and_digests_are_of_one_kind() {
        let pull = |address: &str, retries: u32| {
            format!(
                "CannotPullContainerError: pull image manifest has been retried {retries} time(s): failed to \
                 resolve ref 1.dkr.ecr/x:1: dial tcp {address}:443: i/o timeout"
            )
        };
        for words in
            [&*pull("3.5.141.17", 1), &pull("3.5.149.34", 5), "CannotPullContainerError: manifest unknown"]
        {
            assert_eq!(Fault::of_ecs_words(words), Fault::ImagePull, "{words}");
        }
        for (words, fault) in [
            ("exit code 137: OutOfMemoryError: Container killed due to memory usage", Fault::OutOfMemory),
            ("exit code 139: Essential container in task exited", Fault::Killed),
            ("its process was killed", Fault::Killed),
            ("Timeout waiting for network interface provisioning to complete.", Fault::NetworkInterface),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth",
                Fault::ResourceInitialization,
            ),
            ("in ECS's words", Fault::Unknown),
        ] {
            assert_eq!(Fault::of_ecs_words(words), fault, "{words}");
        }
    }

    #[test]
    fn every_kind_has_words_for_people() {
        for fault in Fault::ALL {
            let text = fault.text();
            assert!(text.contains(' ') && !text.contains('_') && !text.ends_with('.'), "{fault:?}: {text}");
        }
    }

    #[test]
    fn every_kind_is_written_once_and_reads_back() {
        let mut seen = std::collections::BTreeSet::new();
        for fault in Fault::ALL {
            assert!(seen.insert(fault.as_str()), "{fault:?}");
            assert_eq!(Fault::parse(fault.as_str()), Some(*fault));
        }
    }
}
