//! Passes task state changes from the fake ECS to the function.
//!
//! Only AWS can publish events of the source `aws.ecs`, and ministack accepts
//! none either. So EventBridge checks whether the deployment's rule matches the
//! event (TestEventPattern), and the function is then invoked as by a rule.

use std::sync::Arc;

use ecsrunner_sim::ecs::FakeEcs;
use serde_json::{Value, json};

use crate::aws::{Aws, EVENTS};
use crate::deployment::{FUNCTION, TASK_RULE};

/// Passes events on for as long as it is polled.
pub(crate) async fn carry(ecs: Arc<FakeEcs>, aws: Aws) {
    let rule = aws.call(EVENTS, "DescribeRule", json!({"Name": TASK_RULE})).await;
    let pattern = rule["EventPattern"].clone();
    let mut carried = 0;
    loop {
        for event in ecs.events_after(carried).await {
            carried += 1;
            if matches(&aws, &pattern, &event).await {
                aws.invoke_later(FUNCTION, &event).await;
            }
        }
    }
}

async fn matches(aws: &Aws, pattern: &Value, event: &Value) -> bool {
    let input = json!({"EventPattern": pattern, "Event": event.to_string()});
    aws.call(EVENTS, "TestEventPattern", input).await["Result"] == true
}
