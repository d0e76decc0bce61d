//! The chart of a simulation: queued jobs above, runners and their jobs below.

use std::fmt::Write;

use jiff::Timestamp;

use super::report::{Point, Report};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
/// The tops and heights of the two panels.
const QUEUE: Panel = Panel { top: 84.0, height: 170.0 };
const RUNNERS: Panel = Panel { top: 310.0, height: 190.0 };
/// About how many lines each axis has.
const LINES: f64 = 4.0;
/// Times between two marks of the time axis, in minutes.
const STEPS: [i64; 10] = [1, 5, 15, 30, 60, 120, 240, 360, 720, 1440];
const MAX_MARKS: i64 = 14;

#[derive(Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
}

/// The time axis.
struct Time {
    from_ms: i64,
    until_ms: i64,
}

impl Time {
    fn x(&self, at: Timestamp) -> f64 {
        let share = real(at.as_millisecond() - self.from_ms) / real(self.until_ms - self.from_ms);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// The scale of a panel, whose top is a round number.
struct Scale {
    panel: Panel,
    top: f64,
    step: f64,
}

impl Scale {
    fn up_to(most: u32, panel: Panel) -> Self {
        let rough = f64::from(most.max(1)) / LINES;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let factor =
            [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * magnitude >= rough).unwrap_or(10.0);
        // Jobs and runners are whole.
        let step = (factor * magnitude).max(1.0);
        Self { panel, top: (f64::from(most.max(1)) / step).ceil() * step, step }
    }

    fn y(&self, value: f64) -> f64 {
        self.panel.top + self.panel.height * (1.0 - value / self.top)
    }
}

/// Returns the chart as an SVG document.
pub(super) fn svg(report: &Report) -> String {
    let points = &report.over_time;
    let first = points.first().map_or(0, |point| point.at.as_millisecond());
    let last = points.last().map_or(0, |point| point.at.as_millisecond());
    let time = Time { from_ms: first, until_ms: last.max(first + 60_000) };
    let most = |of: fn(&Point) -> u32| points.iter().map(of).max().unwrap_or(0);
    let queue = Scale::up_to(most(|point| point.queued), QUEUE);
    let runners = Scale::up_to(most(|point| point.runners.max(point.jobs_in_progress)), RUNNERS);
    let mut svg = String::new();
    head(&mut svg, report);
    for scale in [&queue, &runners] {
        axis(&mut svg, scale);
    }
    time_axis(&mut svg, &time);
    area(&mut svg, "queued", points, &time, &queue, |point| point.queued);
    area(&mut svg, "runners", points, &time, &runners, |point| point.runners);
    area(&mut svg, "busy", points, &time, &runners, |point| point.jobs_in_progress);
    limit(&mut svg, report, &time);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, report: &Report) {
    let wait = report.time_to_start_secs.map_or_else(String::new, |it| {
        format!(", time to start p50 {:.0} s, p90 {:.0} s, p99 {:.0} s", it.p50, it.p90, it.p99)
    });
    let (jobs, cost) = (report.jobs.queued, report.cost.total_usd);
    put(
        svg,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">
<title>Queued jobs and runners over time</title>
<style>
text {{ font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a; }}
.title {{ font-size: 17px; font-weight: 600; fill: #1f2328; }}
.name {{ font-size: 13px; font-weight: 600; fill: #1f2328; }}
.line {{ stroke: #d8dee4; }}
.axis {{ stroke: #8c959f; }}
.queued {{ fill: #fb8f44; fill-opacity: .35; stroke: #bc4c00; }}
.runners {{ fill: #54aeff; fill-opacity: .25; stroke: #0969da; }}
.busy {{ fill: #1a7f37; fill-opacity: .3; stroke: #1a7f37; }}
.limit {{ stroke: #cf222e; stroke-dasharray: 5 4; }}
.limit-name {{ fill: #cf222e; }}
path {{ stroke-width: 1.5; stroke-linejoin: round; }}
</style>
<rect width="100%" height="100%" fill="white"/>
<text class="title" x="{LEFT}" y="30">{jobs} jobs from {:.0}</text>
<text x="{LEFT}" y="50">cost ${cost:.2}{wait}</text>
"#,
            report.from
        ),
    );
    let above = QUEUE.top - 12.0;
    put(svg, format_args!("<text class=\"name\" x=\"{LEFT}\" y=\"{above}\">Queued jobs</text>\n"));
    let above = RUNNERS.top - 12.0;
    let (square, right) = (above - 10.0, LEFT + 78.0);
    put(
        svg,
        format_args!(
            r#"<text class="name" x="{LEFT}" y="{above}">Runners</text>
<rect class="runners" x="{right}" y="{square}" width="11" height="11"/><text x="{}" y="{above}">all, from reservation to stop</text>
<rect class="busy" x="{}" y="{square}" width="11" height="11"/><text x="{}" y="{above}">executing a job</text>
"#,
            right + 17.0,
            right + 200.0,
            right + 217.0,
        ),
    );
}

fn axis(svg: &mut String, scale: &Scale) {
    let (from, to) = (LEFT, WIDTH - RIGHT);
    let mut value = 0.0;
    while value <= scale.top + scale.step / 2.0 {
        let y = scale.y(value);
        let class = if value == 0.0 { "axis" } else { "line" };
        put(
            svg,
            format_args!("<line class=\"{class}\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n"),
        );
        let (x, y) = (LEFT - 8.0, y + 4.0);
        put(svg, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{value}</text>\n"));
        value += scale.step;
    }
}

fn time_axis(svg: &mut String, time: &Time) {
    let minutes = (time.until_ms - time.from_ms) / 60_000;
    let step = STEPS.into_iter().find(|step| minutes / step <= MAX_MARKS);
    let step = step.unwrap_or_else(|| (minutes / MAX_MARKS / 1440 + 1) * 1440) * 60_000;
    let mut at = time.from_ms + (-time.from_ms).rem_euclid(step);
    let y = RUNNERS.top + RUNNERS.height + 18.0;
    while at <= time.until_ms {
        let mark = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let is_midnight = at.rem_euclid(86_400_000) == 0;
        let word = mark.strftime(if is_midnight { "%b %-d" } else { "%H:%M" });
        let x = time.x(mark);
        put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{word}</text>\n"));
        for panel in [QUEUE, RUNNERS] {
            let (from, to) = (panel.top + panel.height, panel.top + panel.height + 5.0);
            put(
                svg,
                format_args!(
                    "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from}\" y2=\"{to}\"/>\n"
                ),
            );
        }
        at += step;
    }
    let (x, y) = (WIDTH - RIGHT, y + 20.0);
    put(svg, format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">time (UTC)</text>\n"));
}

fn area(
    svg: &mut String,
    class: &str,
    points: &[Point],
    time: &Time,
    scale: &Scale,
    value: impl Fn(&Point) -> u32,
) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let bottom = scale.y(0.0);
    let mut path = format!("M{:.1} {bottom:.1}", time.x(first.at));
    for point in points {
        let y = scale.y(f64::from(value(point)));
        path.push_str(&format!("L{:.1} {y:.1}", time.x(point.at)));
    }
    path.push_str(&format!("L{:.1} {bottom:.1}Z", time.x(last.at)));
    put(svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>\n"));
}

/// Marks the time at which a limit first made a job wait.
fn limit(svg: &mut String, report: &Report, time: &Time) {
    let Some(limited) = &report.limited_first else { return };
    let (x, code, at) = (time.x(limited.at), limited.code, limited.at.strftime("%H:%M"));
    let (top, bottom) = (QUEUE.top - 6.0, RUNNERS.top + RUNNERS.height);
    // The name is on the side with more space.
    let (text_x, anchor) = if x > WIDTH / 2.0 { (x - 6.0, "end") } else { (x + 6.0, "start") };
    let text_y = QUEUE.top + 8.0;
    put(
        svg,
        format_args!(
            r#"<line class="limit" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>
<text class="limit-name" x="{text_x:.1}" y="{text_y}" text-anchor="{anchor}">{code} first at {at}</text>
"#
        ),
    );
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = svg.write_fmt(text);
}

#[expect(clippy::cast_precision_loss, reason = "a chart needs few digits")]
fn real(number: i64) -> f64 {
    number as f64
}
