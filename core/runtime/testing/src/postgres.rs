//! A PostgreSQL server for tests and benchmarks.
//!
//! `HOOKPROOF_TEST_POSTGRES` names one that is there: a connection string. Otherwise a throw-away one is started from the installed
//! programs, as another user where this one is root, in a temporary folder. A shell watches over it that reads from a pipe
//! of ours: the pipe ends when this process does, in whatever way, and then the server is stopped and its folder removed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// Names a server that is there.
const SERVER_VARIABLE: &str = "HOOKPROOF_TEST_POSTGRES";
/// Set, a test that finds no server fails.
const REQUIRE_VARIABLE: &str = "HOOKPROOF_REQUIRE_POSTGRES";
/// Who may run a server where we are root and it refuses to: the first of them that there is, with its group.
const USERS: [(&str, &str); 2] = [("postgres", "postgres"), ("nobody", "nogroup")];

/// Starts a server, says when it is ready, and stops it when its input ends. At each line of its input the server crashes and is started again.
/// `$1`: the programs' folder; `$2`: the server's, which is ours; `$3`: its port, a part of its socket's name too; then its settings.
const WATCH: &str = r#"
bin=$1; folder=$2; port=$3; shift 3
cd "$folder" || exit 1
"$bin/initdb" -D data -U hookproof --auth=trust --no-sync -E UTF8 --locale=C >log 2>&1 || { cat log >&2; exit 1; }
start() {
  "$bin/postgres" -D data -k "$folder" -p "$port" "$@" </dev/null >>log 2>&1 &
  server=$!
  until "$bin/pg_isready" -q -h "$folder" -p "$port"; do
    kill -0 $server 2>/dev/null || { cat log >&2; exit 1; }
    sleep 0.05
  done
  echo ready
}
trap 'kill -QUIT $server 2>/dev/null; wait $server; rm -rf "$folder"' EXIT
start "$@"
while read -r _; do
  kill -QUIT $server
  wait $server
  start "$@"
done
"#;

/// The port of a server that listens on a socket in its own folder and nowhere else: nobody else has it there.
const PORT: u16 = 5_432;

/// Whether commits reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// No: for tests that do not pull the plug.
    None,
    /// Yes: for benchmarks.
    Disk,
}

/// What a server shows to clients who ask for TLS, in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'p> {
    /// Its certificate.
    pub certificate: &'p str,
    /// The key to it.
    pub key: &'p str,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    connection: String,
    /// On 127.0.0.1, if it is ours and listens there.
    port: Option<u16>,
    /// Of a throw-away one.
    watch: Option<Mutex<Watch>>,
}

/// The shell that watches over a server.
#[derive(Debug)]
struct Watch {
    /// Its end is what stops the server.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Watch {
    /// Waits until the server is ready, or is not going to be.
    fn is_ready(&mut self) -> io::Result<bool> {
        let mut said = String::new();
        self.output.read_line(&mut said)?;
        Ok(said == "ready\n")
    }
}

impl Server {
    /// The server of `HOOKPROOF_TEST_POSTGRES`, or else a throw-away one. Without either, says on stderr that `what` is skipped.
    ///
    /// # Panics
    /// If there is none and `HOOKPROOF_REQUIRE_POSTGRES` is set.
    pub fn find(what: &str, durability: Durability) -> Option<Self> {
        if let Ok(connection) = env::var(SERVER_VARIABLE) {
            return Some(Self { connection, port: None, watch: None });
        }
        Self::own(what, durability)
    }

    /// A throw-away server, whatever else there is: one that may crash. Without the programs, says on stderr that `what` is skipped.
    ///
    /// # Panics
    /// As of [`Server::find`].
    pub fn own(what: &str, durability: Durability) -> Option<Self> {
        Self::expect(what, Self::start(durability))
    }

    /// A throw-away server that speaks TLS as `identity`; without the programs, says on stderr that `what` is skipped.
    ///
    /// # Panics
    /// As of [`Server::find`].
    pub fn find_with_tls(what: &str, identity: Identity<'_>) -> Option<Self> {
        Self::expect(what, Self::start_as(Durability::None, Some(identity)))
    }

    fn expect(what: &str, started: io::Result<Self>) -> Option<Self> {
        match started {
            Ok(server) => Some(server),
            Err(error) => {
                assert!(env::var_os(REQUIRE_VARIABLE).is_none(), "{what} needs PostgreSQL: {error}");
                eprintln!("skipped: {what}: no PostgreSQL: {error} (set {SERVER_VARIABLE} to a connection string)");
                None
            }
        }
    }

    /// Starts a throw-away server.
    ///
    /// # Errors
    /// The programs are not installed, or do not start.
    pub fn start(durability: Durability) -> io::Result<Self> {
        Self::start_as(durability, None)
    }

    fn start_as(durability: Durability, identity: Option<Identity<'_>>) -> io::Result<Self> {
        let programs = programs().ok_or_else(|| io::Error::other("its server programs are not installed"))?;
        let folder = tempfile::Builder::new().prefix("hookproof-pg").tempdir()?;
        let mut shell = shell(folder.path())?;
        // Clients of a server with an identity come over TCP, where a port can be lost to others before the server has it.
        let tcp_port = identity.map(|_| free_port()).transpose()?;
        let port = tcp_port.unwrap_or(PORT);
        shell.args(["-c", WATCH, "watch"]).arg(&programs).arg(folder.path()).arg(port.to_string());
        for setting in settings(durability) {
            shell.args(["-c", setting]);
        }
        let listens = if identity.is_some() { "127.0.0.1" } else { "" };
        shell.arg("-c").arg(format!("listen_addresses={listens}"));
        if let Some(identity) = identity {
            write_identity(folder.path(), identity)?;
            shell.args(["-c", "ssl=on", "-c", "ssl_cert_file=../server.crt", "-c", "ssl_key_file=../server.key"]);
        }
        let mut process = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("the pipes are not there"))?;
        let mut watch = Watch { input, output: BufReader::new(output) };
        if !watch.is_ready()? {
            let output = process.wait_with_output()?;
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let connection = format!("host={} port={port} user=hookproof dbname=postgres", folder.path().display());
        // From here on it is the shell's to remove.
        let _ = folder.keep();
        Ok(Self { connection, port: tcp_port, watch: Some(Mutex::new(watch)) })
    }

    /// Lets a throw-away server crash (`pg_ctl stop -m immediate`: what it has not written to its log is lost), and starts it again.
    ///
    /// # Panics
    /// If it is not ours, or does not come up again.
    pub fn crash(&self) {
        let watch = self.watch.as_ref().expect("it is a throw-away server");
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.input.write_all(b"crash\n").expect("the shell reads");
        assert!(watch.is_ready().expect("the shell writes"), "the server does not come up again");
    }

    /// How to connect to it, as a role that may make schemas.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// How to connect to one with an identity over TCP, where it is called `host`.
    ///
    /// # Panics
    /// If it has none.
    pub fn connection_as(&self, host: &str) -> String {
        let port = self.port.expect("it has an identity");
        format!("host={host} hostaddr=127.0.0.1 port={port} user=hookproof dbname=postgres")
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Puts the files into `folder`, whose owner they are for alone.
fn write_identity(folder: &Path, identity: Identity<'_>) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    for (name, text) in [("server.crt", identity.certificate), ("server.key", identity.key)] {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        chown(&path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn settings(durability: Durability) -> &'static [&'static str] {
    match durability {
        // The log is flushed when somebody asks for it, not by and by.
        Durability::None => &["fsync=off", "full_page_writes=off", "wal_writer_delay=10s", "autovacuum=off"],
        Durability::Disk => &["shared_buffers=256MB", "max_wal_size=4GB"],
    }
}

/// The folder of the server's programs: one on the path, or where Debian puts the latest version.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let installed = versions.into_iter().rev().map(|(_, folder)| folder);
    let has_all = |folder: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).exists());
    installed.chain(env::split_paths(&path)).find(has_all)
}

/// A shell that owns `folder`, and that is not root, as whom the server would not start.
fn shell(folder: &Path) -> io::Result<Command> {
    if fs::metadata(folder)?.uid() != 0 {
        return Ok(Command::new("sh"));
    }
    for (user, group) in USERS {
        let Some(uid) = id("-u", user) else { continue };
        chown(folder, Some(uid), id("-g", user))?;
        let mut shell = Command::new("setpriv");
        shell.args(["--reuid", user, "--regid", group, "--clear-groups", "sh"]);
        return Ok(shell);
    }
    Err(io::Error::other("it does not start as root, and there is no other user"))
}

fn id(which: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([which, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
