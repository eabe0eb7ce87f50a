//! [`Explanation`] as text.

use std::fmt::{self, Display, Formatter};

use super::{
    Explanation, HedgingExplanation, MethodExplanation, PolicyExplanation, RetryExplanation,
};
use crate::Warning;
use crate::duration::format as seconds;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("load balancing:\n")?;
        self.load_balancing.write(f, 1)?;
        if self.methods.is_empty() {
            f.write_str("methods: nothing is configured for any\n")?;
        } else {
            f.write_str("methods, of which the most specific name counts alone:\n")?;
        }
        for method in &self.methods {
            write!(f, "{method}")?;
        }
        if let Some(throttle) = &self.retry_throttling {
            let (tokens, ratio) = (throttle.max_tokens, throttle.token_ratio);
            writeln!(
                f,
                "retry throttling: of {tokens} tokens a failure costs 1 and a success gives {ratio} \
                 back; no retries at {} or fewer",
                tokens / 2.0
            )?;
        }
        if let Some(name) = &self.health_check_service_name {
            writeln!(f, "health checks: of service {name:?}")?;
        }
        if let Some(most) = self.max_connections_per_subchannel {
            writeln!(f, "connections per subchannel: up to {most}")?;
        }
        list(f, "ignored, skipped or changed:", &self.warnings)?;
        list(f, "likely mistakes:", &self.likely_mistakes)?;
        match &self.unnamed_call {
            _ if self.never_called.is_empty() => {}
            None => f.write_str("never called so far:\n")?,
            Some(path) => writeln!(f, "never called so far, while {path:?} was:")?,
        }
        for name in &self.never_called {
            writeln!(f, "  {}", plain(name))?;
        }
        Ok(())
    }
}

fn list(f: &mut Formatter<'_>, title: &str, notes: &[Warning]) -> fmt::Result {
    if !notes.is_empty() {
        writeln!(f, "{title}")?;
    }
    notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
}

/// `name` on one line, whatever the document holds.
fn plain(name: &str) -> impl Display {
    name.escape_debug()
}

impl PolicyExplanation {
    fn write(&self, f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}{2}", "", 2 * depth, plain(&self.name))?;
        for (position, (field, value)) in self.config.iter().enumerate() {
            let separator = if position == 0 { ": " } else { ", " };
            write!(f, "{separator}{} {value}", plain(field))?;
        }
        if !self.defaults.is_empty() {
            write!(f, "; by default: {}", self.defaults.join(", "))?;
        }
        f.write_str("\n")?;
        let mut children = self.children.iter();
        children.try_for_each(|child| child.write(f, depth + 1))
    }
}

impl Display for MethodExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  {} ({}): ", plain(&self.name), self.path)?;
        let bytes = |what: &'static str| {
            move |most| match most {
                0 => format!("only empty {what}"),
                most => format!("{what} of up to {most} bytes"),
            }
        };
        let settings = [
            self.timeout.map(|it| format!("timeout {}", seconds(it))),
            self.wait_for_ready.map(|waits| match waits {
                true => "waits for ready".to_owned(),
                false => "does not wait for ready".to_owned(),
            }),
            self.retry.as_ref().map(ToString::to_string),
            self.hedging.as_ref().map(ToString::to_string),
            self.max_request_message_bytes.map(bytes("requests")),
            self.max_response_message_bytes.map(bytes("responses")),
        ];
        let settings: Vec<_> = settings.into_iter().flatten().collect();
        match settings.is_empty() {
            true => f.write_str("nothing\n"),
            false => writeln!(f, "{}", settings.join("; ")),
        }
    }
}

impl Display for RetryExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let attempts = attempts(self.max_attempts, self.written_max_attempts);
        write!(
            f,
            "retries on {}, {attempts}, after {}, then ×{} up to {}",
            self.retryable_status_codes.join(", "),
            seconds(self.initial_backoff.min(self.max_backoff)),
            self.backoff_multiplier,
            seconds(self.max_backoff)
        )
    }
}

impl Display for HedgingExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let attempts = attempts(self.max_attempts, self.written_max_attempts);
        write!(f, "hedges, {attempts}, ")?;
        match self.hedging_delay.is_zero() {
            true => f.write_str("all at once")?,
            false => write!(f, "one each {}", seconds(self.hedging_delay))?,
        }
        match self.non_fatal_status_codes.is_empty() {
            true => f.write_str(", until the first result"),
            false => {
                let codes = self.non_fatal_status_codes.join(", ");
                write!(f, ", until the first result other than {codes}")
            }
        }
    }
}

fn attempts(counts: u32, written: u32) -> String {
    match counts == written {
        true => format!("{counts} attempts in all"),
        false => format!("{counts} attempts in all (capped, {written} are written)"),
    }
}
