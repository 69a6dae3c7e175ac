//! Goal: the page is what a reader and a browser rely on: readable, small, without an element that a record put there, and
//! shown by a real browser without a complaint. Method: records written by hand or filled by rule, an HTML parser, a
//! corpus of hostile strings through every field, and headless Chromium.

mod chromium;
mod hostile;
mod page;
mod record;
mod variants;
