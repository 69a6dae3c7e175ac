//! Goal: what CI servers read of a record says what the record says, and no text in it can say more. Method: a record written
//! by hand (`tests/data/mixed.json`) against stored snapshots; then hostile texts in every field, and each rendering read back by its
//! own rules.

use std::collections::BTreeMap;

use hookproof_reports::{
    Expectation, Limit, Number, Role, Run, RunRecord, Verdict, parse, render_github, render_json, render_junit,
    render_markdown, render_run_schema,
};
use serde_json::Value;
use uppsala::XsdValidator;

fn mixed() -> RunRecord {
    parse(include_str!("../data/mixed.json")).expect("the stored record is readable")
}

fn paths(record: &RunRecord) -> BTreeMap<String, String> {
    let path = |run: &Run| format!("./scenarios/{}.toml", run.scenario.name);
    record.runs.iter().map(|run| (run.scenario.digest.clone(), path(run))).collect()
}

/// Texts that mean something to a terminal, a shell, XML, Markdown or GitHub's runner.
const HOSTILE: [&str; 22] = [
    "]]>",
    "<![CDATA[",
    "</testsuite><testsuite name='x'>",
    "<script>alert(1)</script>",
    "&amp;&#0;&lol;",
    "\"'><img src=x onerror=alert(1)>",
    "::error file=a,line=1::x",
    "a\n::error::x",
    "a\r\n::set-output name=x::y",
    "%0A::error::x",
    "100 %, 50:50",
    "a|b|c",
    "`code` ``` ~~~",
    "a\n```\n# heading",
    "| --- | --- |",
    "**bold** _em_ ~~gone~~ [a](b) ![c](d)",
    "</details>\n\n# heading",
    "@octocat #1 :+1: $x$ https://a.example www.a.example",
    "\u{0}\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}\u{9b}",
    "\u{fffe}\u{ffff}\u{202e}\u{2028}",
    "--><!-- -->",
    "日本語 🦀",
];

fn hostile(text: &str) -> RunRecord {
    let mut record = mixed();
    text.clone_into(&mut record.tool.name);
    for run in &mut record.runs {
        text.clone_into(&mut run.scenario.name);
        text.clone_into(&mut run.scenario.title);
        text.clone_into(&mut run.hook);
        text.clone_into(&mut run.note);
        text.clone_into(&mut run.digest);
        for expectation in &mut run.expectations {
            for field in [&mut expectation.metric, &mut expectation.during, &mut expectation.note] {
                text.clone_into(field);
            }
        }
        for invariant in &mut run.invariants {
            text.clone_into(&mut invariant.id);
            text.clone_into(&mut invariant.says);
            if let Some(first) = &mut invariant.first {
                text.clone_into(&mut first.evidence);
                first.user = Some(text.to_owned());
            }
        }
        for fault in &mut run.faults {
            text.clone_into(&mut fault.name);
        }
        for parked in &mut run.parked {
            text.clone_into(&mut parked.user);
            text.clone_into(&mut parked.look_up);
        }
        run.reached.insert(text.to_owned(), 1);
    }
    record
}

#[test]
fn the_summary_page_has_what_does_not_hold_first() {
    let record = mixed();
    insta::assert_snapshot!(render_markdown(&record, &paths(&record)));
}

#[test]
fn the_annotations_stand_at_the_expectations_lines() {
    let record = mixed();
    insta::assert_snapshot!(render_github(&record, &paths(&record)));
}

#[test]
fn the_junit_xml_has_a_suite_for_each_run() {
    let record = mixed();
    insta::assert_snapshot!(render_junit(&record, &paths(&record)));
}

fn schema_errors(xml: &str) -> Vec<String> {
    let schema = uppsala::parse(include_str!("../data/junit.xsd")).expect("the schema is XML");
    let validator = XsdValidator::from_schema(&schema).expect("it is a schema");
    let document = uppsala::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    validator.validate(&document).iter().map(ToString::to_string).collect()
}

#[test]
fn junit_xml_keeps_its_schema_whatever_the_texts_are() {
    let empty = RunRecord { runs: Vec::new(), ..mixed() };
    let records = [mixed(), empty].into_iter().chain(HOSTILE.map(hostile));
    for record in records {
        let xml = render_junit(&record, &BTreeMap::new());
        assert_eq!(schema_errors(&xml), Vec::<String>::new(), "{xml}");
        assert_eq!(xml.matches("<testsuite ").count(), record.runs.len(), "{xml}");
    }
}

/// The schema is worth something: it refuses what other tools would.
#[test]
fn the_junit_schema_refuses_what_is_wrong() {
    let good = render_junit(&mixed(), &BTreeMap::new());
    let wrong = [
        ("<testcase ", "<testcase file=\"x\" "),
        (" classname=", " class="),
        ("tests=\"", "tests=\"-"),
        ("type=\"expectation\"", "type=\"other\""),
        ("<properties>", "<properties/><properties>"),
        ("<failure ", "<failure/><failure "),
    ];
    for (old, new) in wrong {
        assert!(good.contains(old), "{old}");
        assert_ne!(schema_errors(&good.replacen(old, new, 1)), Vec::<String>::new(), "{new}");
    }
}

#[test]
fn junit_counts_agree_with_the_verdicts() {
    let xml = render_junit(&mixed(), &BTreeMap::new());
    let failures: usize = xml.matches("<failure ").count();
    let record = mixed();
    let expected: usize = record
        .runs
        .iter()
        .map(|run| {
            let violated = run.expectations.iter().filter(|one| one.verdict == Verdict::Violated).count();
            let broken = run.invariants.iter().filter(|one| one.violations > 0 && run.role == Role::Judged).count();
            violated + broken
        })
        .sum();
    assert!(expected > 0);
    assert_eq!(failures, expected);
}

#[test]
fn each_annotation_is_one_command_whatever_the_texts_are() {
    for text in HOSTILE {
        let record = hostile(text);
        let annotations = render_github(&record, &BTreeMap::new());
        assert!(!annotations.is_empty());
        for line in annotations.split_inclusive('\n') {
            let (command, message) = line.trim_end_matches('\n')[2..].split_once("::").expect("a command ends");
            let (name, properties) = command.split_once(' ').expect("a command has properties");
            assert!(["error", "warning"].contains(&name) && line.starts_with("::"), "{line}");
            let names: Vec<&str> = properties
                .split(',')
                .map(|property| property.split_once('=').expect("a property has a value").0)
                .collect();
            assert!(names == ["file", "line", "title"] || names == ["file", "title"], "{line}");
            assert!(!message.contains('\r') && !line.trim_end_matches('\n').contains('\n'), "{line}");
        }
    }
}

/// A row of cells, as GitHub splits it: at bars that no backslash stands before.
fn cells(row: &str) -> usize {
    let mut bars = 0;
    let mut characters = row.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            '|' => bars += 1,
            _ => {}
        }
    }
    bars - 1
}

/// What would begin a tag, an image or a link if no backslash stood before it; the page's own tags are known.
fn unescaped(line: &str) -> Vec<char> {
    let own = ["<!-- -->", "<br>", "<span>$</span>", "<sub>", "</sub>", "<details open>", "<details>", "</details>"];
    let line = own.iter().fold(line.to_owned(), |line, tag| line.replace(tag, ""));
    let line = line.replace("<summary>", "").replace("</summary>", "").replace("**", "");
    let mut found = Vec::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            '<' | '>' | '&' | '[' | ']' | '*' | '_' | '`' | '~' | '$' => found.push(character),
            _ => {}
        }
    }
    found
}

#[test]
fn the_summary_page_has_no_markup_but_its_own_whatever_the_texts_are() {
    let shape = |markdown: &str| {
        let lines =
            markdown.lines().filter(|line| line.starts_with("| ") || line.starts_with('#') || line.starts_with("<d"));
        lines.map(|line| line.chars().take_while(|c| !c.is_alphanumeric()).collect::<String>()).collect::<Vec<_>>()
    };
    let harmless = shape(&render_markdown(&hostile("harmless"), &BTreeMap::new()));
    for text in HOSTILE {
        let page = render_markdown(&hostile(text), &BTreeMap::new());
        let mut fence: Option<String> = None;
        let mut outside = String::new();
        for line in page.lines() {
            match &fence {
                Some(end) if line == end => fence = None,
                Some(_) => {}
                None if line.starts_with("```") => fence = Some(line.trim_end_matches("sh").to_owned()),
                None => {
                    assert_eq!(unescaped(line), [], "{line}");
                    if line.starts_with("| ") {
                        assert!([10, 11].contains(&cells(line)), "{line}");
                    }
                    outside = outside + line + "\n";
                }
            }
        }
        assert_eq!(fence, None, "{page}");
        assert_eq!(shape(&outside).len(), harmless.len(), "{outside}");
    }
}

/// Runs of a hook that misses `count` expectations, and as many that could not be judged.
fn missing(count: u32) -> RunRecord {
    let mut record = mixed();
    record.runs.truncate(1);
    let run = &mut record.runs[0];
    run.invariants.clear();
    run.expectations = (0..2 * count)
        .map(|line| Expectation {
            metric: "upstream.calls".to_owned(),
            hook: run.hook.clone(),
            during: "run".to_owned(),
            limit: Limit::AtMost(Number::from(1)),
            value: Some(Number::from(2)),
            verdict: if line % 2 == 0 { Verdict::Inconclusive } else { Verdict::Violated },
            line: line + 1,
            note: String::new(),
        })
        .collect();
    record
}

#[test]
fn ten_annotations_of_a_type_are_shown_and_the_rest_is_counted() {
    let count = |text: &str, command: &str| text.lines().filter(|line| line.starts_with(command)).count();
    let all = render_github(&missing(10), &BTreeMap::new());
    assert_eq!((count(&all, "::error "), count(&all, "::warning "), count(&all, "::notice ")), (10, 10, 0));
    let some = render_github(&missing(13), &BTreeMap::new());
    assert_eq!((count(&some, "::error "), count(&some, "::warning "), count(&some, "::notice ")), (10, 10, 1));
    assert!(some.ends_with("::3 more errors and 3 more warnings are not shown: GitHub shows ten of each for a step\n"));
    assert!(some.starts_with("::error file="), "the worst first: {some}");
}

#[test]
fn a_page_stays_within_what_github_shows() {
    let mut record = missing(40);
    let run = record.runs[0].clone();
    record.runs = (0..1_000)
        .map(|number| {
            let mut run = run.clone();
            run.scenario.name = format!("scenario-{number}");
            run.verdict = Verdict::Violated;
            run
        })
        .collect();
    let page = render_markdown(&record, &BTreeMap::new());
    assert!(page.len() < 1024 * 1024, "{}", page.len());
    assert!(page.contains(" more scenarios** left out"));
}

#[test]
fn where_all_holds_there_is_nothing_to_annotate() {
    let mut record = mixed();
    record.runs.retain(|run| run.verdict == Verdict::Pass);
    assert_eq!(render_github(&record, &BTreeMap::new()), "");
    assert!(render_markdown(&record, &BTreeMap::new()).contains("<details open>"));
}

#[test]
fn the_schema_describes_every_key_of_a_record() {
    fn keys<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(entries) => {
                for (key, entry) in entries {
                    if key == "properties" {
                        found.extend(entry.as_object().unwrap().keys().map(String::as_str));
                    }
                    keys(entry, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let schema: Value = serde_json::from_str(&render_run_schema()).unwrap();
    let mut known = Vec::new();
    keys(&schema, &mut known);
    let record: Value = serde_json::from_str(&render_json(&mixed())).unwrap();
    for key in record["runs"][0].as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key}");
    }
    let guide = include_str!("../../../docs/record.md");
    let missing: Vec<&&str> = known.iter().filter(|key| !guide.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/record.md does not name {missing:?}");
}
