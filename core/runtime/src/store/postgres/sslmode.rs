//! `sslmode=verify-full`, a word of libpq's that `tokio-postgres` does not know. Here it means what `require` does.
//!
//! Owns where a connection string names its `sslmode`, and nothing else of it: a password may hold any text.

use std::ops::Range;

/// `connection`, with `require` for `verify-full`.
pub(super) fn in_known_words(connection: &str) -> String {
    let places = if connection.contains("://") { in_url(connection) } else { in_pairs(connection) };
    let mut known = connection.to_owned();
    for place in places.into_iter().rev() {
        if &connection[place.clone()] == "verify-full" {
            known.replace_range(place, "require");
        }
    }
    known
}

/// Where the values of `sslmode` are in the query of a URL. Credentials end with the first `@`, as for the parser of the whole.
fn in_url(url: &str) -> Vec<Range<usize>> {
    let after = |start: usize, mark: char| url[start..].find(mark).map(|place| start + place + 1);
    let host = after(0, '@').unwrap_or(0);
    let Some(mut start) = after(host, '?') else { return Vec::new() };
    let mut found = Vec::new();
    for pair in url[start..].split('&') {
        if let Some(value) = pair.strip_prefix("sslmode=") {
            found.push(start + pair.len() - value.len()..start + pair.len());
        }
        start += pair.len() + 1;
    }
    found
}

/// Where they are among `key = value` pairs. A value with blanks stands in single quotes; a backslash takes the next character as it is.
fn in_pairs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let end_of = |start: usize, is_in: &dyn Fn(u8) -> bool| {
        bytes[start..].iter().position(|byte| !is_in(*byte)).map_or(bytes.len(), |length| start + length)
    };
    let is_blank = |byte: u8| byte.is_ascii_whitespace();
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let key = end_of(next, &is_blank);
        let key_end = end_of(key, &|byte| !is_blank(byte) && byte != b'=');
        let equals = end_of(key_end, &is_blank);
        if bytes.get(equals) != Some(&b'=') {
            return found;
        }
        let value = end_of(equals + 1, &is_blank);
        let is_quoted = bytes.get(value) == Some(&b'\'');
        let value = value + usize::from(is_quoted);
        let end = end_of_value(bytes, value, |byte| if is_quoted { byte == b'\'' } else { is_blank(byte) });
        if &text[key..key_end] == "sslmode" {
            found.push(value..end);
        }
        next = (end + usize::from(is_quoted)).min(bytes.len());
    }
}

fn end_of_value(bytes: &[u8], start: usize, is_end: impl Fn(u8) -> bool) -> usize {
    let mut place = start;
    while let Some(byte) = bytes.get(place).filter(|byte| !is_end(**byte)) {
        place += if *byte == b'\\' { 2 } else { 1 };
    }
    place.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_replaced_wherever_it_stands() {
        for (connection, known) in [
            ("sslmode=verify-full", "sslmode=require"),
            ("host=db  sslmode = 'verify-full' user=hook", "host=db  sslmode = 'require' user=hook"),
            ("sslmode=disable\nsslmode=verify-full", "sslmode=disable\nsslmode=require"),
            ("postgres://u:p@db/x?sslmode=verify-full&port=1", "postgres://u:p@db/x?sslmode=require&port=1"),
            ("postgres://db?a=b&sslmode=verify-full", "postgres://db?a=b&sslmode=require"),
        ] {
            assert_eq!(in_known_words(connection), known);
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left() {
        for connection in [
            "",
            "sslmode",
            "sslmode=verify-fully",
            "xsslmode=verify-full",
            "password=sslmode=verify-full",
            "password='a sslmode=verify-full'",
            "password='it\\'s sslmode=verify-full",
            "password=a\\ sslmode=verify-full",
            "password=é\\",
            "password='é\\",
            "postgres://u:sslmode=verify-full@db/x",
            "postgres://u:?sslmode=verify-full@db/x",
            "postgres://db/sslmode=verify-full",
            "postgres://db/x?password=sslmode=verify-full",
        ] {
            assert_eq!(in_known_words(connection), connection);
        }
    }
}
