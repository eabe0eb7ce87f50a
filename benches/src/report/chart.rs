//! The chart: client CPU in units of raw `h2`.
//!
//! Written as it is drawn: for bars and text, a plotting library would be more code to fit than
//! this. Its colours have enough contrast on white and on black, and there is no background, because
//! an image cannot know the theme of the page it is on.

use std::fmt::Write;

use super::{AS_SHIPPED, is_evenkeel, unary};
use crate::cell::Cell;
use crate::results::{CellResult, Figure, REFERENCE, Results};
use crate::stats::Spread;

const WIDTH: f64 = 840.0;
/// Where bars begin, and where the largest may end.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 740.0;
/// Where the first row begins, below title and legend.
const TOP: f64 = 92.0;
const ROW: f64 = 40.0;
const BAR: f64 = 14.0;
/// Two notes and the space around them; one more note.
const FOOT: f64 = 62.0;
const NOTE: f64 = 18.0;

const STYLE: &str = "\
    text { font: 13px -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; \
        fill: #767f89 }\n\
    .title { font-size: 16px; font-weight: 600 }\n\
    .small { font-size: 12px }\n\
    .ours { font-weight: 600; fill: #1f83d6 }\n\
    .end { text-anchor: end }\n\
    .middle { text-anchor: middle }\n\
    .grid { stroke: #767f89; stroke-opacity: .25 }\n\
    .one { stroke: #767f89; stroke-dasharray: 4 3 }\n\
    .spread { stroke: #767f89; stroke-width: 1.5 }\n\
    .theirs.first { fill: #8f99a5 }\n\
    .theirs.second { fill: #8f99a5; fill-opacity: .5 }\n\
    .mine.first { fill: #1f83d6 }\n\
    .mine.second { fill: #1f83d6; fill-opacity: .5 }\n";

/// A contender with its ratio in each of the two cells.
struct Bars<'a> {
    name: &'a str,
    ratios: [Option<Spread>; 2],
}

/// The cells of the bars; sorted by the first.
fn cells() -> [Cell; 2] {
    [unary(64, 4), unary(64, 1)]
}

pub(super) fn chart(results: &Results) -> String {
    let bars = bars(results);
    let missing = missing(results, &bars);
    let end = TOP + ROW * bars.len() as f64;
    let height = end + FOOT + NOTE * missing.len() as f64;
    let ratios = bars.iter().flat_map(|bars| bars.ratios).flatten();
    let most = ratios.map(|spread| spread.median).fold(1.0, f64::max);
    let most = (most * 1.05).ceil();
    // The line of a round that was disturbed may end at the edge.
    let scale = |ratio: f64| (LEFT + ratio / most * (RIGHT - LEFT)).min(RIGHT);

    let mut svg = head(height);
    axis(&mut svg, most, scale, end);
    for (place, bars) in bars.iter().enumerate() {
        row(&mut svg, bars, TOP + ROW * place as f64, scale);
    }
    foot(&mut svg, results, &missing, end);
    svg.push_str("</svg>\n");
    svg
}

/// From the cheapest to the dearest; who was measured in neither cell is not there.
fn bars(results: &Results) -> Vec<Bars<'_>> {
    let measured = cells().map(|cell| results.cell(cell));
    let ratio = |result: Option<&CellResult>, name: &str| {
        result.and_then(|result| result.ratio(name, REFERENCE, Figure::Cpu))
    };
    let names = results.contenders.iter().map(|contender| &*contender.name);
    let mut bars: Vec<_> = names
        .filter(|name| *name != AS_SHIPPED)
        .map(|name| Bars {
            name,
            ratios: measured.map(|result| ratio(result, name)),
        })
        .filter(|bars| bars.ratios.iter().any(Option::is_some))
        .collect();
    bars.sort_by(|a, b| a.order().total_cmp(&b.order()));
    bars
}

impl Bars<'_> {
    fn order(&self) -> f64 {
        let ratio = self.ratios.iter().flatten().next();
        ratio.map_or(f64::INFINITY, |spread| spread.median)
    }
}

fn head(height: f64) -> String {
    let [first, second] = cells().map(|cell| format!("{}x{}", cell.callers, cell.endpoints));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">Client CPU per unary call, in units of raw h2</title>\n\
         <style>\n{STYLE}</style>\n"
    );
    text(
        &mut svg,
        "title",
        8.0,
        24.0,
        "Client CPU per unary call, in units of raw h2",
    );
    let legend = "canned servers; callers x endpoints:";
    text(&mut svg, "", 8.0, 50.0, legend);
    for (class, x, name) in [("first", 250.0, first), ("second", 322.0, second)] {
        bar(&mut svg, &format!("theirs {class}"), x, 39.0, 14.0);
        text(&mut svg, "", x + 20.0, 50.0, &name);
    }
    text(&mut svg, "", 394.0, 50.0, "shorter is better");
    svg
}

/// Lines at whole ratios, with their numbers above, and a stronger one at 1.
fn axis(svg: &mut String, most: f64, scale: impl Fn(f64) -> f64, bottom: f64) {
    let mut ratio = 0.0;
    while ratio <= most {
        let x = scale(ratio);
        let class = if ratio == 1.0 { "one" } else { "grid" };
        line(svg, class, (x, TOP - 8.0), (x, bottom));
        text(svg, "small middle", x, TOP - 14.0, &ratio.to_string());
        ratio += 1.0;
    }
}

fn row(svg: &mut String, bars: &Bars<'_>, top: f64, scale: impl Fn(f64) -> f64) {
    let ours = is_evenkeel(bars.name);
    let (label, fill) = if ours {
        ("ours", "mine")
    } else {
        ("", "theirs")
    };
    let middle = top + ROW / 2.0;
    let class = format!("{label} end");
    text(svg, class.trim(), LEFT - 10.0, middle + 4.0, bars.name);
    for (place, ratio) in bars.ratios.iter().enumerate() {
        let y = middle + BAR * (place as f64 - 1.0);
        let baseline = y + BAR - 3.0;
        let Some(spread) = ratio else {
            text(svg, "small", LEFT + 6.0, baseline, "not measured");
            continue;
        };
        let class = if place == 0 { "first" } else { "second" };
        let width = scale(spread.median) - LEFT;
        bar(svg, &format!("{fill} {class}"), LEFT, y, width);
        let center = y + BAR / 2.0 - 0.5;
        let ends = [scale(spread.least), scale(spread.most)];
        line(svg, "spread", (ends[0], center), (ends[1], center));
        let value = format!("{:.2}", spread.median);
        let class = format!("small {label}");
        text(
            svg,
            class.trim(),
            ends[1].max(LEFT + width) + 6.0,
            baseline,
            &value,
        );
    }
}

/// Who should have been measured and was not, and why.
fn missing(results: &Results, bars: &[Bars<'_>]) -> Vec<String> {
    let shown = |name: &str| bars.iter().any(|bars| bars.name == name);
    let skipped = results.skipped.iter();
    let mut notes: Vec<_> = skipped
        .filter(|skipped| skipped.contender != AS_SHIPPED && !shown(&skipped.contender))
        .map(|skipped| {
            format!(
                "{} was not measured: {}.",
                skipped.contender, skipped.reason
            )
        })
        .collect();
    notes.dedup();
    notes
}

fn foot(svg: &mut String, results: &Results, missing: &[String], end: f64) {
    let Results {
        machine,
        rounds,
        millis,
        ..
    } = results;
    let how = format!(
        "Medians of {rounds} interleaved rounds of {millis} ms; lines from the smallest to the \
         largest. One worker on one core; answers of 64 bytes."
    );
    let machine = format!(
        "The servers answer prepared frames, so that the client is the bottleneck. {}, {} cores.",
        machine.processor, machine.cores
    );
    let notes = [how, machine];
    for (place, note) in notes.iter().chain(missing).enumerate() {
        let y = end + 28.0 + NOTE * place as f64;
        text(svg, "small", 8.0, y, note);
    }
}

fn bar(svg: &mut String, class: &str, x: f64, y: f64, width: f64) {
    let height = BAR - 1.0;
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\" rx=\"2\"/>"
    );
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let text = escape(text);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
