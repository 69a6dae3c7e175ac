//! A `bench` for people, for programs and for a page of Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use hookproof_reports::{Palette, Style};

use super::record::{BenchRecord, Disk, HookRecord, Quantiles, Visits};

/// One JSON object.
pub(super) fn json(record: &BenchRecord) -> String {
    let text = serde_json::to_string_pretty(record).expect("a record has string keys and finite numbers");
    text + "\n"
}

/// A table in 80 columns.
pub(super) fn human(record: &BenchRecord, palette: &Palette) -> String {
    let mut out = format!("{}\n\n", heading(record));
    let columns = COLUMNS.map(|column| format!("{column:>9}")).concat();
    let _ = writeln!(out, "{}", painted(&palette.title, &format!("{:<25}{columns}", "hook")));
    for hook in &record.hooks {
        let _ = writeln!(out, "{}: {}", hook.hook, counts(hook));
        for (what, quantiles) in rows(hook) {
            let _ = writeln!(out, "  {what:<23}{}", cells(quantiles).map(|cell| format!("{cell:>9}")).concat());
        }
        for note in &hook.notes {
            let _ = writeln!(out, "  {}: {note}", painted(&palette.doubt, "inconclusive"));
        }
    }
    let _ = writeln!(out, "\n{LEGEND}");
    out
}

fn painted(Style { start, end }: &Style, text: &str) -> String {
    format!("{start}{text}{end}")
}

/// A page.
pub(super) fn markdown(record: &BenchRecord) -> String {
    let mut out = format!("{}\n", heading(record));
    for hook in &record.hooks {
        let _ = writeln!(out, "\n### {}\n\n{}\n", hook.hook, counts(hook));
        let _ = writeln!(out, "| | {} |\n|---|{}", COLUMNS.join(" | "), "--:|".repeat(COLUMNS.len()));
        for (what, quantiles) in rows(hook) {
            let _ = writeln!(out, "| {what} | {} |", cells(quantiles).join(" | "));
        }
        for note in &hook.notes {
            let _ = writeln!(out, "\n**inconclusive**: {note}");
        }
    }
    let _ = writeln!(out, "\n{LEGEND}");
    out
}

const COLUMNS: [&str; 6] = ["p50", "p90", "p99", "p99.9", "max", "count"];
const LEGEND: &str = "wait: from the time at which the visit was to begin; call: from the time at
which it began; lag: between the two. first: a visit that made a record;
repeated: of a user who had one. fsync: the disk alone, for as many bytes as the
hook's commits had on average.";

fn heading(record: &BenchRecord) -> String {
    let settings = &record.settings;
    format!(
        "{} visits/s for {}, a share of {} by new users, {} users known before;\nquota service {}, seed {}, commits with fsync, {} cores",
        settings.rate_per_second,
        settings.length,
        settings.first_visits,
        settings.users,
        settings.upstream,
        settings.seed,
        record.host.cores
    )
}

fn counts(hook: &HookRecord) -> String {
    let mut text =
        format!("{:.0} visits/s recorded or found of {:.0} offered", hook.recorded_per_second, hook.offered_per_second);
    for (count, what) in [(hook.provisional_count, "answered without a record"), (hook.failed_count, "not answered")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

/// The rows of a hook that have something in them.
fn rows(hook: &HookRecord) -> Vec<(String, &Quantiles)> {
    let mut rows = Vec::new();
    for (kind, visits) in [("first", &hook.first), ("repeated", &hook.repeated)] {
        if let Some(Visits { wait, call }) = visits {
            rows.push((format!("{kind} visit, wait"), wait));
            rows.push((format!("{kind} visit, call"), call));
        }
    }
    rows.extend(hook.lag.iter().map(|lag| ("lag".to_owned(), lag)));
    let disk = hook.disk.iter();
    rows.extend(disk.map(|Disk { commit_bytes, fsync }| (format!("fsync of {commit_bytes} bytes"), fsync)));
    rows
}

fn cells(quantiles: &Quantiles) -> [String; 6] {
    let Quantiles { count, p50_ns, p90_ns, p99_ns, p999_ns, max_ns } = *quantiles;
    let [p50, p90, p99, p999, max] =
        [p50_ns, p90_ns, p99_ns, p999_ns, max_ns].map(|nanos| short(Duration::from_nanos(nanos)));
    [p50, p90, p99, p999, max, count.to_string()]
}

/// A duration with three significant digits.
pub(super) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (scaled, unit) = match duration.as_nanos() {
        0..1_000 => return format!("{}ns", duration.as_nanos()),
        1_000..1_000_000 => (seconds * 1e6, "us"),
        1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    // As the text is rounded to them.
    let decimals = 2 - usize::from(scaled >= 9.995) - usize::from(scaled >= 99.95);
    format!("{scaled:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let cases = [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.00us"),
            (9_996, "10.0us"),
            (99_960, "100us"),
            (1_234_567, "1.23ms"),
            (56_700_000, "56.7ms"),
            (61_000_000_000, "61.0s"),
            (600_000_000_000, "600s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(short(Duration::from_nanos(nanos)), text);
        }
    }
}
