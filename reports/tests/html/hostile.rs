//! No text of a record becomes an element, an attribute, a style or a direction of writing.

use hookproof_reports::{HtmlOptions, RunRecord, parse, render_html, render_json};
use scraper::{Html, Node};
use serde_json::Value;

use crate::variants::{ablated, changed, comparison, small};

/// Strings that mean something to a browser, a parser, a style sheet, a shell or a reader's eye.
fn corpus() -> Vec<String> {
    let mut corpus: Vec<String> = [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "\"><svg onload=alert(1)>",
        "'><b>",
        "\" onmouseover=\"alert(1)",
        "' onfocus='alert(1)' autofocus='",
        "` onclick=`alert(1)",
        "</style><script>alert(1)</script>",
        "</title><h1>title</h1>",
        "</desc></svg><p>out of the chart</p>",
        "</td></tr></table><p>out of the table</p>",
        "</html><body onload=alert(1)>",
        "<!--",
        "-->",
        "--!><script>",
        "<![CDATA[<b>]]>",
        "]]>",
        "<?xml version=\"1.0\"?>",
        "<!DOCTYPE html>",
        "&lt;script&gt;",
        "&#60;script&#62;",
        "&amp;&quot;&apos;&nbsp;",
        "&",
        "&notanentity;&#0;&#x110000;",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "<a href=\"javascript:alert(1)\">click</a>",
        "<iframe src=//example.org></iframe>",
        "<base href=//example.org>",
        "<meta http-equiv=refresh content=0>",
        "<link rel=stylesheet href=//example.org/a.css>",
        "<style>*{display:none}</style>",
        "<plaintext>",
        "<textarea>",
        "<template><b></template>",
        "{{7*7}} ${7*7} <%= 7*7 %> (x) @if",
        "\u{0}NUL",
        "\u{1b}[31mred\u{7}\u{8}\u{7f}\u{85}\u{9b}",
        "line\nbreak\r\nand\ttab",
        "\u{202e}gnp.exe\u{2066}\u{2069}\u{200f}\u{61c}",
        "\u{feff}\u{200b}\u{2060}\u{fffe}\u{ffff}\u{e0041}",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "日本語のテキスト",
        "\u{2028}\u{2029}",
        "url(//example.org/x) expression(alert(1)) ;}*{color:red}",
        "' OR 1=1 --",
        "$(rm -rf /) `id` ; | &&",
        "%3Cscript%3E %00 %0d%0a",
        "\\u003cscript\\u003e \\x3cb\\x3e",
        "run",
    ]
    .map(str::to_owned)
    .to_vec();
    corpus.push("<b>".repeat(20_000));
    corpus.push("W".repeat(100_000));
    corpus
}

/// Appends a text to every string of the record that may hold any text, and to every key that may be any; gives how many.
fn poison(value: &mut Value, path: &str, text: &str, poisoned: &mut usize) {
    match value {
        Value::String(string) if is_free(path) => {
            string.push_str(text);
            *poisoned += 1;
        }
        Value::Array(values) => values.iter_mut().for_each(|value| poison(value, path, text, poisoned)),
        Value::Object(object) => {
            let keys_are_free = ["metrics", "reached", "counts", "levels"].iter().any(|name| path.ends_with(name));
            let entries: Vec<(String, Value)> = std::mem::take(object).into_iter().collect();
            for (key, mut value) in entries {
                poison(&mut value, &format!("{path}/{key}"), text, poisoned);
                // Half of the keys keep their name, so that charts and cells are there to break.
                let change = keys_are_free && (key.len() % 2 == 0 || key.starts_with("clock"));
                *poisoned += usize::from(change);
                object.insert(if change { format!("{key}{text}") } else { key }, value);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a string may be any text: not a closed set's name, a length or the schema.
fn is_free(path: &str) -> bool {
    let closed = [
        "/schema",
        "/clock",
        "/user-ids",
        "/role",
        "/verdict",
        "/at",
        "/for",
        "/bin",
        "/storm",
        "/calm",
        "/stretches",
        "/why",
        "/unit",
        "/value",
        "/capacity-per-second",
    ];
    let metric_value = path.contains("/metrics/") || path.contains("/limit/");
    !metric_value && !closed.iter().any(|end| path.ends_with(end))
}

/// Every element with its depth and its attributes, and the text that is shown, of a page.
fn structure(html: &Html) -> Vec<(usize, String)> {
    let elements = html.tree.root().descendants().filter_map(|node| match node.value() {
        Node::Element(element) => {
            let mut attributes: Vec<String> = element.attrs().map(|(name, value)| format!("{name}={value}")).collect();
            attributes.sort();
            Some((node.ancestors().count(), format!("{} {}", element.name(), attributes.join(" "))))
        }
        Node::Comment(_) | Node::ProcessingInstruction(_) => Some((0, "a comment or an instruction".to_owned())),
        Node::Document | Node::Fragment | Node::Doctype(_) | Node::Text(_) => None,
    });
    elements.collect()
}

fn poisoned(record: &RunRecord, text: &str) -> RunRecord {
    let mut value: Value = serde_json::from_str(&render_json(record)).expect("a record is JSON");
    let mut poisoned = 0;
    poison(&mut value, "", text, &mut poisoned);
    assert!(poisoned > 150, "{poisoned} places were tried");
    parse(&value.to_string()).expect("a record with other texts")
}

/// A report with a matrix.
fn page(text: &str) -> String {
    let small = RunRecord { ablations: ablated().ablations, ..small() };
    render_html(&poisoned(&small, text), &HtmlOptions::default())
}

/// A comparison of records that differ in everything.
fn compared(text: &str) -> String {
    comparison(&poisoned(&small(), text), &poisoned(&changed(), text))
}

#[test]
fn no_hostile_string_in_any_field_changes_the_page_s_structure() {
    assert_harmless(page);
}

#[test]
fn no_hostile_string_changes_the_structure_of_a_comparison() {
    assert_harmless(compared);
}

fn assert_harmless(page: fn(&str) -> String) {
    let harmless = structure(&Html::parse_document(&page("x")));
    assert!(harmless.len() > 500, "{} elements", harmless.len());
    let corpus = corpus();
    assert!(corpus.len() >= 40);
    for text in corpus {
        let page = page(&text);
        let html = Html::parse_document(&page);
        let shown = text.chars().take(60).collect::<String>();
        assert_eq!(html.errors, Vec::<String>::new(), "{shown:?}");
        let found = structure(&html);
        let differs = harmless.iter().zip(&found).find(|(ours, theirs)| ours != theirs);
        assert_eq!((differs, harmless.len()), (None, found.len()), "{shown:?}");
        for refused in ['\0', '\u{202e}', '\u{2066}', '\u{200f}', '\u{1b}', '\u{feff}', '\u{2028}'] {
            assert!(!page.contains(refused), "{refused:?} of {shown:?} reached the page");
        }
    }
}

#[test]
fn text_is_shown_as_it_is() {
    let page = page("<i>&\"'");
    let html = Html::parse_document(&page);
    let text: String = html.root_element().text().collect();
    for expected in ["hardened<i>&\"'", "user-0<i>&\"'", "A permanent quota, given again after every restart<i>&\"'"] {
        assert!(text.contains(expected), "{expected}");
    }
}
