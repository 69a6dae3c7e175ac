//! A bench for whole hooks: processes, one image, one quota service, and a wire between them, all under the test's hand.
//!
//! Nothing takes time but what a test lets pass: a message is delivered in the order of its sending, at once. That is the
//! hardest case for deadlines, since a machine that asks to be called again at the same instant is called for ever; the
//! bench panics where a call at a deadline neither changes anything nor moves the deadline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hookproof_core::admission::{VisitAnswer, VisitToken};
use hookproof_core::audit::AuditEvent;
use hookproof_core::committer::{Commit, CommitterConfig, Ticket};
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::delivery::{AttemptId, Send};
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::hook::{Hook, HookConfig, Input, Output};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::lineage::Lineage;
use hookproof_core::store::{ClaimNonce, Command, Committed, Epoch, GrantState, Image, Reply};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Ask, Body, Capability, Lost, Request, Upstream};

/// The declared error of the store's clock.
pub const CLOCK_ERROR: Duration = Duration::from_millis(500);
/// The store's time at the origin of the processes' monotonic clock: a whole minute.
pub const STORE_ORIGIN: WallTime = WallTime::from_unix_nanos(1_700_000_040_000_000_000);
/// More steps than any test needs at one instant.
const STEPS_AT_ONE_INSTANT_MAX: u32 = 20_000;

/// What becomes of a commit on its way to the store and back.
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
    /// Executes it, answers this, and keeps that answer under the key for as long as there are tests.
    ApplyAndKeep(Answer),
}

/// A quota service that offers what its capability says and no more, and never lies about what it shows.
#[derive(Clone, Debug)]
pub struct Service {
    /// What is done with the next requests; then [`Service::otherwise`].
    pub script: VecDeque<Handling>,
    /// What is done when the script is over.
    pub otherwise: Handling,
    capability: Capability,
    /// When each key was first used.
    keys: BTreeMap<GrantId, Instant>,
    /// When each grant was first applied.
    grants: BTreeMap<GrantId, Instant>,
    applied: BTreeMap<UserHandle, u32>,
    /// What is answered to each repetition of a key.
    kept: BTreeMap<GrantId, Answer>,
}

impl Service {
    const fn new(capability: Capability) -> Self {
        Self {
            script: VecDeque::new(),
            otherwise: Handling::Apply,
            capability,
            keys: BTreeMap::new(),
            grants: BTreeMap::new(),
            applied: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// How often the user's quota was increased.
    pub fn applied(&self, user: u64) -> u32 {
        self.applied.get(&UserHandle(user)).copied().unwrap_or(0)
    }

    fn handle(&mut self, now: Instant, request: Request) -> Answer {
        if let Some(kept) = self.kept.get(&request.key) {
            return *kept;
        }
        match (self.script.pop_front().unwrap_or(self.otherwise), request.ask) {
            (Handling::Apply, Ask::Apply) => {
                self.apply(now, request);
                status(200)
            }
            (Handling::ApplyAndLose, Ask::Apply) => {
                self.apply(now, request);
                TIMED_OUT
            }
            (Handling::ApplyAndKeep(answer), Ask::Apply) => {
                self.apply(now, request);
                self.kept.insert(request.key, answer);
                answer
            }
            (Handling::Apply | Handling::Answer(Answer::Status { code: 404, .. }), Ask::Read) => {
                self.read(now, request)
            }
            (Handling::ApplyAndLose, Ask::Read) => TIMED_OUT,
            (Handling::Answer(answer), _) | (Handling::ApplyAndKeep(answer), Ask::Read) => answer,
        }
    }

    fn read(&self, now: Instant, request: Request) -> Answer {
        let lag = match self.capability {
            Capability::ReadBack { lag } => lag,
            Capability::PutById | Capability::IdempotencyKey { .. } | Capability::None => Duration::ZERO,
        };
        let shows = self.grants.get(&request.grant).is_some_and(|applied_at| *applied_at + lag <= now);
        status(if shows { 200 } else { 404 })
    }

    fn apply(&mut self, now: Instant, request: Request) {
        let is_known = self.keys.get(&request.key).is_some_and(|first| match self.capability {
            Capability::PutById => true,
            Capability::IdempotencyKey { ttl } => now < *first + ttl,
            Capability::ReadBack { .. } | Capability::None => false,
        });
        if !is_known {
            self.keys.insert(request.key, now);
            self.grants.entry(request.grant).or_insert(now);
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
    lineage: Lineage,
    is_stopping: bool,
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
    /// What becomes of the next commits with an opening; then they are done.
    pub open_fates: VecDeque<Fate>,
    /// The same for commits with an admission or a look at a record.
    pub admit_fates: VecDeque<Fate>,
    /// The same for commits with a claim.
    pub claim_fates: VecDeque<Fate>,
    /// The same for commits with a settlement.
    pub settle_fates: VecDeque<Fate>,
    /// Whether requests wait for [`Bench::answer`] instead of going to the service.
    pub holds_sends: bool,
    /// Whether the store's replies are late: none arrives as long as this is set.
    pub holds_replies: bool,
    /// Requests that wait, in order.
    pub held: Vec<(usize, Send)>,
    /// Everything that was sent: when, by which process, what.
    pub sends: Vec<(Duration, usize, Request)>,
    /// When claims went to the store.
    pub claims: Vec<Duration>,
    /// What they are known by, whoever claimed.
    nonces: BTreeSet<ClaimNonce>,
    /// Commands that went to the store.
    pub command_count: u32,
    /// The largest number of commands in one commit.
    pub batch_largest: usize,
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
    config: HookConfig,
    processes: Vec<Process>,
    wire: VecDeque<Message>,
    steps_at_this_instant: u32,
}

impl Bench {
    /// `process_count` started processes over an empty store, with an experiment that treats everyone.
    pub fn new(config: DeliveryConfig, process_count: usize) -> Self {
        Self::with_lineages(config, vec![only(everyone_is_treated()); process_count])
    }

    /// One started process for each of `lineages` over an empty store.
    pub fn with_lineages(config: DeliveryConfig, lineages: Vec<Lineage>) -> Self {
        let process = |lineage| Process { hook: None, lineage, is_stopping: false, life: 0, is_paused: false };
        let mut bench = Self {
            image: Image::default(),
            service: Service::new(config.upstream.capability),
            open_fates: VecDeque::new(),
            admit_fates: VecDeque::new(),
            claim_fates: VecDeque::new(),
            settle_fates: VecDeque::new(),
            holds_sends: false,
            holds_replies: false,
            held: Vec::new(),
            sends: Vec::new(),
            claims: Vec::new(),
            nonces: BTreeSet::new(),
            command_count: 0,
            batch_largest: 0,
            events: Vec::new(),
            answers: Vec::new(),
            store_stopped_at: None,
            draw: 1 << 63,
            intents: BTreeSet::new(),
            now: Instant::ORIGIN,
            config: HookConfig { delivery: config, committer: CommitterConfig::default() },
            processes: lineages.into_iter().map(process).collect(),
            wire: VecDeque::new(),
            steps_at_this_instant: 0,
        };
        for process in 0..bench.processes.len() {
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
        let slot = &mut self.processes[process];
        let hook = Hook::new(slot.lineage.clone(), self.config.clone()).expect("the settings fit");
        slot.life += 1;
        slot.is_stopping = false;
        slot.hook = Some(hook);
        let draw = (process as u64) << 48 | u64::from(slot.life) << 32;
        self.input(process, Input::Started { draw });
    }

    /// The process that is started there next runs this.
    pub fn deploy(&mut self, process: usize, lineage: Lineage) {
        self.processes[process].lineage = lineage;
    }

    /// Tells a process to end.
    pub fn stop(&mut self, process: usize) {
        self.processes[process].is_stopping = true;
        self.input(process, Input::Stop);
    }

    /// Whether a process may end.
    pub fn is_idle(&self, process: usize) -> bool {
        self.processes[process].hook.as_ref().is_none_or(Hook::is_idle)
    }

    /// Ends a process: all that it knew is gone. What it has sent is still on its way.
    pub fn crash(&mut self, process: usize) {
        self.processes[process].hook = None;
    }

    /// Whether a process runs there and was not told to end.
    pub fn is_alive(&self, process: usize) -> bool {
        self.processes[process].hook.is_some() && !self.processes[process].is_stopping
    }

    /// The store's time.
    pub fn store_now(&self) -> WallTime {
        STORE_ORIGIN + self.store_stopped_at.unwrap_or(self.now())
    }

    /// The store loses every commit since `image` was copied from it, and says so.
    pub fn roll_back(&mut self, image: Image) {
        let epoch = Epoch(self.image.epoch().0 + 1);
        self.image = image;
        self.image.begin_epoch(self.store_now(), epoch);
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
            let is_late = self.holds_replies && matches!(message.content, Content::FromStore(..));
            is_late || (is_incoming && self.processes[message.process].is_paused)
        };
        let Some(position) = self.wire.iter().position(|message| !is_blocked(message)) else { return false };
        let message = self.wire.remove(position).expect("the position was just found");
        self.steps_at_this_instant += 1;
        assert!(self.steps_at_this_instant < STEPS_AT_ONE_INSTANT_MAX, "LOAD-4: the machines spin at one instant");
        let is_alive = self.processes[message.process].life == message.life;
        match message.content {
            Content::ToStore(commit) => {
                let reply = self.execute(commit.commands);
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
                    self.batch_largest = self.batch_largest.max(commit.commands.len());
                    for command in &commit.commands {
                        let Command::Claim(claim) = command else { continue };
                        assert!(
                            self.nonces.insert(claim.nonce),
                            "GRANT-5: a store that was rolled back tells them apart"
                        );
                        self.claims.push(self.now.since(Instant::ORIGIN));
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

    /// What becomes of a commit: the first fate that waits for one of its commands.
    fn fate(&mut self, commands: &[Command]) -> Fate {
        let mut fate = None;
        for command in commands {
            let fates = match command {
                Command::Open(_) => &mut self.open_fates,
                Command::Admit(_) | Command::Find(_) => &mut self.admit_fates,
                Command::Claim(_) => &mut self.claim_fates,
                Command::Settle(_) | Command::Resolve(_) => &mut self.settle_fates,
            };
            if fate.is_none() {
                fate = fates.pop_front();
            }
        }
        fate.unwrap_or(Fate::Done)
    }

    fn execute(&mut self, commands: Vec<Command>) -> Reply {
        let at = self.store_now();
        self.command_count += u32::try_from(commands.len()).expect("a commit is small");
        match self.fate(&commands) {
            Fate::Done => {
                let reply = self.image.commit(at, commands);
                self.note_intents(&reply);
                reply
            }
            Fate::Refused => Reply::Refused,
            Fate::CommandLost => Reply::Unknown,
            Fate::ReplyLost => {
                self.image.commit(at, commands);
                Reply::Unknown
            }
        }
    }

    fn note_intents(&mut self, reply: &Reply) {
        let Reply::Committed { results, .. } = reply else { return };
        for result in results {
            if let Committed::Claimed { grants, .. } = result {
                self.intents.extend(grants.iter().map(|claim| (claim.user, claim.attempts)));
            }
        }
    }
}

/// The defaults for a service with `capability`.
pub const fn config(capability: Capability) -> DeliveryConfig {
    DeliveryConfig::new(Upstream { capability, request_lifetime: Duration::from_secs(5) }, CLOCK_ERROR)
}

/// A service that remembers keys for a day.
pub const WITH_KEYS: Capability = Capability::IdempotencyKey { ttl: Duration::from_secs(86_400) };

/// The share of all users.
pub const EVERYBODY_PPM: u32 = 1_000_000;

/// An experiment of one lineage; `weights` are those of the control, which is the baseline, and of the treatment.
pub fn experiment(coverage_ppm: u32, weights: [u32; 2]) -> Experiment {
    of_lineage("bench", HashSpec::Sha256V1, coverage_ppm, weights)
}

/// An experiment whose every user is treated; the first variant is the baseline.
pub fn everyone_is_treated() -> Experiment {
    experiment(EVERYBODY_PPM, [0, 1])
}

/// An experiment of the lineage `lineage` with the hash `hash`.
pub fn of_lineage(lineage: &str, hash: HashSpec, coverage_ppm: u32, weights: [u32; 2]) -> Experiment {
    let grant = GrantSpec { units: 10, effect: "quota".to_owned() };
    let variant = |name: &str, weight, grant| VariantSpec { name: name.to_owned(), weight, grant };
    Experiment::new(Spec {
        id: "bench".to_owned(),
        namespace: "tests".to_owned(),
        lineage: Some(lineage.to_owned()),
        version: "1".to_owned(),
        hash,
        salt: None,
        coverage_ppm,
        variants: vec![variant("control", weights[0], None), variant("treatment", weights[1], Some(grant))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    })
    .expect("the experiment is permitted")
}

/// A lineage of one version.
pub fn only(experiment: Experiment) -> Lineage {
    among(experiment, Vec::new())
}

/// A version among others of its lineage.
pub fn among(experiment: Experiment, others: Vec<Experiment>) -> Lineage {
    Lineage::new(experiment, others).expect("they are of one lineage")
}
