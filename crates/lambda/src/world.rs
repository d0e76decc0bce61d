//! The adapters of the control plane on AWS.

use std::future::Future;
use std::time::Duration;

use ecsrunner_aws::ecs::EcsTasks;
use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_engine::World;
use ecsrunner_engine::ports::{Clock, Randomness};
use jiff::Timestamp;

use crate::github::LazyGitHub;
use crate::images::AwsImages;
use crate::rules::LiveRules;

/// The real AWS and GitHub.
#[derive(Debug)]
pub(crate) struct Aws;

impl World for Aws {
    type Store = DynamoStore;
    type Compute = EcsTasks;
    type GitHub = LazyGitHub;
    type Images = AwsImages;
    type Queue = SqsQueue;
    type Rulebook = LiveRules;
    type Clock = SystemClock;
    type Randomness = OsRandomness;
}

/// The clock of the machine that the function runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OsRandomness;

impl Randomness for OsRandomness {
    #[expect(clippy::expect_used, reason = "without randomness no two runners have names of their own")]
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
        u128::from_ne_bytes(bytes)
    }
}
