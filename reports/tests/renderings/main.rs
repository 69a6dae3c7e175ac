//! What becomes of a record outside the browser: its own bytes, tables on a terminal and in Markdown, what CI servers read, and
//! pseudonyms in place of ids.

mod ablation;
mod ci;
mod compare;
mod pseudonym;
mod sweep;
mod table;
