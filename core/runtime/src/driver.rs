//! One task that drives a process's machines: each output becomes one operation of the store or of the quota service, whose end
//! comes back as one input.
//!
//! Owns the handles, the visits that wait, and the order of inputs; decides nothing. The machines are told the time of each
//! input as it is fed, and chance from the operating system.
//!
//! Memory: each visit that waits, each grant that is claimed (no more than the fleet's limit, and at most 1,024 whose settlement
//! the store does not take), each command that waits for a commit, and [`Known`]. A backlog of grants is in the store
//! and takes none.

mod sent;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::admission::{VisitAnswer, VisitToken};
use hookproof_core::committer::{Commit, Ticket};
use hookproof_core::delivery::{AttemptId, Send};
use hookproof_core::hook::{Hook, Input, Outbox, Output};
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::{Command, Committed, Epoch, Reply, Resolve};
use hookproof_core::upstream::Answer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use self::sent::Sent;
use crate::client::{Call, Client};
use crate::clock::BootClock;
use crate::known::Known;
use crate::operator::{Order, ResolveError, StoreState};
use crate::store::{Done, Store, User, Work};
use crate::telemetry::Telemetry;
use crate::users::{Numbered, Users};

/// Longer waits are waited in parts: a timer's range has an end.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Visits that are taken before the ends of operations are looked at again.
const VISITS_IN_A_TURN: usize = 128;

/// A visit's answer, with the user's grant.
pub(crate) type Answered = (VisitAnswer, Option<GrantId>);

/// A visit on its way to the driver.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) user: User,
    pub(crate) answer: oneshot::Sender<Answered>,
}

/// What a driver works with.
pub(crate) struct Parts {
    pub(crate) hook: Hook<Outputs>,
    pub(crate) store: Arc<Store>,
    pub(crate) client: Client,
    pub(crate) known: Arc<Known>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) visits: mpsc::Receiver<Visit>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) store_state: watch::Sender<StoreState>,
    /// Told, or dropped, to stop.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// What the machines want done, a commit before all else: the store would have nothing to do while everybody is answered.
#[derive(Debug, Default)]
pub(crate) struct Outputs(VecDeque<Output>);

impl Outbox for Outputs {
    fn put(&mut self, output: Output) {
        match output {
            Output::Store(_) => {
                assert!(!matches!(self.0.front(), Some(Output::Store(_))), "there is one commit under way at a time");
                self.0.push_front(output);
            }
            Output::Answer(..) | Output::Send(_) | Output::Audit(_) => self.0.push_back(output),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The end of an operation.
#[derive(Debug)]
enum Event {
    Stored { ticket: Ticket, done: Done, sent: Sent },
    Ordered { order: Order, done: Done },
    Answered { attempt: AttemptId, answer: Answer },
}

/// See the module.
pub(crate) struct Driver {
    hook: Hook<Outputs>,
    clock: BootClock,
    store: Arc<Store>,
    client: Arc<Client>,
    known: Arc<Known>,
    telemetry: Arc<Telemetry>,
    users: Users,
    visits: mpsc::Receiver<Visit>,
    waiting: Numbered<VisitToken, (UserHandle, oneshot::Sender<Answered>)>,
    visit_count: u64,
    orders: mpsc::Receiver<Order>,
    /// Orders whose commit is under way.
    ordered_count: usize,
    store_state: watch::Sender<StoreState>,
    epoch: Epoch,
    ended: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    stop: Option<oneshot::Receiver<()>>,
    /// No visit comes any more, and none waits to be taken.
    is_last_visit_taken: bool,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { hook, store, client, known, telemetry, visits, orders, store_state, stop } = parts;
        let (ended, events) = mpsc::unbounded_channel();
        Self {
            hook,
            clock: BootClock::start(),
            store,
            client: Arc::new(client),
            known,
            telemetry,
            users: Users::new(),
            visits,
            waiting: Numbered::default(),
            visit_count: 0,
            orders,
            ordered_count: 0,
            store_state,
            epoch: Epoch::default(),
            ended,
            events,
            stop: Some(stop),
            is_last_visit_taken: false,
        }
    }

    /// Runs until it was told to stop and nothing is under way any more.
    pub(crate) async fn run(mut self) {
        self.feed(Input::Started { draw: rand::random() });
        while !self.is_done() {
            self.turn().await;
        }
    }

    fn is_done(&self) -> bool {
        self.is_last_visit_taken && self.hook.is_idle() && self.waiting.is_empty() && self.ordered_count == 0
    }

    /// Waits for something to happen, and does what follows.
    async fn turn(&mut self) {
        let wait = self.until_deadline();
        // The ends of operations first: they free what visits wait for, and there are no more of them than were begun.
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => self.on_event(event),
            () = told(&mut self.stop), if self.stop.is_some() => {
                self.stop = None;
                self.visits.close();
                self.orders.close();
                self.feed(Input::Stop);
            }
            () = sleep(wait) => {
                self.hook.handle_timeout(self.clock.now());
                self.perform();
            }
            visit = self.visits.recv(), if !self.is_last_visit_taken => match visit {
                Some(visit) => self.on_visits(visit),
                None => self.is_last_visit_taken = true,
            },
            Some(order) = self.orders.recv() => self.on_order(order),
        }
    }

    fn until_deadline(&self) -> Duration {
        let now = self.clock.now();
        self.hook.next_deadline(now).map_or(WAIT_MAX, |at| at.since(now).min(WAIT_MAX))
    }

    /// A turn takes what has arrived by then, since a turn's timer costs as much as a visit. The ends of operations wait for no more than
    /// a commit's worth of them.
    fn on_visits(&mut self, first: Visit) {
        self.on_visit(first);
        for _ in 1..VISITS_IN_A_TURN {
            let Ok(visit) = self.visits.try_recv() else { break };
            self.on_visit(visit);
        }
    }

    fn on_visit(&mut self, Visit { user, answer }: Visit) {
        self.sweep_users();
        let visit = VisitToken(self.visit_count);
        self.visit_count += 1;
        let id = Arc::clone(&user.id);
        let user = self.users.handle(user);
        self.waiting.insert(visit, (user, answer));
        self.feed(Input::Visit { visit, user, user_id: id.as_bytes() });
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Stored { ticket, done, sent } => self.on_stored(ticket, done, &sent),
            Event::Ordered { order, done } => self.on_ordered(order, &done),
            Event::Answered { attempt, answer } => {
                self.feed(Input::Answered { attempt, answer, draw: rand::random() });
            }
        }
    }

    fn on_stored(&mut self, ticket: Ticket, mut done: Done, sent: &Sent) {
        self.on_epoch(done.epoch);
        self.sweep_users();
        self.name_users(&mut done, &sent.users);
        self.learn_state(&done.reply);
        let news = sent.news(&done.reply);
        self.hook.handle_input(self.clock.now(), Input::Stored { ticket, reply: done.reply, draw: rand::random() });
        // Answers wait until this is remembered, for their users may come again at once; the next commit does not.
        self.perform_commit();
        news.tell(&self.known, &done.users);
        self.perform();
    }

    /// An operator's word goes to the store by itself: no machine waits for what comes of it.
    fn on_order(&mut self, order: Order) {
        let Order { stored, grant, resolution, .. } = &order;
        let resolve = Resolve { user: UserHandle(0), grant: *grant, resolution: *resolution };
        let work = Work { commands: vec![Command::Resolve(resolve)], users: vec![stored.user.clone()] };
        self.ordered_count += 1;
        let (done, ended) = (self.store.commit(work, self.epoch), self.ended.clone());
        tokio::spawn(async move {
            let _ = ended.send(Event::Ordered { order, done: done.await });
        });
    }

    fn on_ordered(&mut self, order: Order, done: &Done) {
        self.ordered_count -= 1;
        self.on_epoch(done.epoch);
        self.known.forget(&order.stored.user.id);
        let answer = match &done.reply {
            Reply::Committed { results, .. } => match results.first() {
                Some(Committed::Resolved { was_parked: true, .. }) => Ok(()),
                Some(_) | None => Err(ResolveError::NotParked),
            },
            Reply::Refused => Err(ResolveError::Refused),
            Reply::Unknown => Err(ResolveError::Unknown),
        };
        if answer.is_ok() {
            self.telemetry.on_resolved(&order.stored.user, order.grant, order.resolution);
        }
        // Who gave it may have gone.
        let _ = order.answer.send(answer);
        self.feed(Input::StoreChanged);
    }

    fn feed(&mut self, input: Input<'_>) {
        self.hook.handle_input(self.clock.now(), input);
        self.perform();
    }

    /// Begins what the machines want done.
    fn perform(&mut self) {
        while let Some(output) = self.hook.outbox_mut().0.pop_front() {
            self.begin(output);
        }
    }

    /// Begins the next commit, if there is one to begin.
    fn perform_commit(&mut self) {
        if let Some(Output::Store(_)) = self.hook.outbox().0.front()
            && let Some(commit) = self.hook.outbox_mut().0.pop_front()
        {
            self.begin(commit);
        }
    }

    fn begin(&mut self, output: Output) {
        match output {
            Output::Answer(visit, answer) => {
                if let Some((user, waiting)) = self.waiting.remove(&visit) {
                    // Who asked may have gone.
                    let _ = waiting.send((answer, self.users.get(user).grant));
                }
            }
            Output::Store(commit) => self.commit(commit),
            Output::Send(send) => self.send(send),
            Output::Audit(event) => self.telemetry.on_audit(event, |user| self.users.get(user)),
        }
    }

    fn commit(&mut self, commit: Commit) {
        let Commit { ticket, mut commands, into: _ } = commit;
        let sent = Sent::of(&mut commands);
        let users = sent.users.iter().map(|user| self.users.get(*user).clone()).collect();
        let (began_at, count) = (Instant::now(), commands.len());
        let done = self.store.commit(Work { commands, users }, self.epoch);
        let (telemetry, ended) = (Arc::clone(&self.telemetry), self.ended.clone());
        tokio::spawn(async move {
            let done = done.await;
            telemetry.on_commit(began_at.elapsed(), count, &done.reply);
            // The driver may have stopped waiting.
            let _ = ended.send(Event::Stored { ticket, done, sent });
        });
    }

    fn send(&self, Send { attempt, request }: Send) {
        let User { id, correlation, .. } = self.users.get(request.user).clone();
        let call = Call { request, user: id, correlation };
        let (client, ended) = (Arc::clone(&self.client), self.ended.clone());
        let telemetry = Arc::clone(&self.telemetry);
        telemetry.on_attempt_begins();
        tokio::spawn(async move {
            let began_at = Instant::now();
            let answer = client.call(call).await;
            telemetry.on_attempt_ends(began_at.elapsed(), request.ask, answer);
            let _ = ended.send(Event::Answered { attempt, answer });
        });
    }

    /// In another epoch, what was remembered of the store may be lost.
    fn on_epoch(&mut self, epoch: Epoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.known.forget_all();
        }
    }

    /// Whether the store is ours.
    fn learn_state(&self, reply: &Reply) {
        let Reply::Committed { results, .. } = reply else { return };
        for result in results {
            let state = match result {
                Committed::Opened { .. } => StoreState::Open,
                Committed::Foreign => StoreState::Foreign,
                Committed::Admitted { .. }
                | Committed::Found { .. }
                | Committed::Claimed { .. }
                | Committed::Settled { .. }
                | Committed::Resolved { .. } => continue,
            };
            self.store_state.send_replace(state);
        }
    }

    /// Gives the users of a reply the handles by which the machines know them. The store's word on them counts: the correlation of the
    /// first exposure goes with every request, not that of a later visit.
    fn name_users(&mut self, done: &mut Done, sent: &[UserHandle]) {
        for (user, stored) in sent.iter().zip(&done.users) {
            self.users.set(*user, stored);
        }
        let Reply::Committed { results, .. } = &mut done.reply else { return };
        for result in results {
            if let Committed::Claimed { grants, .. } = result {
                for grant in grants {
                    let place = usize::try_from(grant.user.0).expect("a store's handles are places");
                    grant.user = match sent.get(place) {
                        Some(user) => *user,
                        None => self.users.stored(&done.users[place]),
                    };
                }
            }
        }
    }

    /// Forgets who is not named any more, whenever there may be many: a process that only delivers meets new users, too.
    fn sweep_users(&mut self) {
        if self.users.is_to_be_swept() {
            self.users.sweep(self.hook.users().chain(self.waiting.values().map(|(user, _)| *user)));
        }
    }
}

/// Waits until it is told to stop, or whoever could tell has gone.
async fn told(stop: &mut Option<oneshot::Receiver<()>>) {
    if let Some(stop) = stop {
        let _ = stop.await;
    }
}
