//! Headless Chromium through its driver, spoken to over plain WebDriver.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::wait_for;

/// A browser window of its own profile; closed when dropped.
pub struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Opens a window of this size, pixels; `profile` is an empty folder.
    pub fn open(profile: &Path, width: u32, height: u32) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: run the tests with tests/run, it installs what they need");
        wait_for("chromedriver to listen", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).ok());
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--window-size={width},{height}"));
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}});
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: base.clone() };
        let answer = call(&base, &wanted);
        browser.session = format!("{base}/{}", answer["sessionId"].as_str().unwrap());
        // A window's own size is what the page sees, whatever frame the browser draws.
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}});
        call(&format!("{}/goog/cdp/execute", browser.session), &command);
        browser
    }

    /// Goes to an address and waits until it is loaded.
    pub fn go(&self, url: &str) {
        call(&format!("{}/url", self.session), &json!({ "url": url }));
    }

    /// What `return …` of a script gives.
    pub fn script(&self, script: &str) -> Value {
        call(&format!("{}/execute/sync", self.session), &json!({"script": script, "args": []}))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A panic while another one unwinds would hide the first.
        let closed = ureq::delete(&self.session).call().is_ok();
        let ended = self.driver.kill().and_then(|()| self.driver.wait());
        if !closed || ended.is_err() {
            eprintln!("the browser did not close cleanly");
        }
    }
}

fn call(url: &str, body: &Value) -> Value {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
    let mut response = ureq::Agent::new_with_config(config.build()).post(url).send_json(body).unwrap();
    let answer: Value = response.body_mut().read_json().unwrap();
    assert!(response.status().is_success(), "{url}: {answer}");
    answer["value"].clone()
}
