//! A hook in a process of its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::{PATIENCE, wait};
use crate::http::{Answer, exchange};

/// How one talks to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A user id a line on its input; `USER\tVARIANT\tBASIS\tGRANT` on its output.
    Lines,
    /// The sidecar's HTTP, on the address that it says first.
    Http,
}

/// A hook that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How one talks to it.
    pub wire: Wire,
}

/// What befalls a child, if anything does.
#[derive(Clone, Debug, Default)]
pub struct Harm(Vec<(&'static str, String)>);

impl Harm {
    /// Nothing.
    pub const NONE: Self = Self(Vec::new());

    /// It is killed when it comes to `place` for the `come`-th time.
    pub fn kill_at(place: &str, come: u64) -> Self {
        Self(vec![("HOOKPROOF_KILL_AT", format!("{place}:{come}"))])
    }

    /// It is stopped when it comes to `place` for the `come`-th time, until [`Keeper::go_on`].
    pub fn stop_at(place: &str, come: u64) -> Self {
        Self(vec![("HOOKPROOF_STOP_AT", format!("{place}:{come}"))])
    }

    /// Its disk fails, as `hookproof-faulty-disk` reads it.
    pub fn disk(fault: impl Into<String>) -> Self {
        Self(vec![("HOOKPROOF_DISK", fault.into())])
    }

    /// What it syncs is kept in `folder`, besides.
    #[must_use]
    pub fn and_power(mut self, folder: &Path) -> Self {
        self.0.push(("HOOKPROOF_POWER", folder.display().to_string()));
        self
    }

    /// It leaves out the step `name`, besides.
    #[must_use]
    pub fn and_skip(mut self, name: &str) -> Self {
        self.0.push(("HOOKPROOF_SKIP", name.to_owned()));
        self
    }
}

/// What a user was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The variant's name.
    pub variant: String,
    /// What the answer rests on.
    pub basis: String,
    /// The grant's state, or `none`.
    pub grant: String,
}

impl Told {
    /// Whether there is a record behind it.
    pub fn is_recorded(&self) -> bool {
        self.basis != "provisional"
    }

    /// Whether there is a record, and nothing is to come.
    pub fn is_settled(&self) -> bool {
        self.is_recorded() && !["pending", "claimed"].contains(&self.grant.as_str())
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Ended,
    /// By SIGKILL.
    Killed,
    /// In any other way.
    Failed,
}

/// A running hook. Dropped, it is killed.
pub struct Child {
    process: std::process::Child,
    log: PathBuf,
    talk: Talk,
}

enum Talk {
    Lines {
        input: Option<ChildStdin>,
        output: Output,
    },
    /// Without an address it died before it listened.
    Http {
        address: Option<String>,
    },
}

/// The lines that a child says, read by a thread of their own: nobody waits for one for ever.
struct Output(Receiver<String>);

impl Output {
    fn read(output: ChildStdout) -> Self {
        let (say, said) = mpsc::channel();
        thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self(said)
    }

    /// The next line; `None` if the child dies first.
    fn next(&self) -> Option<String> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child is there, and says nothing"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended cannot be killed any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Child {
    /// Starts `program` under `harm`; what it says on stderr goes to the file `log`.
    ///
    /// # Panics
    /// If there is no such program, or it should listen and does not say where.
    pub fn start(program: &Program, harm: &Harm, log: &Path) -> Self {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments);
        for variable in
            ["HOOKPROOF_KILL_AT", "HOOKPROOF_STOP_AT", "HOOKPROOF_DISK", "HOOKPROOF_POWER", "HOOKPROOF_SKIP"]
        {
            command.env_remove(variable);
        }
        command.envs(harm.0.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, program.wire, log)
    }

    /// Starts `command`, which is talked to by `wire`.
    ///
    /// # Panics
    /// As of [`Child::start`].
    pub fn spawn(mut command: Command, wire: Wire, log: &Path) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log).expect("the log is ours"));
        let mut process = command.spawn().expect("the program is there");
        let output = Output::read(process.stdout.take().expect("it is piped"));
        let talk = match wire {
            Wire::Lines => Talk::Lines { input: process.stdin.take(), output },
            Wire::Http => {
                let said = output.next();
                let address = said.and_then(|said| said.strip_prefix("listening on http://").map(str::to_owned));
                Talk::Http { address }
            }
        };
        Self { process, log: log.to_owned(), talk }
    }

    /// A visit; `None` if the child is dead, or dies first.
    ///
    /// # Panics
    /// If it gives an answer that is none, or none for a long time.
    pub fn visit(&mut self, user: &str) -> Option<Told> {
        match &mut self.talk {
            Talk::Lines { input, output } => {
                let input = input.as_mut()?;
                writeln!(input, "{user}").and_then(|()| input.flush()).ok()?;
                let line = output.next()?;
                let fields: Vec<_> = line.split('\t').collect();
                let [_, variant, basis, grant] = fields.as_slice() else { return None };
                assert_ne!(*variant, "error", "{line}");
                Some(told(variant, basis, grant))
            }
            Talk::Http { address } => visit_over_http(address.as_deref()?, user),
        }
    }

    /// Where it listens, if it is a sidecar that came so far.
    pub fn address(&self) -> Option<&str> {
        match &self.talk {
            Talk::Lines { .. } => None,
            Talk::Http { address } => address.as_deref(),
        }
    }

    /// What the sidecar answers to a GET of `path`.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn get(&self, path: &str) -> Answer {
        let address = self.address().expect("it listens");
        exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
            .expect("it answers")
    }

    /// To look after it while another thread talks to it.
    pub fn keeper(&self) -> Keeper {
        Keeper(self.pid())
    }

    /// What it has said on stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as an operator does, and waits.
    ///
    /// # Panics
    /// If the operating system does not know it.
    pub fn end(mut self) -> End {
        self.tell_to_end();
        self.wait()
    }

    /// Tells it to end as an operator does.
    ///
    /// # Panics
    /// If the operating system does not know it.
    pub fn tell_to_end(&mut self) {
        let pid = self.pid();
        match &mut self.talk {
            Talk::Lines { input, .. } => drop(input.take()),
            // One that has died is there until it is waited for.
            Talk::Http { .. } => kill_process(pid, Signal::TERM).expect("it is a child"),
        }
    }

    /// Waits until it has ended; one that does not end is killed, and has failed.
    ///
    /// # Panics
    /// If the operating system does not know it.
    pub fn wait(mut self) -> End {
        let Some(status) = wait(|| self.process.try_wait().expect("it is a child")) else { return End::Failed };
        match (status.success(), status.signal()) {
            (true, _) => End::Ended,
            (false, Some(signal)) if signal == Signal::KILL.as_raw() => End::Killed,
            (false, _) => End::Failed,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

/// Who kills a child, or stops it and lets it go on, whatever it is doing.
#[derive(Clone, Copy, Debug)]
pub struct Keeper(Pid);

impl Keeper {
    /// Whether it is stopped.
    ///
    /// # Panics
    /// If the operating system does not know it.
    pub fn is_stopped(self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.0), options).expect("it is a child").is_some_and(|status| status.stopped())
    }

    /// Kills it, if it is there.
    pub fn kill(self) {
        let _ = kill_process(self.0, Signal::KILL);
    }

    /// Stops it, if it is there.
    pub fn stop(self) {
        let _ = kill_process(self.0, Signal::STOP);
    }

    /// Lets it go on where it was stopped, if it is there.
    pub fn go_on(self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

fn told(variant: &str, basis: &str, grant: &str) -> Told {
    Told { variant: variant.to_owned(), basis: basis.to_owned(), grant: grant.to_owned() }
}

fn visit_over_http(address: &str, user: &str) -> Option<Told> {
    let body = format!("{{\"user_id\":\"{user}\"}}");
    let request = format!(
        "POST /v1/visits HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(address, &request).ok()?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    Some(Told {
        variant: text(&body["variant"])?,
        basis: text(&body["assignment"])?,
        grant: text(&body["grant"]["state"]).unwrap_or_else(|| "none".to_owned()),
    })
}
