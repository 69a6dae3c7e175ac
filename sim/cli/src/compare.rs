//! `compare`: what got better and worse between two stored runs.

use std::path::Path;

use hookproof_reports::{
    Comparison, DIRECTIONS, Finding, Number, Palette, Tolerances, compare as compared, render_comparison,
    render_comparison_html, render_comparison_json, render_comparison_markdown,
};

use crate::args::{CompareArgs, CompareFormat, Format};
use crate::exit::{Exit, Failure};
use crate::out::{OutFile, OutFolder};
use crate::output;
use crate::stored;
use crate::terminal::{self, Terminal};

/// Compares two records, and prints and writes what `args` ask for.
///
/// # Errors
/// A record that can't be read, a tolerance for no metric, or a place that does not take the files.
pub(crate) fn compare(args: &CompareArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let tolerances: Tolerances = args.tolerances.iter().cloned().collect();
    let (before, after) = match (stored::read(&args.before), stored::read(&args.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            let failures: Vec<Failure> = [before.err(), after.err()].into_iter().flatten().collect();
            return Err(Failure::joined(&failures).expect("one of them failed"));
        }
    };
    let comparison = compared(&before, &after, &tolerances);
    let render = |format: CompareFormat, palette: &Palette| match format {
        CompareFormat::Human => render_comparison(&comparison, palette),
        CompareFormat::Json => render_comparison_json(&comparison),
        CompareFormat::Markdown => render_comparison_markdown(&comparison),
        CompareFormat::Html => render_comparison_html(&comparison, &before, &after, &tolerances),
    };
    let plain = |format| render(format, &Palette::plain());
    if let Some((out, format)) = args.out.as_deref().and_then(|out| Some((out, format_of(out)?))) {
        OutFile::prepare("--out", out)?.write(plain(args.format.unwrap_or(format)).as_bytes())?;
        return Ok(exit(&comparison));
    }
    if let Some(folder) = &args.out {
        let folder = OutFolder::prepare(folder)?;
        folder.write("compare.json", plain(CompareFormat::Json).as_bytes())?;
        folder.write("compare.md", plain(CompareFormat::Markdown).as_bytes())?;
        folder.write("compare.html", plain(CompareFormat::Html).as_bytes())?;
    }
    terminal::print(render(args.format.unwrap_or(CompareFormat::Human), &terminal.palette()).as_bytes())?;
    Ok(exit(&comparison))
}

/// What a file's name says it holds; `None` is a folder.
fn format_of(path: &Path) -> Option<CompareFormat> {
    match output::format_of(path)? {
        Format::Json => Some(CompareFormat::Json),
        Format::Markdown => Some(CompareFormat::Markdown),
        Format::Html => Some(CompareFormat::Html),
        Format::Human => Some(CompareFormat::Human),
        Format::Junit | Format::Github => None,
    }
}

const fn exit(comparison: &Comparison) -> Exit {
    match comparison.finding {
        Finding::Regression => Exit::Violated,
        Finding::NothingPaired => Exit::Inconclusive,
        Finding::NoRegression => Exit::Pass,
    }
}

/// Reads `METRIC=PERCENT`.
pub(crate) fn parse_tolerance(text: &str) -> Result<(String, Number), String> {
    let form = "a metric and a percentage are needed, as in upstream.calls=5";
    let (metric, percent) = text.split_once('=').ok_or(form)?;
    if !DIRECTIONS.iter().any(|(name, _)| *name == metric) {
        return Err(format!("{metric:?} is no metric; docs/metrics.md has all of them"));
    }
    let percent: f64 = percent.trim_end_matches('%').parse().map_err(|_| form)?;
    let percent = Number::finite(percent).filter(|_| percent >= 0.0);
    Ok((metric.to_owned(), percent.ok_or("a percentage is a number that is not negative")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookproof_sim::metrics::Metric;

    #[test]
    fn every_metric_has_its_better_way_in_the_order_of_records() {
        let names: Vec<&str> = DIRECTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, Metric::ALL.map(Metric::name));
    }

    #[test]
    fn a_tolerance_names_a_metric_and_a_percentage() {
        let calls = |percent| Ok(("upstream.calls".to_owned(), Number::finite(percent).unwrap()));
        assert_eq!(parse_tolerance("upstream.calls=5"), calls(5.0));
        assert_eq!(parse_tolerance("upstream.calls=0.5%"), calls(0.5));
        for text in
            ["", "upstream.calls", "upstream.call=5", "upstream.calls=-1", "upstream.calls=x", "upstream.calls=inf"]
        {
            assert!(parse_tolerance(text).is_err(), "{text}");
        }
    }
}
