use std::fs;

use evenkeel_bench_harness::Shape;

use super::*;
use crate::cell::ServerKind;
use crate::results::{
    CellResult, Contender, Layer, Machine, Memory, MemoryKind, Picks, Round, Row, Skipped, Update,
};

/// Rounds with these µs of CPU per call.
fn rounds(cpu_us: &[f64]) -> Vec<Round> {
    let round = |us: &f64| Round {
        calls: 1_000,
        wall_ns: 10_000_000,
        cpu_ns: (us * 1e6) as u64,
        p50_ns: 80_000,
        p99_ns: 123_000,
        rss_bytes: 5 << 20,
    };
    cpu_us.iter().map(round).collect()
}

fn row(contender: &str, cpu_us: &[f64], instructions: f64) -> Row {
    Row {
        contender: contender.to_owned(),
        rounds: rounds(cpu_us),
        allocations: Some(17.04),
        allocated_bytes: Some(19_160.0),
        instructions: Some(instructions),
    }
}

fn layer(name: &str, added_ns: f64, allocations: u64) -> Layer {
    Layer {
        name: name.to_owned(),
        ns: 300.0 + added_ns,
        added_ns,
        instructions: Some(3_000.0 + 10.0 * added_ns),
        allocations,
        allocated_bytes: 100 * allocations,
        future_bytes: 120,
    }
}

fn results() -> Results {
    let contender = |name: &str| Contender {
        name: name.to_owned(),
        what: format!("what {name} is"),
    };
    let rows = vec![
        row("h2", &[4.0, 5.0, 4.0], 30_000.0),
        row("evenkeel_round_robin", &[5.2, 6.0, 5.6], 39_000.0),
        row("balance_list", &[12.0, 15.0, 13.0], 64_000.0),
        row("grpc_as_shipped", &[22.0, 25.0, 23.0], 70_000.0),
    ];
    let memory = |kind, bytes| Memory {
        contender: "evenkeel".to_owned(),
        kind,
        endpoints: 1_000,
        bytes_per_endpoint: bytes,
    };
    let picks = |policy: &str, ns| Picks {
        policy: policy.to_owned(),
        endpoints: 1_000,
        one_thread: vec![ns],
        two_threads: Vec::new(),
        allocations: 0.0,
    };
    Results {
        machine: Machine {
            processor: "A <fast> & small one".to_owned(),
            cores: 2,
            system: "Linux 6.1".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
        },
        rounds: 3,
        millis: 300,
        contenders: [
            "h2",
            "balance_list",
            "evenkeel_round_robin",
            "grpc_as_shipped",
            "evenkeel",
        ]
        .map(contender)
        .to_vec(),
        cells: vec![
            CellResult {
                cell: unary(64, 4),
                rows: rows.clone(),
            },
            CellResult {
                cell: Cell {
                    server: ServerKind::Tonic,
                    ..unary(64, 4)
                },
                rows,
            },
        ],
        memory: vec![
            memory(MemoryKind::Ready, 17.0 * 1_024.0),
            memory(MemoryKind::Unconnected, 2_400.0),
        ],
        layers: vec![
            layer("endpoint alone", 0.0, 9),
            layer("all, deadline 1 s", 149.0, 11),
        ],
        picks: vec![picks("round_robin", 12.0), picks("least_request", 26.0)],
        updates: vec![Update {
            policy: "round_robin".to_owned(),
            change: "state".to_owned(),
            endpoints: 10_000,
            at_once: 1_000,
            micros: vec![4_100.0, 4_200.0, 9_000.0],
            allocations: 12.0,
        }],
        skipped: vec![Skipped {
            contender: "grpc_go".to_owned(),
            what: "everything".to_owned(),
            reason: "Go is not installed".to_owned(),
        }],
    }
}

/// The line of a page that begins with this.
fn line<'a>(page: &'a str, begin: &str) -> &'a str {
    let mut lines = page.lines();
    let line = lines.find(|line| line.starts_with(begin));
    line.unwrap_or_else(|| panic!("no line begins with {begin:?} in\n{page}"))
}

fn after<'a>(page: &'a str, heading: &str) -> &'a str {
    page.split_once(heading).expect(heading).1
}

#[test]
fn ratios_are_medians_of_the_rounds_ratios() {
    let page = page::page(&results());
    let cpu = after(&page, "## Client CPU, unary, canned servers");
    let ours = line(cpu, "| **`evenkeel_round_robin`** |");
    assert!(
        ours.contains("| **5.60** | **1.30 (1.20-1.40)** |"),
        "{ours}"
    );
}

#[test]
fn who_waits_most_of_the_time_has_no_ratio() {
    let results = results();
    let page = page::page(&results);
    for row in page
        .lines()
        .filter(|line| line.starts_with("| `grpc_as_shipped` |"))
    {
        assert!(!row.contains('('), "{row}");
    }
    let cpu = after(&page, "## Client CPU, unary, canned servers");
    let shown = line(cpu, "| `grpc_as_shipped` |");
    assert_eq!(shown, "| `grpc_as_shipped` | 23.00 | - |");
    assert!(!chart::chart(&results).contains("grpc_as_shipped"));
}

#[test]
fn goals_are_met_missed_or_not_measured() {
    let page = page::page(&results());
    for (goal, verdict) in [
        (
            "| `evenkeel_round_robin` / `h2`, client CPU, 64x4 unary |",
            "yes",
        ),
        (
            "| `evenkeel_round_robin` / `h2`, client CPU, 64x1 unary |",
            "not measured",
        ),
        (
            "| `evenkeel_round_robin` / `h2`, instructions, 64x4 unary |",
            "yes",
        ),
        (
            "| `evenkeel_round_robin` / `balance_list`, calls per second, 64x4 unary |",
            "**no**",
        ),
        (
            "| all layers with a deadline, alone | - | ≤ 150 ns | 149 ns |",
            "yes",
        ),
        ("| the same, allocations | - | ≤ 2 | 2 |", "yes"),
        (
            "| idle connection, resident memory | - | ≤ 18.0 KiB | 17.0 KiB |",
            "yes",
        ),
        (
            "| endpoint without a connection, resident memory | - | ≤ 2.0 KiB |",
            "**no**",
        ),
        ("| pick, the slowest policy", "**no**"),
        ("| the same of each of two threads", "not measured"),
        ("| 1\u{a0}000 of 10 000 endpoints change", "yes"),
    ] {
        let line = line(&page, goal);
        assert!(line.ends_with(&format!("| {verdict} |")), "{line}");
    }
}

#[test]
fn servers_of_another_kind_have_a_table_of_their_own() {
    let page = page::page(&results());
    assert!(page.contains("## Client CPU, unary, canned servers"));
    assert!(page.contains("## Client CPU, unary, tonic servers"));
}

#[test]
fn who_was_skipped_is_named_with_the_reason() {
    let results = results();
    let page = page::page(&results);
    assert!(page.contains("| `grpc_go` | everything | Go is not installed |"));
    let chart = chart::chart(&results);
    assert!(chart.contains("grpc_go was not measured: Go is not installed."));
}

#[test]
fn a_table_has_as_many_fields_in_every_row() {
    let page = page::page(&results());
    let mut fields = None;
    for line in page.lines() {
        if !line.starts_with('|') {
            fields = None;
            continue;
        }
        let count = line.matches('|').count();
        assert_eq!(count, *fields.get_or_insert(count), "{line}");
    }
}

#[test]
fn a_cell_that_nobody_was_measured_in_has_no_table() {
    let mut results = results();
    results.cells.push(CellResult {
        cell: Cell {
            shape: Shape::Stream,
            ..unary(4, 1)
        },
        rows: vec![],
    });
    assert!(!page::page(&results).contains("stream, canned"));
}

#[test]
fn nothing_measured_makes_a_page_and_a_chart_too() {
    let results = Results::default();
    assert!(page::page(&results).contains("## Goals"));
    assert!(chart::chart(&results).ends_with("</svg>\n"));
}

#[test]
fn bars_are_sorted_and_ours_stand_out() {
    let chart = chart::chart(&results());
    let places: Vec<_> = [">h2<", ">evenkeel_round_robin<", ">balance_list<"]
        .iter()
        .map(|name| chart.find(name).expect(name))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(line(&chart, "<rect class=\"mine first\"").contains("height"));
    assert!(chart.contains("class=\"ours end\""));
}

#[test]
fn text_is_escaped_for_the_chart() {
    let chart = chart::chart(&results());
    assert!(chart.contains("A &lt;fast&gt; &amp; small one, 2 cores."));
}

#[test]
fn writes_both_files_into_a_folder_that_is_not_there_yet() {
    let parent = std::env::temp_dir().join(format!("evenkeel-report-{}", std::process::id()));
    let folder = parent.join("performance");
    write(&results(), &folder).unwrap();
    let page = fs::read_to_string(folder.join(PAGE)).unwrap();
    assert!(page.contains(CHART));
    assert!(
        fs::read_to_string(folder.join(CHART))
            .unwrap()
            .starts_with("<svg")
    );
    fs::remove_dir_all(parent).unwrap();
}

#[test]
fn numbers_are_grouped() {
    use super::table::number;
    assert_eq!(number(1_234_567.0, 0), "1\u{a0}234\u{a0}567");
    assert_eq!(number(999.995, 2), "1\u{a0}000.00");
    assert_eq!(number(-1_234.0, 0), "-1\u{a0}234");
    assert_eq!(number(f64::NAN, 0), "-");
}
