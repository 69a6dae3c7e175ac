//! A store, a service, and all that anybody was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::child::{Child, End, Harm, Program, Told};
use super::service::{Ambiguity, Service};
use super::{PATIENCE, PAUSE};

/// Where a child can be harmed. Each is passed on the way from a visit to a recorded receipt.
pub const PLACES: [&str; 12] = [
    "admit.begin",
    "admit.written",
    "admit.durable",
    "claim.begin",
    "claim.written",
    "claim.durable",
    "call.begin",
    "call.head",
    "call.end",
    "settle.begin",
    "settle.written",
    "settle.durable",
];
/// New users who are treated, of each child that is killed; about as many again are not.
const TREATED: usize = 3;
/// One of so many children comes to a place.
const CHILDREN_MAX: u32 = 20;
/// The variant that is granted.
pub const TREATMENT: &str = "extra-quota";

/// What an unharmed hook came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// Users whose grant is delivered.
    pub delivered: BTreeSet<String>,
    /// Users whose grant waits for a human.
    pub parked: BTreeSet<String>,
}

/// See the module.
pub struct World {
    /// The quota service.
    pub service: Service,
    /// The hook.
    pub program: Program,
    /// Everybody who visited.
    pub users: Vec<String>,
    /// What is held against the hook so far.
    pub findings: Vec<String>,
    /// Children that were started.
    child_count: u64,
    /// Children that were killed.
    pub kill_count: u64,
    /// Answers without a record.
    pub provisional_count: u64,
    /// What each user was told last with a record behind it.
    told: BTreeMap<String, Told>,
    /// For whom the service had been asked when the present child began.
    asked: BTreeSet<String>,
    folder: TempDir,
}

impl World {
    /// A world in which `program`, told the folder and the service's URL, makes the hook.
    ///
    /// # Panics
    /// If there is no room for temporary files.
    pub fn new(service: Service, program: impl FnOnce(&Path, &str) -> Program) -> Self {
        // Where syncing costs nothing, if there is such a place: a test that pulls the plug takes away what was not synced.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room");
        let program = program(folder.path(), &service.url);
        Self {
            service,
            program,
            users: Vec::new(),
            findings: Vec::new(),
            child_count: 0,
            kill_count: 0,
            provisional_count: 0,
            told: BTreeMap::new(),
            asked: BTreeSet::new(),
            folder,
        }
    }

    /// A file of this world's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a child under `harm`.
    pub fn start(&mut self, harm: &Harm) -> Child {
        self.asked = self.service.ledger().asked.keys().cloned().collect();
        self.child_count += 1;
        Child::start(&self.program, harm, &self.path(&format!("log-{}", self.child_count)))
    }

    /// A new user.
    pub fn newcomer(&mut self) -> String {
        let user = format!("user-{}", self.users.len());
        self.users.push(user.clone());
        user
    }

    /// One child under `harm`. It is visited until it dies, or until it has settled what it promised to `treated` new users. Returns how it
    /// ended, and what it said on stderr.
    pub fn cycle(&mut self, harm: &Harm, treated: usize, ambiguity: Option<Ambiguity>) -> (End, String) {
        self.service.behave(ambiguity);
        let mut child = self.start(harm);
        // Dead or alive.
        let _ = self.visit_until_settled(&mut child, treated);
        let log = self.path(&format!("log-{}", self.child_count));
        let end = child.end();
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        // A long run has thousands of logs, in memory where the world is.
        let _ = std::fs::remove_file(log);
        self.kill_count += u64::from(end == End::Killed);
        (end, said)
    }

    /// At each place a child is killed when it comes there for the `come`-th time, if it does. Where it comes once, one is for certain.
    ///
    /// # Panics
    /// If no child ever comes to a place, or one ends in another way.
    pub fn kill_everywhere(&mut self, ambiguity: Ambiguity, come: u64) {
        for place in PLACES {
            let mut children = 0;
            while self.kill_at(place, come, ambiguity) == End::Ended && come == 1 {
                // What a child does may be mixed with what others have left, and is another place then.
                children += 1;
                assert!(children < CHILDREN_MAX, "{place} was never come to under {ambiguity:?}");
            }
        }
    }

    fn kill_at(&mut self, place: &str, come: u64, ambiguity: Ambiguity) -> End {
        let (end, log) = self.cycle(&Harm::kill_at(place, come), TREATED, Some(ambiguity));
        assert_ne!(end, End::Failed, "{place}: {log}");
        end
    }

    /// Visits until `treated` new users have what they were promised; `None` if the child dies first.
    pub fn visit_until_settled(&mut self, child: &mut Child, treated: usize) -> Option<()> {
        let open = self.users_with(child, TREATMENT, treated)?;
        for user in open {
            self.visit_until(child, &user, Told::is_settled)?;
        }
        Some(())
    }

    /// New users visit until `count` of them are shown `variant`, and have a record of it; `None` if the child dies first.
    pub fn users_with(&mut self, child: &mut Child, variant: &str, count: usize) -> Option<Vec<String>> {
        let mut found = Vec::new();
        while found.len() < count {
            let user = self.newcomer();
            if self.visit_until(child, &user, Told::is_recorded)?.variant == variant {
                found.push(user);
            }
        }
        Some(found)
    }

    /// Everybody who has visited does so again, until there is a record; `None` if the child dies first.
    pub fn visit_all(&mut self, child: &mut Child) -> Option<()> {
        for user in self.users.clone() {
            self.visit_until(child, &user, Told::is_recorded)?;
        }
        Some(())
    }

    /// Visits until `is_enough` of the answer, or for a long time; `None` if the child dies first.
    pub fn visit_until(&mut self, child: &mut Child, user: &str, is_enough: fn(&Told) -> bool) -> Option<Told> {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.visit(child, user)?;
            if is_enough(&told) {
                return Some(told);
            }
            if Instant::now() > until {
                self.findings.push(format!("GRANT-3: {user} is still told {told:?}: {}", child.log()));
                return Some(told);
            }
            thread::sleep(PAUSE);
        }
    }

    /// A visit, whose answer is judged; `None` if the child dies first.
    pub fn visit(&mut self, child: &mut Child, user: &str) -> Option<Told> {
        let told = child.visit(user)?;
        self.hear(user, &told);
        Some(told)
    }

    /// Judges what `user` was told by a child that is the only one.
    pub fn hear(&mut self, user: &str, told: &Told) {
        self.findings.extend(self.moved(user, told));
        if !told.is_recorded() {
            self.provisional_count += 1;
            return;
        }
        let effects = self.service.ledger().effects.get(user).copied().unwrap_or_default();
        let mut findings = Vec::new();
        if told.grant == "delivered" && effects == 0 {
            findings.push(format!("AUDIT-1: {user} has a receipt without an effect"));
        }
        if told.basis == "first-exposure" && self.asked.contains(user) {
            findings.push(format!("GRANT-2: a grant was asked for {user}, who had no record"));
        }
        if let Some(before) = self.told.insert(user.to_owned(), told.clone()) {
            if told.basis == "first-exposure" {
                findings.push(format!("AUDIT-1: the record of {user} was lost"));
            }
            if before.is_settled() && before.grant != told.grant {
                findings.push(format!("GRANT-5: {user} was {} and is {}", before.grant, told.grant));
            }
        }
        self.findings.append(&mut findings);
    }

    /// Judges what `user` was told by an instance that stood still while another one went on: it may not know how far the grant has come since, nor
    /// that there is a record, but it moves nobody.
    pub fn hear_resumed(&mut self, user: &str, told: &Told) {
        self.findings.extend(self.moved(user, told));
    }

    /// `ASSIGN-1`: whoever was shown a variant with a record behind it is shown the same again, or the baseline in an answer that rests on none.
    fn moved(&self, user: &str, told: &Told) -> Option<String> {
        let before = self.told.get(user)?;
        let is_baseline = !told.is_recorded() && told.variant != TREATMENT;
        (before.variant != told.variant && !is_baseline)
            .then(|| format!("ASSIGN-1: {user} was moved from {} to {}", before.variant, told.variant))
    }

    /// The power fails: what `files` hold that was not synced is lost. `kept` is where [`Harm::and_power`] has kept them. Returns how many are others
    /// than before.
    ///
    /// # Panics
    /// If the files are not to be had.
    pub fn lose_power(&self, files: &[&str], kept: &Path) -> usize {
        let mut lost_count = 0;
        for name in files {
            let path = self.path(name);
            let (synced, written) = (std::fs::read(kept.join(name)).ok(), std::fs::read(&path).ok());
            // One that was deleted is gone.
            if written.is_none() || written == synced {
                continue;
            }
            lost_count += 1;
            let lost = match synced {
                Some(synced) => std::fs::write(path, synced),
                None => std::fs::remove_file(path),
            };
            lost.expect("the file is ours");
        }
        lost_count
    }

    /// Says of each finding under what it was made.
    pub fn label(&mut self, label: &str) {
        self.findings.iter_mut().for_each(|finding| *finding = format!("{finding} ({label})"));
    }

    /// An unharmed child settles everything, and the books are looked at.
    pub fn settle(&mut self) -> Settled {
        self.service.behave(None);
        let mut child = self.start(&Harm::NONE);
        let mut settled = Settled::default();
        for user in self.users.clone() {
            let Some(told) = self.visit_until(&mut child, &user, Told::is_settled) else {
                self.findings.push(format!("GRANT-3: the hook does not come up again: {}", child.log()));
                return settled;
            };
            match (told.variant.as_str(), told.grant.as_str()) {
                (TREATMENT, "delivered") => drop(settled.delivered.insert(user)),
                (TREATMENT, "parked") => drop(settled.parked.insert(user)),
                // That was said.
                (TREATMENT, "pending" | "claimed") => {}
                (variant, "none") if variant != TREATMENT => {}
                (variant, other) => {
                    self.findings.push(format!("GRANT-3: {user} sees {variant}, and the grant is {other}"));
                }
            }
        }
        let log = child.log();
        if child.end() != End::Ended {
            self.findings.push(format!("GRANT-3: the hook does not end: {log}"));
        }
        self.look_at_books(&settled);
        settled
    }

    fn look_at_books(&mut self, settled: &Settled) {
        let ledger = self.service.ledger();
        let is_treated = |user: &String| settled.delivered.contains(user) || settled.parked.contains(user);
        let doubled = ledger.effects.iter().filter(|(_, effects)| **effects != 1);
        let untreated = ledger.effects.keys().filter(|user| !is_treated(user));
        let unproved = settled.delivered.iter().filter(|user| !ledger.effects.contains_key(*user));
        let doubled = doubled.map(|(user, effects)| format!("GRANT-1: {user} was granted {effects} times"));
        let untreated = untreated.map(|user| format!("GRANT-2: {user} was granted, and was never treated"));
        let unproved = unproved.map(|user| format!("AUDIT-1: {user} has a receipt without an effect"));
        let found: Vec<_> = doubled.chain(untreated).chain(unproved).chain(ledger.late.iter().cloned()).collect();
        drop(ledger);
        self.findings.extend(found);
    }
}

/// Does all jobs, `width` of them at once, and returns what came of them in their order.
///
/// # Panics
/// If one does.
pub fn side_by_side<J: Send, T: Send>(
    width: usize,
    jobs: impl IntoIterator<Item = J>,
    work: impl Fn(J) -> T + Sync,
) -> Vec<T> {
    let queue: Mutex<VecDeque<(usize, J)>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let results = Mutex::new(BTreeMap::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let run = || {
        while let Some((place, job)) = next() {
            let result = work(job);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(place, result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(run);
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crash::Wire;

    #[test]
    fn an_instance_that_was_away_may_know_less_but_moves_nobody() {
        let program = Program { path: PathBuf::new(), arguments: Vec::new(), wire: Wire::Lines };
        let mut world = World::new(Service::start(Duration::ZERO), |_, _| program);
        let told = |variant: &str, basis: &str, grant: &str| Told {
            variant: variant.to_owned(),
            basis: basis.to_owned(),
            grant: grant.to_owned(),
        };
        world.hear("ann", &told(TREATMENT, "recorded", "parked"));
        world.hear("bob", &told("control", "recorded", "none"));
        world.hear_resumed("ann", &told(TREATMENT, "first-exposure", "pending"));
        world.hear_resumed("ann", &told("control", "provisional", "none"));
        assert_eq!(world.findings, Vec::<String>::new());
        world.hear_resumed("ann", &told("control", "recorded", "none"));
        world.hear_resumed("bob", &told(TREATMENT, "provisional", "none"));
        assert_eq!(
            world.findings,
            [
                "ASSIGN-1: ann was moved from extra-quota to control",
                "ASSIGN-1: bob was moved from control to extra-quota"
            ]
        );
    }
}
