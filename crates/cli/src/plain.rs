use std::borrow::Cow;

/// `text` on one line, and without what would command a terminal: it was written by others.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    // Those of Unicode turn the direction of what follows.
    let commands = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(commands) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match commands(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_spelled_out() {
        assert_eq!(plain("user/ä 服务"), "user/ä 服务");
        assert_eq!(
            plain("a\u{1b}[31m\r\nb\u{202e}"),
            "a\\u{1b}[31m\\r\\nb\\u{202e}"
        );
    }
}
