//! A bench for whole hooks: processes, one image, one quota service, and a wire between them, all under the test's hand.
//!
//! Nothing takes time but what a test lets pass: a message is delivered in the order of its sending, at once. That is the
//! hardest case for deadlines, since a machine that asks to be called again at the same instant is called for ever; the
//! bench panics where a call at a deadline neither changes anything nor moves the deadline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hookproof_core::admission::{VisitAnswer, VisitToken};
use hookproof_core::audit::AuditEvent;
use hookproof_core::committer::{Commit, Ticket};
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::delivery::{AttemptId, Send};
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::hook::{Hook, Input, Output};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{Command, Committed, GrantState, Image, Reply};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Body, Capability, Lost, Request, Upstream};

/// The declared error of the store's clock.
pub const CLOCK_ERROR: Duration = Duration::from_millis(500);
/// The store's time at the origin of the processes' monotonic clock.
const STORE_ORIGIN: WallTime = WallTime::from_unix_nanos(1_700_000_000_000_000_000);
/// More steps than any test needs at one instant.
const STEPS_AT_ONE_INSTANT_MAX: u32 = 20_000;

/// What becomes of a command on its way to the store and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Done and acknowledged.
    Done,
    /// Not done, and the process knows.
    Refused,
    /// Done, and the process does not know.
    ReplyLost,
    /// Not done, and the process does not know.
    CommandLost,
}

/// What the quota service does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Executes it (unless it knows the key) and says so.
    Apply,
    /// Executes it, and the answer is lost.
    ApplyAndLose,
    /// Does not execute it, and answers this.
    Answer(Answer),
}

/// A quota service with idempotency keys.
#[derive(Clone, Debug)]
pub struct Service {
    /// What is done with the next requests; then [`Service::otherwise`].
    pub script: VecDeque<Handling>,
    /// What is done when the script is over.
    pub otherwise: Handling,
    /// How long a key is remembered.
    pub ttl: Duration,
    keys: BTreeMap<GrantId, Instant>,
    applied: BTreeMap<UserHandle, u32>,
}

impl Service {
    /// How often the user's quota was increased.
    pub fn applied(&self, user: u64) -> u32 {
        self.applied.get(&UserHandle(user)).copied().unwrap_or(0)
    }

    fn handle(&mut self, now: Instant, request: Request) -> Answer {
        match self.script.pop_front().unwrap_or(self.otherwise) {
            Handling::Apply => {
                self.apply(now, request);
                status(200)
            }
            Handling::ApplyAndLose => {
                self.apply(now, request);
                TIMED_OUT
            }
            Handling::Answer(answer) => answer,
        }
    }

    fn apply(&mut self, now: Instant, request: Request) {
        let is_known = self.keys.get(&request.key).is_some_and(|first| now < *first + self.ttl);
        if !is_known {
            self.keys.insert(request.key, now);
            *self.applied.entry(request.user).or_insert(0) += 1;
        }
    }
}

/// An attempt without an answer in time.
pub const TIMED_OUT: Answer = Answer::Lost(Lost::Timeout);

/// A complete answer with a well-formed body.
pub const fn status(code: u16) -> Answer {
    Answer::Status { code, body: Body::WellFormed, retry_after: None }
}

/// The same with `Retry-After`.
pub const fn status_after(code: u16, retry_after: Duration) -> Answer {
    Answer::Status { code, body: Body::WellFormed, retry_after: Some(retry_after) }
}

/// A message under way; `process` and `life` tell whose it is.
#[derive(Clone, Debug)]
struct Message {
    process: usize,
    life: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    ToStore(Commit),
    FromStore(Ticket, Reply),
    ToService(Send),
    FromService(AttemptId, Answer),
}

#[derive(Clone, Debug)]
struct Process {
    hook: Option<Hook>,
    life: u32,
    is_paused: bool,
}

/// The bench.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The store's content.
    pub image: Image,
    /// The quota service.
    pub service: Service,
    /// What becomes of the next openings; then they are done.
    pub open_fates: VecDeque<Fate>,
    /// The same for admissions.
    pub admit_fates: VecDeque<Fate>,
    /// The same for claims.
    pub claim_fates: VecDeque<Fate>,
    /// The same for settlements.
    pub settle_fates: VecDeque<Fate>,
    /// Whether requests wait for [`Bench::answer`] instead of going to the service.
    pub holds_sends: bool,
    /// Requests that wait, in order.
    pub held: Vec<(usize, Send)>,
    /// Everything that was sent: when, by which process, what.
    pub sends: Vec<(Duration, usize, Request)>,
    /// When claims went to the store.
    pub claims: Vec<Duration>,
    /// Commands that the store has executed.
    pub command_count: u32,
    /// What was audited.
    pub events: Vec<AuditEvent>,
    /// What visits were answered.
    pub answers: Vec<VisitAnswer>,
    /// Where the store's clock has stopped, if it has; it then stays below the processes' bound.
    pub store_stopped_at: Option<Duration>,
    /// The chance that every draw gives.
    pub draw: u64,
    /// Claims that the store has executed: whose, and which attempt.
    intents: BTreeSet<(UserHandle, u32)>,
    now: Instant,
    config: DeliveryConfig,
    processes: Vec<Process>,
    wire: VecDeque<Message>,
    steps_at_this_instant: u32,
}

impl Bench {
    /// `process_count` started processes over an empty store.
    pub fn new(config: DeliveryConfig, process_count: usize) -> Self {
        let ttl = match config.upstream.capability {
            Capability::IdempotencyKey { ttl } => ttl,
            Capability::PutById | Capability::ReadBack { .. } | Capability::None => Duration::MAX,
        };
        let mut bench = Self {
            image: Image::default(),
            service: Service {
                script: VecDeque::new(),
                otherwise: Handling::Apply,
                ttl,
                keys: BTreeMap::new(),
                applied: BTreeMap::new(),
            },
            open_fates: VecDeque::new(),
            admit_fates: VecDeque::new(),
            claim_fates: VecDeque::new(),
            settle_fates: VecDeque::new(),
            holds_sends: false,
            held: Vec::new(),
            sends: Vec::new(),
            claims: Vec::new(),
            command_count: 0,
            events: Vec::new(),
            answers: Vec::new(),
            store_stopped_at: None,
            draw: 1 << 63,
            intents: BTreeSet::new(),
            now: Instant::ORIGIN,
            config,
            processes: vec![Process { hook: None, life: 0, is_paused: false }; process_count],
            wire: VecDeque::new(),
            steps_at_this_instant: 0,
        };
        for process in 0..process_count {
            bench.start(process);
        }
        bench
    }

    /// The time since the bench was made.
    pub fn now(&self) -> Duration {
        self.now.since(Instant::ORIGIN)
    }

    /// Starts a process, in place of the one that ran there.
    pub fn start(&mut self, process: usize) {
        let hook = Hook::new(everyone_is_treated(), self.config.clone(), CLOCK_ERROR).expect("the settings fit");
        let slot = &mut self.processes[process];
        slot.life += 1;
        slot.hook = Some(hook);
        self.input(process, Input::Started);
    }

    /// Ends a process: all that it knew is gone. What it has sent is still on its way.
    pub fn crash(&mut self, process: usize) {
        self.processes[process].hook = None;
    }

    /// Whether a process runs there.
    pub fn is_alive(&self, process: usize) -> bool {
        self.processes[process].hook.is_some()
    }

    /// From here on a process neither hears nor says anything.
    pub fn pause(&mut self, process: usize) {
        self.processes[process].is_paused = true;
    }

    /// A paused process goes on with what has come for it meanwhile.
    pub fn resume(&mut self, process: usize) {
        self.processes[process].is_paused = false;
    }

    /// A user visits; the answer is in [`Bench::answers`] after the store's reply.
    pub fn visit(&mut self, process: usize, user: u64) {
        let user_id = format!("user-{user}");
        let visit = Input::Visit { visit: VisitToken(user), user: UserHandle(user), user_id: user_id.as_bytes() };
        self.input(process, visit);
    }

    /// Visits by the users `0..user_count`.
    pub fn visit_all(&mut self, process: usize, user_count: u64) {
        (0..user_count).for_each(|user| self.visit(process, user));
    }

    /// Answers the held request at `index`.
    pub fn answer(&mut self, index: usize, answer: Answer) {
        let (process, send) = self.held.remove(index);
        self.post(process, Content::FromService(send.attempt, answer));
        self.settle_down();
    }

    /// Delivers the next message. Returns whether there was one.
    pub fn step(&mut self) -> bool {
        let is_blocked = |message: &Message| {
            let is_incoming = matches!(message.content, Content::FromStore(..) | Content::FromService(..));
            is_incoming && self.processes[message.process].is_paused
        };
        let Some(position) = self.wire.iter().position(|message| !is_blocked(message)) else { return false };
        let message = self.wire.remove(position).expect("the position was just found");
        self.steps_at_this_instant += 1;
        assert!(self.steps_at_this_instant < STEPS_AT_ONE_INSTANT_MAX, "LOAD-4: the machines spin at one instant");
        let is_alive = self.processes[message.process].life == message.life;
        match message.content {
            Content::ToStore(commit) => {
                let reply = self.execute(commit.command);
                self.wire.push_back(Message { content: Content::FromStore(commit.ticket, reply), ..message });
            }
            Content::ToService(send) => {
                let answer = self.service.handle(self.now, send.request);
                self.wire.push_back(Message { content: Content::FromService(send.attempt, answer), ..message });
            }
            Content::FromStore(ticket, reply) if is_alive => {
                self.input(message.process, Input::Stored { ticket, reply, draw: self.draw });
            }
            Content::FromService(attempt, answer) if is_alive => {
                self.input(message.process, Input::Answered { attempt, answer, draw: self.draw });
            }
            Content::FromStore(..) | Content::FromService(..) => {}
        }
        true
    }

    /// Delivers messages until none is left.
    pub fn settle_down(&mut self) {
        while self.step() {}
    }

    /// Lets time pass. Processes are called at their deadlines; messages are delivered at once.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle_down();
            let Some((at, process)) = self.next_deadline().filter(|(at, _)| *at <= end) else { break };
            self.move_to(at.max(self.now));
            self.call_at_deadline(process);
        }
        self.move_to(end);
    }

    /// Lets time pass while nobody does anything.
    pub fn freeze_for(&mut self, duration: Duration) {
        self.move_to(self.now + duration);
    }

    /// The state of a user's grant.
    pub fn state(&self, user: u64) -> Option<GrantState> {
        self.image.grant_state(UserHandle(user))
    }

    /// How many of the users `0..user_count` have a grant in `state`.
    pub fn count(&self, user_count: u64, state: GrantState) -> usize {
        (0..user_count).filter(|user| self.state(*user) == Some(state)).count()
    }

    /// How many events `is` holds for.
    pub fn event_count(&self, is: impl Fn(&AuditEvent) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }

    /// Requests that were sent for a user.
    pub fn sends_of(&self, user: u64) -> Vec<Request> {
        self.sends.iter().map(|(_, _, request)| *request).filter(|request| request.user.0 == user).collect()
    }

    /// A process's next deadline.
    pub fn deadline(&self, process: usize) -> Option<Instant> {
        self.processes[process].hook.as_ref().and_then(|hook| hook.next_deadline(self.now))
    }

    fn next_deadline(&self) -> Option<(Instant, usize)> {
        (0..self.processes.len())
            .filter(|process| !self.processes[*process].is_paused)
            .filter_map(|process| self.deadline(process).map(|at| (at, process)))
            .min()
    }

    fn call_at_deadline(&mut self, process: usize) {
        let before = self.wire.len() + self.held.len() + self.events.len();
        let Some(hook) = &mut self.processes[process].hook else { return };
        hook.handle_timeout(self.now);
        self.drain(process);
        if self.wire.len() + self.held.len() + self.events.len() == before {
            assert!(
                self.deadline(process).is_none_or(|at| at > self.now),
                "a call at its deadline changed nothing, and the deadline stays"
            );
        }
    }

    fn move_to(&mut self, at: Instant) {
        if at > self.now {
            self.steps_at_this_instant = 0;
        }
        self.now = at;
    }

    fn input(&mut self, process: usize, input: Input<'_>) {
        let Some(hook) = &mut self.processes[process].hook else { return };
        hook.handle_input(self.now, input);
        self.drain(process);
    }

    fn drain(&mut self, process: usize) {
        while let Some(output) = self.processes[process].hook.as_mut().and_then(Hook::poll_output) {
            match output {
                Output::Answer(_, answer) => self.answers.push(answer),
                Output::Audit(event) => self.events.push(event),
                Output::Store(commit) => {
                    if let Command::Claim(_) = commit.command {
                        self.claims.push(self.now());
                    }
                    self.post(process, Content::ToStore(commit));
                }
                Output::Send(send) => self.on_send(process, send),
            }
        }
    }

    fn on_send(&mut self, process: usize, send: Send) {
        let intent = (send.request.user, send.request.attempt);
        assert!(self.intents.contains(&intent), "a request without a durable intent to send it");
        self.sends.push((self.now(), process, send.request));
        if self.holds_sends {
            self.held.push((process, send));
        } else {
            self.post(process, Content::ToService(send));
        }
    }

    fn post(&mut self, process: usize, content: Content) {
        let life = self.processes[process].life;
        self.wire.push_back(Message { process, life, content });
    }

    fn execute(&mut self, command: Command) -> Reply {
        let fates = match command {
            Command::Open => &mut self.open_fates,
            Command::Admit(_) => &mut self.admit_fates,
            Command::Claim(_) => &mut self.claim_fates,
            Command::Settle(_) => &mut self.settle_fates,
        };
        let fate = fates.pop_front().unwrap_or(Fate::Done);
        let at = STORE_ORIGIN + self.store_stopped_at.unwrap_or(self.now());
        self.command_count += 1;
        match fate {
            Fate::Done => {
                let result = self.image.apply(at, command);
                if let Committed::Claimed { grants, .. } = &result {
                    self.intents.extend(grants.iter().map(|claim| (claim.user, claim.attempts)));
                }
                Reply::Committed { at, result }
            }
            Fate::Refused => Reply::Refused,
            Fate::CommandLost => Reply::Unknown,
            Fate::ReplyLost => {
                self.image.apply(at, command);
                Reply::Unknown
            }
        }
    }
}

/// Settings of a single process for a service with `capability`.
pub const fn config(capability: Capability) -> DeliveryConfig {
    DeliveryConfig::new(Upstream { capability, request_lifetime: Duration::from_secs(5) }, 1)
}

/// A service that remembers keys for a day.
pub const WITH_KEYS: Capability = Capability::IdempotencyKey { ttl: Duration::from_secs(86_400) };

/// An experiment whose every user is treated; the first variant is the baseline.
pub fn everyone_is_treated() -> Experiment {
    let grant = GrantSpec { units: 10, effect: "quota".to_owned() };
    Experiment::new(Spec {
        id: "bench".to_owned(),
        namespace: "tests".to_owned(),
        lineage: None,
        version: "1".to_owned(),
        hash: HashSpec::Sha256V1,
        salt: None,
        coverage_ppm: 1_000_000,
        variants: vec![
            VariantSpec { name: "control".to_owned(), weight: 0, grant: None },
            VariantSpec { name: "treatment".to_owned(), weight: 1, grant: Some(grant) },
        ],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    })
    .expect("the experiment is permitted")
}
