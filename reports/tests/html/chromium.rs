//! The page in a real browser: headless Chromium, asked through its debugging pipe.
//!
//! The browser is `$HOOKPROOF_TEST_CHROMIUM`, else `chromium` on the path. Without one the test says that it was skipped;
//! with `HOOKPROOF_REQUIRE_CHROMIUM=1`, as in CI, it fails instead.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hookproof_reports::{HtmlOptions, RunRecord, render_html};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::record::{large, record};
use crate::variants::{ablated, changed, comparison, older, older_of, small};

/// What is read off a page once it is loaded: sizes, charts and contrasts.
const SURVEY: &str = include_str!("survey.js");

/// The program of a browser, if there is one.
fn program() -> Option<OsString> {
    let named = std::env::var_os("HOOKPROOF_TEST_CHROMIUM");
    named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file()).map(Into::into)
    })
}

/// A running browser with one page.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    /// What it told without being asked.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    fn start(program: &OsString) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        // The debugging pipe is on the descriptors 3 and 4, which a shell can give and the standard library cannot.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2 2>/dev/null"#, "sh"])
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.expect("both were asked for");
        let mut browser = Self {
            child,
            to,
            from: BufReader::new(from),
            session: None,
            calls: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", &attached)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Asks for something and gives the answer.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let message = self.message();
            if message["id"] == self.calls {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("the browser speaks");
        assert_eq!(bytes.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&bytes).expect("messages are JSON")
    }

    /// Opens a file and waits until it is loaded; gives everything the browser told meanwhile.
    fn open(&mut self, url: &str) -> Vec<Value> {
        self.events.clear();
        self.call("Page.navigate", &json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.message();
            self.events.push(message);
        }
        self.events.clone()
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let result = self.call("Runtime.evaluate", &json!({"expression": script, "returnByValue": true}));
        assert!(result.get("exceptionDetails").is_none(), "{result}");
        result["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No complaint and no request but for the file itself.
fn assert_quiet(events: &[Value], url: &str) {
    for event in events {
        let method = event["method"].as_str().unwrap_or_default();
        let complaint = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"].contains(&method);
        assert!(!complaint, "{event}");
        if method == "Network.requestWillBeSent" {
            assert_eq!(event["params"]["request"]["url"], url);
        }
    }
}

fn examine(browser: &mut Browser, name: &str, page: &str, charts_min: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("report.html");
    std::fs::write(&file, page).expect("the folder is writable");
    let url = format!("file://{}", file.display());
    for scheme in ["light", "dark"] {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", &media);
        for width in [400, 1_400] {
            let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
            browser.call("Emulation.setDeviceMetricsOverride", &size);
            let events = browser.open(&url);
            assert_quiet(&events, &url);
            let survey = browser.evaluate(SURVEY);
            let told = format!("{name}, {scheme}, {width} px: {survey}");
            assert!(survey["scrollWidth"].as_u64() <= Some(width), "the page scrolls sideways: {told}");
            assert!(survey["charts"].as_u64() >= Some(charts_min), "{told}");
            assert_eq!(survey["empty"], json!([]), "charts without a drawn shape: {told}");
            assert_eq!(survey["faint"], json!([]), "text or curves with too little contrast: {told}");
            let background = if scheme == "light" { "rgb(255, 255, 255)" } else { "rgb(20, 23, 27)" };
            assert_eq!(survey["background"], background, "{told}");
        }
    }
    let pdf = browser.call("Page.printToPDF", &json!({}));
    assert!(pdf["data"].as_str().is_some_and(|data| data.starts_with("JVBERi")), "{name} prints");
}

#[test]
fn chromium_shows_every_chart_in_both_schemes_and_widths_without_a_complaint() {
    let Some(program) = program() else {
        assert!(std::env::var_os("HOOKPROOF_REQUIRE_CHROMIUM").is_none(), "no chromium, which is required here");
        eprintln!("skipped: no chromium; set HOOKPROOF_TEST_CHROMIUM to one");
        return;
    };
    let mut browser = Browser::start(&program);
    let page = |record: &RunRecord| render_html(record, &HtmlOptions::default());
    examine(&mut browser, "small", &page(&small()), 15);
    examine(&mut browser, "28 days", &page(&large()), 24);
    examine(&mut browser, "an older record", &page(&record(small().runs.iter().map(older).collect())), 5);
    examine(&mut browser, "an ablation", &page(&ablated()), 10);
    examine(&mut browser, "a comparison", &comparison(&small(), &changed()), 24);
    examine(&mut browser, "a comparison of 28 days", &comparison(&large(), &older_of(&large())), 24);
}
