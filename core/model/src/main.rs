//! `hookproof-model`: walks every state of the grant's protocol and prints what it found.
//!
//! Parse, check, print. Tables are Markdown on stdout; a cell that is not confirmed makes the exit code 1 and tells its story
//! on stderr. This is the only place of the crate that reads a clock, to say how long each run took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use hookproof_model::{Bound, Cell, Claim, Outcome, SABOTAGES, Sabotage, baseline, cells, check, compounds, tell};

/// Checks the grant's part of the protocol exhaustively: each cell of the promise matrix, and each broken guard.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How much is checked.
    #[arg(long, value_enum, default_value = "small")]
    bound: Size,
    /// How many threads walk the states.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Tells the story of one impossible cell of the matrix instead, e.g. `--story read-back two-stores`.
    #[arg(long, num_args = 2, value_names = ["OFFER", "HAZARD"])]
    story: Option<Vec<String>>,
    /// Breaks one guard instead and tells the story, e.g. `--guard lease`.
    #[arg(long, value_name = "GUARD")]
    guard: Option<String>,
    /// Tells the stories of all impossible cells and all sabotages after the tables.
    #[arg(long)]
    stories: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Size {
    /// One user, one occurrence of a hazard: seconds.
    Small,
    /// Two occurrences, and two users; several hazards at once: minutes.
    Large,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some([offer, hazard]) = args.story.as_deref() {
        return tell_one(offer, hazard);
    }
    let bound = match args.bound {
        Size::Small => Bound::Small,
        Size::Large => Bound::Large,
    };
    let mut report = Report { threads: args.threads, is_confirmed: true, stories: String::new() };
    if let Some(name) = args.guard.as_deref() {
        let named: Vec<_> = SABOTAGES.into_iter().filter(|sabotage| sabotage.guard.name() == name).collect();
        report.sabotages(&named);
        print!("\n{}", report.stories);
        return report.exit();
    }
    report.matrix(bound);
    report.compounds(bound);
    report.sabotages(&SABOTAGES);
    if args.stories {
        print!("\n{}", report.stories);
    }
    report.exit()
}

/// One story on stdout: of a cell of the matrix, or of several hazards at once.
fn tell_one(offer: &str, hazard: &str) -> ExitCode {
    let single = cells(Bound::Small).map(|cell| (cell.hazards.first().map_or("none", |hazard| hazard.name()), cell));
    let mut named = single.chain(compounds(Bound::Large));
    let Some((_, cell)) = named.find(|(name, cell)| *name == hazard && cell.offer.name() == offer) else {
        eprintln!("no such cell: {offer} {hazard}; the names are those of the tables");
        return ExitCode::from(2);
    };
    let outcome = check(&cell, 1);
    println!("{offer} under {hazard}: {}", promised(&cell));
    print!("{}", tell(&outcome));
    if outcome.is_confirmed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is printed, and whether all of it is as claimed.
struct Report {
    threads: usize,
    is_confirmed: bool,
    stories: String,
}

impl Report {
    fn matrix(&mut self, bound: Bound) {
        println!("| offer | hazard | times | users | promise | confirmed | states | depth | seconds |");
        println!("|---|---|--:|--:|---|---|--:|--:|--:|");
        for cell in baseline(bound).chain(cells(bound)) {
            let (outcome, time) = timed(&cell, self.threads);
            let hazard = cell.hazards.first().map_or("none", |hazard| hazard.name());
            self.row(&outcome, hazard, time);
            if cell.claim == Claim::Impossible {
                self.story(&format!("{} under {hazard}: impossible", cell.offer.name()), &outcome);
            }
        }
    }

    fn compounds(&mut self, bound: Bound) {
        if bound == Bound::Small {
            return;
        }
        println!("\n| offer | several hazards | times | users | promise | confirmed | states | depth | seconds |");
        println!("|---|---|--:|--:|---|---|--:|--:|--:|");
        for (name, cell) in compounds(bound) {
            let (outcome, time) = timed(&cell, self.threads);
            self.row(&outcome, name, time);
            if cell.claim == Claim::Impossible {
                self.story(&format!("{} under {name}: impossible", cell.offer.name()), &outcome);
            }
        }
    }

    fn exit(&self) -> ExitCode {
        if self.is_confirmed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn sabotages(&mut self, sabotages: &[Sabotage]) {
        println!("\n| broken guard | so that | offer | under | caught | steps | states | unbroken |");
        println!("|---|---|---|---|---|--:|--:|---|");
        for sabotage in sabotages {
            self.sabotage(sabotage);
        }
    }

    fn sabotage(&mut self, sabotage: &Sabotage) {
        let outcome = check(&sabotage.cell(), 1);
        let unbroken = check(&sabotage.unbroken(), self.threads);
        let under: Vec<_> = sabotage.hazards.iter().map(|hazard| hazard.name()).collect();
        let (guard, offer, under) = (sabotage.guard, sabotage.offer.name(), under.join(" + "));
        println!(
            "| {} | {} | {offer} | {under} | {} | {} | {} | {} |",
            guard.name(),
            guard.broken_says(),
            yes(outcome.is_confirmed()),
            outcome.story_steps().unwrap_or_default(),
            outcome.states,
            if unbroken.is_confirmed() { "passes" } else { "FAILS" },
        );
        self.judge(&outcome);
        self.judge(&unbroken);
        self.story(&format!("{} broken: {}; {offer} under {under}", guard.name(), guard.broken_says()), &outcome);
    }

    fn row(&mut self, outcome: &Outcome, hazard: &str, time: Duration) {
        let cell = &outcome.cell;
        println!(
            "| {} | {hazard} | {} | {} | {} | {} | {} | {} | {:.2} |",
            cell.offer.name(),
            cell.budget,
            cell.users,
            promised(cell),
            yes(outcome.is_confirmed()),
            outcome.states,
            outcome.depth,
            time.as_secs_f64(),
        );
        self.judge(outcome);
    }

    fn judge(&mut self, outcome: &Outcome) {
        if !outcome.is_confirmed() {
            self.is_confirmed = false;
            eprintln!("not confirmed: {:?}: {:?}\n{}", outcome.cell, outcome.verified, tell(outcome));
        }
    }

    fn story(&mut self, title: &str, outcome: &Outcome) {
        self.stories.extend([title, "\n", &tell(outcome), "\n"]);
    }
}

fn timed(cell: &Cell, threads: usize) -> (Outcome, Duration) {
    let start = Instant::now();
    let outcome = check(cell, threads);
    (outcome, start.elapsed())
}

fn promised(cell: &Cell) -> &'static str {
    match cell.claim {
        Claim::Holds if !cell.hazards.is_empty() && cell.is_vacuous() => "holds (cannot happen)",
        Claim::Holds => "holds",
        Claim::Parked => "detected and parked",
        Claim::Impossible => "impossible",
        Claim::Safe => "at most once, never lost",
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "**NO**" }
}
