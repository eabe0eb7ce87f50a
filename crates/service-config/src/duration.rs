//! Durations as proto3 JSON writes them: seconds with up to nine decimals and an `s`.

use std::time::Duration;

use serde_json::Value;

use crate::field::shown;

/// What proto3 allows: 10 000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// The duration that `value` is, or what is wrong with it.
pub(crate) fn parse(value: &Value) -> Result<Duration, String> {
    let parsed = value
        .as_str()
        .and_then(|text| text.strip_suffix('s'))
        .and_then(seconds);
    match parsed {
        Some(duration) if duration.as_secs() > MAX_SECONDS => Err(format!(
            "{} is more than 315576000000 seconds",
            shown(value)
        )),
        Some(duration) => Ok(duration),
        None if value
            .as_str()
            .and_then(|text| text.strip_prefix('-'))
            .is_some() =>
        {
            Err(format!("{} is negative or not a duration", shown(value)))
        }
        None => Err(format!(
            "{} is not a duration; write seconds, for example {:?}",
            shown(value),
            example(value)
        )),
    }
}

/// As proto3 JSON writes it.
pub(crate) fn format(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanoseconds => {
            let decimals = format!("{nanoseconds:09}");
            format!("{}.{}s", duration.as_secs(), decimals.trim_end_matches('0'))
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // ".05" is not in the standard and common in the wild; Go takes it too.
    let complete = !decimals.is_empty() && (!whole.is_empty() || text.starts_with('.'));
    if !complete || !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let seconds = match whole {
        "" => 0,
        // More digits than a u64 holds are too many in any case.
        _ => whole.parse().unwrap_or(u64::MAX),
    };
    let nanoseconds = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

/// What somebody who wrote `value` has probably meant.
fn example(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => Some(1.0),
        "ms" | "msec" | "millis" | "milliseconds" => Some(1e-3),
        "us" | "µs" => Some(1e-6),
        "ns" => Some(1e-9),
        "m" | "min" | "minutes" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let meant = factor
        .and_then(|factor| Some(number.parse::<f64>().ok()? * factor))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|meant| meant.as_secs() <= MAX_SECONDS);
    meant.map_or_else(|| "0.1s".to_owned(), format)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_with_decimals_are_durations() {
        for (text, expected) in [
            ("0s", Duration::ZERO),
            ("1s", Duration::from_secs(1)),
            ("0.01s", Duration::from_millis(10)),
            (".05s", Duration::from_millis(50)),
            ("1.000000001s", Duration::new(1, 1)),
            ("007.5s", Duration::from_millis(7_500)),
            ("315576000000s", Duration::from_secs(MAX_SECONDS)),
        ] {
            assert_eq!(parse(&json!(text)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_says_what_to_write() {
        for (value, hint) in [
            (json!("1"), "\"1s\""),
            (json!(5), "\"5s\""),
            (json!(0.25), "\"0.25s\""),
            (json!("5m"), "\"300s\""),
            (json!("100ms"), "\"0.1s\""),
            (json!("1500us"), "\"0.0015s\""),
            (json!("5sec"), "\"5s\""),
            (json!(" 1s"), "\"1s\""),
            (json!("1.s"), "\"1s\""),
            (json!(".s"), "\"0.1s\""),
            (json!("s"), "\"0.1s\""),
            (json!(""), "\"0.1s\""),
            (json!("1.0000000001s"), "\"1s\""),
            (json!("1e3s"), "\"0.1s\""),
            (json!({}), "\"0.1s\""),
            (json!("-1s"), "negative"),
            (json!("315576000001s"), "more than"),
            (json!("99999999999999999999999s"), "more than"),
        ] {
            let reason = parse(&value).unwrap_err();
            assert!(reason.contains(hint), "{value}: {reason}");
        }
    }
}
