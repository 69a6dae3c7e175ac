//! The core's tables as rows of text: the matrix, and both parts of the classification.

use hookproof_core::classify::{AnswerClass, Classification, Doubt, classify, classify_read};
use hookproof_core::promise::{Hazard, Offer, Verdict, promise};
use hookproof_sim::promise::Cell;

use super::layout::Table;
use super::words;

/// Whether a cell that falls is linked to the scenario that shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Markdown,
    None,
}

/// Hazards by offers.
pub(super) fn matrix(links: Links) -> Table {
    let row = |hazard: Hazard| {
        let verdicts = Offer::ALL.into_iter().map(|offer| verdict(Cell { hazard, offer }, links));
        let name = match links {
            Links::Markdown => format!("`{}`: {}", hazard.name(), hazard.says()),
            Links::None => hazard.name().to_owned(),
        };
        std::iter::once(name).chain(verdicts).collect()
    };
    Table { head: head(["hazard"]), rows: Hazard::ALL.into_iter().map(row).collect() }
}

fn verdict(cell: Cell, links: Links) -> String {
    let name = promise(cell.offer, cell.hazard).name();
    match (links, cell.verdict(), cell.counterexample()) {
        (Links::Markdown, _, Some(path)) => format!("[{name}](../{path})"),
        (Links::Markdown, Verdict::Parked, _) => format!("*{name}*"),
        (Links::Markdown | Links::None, _, _) => name.to_owned(),
    }
}

/// Columns of these names, then one for each offer.
fn head<const N: usize>(first: [&str; N]) -> Vec<String> {
    first.into_iter().chain(Offer::ALL.map(Offer::name)).map(str::to_owned).collect()
}

/// What follows from an answer to a request; one row for both doubts where they agree.
pub(super) fn sends() -> Table {
    let rows = AnswerClass::ALL.into_iter().flat_map(|class| {
        let [clear, in_doubt] = Doubt::ALL.map(|doubt| Offer::ALL.map(|offer| send(offer, class, doubt)));
        let both =
            if clear == in_doubt { vec![("any", clear)] } else { vec![("clear", clear), ("in doubt", in_doubt)] };
        both.into_iter().map(move |(doubt, cells)| {
            let first = [words::answer(class).to_owned(), doubt.to_owned()];
            first.into_iter().chain(cells.map(words::classification)).collect()
        })
    });
    Table { head: head(["answer", "before"]), rows: rows.collect() }
}

/// One entry of it.
pub(super) const fn send(offer: Offer, class: AnswerClass, doubt: Doubt) -> Classification {
    classify(words::capability(offer), class, doubt)
}

/// What follows from an answer to a read.
pub(super) fn reads() -> Table {
    let row = |class| vec![words::answer(class).to_owned(), words::classification(classify_read(class))];
    let head = ["answer to a read", "applied: action"].map(str::to_owned);
    Table { head: head.into(), rows: AnswerClass::ALL.into_iter().map(row).collect() }
}

/// What the hook does with each offer.
pub(super) fn policies() -> Table {
    let row = |offer: Offer| vec![offer.name().to_owned(), offer.policy().to_owned()];
    Table { head: ["capability", "policy"].map(str::to_owned).into(), rows: Offer::ALL.into_iter().map(row).collect() }
}
