//! The report in headless Chromium: what a person would see, type and click.
//!
//! Needs Debian's `chromium` and `chromium-driver`; where they are missing the test says so and passes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::program::{json as figures, ok, write_images};

/// A browser behind ChromeDriver, spoken to in the WebDriver protocol.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, or says why not.
    fn start() -> Option<Self> {
        let mut driver = match Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        {
            Ok(driver) => driver,
            Err(_) => {
                eprintln!("skipped: chromedriver is not installed (Debian: chromium chromium-driver)");
                return None;
            }
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        // "ChromeDriver was started successfully on port 12345."
        let port = loop {
            let line = lines.next().expect("chromedriver ended before it said its port").unwrap();
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                break rest.trim_end_matches('.').parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<&str> = arguments.into_iter().chain([profile.as_str()]).collect();
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let started = browser.request("POST", "/session", &capabilities);
        browser.session =
            started["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {started}")).to_owned();
        Some(browser)
    }

    /// One HTTP request; the document's `value`.
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // The driver keeps the connection open, so the length tells where the answer ends.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut content = vec![0; length];
        answer.read_exact(&mut content).unwrap();
        serde_json::from_slice::<Value>(&content).unwrap()["value"].take()
    }

    fn session(&self, method: &str, path: &str, body: Value) -> Value {
        self.request(method, &format!("/session/{}{path}", self.session), &body)
    }

    fn open(&self, file: &std::path::Path) {
        self.session("POST", "/url", json!({"url": format!("file://{}", file.display())}));
    }

    /// The value of a script.
    fn script(&self, script: &str) -> Value {
        self.session("POST", "/execute/sync", json!({"script": script, "args": []}))
    }

    /// Presses keys, one after the other.
    fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        self.session(
            "POST",
            "/actions",
            json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}),
        );
    }

    /// The lines of a log of the browser.
    fn log(&self, kind: &str) -> Vec<Value> {
        let lines = self.session("POST", "/se/log", json!({"type": kind}));
        lines.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.session("DELETE", "", json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

#[test]
fn the_reports_can_be_read_and_used_and_stay_by_themselves() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    // A data set whose name tries to become markup.
    let data = folder.path().join("<script>alert(1)</script>&\"images\"");
    std::fs::create_dir_all(&data).unwrap();
    write_images(&data, 200, 60);
    let compare = folder.path().join("comparison");
    let train = folder.path().join("run");
    let run = |command: &[&str], out: &std::path::Path| {
        let status = Command::new(env!("CARGO_BIN_EXE_candor"))
            .args(command)
            .arg("--quiet")
            .arg("--data")
            .arg(&data)
            .arg("--out")
            .arg(out)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{command:?}");
    };
    run(
        &["compare", "--epochs", "4", "--seeds", "2", "--smoothing", "0,0.1,0.3", "--hidden", "16"],
        &compare,
    );
    run(&["train", "--epochs", "4", "--hidden", "16"], &train);
    let page = folder.path().join("eval.html");
    let predictions = train.join("predictions.parquet");
    let classes = figures(&format!("eval {}", predictions.display()))["classes"].as_u64().unwrap();
    // So do the names of its classes.
    let names: Vec<String> = (0..classes).map(|class| format!("<script>alert(1)</script>{class}")).collect();
    std::fs::write(folder.path().join("names.json"), serde_json::to_vec(&names).unwrap()).unwrap();
    let names = folder.path().join("names.json");
    ok(&format!(
        "eval {} --class-names {} --report {}",
        predictions.display(),
        names.display(),
        page.display()
    ));

    for page in [compare.join("report.html"), train.join("report.html"), page.clone()] {
        assert!(std::fs::metadata(&page).unwrap().len() < 2_000_000, "{} is too large", page.display());
        browser.open(&page);
        let count = |selector: &str| {
            browser.script(&format!("return document.querySelectorAll({selector:?}).length"))
        };
        assert!(count("svg").as_u64().unwrap() > 0, "{} has no picture", page.display());
        assert_eq!(count("h1"), 1);
        assert!(count("main").as_u64().unwrap() == 1 && count("html[lang]") == 1);
        // Every picture that a screen reader meets has words.
        let silent = browser.script(
            "return [...document.querySelectorAll('svg, img')].filter(picture => {
                 if (picture.closest('[aria-hidden=true]')) return false;
                 const label = picture.getAttribute('aria-label') || picture.getAttribute('alt') || '';
                 const by = (picture.getAttribute('aria-labelledby') || '').split(' ')
                     .map(id => document.getElementById(id)).filter(Boolean).map(e => e.textContent).join(' ');
                 const title = [...picture.children].filter(c => ['title', 'desc'].includes(c.tagName))
                     .map(c => c.textContent).join(' ');
                 return (label + by + title).trim().length < 20;
             }).length",
        );
        assert_eq!(silent, 0, "{}: pictures without words", page.display());
        // Nothing of the data became markup, and the name is there as text.
        assert_eq!(
            browser.script(
                "return [...document.scripts].filter(s => s.textContent.includes('alert(1)')).length"
            ),
            0
        );
        assert!(
            browser
                .script("return document.documentElement.scrollWidth <= window.innerWidth + 1")
                .as_bool()
                .unwrap()
        );

        // Sorting a table by keyboard alone.
        let first_cells = "return [...document.querySelectorAll('table tbody tr')].map(r => r.cells[1] ? r.cells[1].textContent : '').join('|')";
        let before = browser.script(first_cells);
        let reached = (0..60).any(|_| {
            browser.press(&[TAB]);
            browser.script("return !!document.activeElement.closest('th')").as_bool() == Some(true)
        });
        assert!(reached, "{}: no heading can be reached by the tab key", page.display());
        browser.press(&[TAB, ENTER]);
        browser.press(&[ENTER]);
        let sorted =
            browser.script("return document.querySelectorAll('th[aria-sort]:not([aria-sort=none])').length");
        assert!(sorted.as_u64().unwrap() > 0, "{}: sorting says nothing (before: {before})", page.display());

        // No console error, no request beyond the file itself.
        let complaints = browser.log("browser");
        assert!(complaints.is_empty(), "{}: {complaints:?}", page.display());
        let requests: Vec<String> = browser
            .log("performance")
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line["message"].as_str()?).ok())
            .filter(|entry| entry["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|entry| entry["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
            .filter(|url| {
                ["http:", "https:", "ws:", "wss:", "ftp:"].iter().any(|scheme| url.starts_with(scheme))
            })
            .collect();
        assert!(requests.is_empty(), "{}: {requests:?}", page.display());
    }
    for (page, name) in [(compare.join("report.html"), "&\"images\""), (page, "1")] {
        browser.open(&page);
        let text = browser.script("return document.body.textContent");
        let name = format!("<script>alert(1)</script>{name}");
        assert!(text.as_str().unwrap().contains(&name), "{name} is not shown as text");
    }
}
