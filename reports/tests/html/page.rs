//! What every page has, and what a reader finds on it.

use std::collections::BTreeSet;

use hookproof_reports::{HtmlOptions, Limit, Run, RunRecord, Series, Verdict, render_html};
use scraper::{ElementRef, Html, Selector};

use crate::record::{large, record};
use crate::variants::{ablated, changed, comparison, older, small};

/// Three hooks over 28 days fit in it.
const BYTES_MAX: usize = 300_000;

fn rendered(record: &RunRecord) -> String {
    render_html(record, &HtmlOptions::default())
}

fn parsed(record: &RunRecord) -> Html {
    Html::parse_document(&rendered(record))
}

fn wanted(selector: &str) -> Selector {
    Selector::parse(selector).expect("tests write valid selectors")
}

fn all<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&wanted(selector)).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A row of a table, its cells apart.
fn row(element: ElementRef<'_>) -> String {
    element.child_elements().map(text).collect::<Vec<_>>().join(" | ")
}

/// Several scenarios, hooks and seeds.
fn several() -> RunRecord {
    let mut runs: Vec<Run> = Vec::new();
    for (scenario, verdict) in [("calm", Verdict::Pass), ("stormy", Verdict::Violated)] {
        for run in small().runs {
            for seed in 1..=3 {
                let verdict = if seed == 2 { verdict } else { Verdict::Pass };
                let mut run = Run { seed, verdict, ..run.clone() };
                scenario.clone_into(&mut run.scenario.name);
                run.scenario.title = format!("A {scenario} week");
                scenario.clone_into(&mut run.scenario.digest);
                run.digest = format!("{seed:032x}");
                runs.push(run);
            }
        }
    }
    record(runs)
}

#[test]
fn the_page_of_a_small_record() {
    let page = rendered(&small());
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    // The shapes of the first chart stand for those of all.
    let mut charts = body.split("</desc>");
    let mut shown = charts.next().unwrap().to_owned();
    for (index, chart) in charts.enumerate() {
        let (shapes, rest) = chart.split_once("</svg>").unwrap();
        shown.extend(["</desc>", if index == 0 { shapes } else { "…" }, "</svg>", rest]);
    }
    insta::assert_snapshot!(format!("{head}<style>…</style>{shown}").replace("><", ">\n<"));
}

#[test]
fn same_record_same_bytes() {
    assert_eq!(rendered(&large()), rendered(&large()));
}

#[test]
fn twenty_eight_days_under_three_hooks_stay_small() {
    let page = rendered(&large());
    assert!(page.len() <= BYTES_MAX, "{} bytes", page.len());
    assert!(page.matches("<svg").count() > 24, "and the charts are there");
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing() {
    for record in [small(), large(), several()] {
        let html = parsed(&record);
        let policy = all(&html, "meta[http-equiv]")[0].attr("content").unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(all(&html, "style").len(), 1);
        for refused in
            ["script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "use", "image"]
        {
            assert_eq!(all(&html, refused).len(), 0, "{refused}");
        }
        for element in all(&html, "*") {
            for (name, value) in element.value().attrs() {
                assert!(
                    !name.starts_with("on") && !["style", "src", "srcset", "action", "ping"].contains(&name),
                    "{name}"
                );
                assert!(name != "href" || value.starts_with('#'), "{value}");
            }
        }
        assert_eq!(html.errors, Vec::<String>::new());
    }
}

#[test]
fn headings_are_in_order_links_lead_somewhere_and_no_id_comes_twice() {
    for record in [small(), large(), several(), record(small().runs.iter().map(older).collect())] {
        let html = parsed(&record);
        let mut before = 0;
        for heading in all(&html, "h1, h2, h3, h4, h5, h6") {
            let rank: u32 = heading.value().name()[1..].parse().unwrap();
            assert!(rank <= before + 1, "{} follows a heading of rank {before}", text(heading));
            before = rank;
        }
        assert_eq!(all(&html, "h1").len(), 1);
        let ids: Vec<&str> = all(&html, "[id]").iter().filter_map(|element| element.attr("id")).collect();
        let set: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), set.len(), "an id comes twice");
        for link in all(&html, "a[href]") {
            assert!(set.contains(&link.attr("href").unwrap()[1..]), "{:?}", link.attr("href"));
        }
        for labelled in all(&html, "[aria-labelledby]") {
            for id in labelled.attr("aria-labelledby").unwrap().split(' ') {
                assert!(set.contains(id), "{id}");
            }
        }
    }
}

#[test]
fn tables_and_charts_say_what_they_are() {
    let html = parsed(&small());
    for table in all(&html, "table") {
        assert!(table.select(&wanted("caption")).next().is_some_and(|caption| !text(caption).is_empty()));
    }
    for cell in all(&html, "th") {
        assert!(cell.attr("scope").is_some(), "{}", text(cell));
    }
    let charts = all(&html, "figure > svg");
    assert!(charts.len() >= 15, "{} charts", charts.len());
    for chart in charts {
        assert_eq!(chart.attr("role"), Some("img"));
        for part in ["title", "desc"] {
            let part = chart.select(&wanted(part)).next();
            assert!(part.is_some_and(|part| !text(part).is_empty()));
        }
    }
}

#[test]
fn the_same_lanes_are_shaded_in_every_chart_over_time() {
    let html = parsed(&small());
    let shades = |chart: &ElementRef<'_>| -> Vec<String> {
        let shades = wanted(".fs, .fw");
        chart.select(&shades).map(|shade| format!("{:?} {:?}", shade.attr("x"), shade.attr("width"))).collect()
    };
    let charts = all(&html, ".topic figure > svg");
    assert!(charts.len() >= 14, "{} charts", charts.len());
    let first = shades(&charts[0]);
    assert_eq!(first.len(), 10);
    for chart in charts {
        assert_eq!(shades(&chart), first);
    }
    let legend: Vec<String> = all(&html, ".lanes li").into_iter().map(text).collect();
    assert_eq!(legend[0], "A late-answers quota.lost-reply, 10m – 20m");
    assert!(legend[1].starts_with("B restarts restart, 9 times"), "{legend:?}");
}

#[test]
fn an_expectation_s_limit_is_drawn_where_its_metric_is() {
    let html = parsed(&small());
    let load = all(&html, ".topic")[0];
    let charts: Vec<ElementRef<'_>> = load.select(&wanted("figure")).collect();
    let limits = |figure: &ElementRef<'_>| figure.select(&wanted("svg .kx")).count();
    assert_eq!(limits(&charts[0]), 1, "upstream.peak-rps is at most 40");
    assert!(
        text(charts[0]).contains("✗ Violated upstream.peak-rps at most 40/s (line 31): 48/s"),
        "{}",
        text(charts[0])
    );
}

#[test]
fn an_empty_series_says_so() {
    let mut record = small();
    for run in &mut record.runs {
        run.series = Series::default();
        run.restarts.clear();
        run.grants_per_user.clear();
        run.latency.quantiles.clear();
        run.expectations.retain(|expectation| matches!(expectation.limit, Limit::AtMost(_)));
    }
    let html = parsed(&record);
    assert_eq!(all(&html, "figure > svg").len(), 0);
    for figure in all(&html, "figure") {
        let empty = figure.select(&wanted(".empty")).next();
        assert!(empty.is_some_and(|words| text(words).len() > 10), "{}", text(figure));
    }
}

#[test]
fn what_is_zero_throughout_is_said_and_not_drawn() {
    let mut record = small();
    for run in &mut record.runs {
        let level = run.series.levels.get_mut("over-allocated-users").unwrap();
        level.least.fill(Some(0));
        level.greatest.fill(Some(0));
    }
    let page = rendered(&record);
    assert_eq!(page.matches("users above their cap: 0 throughout.").count(), 2);
}

#[test]
fn an_older_record_has_a_page() {
    let runs: Vec<Run> = small().runs.iter().map(older).collect();
    let html = parsed(&record(runs));
    assert!(text(html.root_element()).contains("This record has no such series."));
    assert!(!all(&html, "figure > svg").is_empty(), "its counts are drawn");
    assert_eq!(
        text(all(&Html::parse_document(&rendered(&record(Vec::new()))), ".banner")[0]),
        "This record holds no run."
    );
}

#[test]
fn several_scenarios_begin_with_an_index_worst_first_and_seeds_have_a_row_each() {
    let html = parsed(&several());
    let rows: Vec<String> = all(&html, "#index + .scroll tbody tr").into_iter().map(row).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].starts_with("✗ Violated | A stormy week"), "{rows:?}");
    assert!(rows[0].contains("3 seeds, 1 to 3"), "{rows:?}");
    let runs: Vec<String> = all(&html, "#s0-runs ~ .scroll table tbody tr").into_iter().map(row).collect();
    assert!(runs[1].starts_with("hardened | 2 | ✗ Violated"), "{:?}", &runs[..3]);
    let charted: Vec<String> = all(&html, "#s0-repeat ~ .scroll tbody tr").into_iter().map(text).collect();
    assert_eq!(charted.len(), 6, "every run can be repeated");
}

#[test]
fn a_first_violation_leads_to_the_story_of_its_user() {
    let html = parsed(&small());
    let link = all(&html, ".firsts a")[0];
    let target = link.attr("href").unwrap();
    let story = all(&html, target)[0];
    assert!(text(story).starts_with("user-0, original reference"), "{}", text(story));
    let hit = story.select(&wanted(".hit")).next().unwrap();
    assert!(text(hit).contains("violates GRANT-1"), "{}", text(hit));
}

#[test]
fn a_single_value_far_above_the_rest_is_in_the_chart_and_in_its_words() {
    let mut record = record(vec![large().runs.remove(0)]);
    let level = record.runs[0].series.levels.get_mut("backlog").unwrap();
    level.least.fill(Some(0));
    level.greatest.fill(Some(0));
    level.greatest[200] = Some(17);
    record.runs[0].series.levels.remove("queued");
    record.runs[0].expectations.clear();
    let page = rendered(&record);
    assert!(page.contains("open grants: 0 to 17, the most first at about 23d 8h."), "said");
    let html = Html::parse_document(&page);
    let backlog = all(&html, ".topic")[2];
    let band = backlog.select(&wanted("figure > svg .f1")).next().unwrap();
    let path = band.attr("d").unwrap();
    let rises = path.matches("v-").count();
    assert_eq!(rises, 1, "{path}");
}

#[test]
fn the_matrix_says_in_words_what_is_worse_and_what_breaks() {
    let html = parsed(&ablated());
    let matrix = all(&html, "#a0 ~ .scroll table")[0];
    let rows: Vec<String> = matrix.select(&wanted("tbody tr")).map(row).collect();
    assert!(rows[0].starts_with("nothing | 0 |"), "{rows:?}");
    assert!(rows[1].starts_with("stable-key | ▲ 7,423 |") && rows[1].ends_with("| ✗ 1 rule"), "{rows:?}");
    assert!(rows[2].starts_with("jitter | 0 |") && rows[2].ends_with("| nothing"), "{rows:?}");
    let page = text(html.root_element());
    for said in
        ["1 of 2 protections are seen to matter", "not seen to matter: jitter", "the hook does without stable-key."]
    {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_comparison_says_what_got_worse_first_and_what_was_not_compared() {
    let page = comparison(&ablated(), &changed());
    let html = Html::parse_document(&page);
    assert!(text(all(&html, ".banner")[0]).starts_with("✗ Regression 3 things got worse in 1 run"));
    let metrics: Vec<String> = all(&html, "section table tbody tr").into_iter().map(row).collect();
    for expected in [
        "upstream.amplification | ≈ worse, tolerated | 1.043 | 1.5 | +0.4571 (+43.83 %) | 50 %",
        "upstream.recovery-seconds | ✓ better | 42 s | 11 s | −31 s (−73.81 %) | none",
        "hook.errors | ≠ different | 0 | no value | — | none",
        "exposure.logged | ≠ different | 0 | 7 | +7 | none",
        "upstream.peak-rps | 48/s",
        "ASSIGN-1 | 0 | 3 | ✗ worse",
        "grant.backlog-peak | late-answers | at most 30 | ✓ Pass | ✗ Violated | 36",
    ] {
        assert!(metrics.iter().any(|row| row == expected), "{expected}: {metrics:#?}");
    }
    let left_out: Vec<String> = all(&html, "#left-out + ul li").into_iter().map(text).collect();
    assert_eq!(left_out.len(), 3, "the matrix, another hook and another seed: {left_out:?}");
    assert!(left_out[0].starts_with("The matrices of ablations"), "{left_out:?}");
    assert_eq!(
        left_out[1..],
        ["over-allocation, hardened, seed 2: only in B", "over-allocation, original, seed 1: only in B"]
    );
    let sides: Vec<String> = all(&html, ".topic figcaption").into_iter().map(text).collect();
    assert_eq!(sides[..2], ["A: hardened", "B: hardened"]);
}

#[test]
fn equal_records_differ_in_nothing() {
    let page = comparison(&small(), &small());
    assert!(page.contains("Nothing: 2 runs compared, and all are equal."));
    assert!(!page.contains("<figure>"), "there is nothing to chart");
}

#[test]
fn the_end_of_the_storm_is_in_every_chart_over_time() {
    let html = parsed(&small());
    for chart in all(&html, ".topic figure > svg") {
        assert_eq!(chart.select(&wanted(".ke")).count(), 1, "{}", text(chart));
    }
}

#[test]
fn a_limit_on_goodput_s_share_is_drawn_at_that_share_of_the_arrivals() {
    let mut record = small();
    let run = &mut record.runs[0];
    run.series.counts.insert("entitlements".to_owned(), vec![10, 40, 40, 0]);
    run.series.counts.insert("goodput".to_owned(), vec![10, 30, 20, 30]);
    let lane = &mut run.lanes[0];
    let ratio = run.expectations.iter_mut().find(|one| one.metric == "upstream.goodput-ratio").unwrap();
    ratio.during.clone_from(&lane.name);
    let html = parsed(&record);
    let goodput = all(&html, ".topic")[1];
    let chart = goodput.select(&wanted("figure")).next().unwrap();
    assert_eq!(chart.select(&wanted("svg .kx")).count(), 1, "{}", text(chart));
    assert!(
        text(chart).contains("upstream.goodput-ratio at least 0.9 during late-answers (line 51)"),
        "{}",
        text(chart)
    );
}
