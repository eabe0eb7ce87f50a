mod locate;
mod text;

use std::io::Read;
use std::path::Path;

use evenkeel_service_config::{Explanation, MethodExplanation, ParseOptions, Warning};
use serde::Serialize;

use crate::args;
use crate::outcome::Outcome;
use crate::plain::plain_json;
use crate::style::Palette;
use locate::{Position, locate};

/// What there is to print, and the JSON of it: fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    /// Whether gRPC takes the config.
    valid: bool,
    findings: Vec<Finding>,
    /// What is in force for the method that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
    errors: usize,
    warnings: usize,
    notes: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    severity: &'static str,
    path: String,
    line: Option<usize>,
    column: Option<usize>,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    /// `package.Service/Method`.
    name: String,
    /// The entry of `methodConfig` that counts for it.
    entry: Option<MethodExplanation>,
}

pub(crate) fn run(args: &args::Check) -> Result<Outcome, String> {
    let text = read(&args.file)?;
    let method = args.method.as_deref().map(method_name).transpose()?;
    let options = ParseOptions {
        max_attempts_cap: args.max_attempts,
        ..ParseOptions::default()
    };
    let report = examine(args.file.display().to_string(), &text, &options, method);
    let out = match args.output.json {
        true => {
            let json = serde_json::to_string_pretty(&report);
            plain_json(&json.map_err(|error| error.to_string())?) + "\n"
        }
        false => text::write(&report, Palette::of_stdout()),
    };
    let is_wrong = report.errors > 0 || (args.output.strict && report.warnings > 0);
    Ok(Outcome::found(out, is_wrong))
}

fn read(file: &Path) -> Result<String, String> {
    /// A service config of more than a megabyte is none.
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(MOST + 1).read_to_end(&mut bytes),
        _ => std::fs::File::open(file).and_then(|it| it.take(MOST + 1).read_to_end(&mut bytes)),
    };
    let read = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if read as u64 > MOST {
        return Err(format!("{}: longer than {MOST} bytes", file.display()));
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|error| format!("{}: {}", file.display(), error.utf8_error()))?;
    // Windows' editors begin with it, and JSON has no place for it.
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// `package.Service/Method`, with or without the slash that a request's path begins with.
fn method_name(text: &str) -> Result<&str, String> {
    let name = text.strip_prefix('/').unwrap_or(text);
    match name.split_once('/') {
        Some((service, method)) if !service.is_empty() && !method.is_empty() => Ok(name),
        _ => Err(format!("{text:?}: expected package.Service/Method")),
    }
}

fn examine(file: String, text: &str, options: &ParseOptions, method: Option<&str>) -> Report {
    let mut report = Report {
        file,
        valid: false,
        findings: Vec::new(),
        method: None,
        explanation: None,
        errors: 0,
        warnings: 0,
        notes: 0,
    };
    let config = match options.parse(text) {
        Ok(config) => config,
        Err(error) => {
            let position = error
                .position
                .map(|(line, column)| Position::of_byte(text, line, column));
            let position = position.or_else(|| locate(text, &error.path));
            report.add("error", error.path, position, error.reason);
            return report;
        }
    };
    let explanation = config.explain();
    report.valid = true;
    report.add_all("warning", text, &explanation.warnings);
    report.add_all("note", text, &explanation.likely_mistakes);
    match method {
        Some(name) => {
            report.method = Some(Method {
                name: name.to_owned(),
                entry: config.explain_method(name),
            });
        }
        None => report.explanation = Some(explanation),
    }
    report
}

impl Report {
    fn add_all(&mut self, severity: &'static str, text: &str, notes: &[Warning]) {
        /// Each is looked for from the beginning, which adds up in a long text.
        const LOCATED: usize = 200;
        for note in notes {
            let is_looked_for = self.findings.len() < LOCATED;
            let position = is_looked_for.then(|| locate(text, &note.path)).flatten();
            self.add(severity, note.path.clone(), position, note.reason.clone());
        }
    }

    fn add(
        &mut self,
        severity: &'static str,
        path: String,
        position: Option<Position>,
        reason: String,
    ) {
        match severity {
            "error" => self.errors += 1,
            "warning" => self.warnings += 1,
            _ => self.notes += 1,
        }
        self.findings.push(Finding {
            severity,
            path,
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            reason,
        });
    }
}

#[cfg(test)]
mod tests;
