//! `ecsrunner deliveries`: the App's webhook deliveries, and whether they were recorded.

use std::collections::HashSet;
use std::io;

use anyhow::anyhow;
use ecsrunner_core::id::DeliveryId;
use ecsrunner_github::Client;
use ecsrunner_github::operator::Delivered;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::arguments::{ListDeliveries, Redeliver};
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, Rows, print, say};

/// The most pages of 100 deliveries that are read.
const MAX_PAGES: usize = 50;

/// A delivery, and whether it was recorded.
#[derive(Debug)]
struct Row {
    delivery: Delivered,
    /// `None` if unknown: for events other than `workflow_job`, and for a local server.
    recorded: Option<bool>,
}

impl Row {
    fn json(&self) -> Value {
        let mut json = json!(self.delivery);
        json["recorded"] = json!(self.recorded);
        json
    }

    /// Returns whether the delivery succeeded, as far as is known.
    fn is_well(&self) -> bool {
        // A delivery that GitHub calls failed may have been recorded, at once or by the sweep.
        self.recorded.unwrap_or(self.delivery.status == "OK")
    }
}

pub(super) async fn list(arguments: &ListDeliveries) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let client = deployment.github().await?;
    let mut rows = read(&deployment, &client, arguments.since.time(Timestamp::now())).await?;
    if !arguments.all {
        rows = lost(rows);
    }
    if arguments.format.json {
        let deliveries: Vec<Value> = rows.iter().map(Row::json).collect();
        output::print_json(&json!({"deliveries": deliveries}))?;
    } else {
        print(&text(&rows, output::is_for_people(), arguments.all))?;
    }
    Ok(())
}

pub(super) async fn redeliver(arguments: &Redeliver) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let client = deployment.github_directly().await?;
    let numbers: Vec<u64> = if arguments.failed {
        let rows = read(&deployment, &client, arguments.since.time(Timestamp::now())).await?;
        lost(rows).iter().map(|row| row.delivery.id).collect()
    } else {
        numbers(&client, &arguments.delivery).await?
    };
    let mut redelivered = Vec::new();
    let result = send_again(&client, &numbers, |number| {
        redelivered.push(number);
        if arguments.format.json {
            return Ok(());
        }
        print(&format!("delivery {number} is being sent again\n"))
    })
    .await;
    if numbers.is_empty() {
        say("no deliveries to send again");
    }
    if arguments.format.json {
        output::print_json(&json!({"redelivered": redelivered}))?;
    }
    result
}

/// Asks GitHub to send deliveries again, and names each one for which it said yes.
async fn send_again(
    client: &Client,
    numbers: &[u64],
    mut sent: impl FnMut(u64) -> io::Result<()>,
) -> Result<(), Failure> {
    for number in numbers {
        if !client.redeliver(*number).await.map_err(Failure::of_github)? {
            return Err(no_app());
        }
        sent(*number)?;
    }
    Ok(())
}

/// Returns the deliveries since a time, the latest first, and whether they were recorded.
async fn read(deployment: &Deployment, client: &Client, since: Timestamp) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = client.past_deliveries(cursor.as_deref()).await.map_err(Failure::of_github)?;
        let page = page.ok_or_else(no_app)?;
        let is_enough = page.deliveries.last().is_none_or(|last| last.delivered_at < since);
        let wanted = page.deliveries.into_iter().filter(|delivery| delivery.delivered_at >= since);
        let wanted: Vec<Delivered> = wanted.collect();
        let recorded = recorded(deployment, &wanted).await?;
        rows.extend(wanted.into_iter().map(|delivery| {
            let recorded = recorded.as_ref().filter(|_| delivery.event == "workflow_job");
            let recorded = recorded.map(|ids| ids.contains(delivery.guid.as_str()));
            Row { delivery, recorded }
        }));
        cursor = page.next;
        if is_enough || cursor.is_none() {
            return Ok(rows);
        }
    }
    say(&format!("note: only the latest {} deliveries were read; use `--since` to select fewer", rows.len()));
    Ok(rows)
}

/// Returns the GUIDs of recorded deliveries, or `None` if they are unknown.
async fn recorded(
    deployment: &Deployment,
    deliveries: &[Delivered],
) -> Result<Option<HashSet<String>>, Failure> {
    let ids = deliveries.iter().filter_map(|delivery| DeliveryId::parse(&delivery.guid).ok());
    let recorded = deployment.recorded(&ids.collect::<Vec<_>>()).await?;
    Ok(recorded.map(|ids| ids.iter().map(|id| id.as_str().to_owned()).collect()))
}

/// Returns the latest attempt of each GUID without an attempt that succeeded.
fn lost(rows: Vec<Row>) -> Vec<Row> {
    let well: HashSet<String> =
        rows.iter().filter(|row| row.is_well()).map(|row| row.delivery.guid.clone()).collect();
    let mut seen = HashSet::new();
    rows.into_iter()
        .filter(|row| !well.contains(&row.delivery.guid) && seen.insert(row.delivery.guid.clone()))
        .collect()
}

/// Returns GitHub's numbers of deliveries that are given by number or GUID.
async fn numbers(client: &Client, named: &[String]) -> Result<Vec<u64>, Failure> {
    let (mut numbers, mut guids) = (Vec::new(), Vec::new());
    for text in named {
        match text.parse() {
            Ok(number) => numbers.push(number),
            Err(_) => guids.push(text.as_str()),
        }
    }
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        if guids.is_empty() {
            return Ok(numbers);
        }
        let page = client.past_deliveries(cursor.as_deref()).await.map_err(Failure::of_github)?;
        let page = page.ok_or_else(no_app)?;
        for delivery in &page.deliveries {
            if let Some(found) = guids.iter().position(|guid| *guid == delivery.guid) {
                guids.swap_remove(found);
                numbers.push(delivery.id);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if guids.is_empty() {
        return Ok(numbers);
    }
    Err(Failure::not_found(anyhow!("the App has no delivery `{}` at GitHub", guids.join("`, `"))).hint(
        "run `ecsrunner deliveries list --all --since 3d` to list all: GitHub keeps deliveries for 3 days",
    ))
}

fn no_app() -> Failure {
    Failure::usage(anyhow!("only a GitHub App can list deliveries, and the deployment uses a token"))
        .hint("see Recent Deliveries in the settings of the repository's or organization's webhook")
}

fn text(rows: &[Row], for_people: bool, all: bool) -> String {
    if for_people && rows.is_empty() {
        return if all { "no deliveries\n" } else { "no failed or lost deliveries\n" }.to_owned();
    }
    let mut table = Rows::new(["DELIVERY>", "AT", "EVENT", "STATUS", "RECORDED", "GUID"]);
    for Row { delivery, recorded } in rows {
        let action = delivery.action.as_ref().map(|action| format!(".{action}")).unwrap_or_default();
        table.add([
            delivery.id.to_string(),
            format!("{:.0}", delivery.delivered_at),
            format!("{}{action}", delivery.event),
            delivery.status.clone(),
            match recorded {
                Some(true) => "yes",
                Some(false) => "no",
                None => output::NONE,
            }
            .to_owned(),
            delivery.guid.clone(),
        ]);
    }
    table.text(for_people)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, guid: &str, status: &str, recorded: Option<bool>) -> Row {
        let delivery = Delivered {
            id,
            guid: guid.to_owned(),
            delivered_at: Timestamp::UNIX_EPOCH,
            event: "workflow_job".to_owned(),
            action: Some("queued".to_owned()),
            repository_id: None,
            status: status.to_owned(),
            status_code: 200,
            duration: 0.1,
            redelivery: false,
        };
        Row { delivery, recorded }
    }

    #[test]
    fn lost_is_what_failed_or_was_not_recorded_and_did_not_come_again() {
        let rows = vec![
            row(6, "late", "OK", Some(true)),
            row(5, "again", "timed out", None),
            row(4, "again", "Invalid HTTP Response: 502", None),
            row(3, "late", "timed out", Some(true)),
            row(2, "swallowed", "OK", Some(false)),
            row(1, "fine", "OK", Some(true)),
            row(0, "made up for", "timed out", Some(true)),
        ];
        let lost: Vec<u64> = lost(rows).iter().map(|row| row.delivery.id).collect();
        assert_eq!(lost, [5, 2]);
    }
}
