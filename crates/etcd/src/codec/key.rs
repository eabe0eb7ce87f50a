//! What keys are made of.

/// `service/`: what keys of `service` begin with where nothing comes before it. A slash before it
/// is part of its name.
pub(super) fn closed(service: &str) -> String {
    format!("{}/", service.trim_end_matches('/'))
}

/// `root/service/`, with one slash between; without a root `/service/`, as frameworks have it that
/// put a slash between the two.
pub(super) fn under(root: &str, service: &str) -> String {
    format!("{}/{}/", root.trim_end_matches('/'), name(service))
}

/// A service's name without the slashes around it, as values have it.
pub(super) fn name(service: &str) -> &str {
    service.trim_matches('/')
}

/// What `key` has after `prefix`; none if it begins otherwise, or has more parts after that: then
/// it belongs to another service.
pub(super) fn last<'a>(prefix: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(prefix).filter(|rest| !rest.contains('/'))
}

/// What was escaped for a URL's query, as Go's `url.QueryUnescape` has it; what is no escape stays.
pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = after;
        match escaped {
            Some((high, low)) => {
                // Two digits are a byte.
                bytes.extend(u8::try_from(high * 16 + low));
                rest = &after[2..];
            }
            None if first == b'+' => bytes.push(b' '),
            None => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `text` as a part of a key, as Go's `url.QueryEscape` has it.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The names and values of a URL's query.
pub(super) fn query(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(name), unescaped(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_services_are_joined_by_one_slash() {
        for (root, service, prefix) in [
            ("/root", "user", "/root/user/"),
            ("/root/", "/user/", "/root/user/"),
            ("root/deep", "a/b", "root/deep/a/b/"),
            ("/", "user", "/user/"),
            ("", "user", "/user/"),
            ("", "/user", "/user/"),
        ] {
            assert_eq!(under(root, service), prefix);
        }
        assert_eq!(closed("/user//"), "/user/");
    }

    #[test]
    fn escapes_are_undone_and_what_is_none_stays() {
        for (text, plain) in [
            ("tri%3A%2F%2F10.0.0.5%3A20000", "tri://10.0.0.5:20000"),
            ("a+b%20c", "a b c"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%C3%BC%ff", "%zzü\u{fffd}"),
        ] {
            assert_eq!(unescaped(text), plain);
        }
        for (plain, text) in [
            ("com.acme.User", "com.acme.User"),
            ("com.acme.Outer$User", "com.acme.Outer%24User"),
            ("a b/ü", "a+b%2F%C3%BC"),
        ] {
            assert_eq!(escaped(plain), text);
            assert_eq!(unescaped(text), plain);
        }
    }
}
