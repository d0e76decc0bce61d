//! The printed tables.

use std::collections::BTreeSet;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::calls::{Named, Service};
use super::crowd::OPEN_JOBS;
use super::measure::{Cold, Events, Figures, Row, median};
use super::peer::Handler;
use super::prices::{self, Bill, LAMBDA_ARM64, LAMBDA_X86, Start};
use super::share::Share;
use crate::testbed::say;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

fn cold(figures: &Figures, of: impl Fn(&Cold) -> f64) -> f64 {
    median(figures.cold.iter().map(of))
}

/// The peer's two functions between a webhook and its task, one after the other.
fn peer_response(row: &Row) -> anyhow::Result<f64> {
    Ok(cold(row.peer(Handler::Webhook)?, |cold| cold.response)
        + cold(row.peer(Handler::Token)?, |cold| cold.response))
}

fn launch(row: &Row) -> f64 {
    cold(&row.ours, |cold| cold.launch.unwrap_or(f64::NAN))
}

pub(crate) fn cold_starts(rows: &[Row]) -> anyhow::Result<()> {
    say("\nCold: process start → RunTask answered (launch) and → the function's response; medians, ms\n");
    let mut table = table(&[
        "CPU",
        "via",
        "ours: init",
        "launch",
        "of it the fakes'",
        "response",
        "peer: webhook",
        "token",
        "both",
        "both ÷ our response",
        "÷ our launch",
        "CPU: ours",
        "CPU: peer's two",
    ]);
    for row in rows {
        let (webhook, token) = (row.peer(Handler::Webhook)?, row.peer(Handler::Token)?);
        let (response, both) = (cold(&row.ours, |cold| cold.response), peer_response(row)?);
        table.add_row([
            row.share.to_string(),
            row.scheme.to_owned(),
            one(cold(&row.ours, |cold| cold.init)),
            one(launch(row)),
            one(cold(&row.ours, |cold| cold.fakes_to_launch)),
            one(response),
            one(cold(webhook, |cold| cold.response)),
            one(cold(token, |cold| cold.response)),
            one(both),
            format!("{:.1} ×", both / response),
            format!("{:.1} ×", both / launch(row)),
            one(cold(&row.ours, |cold| cold.cpu)),
            one(cold(webhook, |cold| cold.cpu) + cold(token, |cold| cold.cpu)),
        ]);
    }
    say(&table.to_string());
    Ok(())
}

fn p50(figures: &Figures, event: &str, of: impl Fn(&Events) -> &[f64]) -> f64 {
    let events = figures.warm.iter().filter(|(name, _)| *name == event);
    median(events.flat_map(|(_, events)| of(events).iter().copied()))
}

/// Mean CPU time of a job's events.
fn cpu_of_an_event(figures: &Figures) -> f64 {
    let medians = figures.warm.iter().map(|(_, events)| median(events.cpu.iter().copied()));
    medians.sum::<f64>() / figures.warm.len() as f64
}

pub(crate) fn warm(rows: &[Row]) -> anyhow::Result<()> {
    say("\nWarm: the event that launches, p50; CPU time of an event; peak resident memory\n");
    let mut table = table(&[
        "CPU",
        "via",
        "ours: queued ms",
        "its CPU ms",
        "CPU an event ms",
        "RSS MB",
        "peer: queued ms",
        "token ms",
        "their CPU ms",
        "RSS MB (webhook, token)",
    ]);
    for row in rows {
        let (webhook, token) = (row.peer(Handler::Webhook)?, row.peer(Handler::Token)?);
        table.add_row([
            row.share.to_string(),
            row.scheme.to_owned(),
            one(p50(&row.ours, "queued", |events| &events.latency)),
            format!("{:.2}", p50(&row.ours, "queued", |events| &events.cpu)),
            format!("{:.2}", cpu_of_an_event(&row.ours)),
            one(row.ours.peak_rss_mb),
            one(p50(webhook, "queued", |events| &events.latency)),
            one(p50(token, "token", |events| &events.latency)),
            format!(
                "{:.2}",
                p50(webhook, "queued", |events| &events.cpu) + p50(token, "token", |events| &events.cpu)
            ),
            format!("{:.1}, {:.1}", webhook.peak_rss_mb, token.peak_rss_mb),
        ]);
    }
    say(&table.to_string());
    Ok(())
}

/// Each event of a job, with one CPU share.
pub(crate) fn events(row: &Row) {
    say(&format!("\nA job's events, warm, {} via {}; p50\n", row.share, row.scheme));
    let mut table = table(&["function", "event", "ms", "CPU ms"]);
    let peer = row.peer.iter().map(|(handler, figures)| (handler.name(), figures));
    for (function, figures) in [("ours", &row.ours)].into_iter().chain(peer) {
        for (event, events) in &figures.warm {
            table.add_row([
                function.to_owned(),
                (*event).to_owned(),
                one(median(events.latency.iter().copied())),
                format!("{:.2}", median(events.cpu.iter().copied())),
            ]);
        }
    }
    say(&table.to_string());
}

/// The calls of a job by name: the first of a cold process, and one of a warm process.
pub(crate) fn calls(row: &Row) {
    say("\nA job's calls by name\n");
    let mut table = table(&["function", "service", "call", "first job", "a warm job", "refused"]);
    let peer = row.peer.iter().map(|(handler, figures)| (handler.name(), figures));
    for (function, figures) in [("ours", &row.ours)].into_iter().chain(peer) {
        let names: BTreeSet<&(Service, String)> =
            figures.first_job.keys().chain(figures.jobs.keys()).collect();
        for name in names {
            let count = |named: &Named| named.get(name).copied().unwrap_or_default();
            let (first, all) = (count(&figures.first_job), count(&figures.jobs));
            table.add_row([
                function.to_owned(),
                name.0.name().to_owned(),
                name.1.clone(),
                first.calls.to_string(),
                trimmed(all.calls as f64 / row.jobs as f64),
                (first.refused + all.refused).to_string(),
            ]);
        }
    }
    say(&table.to_string());
    say(
        "the peer's state machine also calls SQS SendMessage, Lambda Invoke (token) and ECS RunTask; it does not run here",
    );
}

/// Our events with one job open, and with many.
pub(crate) fn crowd(alone: &[(&'static str, Events)], crowded: &[(&'static str, Events)]) {
    say(&format!("\nOur events with no other job open, and with {OPEN_JOBS}, at full CPU via http; means\n"));
    let mut table = table(&["event", "open", "CPU ms", "AWS calls", "read units", "write units"]);
    for ((event, alone), (_, crowded)) in alone.iter().zip(crowded) {
        for (open, events) in [("1".to_owned(), alone), (OPEN_JOBS.to_string(), crowded)] {
            table.add_row([
                (*event).to_owned(),
                open,
                format!("{:.2}", median(events.cpu.iter().copied())),
                trimmed(events.mean(|called| called.aws as f64)),
                trimmed(events.mean(|called| called.units.read)),
                trimmed(events.mean(|called| called.units.write)),
            ]);
        }
    }
    say(&table.to_string());
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The cost of a million jobs, with the figures of one CPU share.
pub(crate) fn costs(row: &Row) {
    say(&format!(
        "\nList prices of a million jobs' control plane, us-east-1, x86, {} via {}\n",
        row.share, row.scheme
    ));
    let bills: [Bill; 4] = [
        prices::ours(row, Start::Warm, LAMBDA_X86),
        prices::ours(row, Start::Cold, LAMBDA_X86),
        prices::peer(row, Start::Warm, LAMBDA_X86),
        prices::peer(row, Start::Cold, LAMBDA_X86),
    ];
    let mut table = table(&["$ per million jobs", "ours, warm", "ours, cold", "peer, warm", "peer, cold"]);
    let mut lines: Vec<&str> = Vec::new();
    for (line, _) in bills.iter().flat_map(|bill| &bill.lines) {
        if !lines.contains(line) {
            lines.push(line);
        }
    }
    for line in lines {
        let mut cells = vec![line.to_owned()];
        cells.extend(bills.iter().map(|bill| bill.of(line).map_or_else(String::new, dollars)));
        table.add_row(cells);
    }
    let mut totals = vec!["all".to_owned()];
    totals.extend(bills.iter().map(|bill| dollars(bill.total())));
    table.add_row(totals);
    say(&table.to_string());
    let arm64 = [Start::Warm, Start::Cold].map(|start| prices::ours(row, start, LAMBDA_ARM64).total());
    say(&format!("ours at arm64's price: {:.2} warm, {:.2} cold", arm64[0], arm64[1]));
}

fn dollars(value: f64) -> String {
    // An empty sum is -0.
    format!("{:.2}", value + 0.0)
}

/// The project's own targets, each with its figure.
pub(crate) fn targets(rows: &[Row]) -> anyhow::Result<()> {
    say("\nTargets\n");
    for row in rows.iter().filter(|row| row.share == Share::Memory(128)) {
        let limit = if row.scheme == "https" { 150.0 } else { 100.0 };
        let own = launch(row) - cold(&row.ours, |cold| cold.fakes_to_launch);
        tell(
            &format!("128 MB, {}: cold start to launch beyond the fakes' own", row.scheme),
            own,
            "ms",
            own <= limit,
            &format!("≤ {limit}"),
        );
        let ratio = peer_response(row)? / launch(row);
        tell(
            &format!("128 MB, {}: the peer's two functions by our launch", row.scheme),
            ratio,
            "×",
            ratio >= 10.0,
            "≥ 10",
        );
    }
    if let Some(row) = rows.first() {
        let aws = |events: &Events| events.mean(|called| called.aws as f64);
        let github = |events: &Events| events.mean(|called| called.github as f64);
        let events = || row.ours.warm.iter().map(|(_, events)| events);
        let launch =
            events().next().map_or(f64::NAN, |events| events.mean(|called| called.aws_to_hand_over as f64));
        tell("AWS calls, webhook → handed over, warm", launch, "", launch <= 9.0, "≤ 9");
        let life = events().map(aws).sum();
        tell("AWS calls of a job's life, warm", life, "", life <= 24.0, "≤ 24");
        let asked = events().map(github).sum();
        tell("GitHub calls of a job, token cached", asked, "", asked <= 1.0, "≤ 1");
    }
    let rss = rows.iter().map(|row| row.ours.peak_rss_mb).fold(0.0, f64::max);
    tell("peak RSS", rss, "MB", rss <= 25.0, "≤ 25");
    if let Some(row) = rows.first() {
        let cpu = cpu_of_an_event(&row.ours);
        tell(&format!("warm CPU an event, {}, {}", row.share, row.scheme), cpu, "ms", cpu <= 2.0, "≤ 2");
    }
    Ok(())
}

pub(crate) fn tell(what: &str, value: f64, unit: &str, met: bool, target: &str) {
    let verdict = if met { "met" } else { "MISSED" };
    say(&format!("{verdict:>6}  {what}: {value:.1} {unit} (target {target})"));
}
