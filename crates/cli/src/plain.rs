use std::borrow::Cow;
use std::fmt::Write;

/// `text` on one line, and without what would command a terminal: it was written by others.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
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

/// The beginning of [`plain`] `text`, of at most `most` letters.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// A JSON document without what would command a terminal. It means the same: outside of its texts
/// JSON has no such letters but the ends of lines.
pub(crate) fn plain_json(document: &str) -> String {
    let mut plain = String::with_capacity(document.len());
    for c in document.chars() {
        if c == '\n' || !commands(c) {
            plain.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(plain, "\\u{unit:04x}").expect("a string takes all");
        }
    }
    plain
}

/// Those of Unicode turn the direction of what follows.
fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        for c in ['\u{7f}', '\u{9b}', '\u{61c}', '\u{202e}', '\u{2066}'] {
            let text = format!("a{c}b");
            assert!(!plain(&text).contains(c), "{c:?}");
            let document = serde_json::to_string_pretty(&[&text]).unwrap();
            let plain = plain_json(&document);
            assert!(!plain.contains(c), "{c:?}");
            let read: Vec<String> = serde_json::from_str(&plain).unwrap();
            assert_eq!(read, [text]);
        }
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(brief("äöü", 3), "äöü");
        assert_eq!(brief("äöü", 2), "äö…");
    }
}
