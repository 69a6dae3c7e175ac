//! Where the values of a scenario file are from, as its comments say.
//!
//! A value says so behind itself: `# published: 16:35 UTC [1]`, `# fitted: …`, `# assumed: …` or `# assumed` alone. The decoder
//! sees no comments, and nothing depends on them but what people read; so lines are enough. What the file expects are no
//! values of the incident: reading ends there.

use hookproof_reports::{KnownValue, Origin};

/// The values that say where they are from, in the order of the file.
pub(super) fn of(file: &[u8]) -> Vec<KnownValue> {
    let text = String::from_utf8_lossy(file);
    let mut values: Vec<KnownValue> = Vec::new();
    // The values of the table that is being read begin here; its name may stand below some of them.
    let (mut table, mut begin) = (String::new(), 0);
    for line in text.lines().map(str::trim) {
        if line == "[[expect]]" {
            break;
        }
        if let Some(header) = header(line) {
            (table, begin) = (header.to_owned(), values.len());
        }
        let Some((key, rest)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        if let Some(name) = (key.trim() == "name").then(|| quoted(rest)).flatten() {
            table = format!("{} {name}", table.split(' ').next().unwrap_or_default());
            values[begin..].iter_mut().for_each(|value| value.place.clone_from(&table));
        }
        if let Some((value, origin, says)) = marked(rest) {
            let setting = format!("{} = {value}", key.trim());
            values.push(KnownValue { place: table.clone(), setting, origin, says: says.to_owned() });
        }
    }
    values
}

/// The name of a table, without the one that it lies in.
fn header(line: &str) -> Option<&str> {
    let line = line.split_once('#').map_or(line, |(line, _)| line.trim_end());
    let name = line.strip_prefix('[')?.strip_suffix(']')?.trim_matches(['[', ']']).trim();
    Some(name.rsplit('.').next().unwrap_or(name))
}

/// A string's content.
fn quoted(rest: &str) -> Option<&str> {
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// The value, where it is from, and what is said of that; `None` if nothing is.
fn marked(rest: &str) -> Option<(&str, Origin, &str)> {
    const MARKS: [(&str, Origin); 3] =
        [("published", Origin::Published), ("fitted", Origin::Fitted), ("assumed", Origin::Assumed)];
    let (value, comment) = rest.split_once(" #")?;
    let comment = comment.trim();
    let mark = |(mark, origin): (&str, Origin)| {
        let says = comment.strip_prefix(mark)?;
        let says = if says.is_empty() { "" } else { says.strip_prefix(':')? };
        Some((value.trim(), origin, says.trim()))
    };
    MARKS.into_iter().find_map(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_say_where_they_are_from() {
        let file = b"seed = 1  # assumed\n# a = 1 # assumed: no\n[upstream] # x = 1\nkey-ttl = \"24h\"  # published: may go [2]\n\
            workers = 4\n[[experiment.variant]]\nweight = 1 # fitted: so\nname = \"a b\"\n[[fault]]\nname = \"x\"\nat = 1 # assumedly\n\
            for = 2 # assumed: y; as # z\n[[expect]]\nequals = 1 # assumed\n";
        let values = of(file);
        let told: Vec<(&str, &str, Origin, &str)> = values
            .iter()
            .map(|one| (one.place.as_str(), one.setting.as_str(), one.origin, one.says.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("", "seed = 1", Origin::Assumed, ""),
                ("upstream", "key-ttl = \"24h\"", Origin::Published, "may go [2]"),
                ("variant a b", "weight = 1", Origin::Fitted, "so"),
                ("fault x", "for = 2", Origin::Assumed, "y; as # z"),
            ]
        );
    }

    #[test]
    fn any_bytes_are_read() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = of(bytes);
        });
    }
}
