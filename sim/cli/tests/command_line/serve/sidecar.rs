//! The binary as a sidecar, and a client that sends what it is told to the byte.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use hookproof_testing::crash::{Child, End, Wire, wait_for};
use hookproof_testing::http::{Answer, exchange};
use serde_json::Value;

use super::super::folder::Folder;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const TOKEN: &str = "a-token-that-nobody-guesses";

/// A folder with `hook.toml` for the quota service at `url`, a secret and a token.
pub fn folder(url: &str, more: &str) -> Folder {
    let folder = Folder::with(&[("experiment.secret", "not to be guessed at all\n"), ("hook.token", TOKEN)]);
    for secret in ["experiment.secret", "hook.token"] {
        private(&folder, secret);
    }
    folder.write("hook.toml", config(url, more));
    folder
}

/// Nobody but the owner may read it from here on.
pub fn private(folder: &Folder, name: &str) {
    permit(folder, name, 0o600);
}

pub fn permit(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).expect("the file is ours");
}

/// A file that a port of its own is enough for. A slow disk is waited for: a provisional answer would be another test's.
pub fn config(url: &str, more: &str) -> String {
    format!(
        r#"
schema = 1
[experiment]
id = "quota"
namespace = "test"
lineage = "quota"
secret-file = "experiment.secret"
[[experiment.variant]]
name = "control"
weight = 50
[[experiment.variant]]
name = "extra"
weight = 50
grant = 25
[hardened]
store-patience = "30s"
[upstream]
url = "{url}"
capability = "idempotency-key"
[server]
listen = "127.0.0.1:0"
token-file = "hook.token"
{more}
"#
    )
}

/// A running sidecar, killed with the value.
pub struct Sidecar {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Sidecar {
    /// Starts it in `folder`, and waits until its store is open.
    pub fn start(folder: &Folder) -> Self {
        let child = Child::spawn(folder.command(&["serve", "--config", "hook.toml"]), Wire::Http, &folder.path("log"));
        let address = child.address().unwrap_or_else(|| panic!("{}", child.log())).to_owned();
        let sidecar = Self { child, address };
        until(|| (sidecar.get("/readyz").status == 200).then_some(()));
        sidecar
    }

    /// Tells it to end, and waits until it has.
    pub fn end(mut self) -> i32 {
        self.signal();
        self.wait()
    }

    /// Tells it to end.
    pub fn signal(&mut self) {
        self.child.tell_to_end();
    }

    /// Waits until it has ended.
    pub fn wait(self) -> i32 {
        i32::from(self.child.wait() != End::Ended)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    /// A GET by an operator.
    pub fn get_as_operator(&self, path: &str) -> Answer {
        self.ask("GET", path, &format!("Authorization: Bearer {TOKEN}\r\n"), "")
    }

    /// A POST by an operator.
    pub fn post_as_operator(&self, path: &str, body: &str) -> Answer {
        let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        self.ask("POST", path, &headers, body)
    }

    pub fn visit(&self, user: &str) -> Value {
        let answer = self.post("/v1/visits", &format!("{{\"user_id\":\"{user}\"}}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, "Content-Type: application/json\r\n", body)
    }

    /// A request on a connection of its own, with these headers besides.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let (address, length) = (&self.address, body.len());
        let host = if headers.starts_with("Host:") { String::new() } else { format!("Host: {address}\r\n") };
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    /// Sends this, and reads what comes back until the connection ends.
    pub fn send(&self, request: &str) -> Answer {
        exchange(&self.address, request).expect("it answers")
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("it listens")
    }
}

/// Reads an answer until the connection ends.
pub fn answer(stream: &mut TcpStream) -> Answer {
    Answer::read(stream).expect("an answer")
}

/// Waits for a state.
pub fn until<T>(look: impl FnMut() -> Option<T>) -> T {
    wait_for("a state", look)
}
