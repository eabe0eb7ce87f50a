//! The `grpc-timeout` header.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// The header's name.
pub(crate) static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// At most eight digits.
const MAX: u128 = 99_999_999;

/// Nanoseconds per unit, the finest first.
const UNITS: [(u128, u8); 6] = [
    (1, b'n'),
    (1_000, b'u'),
    (1_000_000, b'm'),
    (1_000_000_000, b'S'),
    (60_000_000_000, b'M'),
    (3_600_000_000_000, b'H'),
];

/// `timeout` in the finest unit in which it fits, cut to eight digits of hours.
pub(crate) fn encode(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let (count, unit) = UNITS
        .iter()
        .map(|(length, unit)| (nanos / length, *unit))
        .find(|(count, _)| *count <= MAX)
        .unwrap_or((MAX, b'H'));
    let mut text = [0; 9];
    let mut at = text.len() - 1;
    text[at] = unit;
    let mut rest = u32::try_from(count).expect("eight digits fit");
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(rest % 10).expect("one digit fits");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[at..]).expect("digits and a letter are a header value")
}

/// The timeout that `value` means; `None` when it means none.
pub(crate) fn decode(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count = digits.iter().try_fold(0_u64, |count, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(count * 10 + u64::from(digit))
    })?;
    Some(match unit {
        b'n' => Duration::from_nanos(count),
        b'u' => Duration::from_micros(count),
        b'm' => Duration::from_millis(count),
        b'S' => Duration::from_secs(count),
        b'M' => Duration::from_secs(count * 60),
        b'H' => Duration::from_secs(count * 3_600),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_written_in_the_finest_unit_that_fits() {
        for (timeout, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::from_secs(6_000_000_000), "1666666H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(encode(timeout), text);
        }
    }

    #[test]
    fn tonics_own_timeouts_are_read() {
        for millis in [0, 1, 99, 100, 30_000, 3_600_000, 1_000_000_000] {
            let timeout = Duration::from_millis(millis);
            let mut request = tonic::Request::new(());
            request.set_timeout(timeout);
            let headers = request.metadata().clone().into_headers();
            assert_eq!(decode(&headers["grpc-timeout"]), Some(timeout));
            assert_eq!(decode(&encode(timeout)), Some(timeout));
        }
    }

    #[test]
    fn what_is_no_timeout_means_none() {
        for text in ["", "1", "n", "1x", "-1S", "1 S", "1.5S", "123456789n", "S1"] {
            assert_eq!(decode(&HeaderValue::from_static(text)), None, "{text:?}");
        }
    }
}
