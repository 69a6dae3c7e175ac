//! Refuses a file that is nested too deeply before it is parsed.
//!
//! The parser bounds the depth of brackets and the length of dotted keys each by itself, but not their product, and a
//! tree is dropped recursively: a hostile file could exhaust the stack. A statement of a scenario needs few levels.

use super::tree::Place;

/// Brackets and dots in one statement. Far more than a scenario needs, far less than the stack takes.
const LEVELS_MAX: usize = 1_000;

/// The place where a statement of `source` opens too many levels, if one does.
pub(super) fn too_deep(source: &str) -> Option<Place> {
    let bytes = source.as_bytes();
    let (mut levels, mut depth, mut at) = (0_usize, 0_usize, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at) - 1,
            quote @ (b'"' | b'\'') => at += string_length(&bytes[at..], quote) - 1,
            b'[' | b'{' => (levels, depth) = (levels + 1, depth + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' => levels += 1,
            b'\n' if depth == 0 => levels = 0,
            _ => {}
        }
        if levels > LEVELS_MAX {
            return Some(at..at + 1);
        }
        at += 1;
    }
    None
}

/// Bytes of the string at the start of `bytes`, quotes included. A string that does not end on its line ends there.
fn string_length(bytes: &[u8], quote: u8) -> usize {
    let delimiter = if bytes.starts_with(&[quote; 3]) { 3 } else { 1 };
    let mut at = delimiter;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if delimiter == 1 => return at,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3][..delimiter]) => return at + delimiter,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_levels_of_one_statement_count() {
        let lines = "a = \"[[[\" # [0, 10) …\nb.c = [{ d = '''\n[[[.''' }]\n".repeat(2_000);
        assert_eq!(too_deep(&lines), None);
        assert_eq!(too_deep(&format!("about = \"{}\"\n# {}", ".".repeat(5_000), "[".repeat(5_000))), None);
        assert_eq!(too_deep(&"[".repeat(5_000)), Some(1_000..1_001));
        assert!(too_deep(&"a.\n{".repeat(5_000)).is_some());
        assert_eq!(too_deep("\"\\"), None);
    }
}
