//! Fuzzing of everything that is decoded from outside: plans, stored records, configuration, envelopes, names.
//!
//! Each [`Target`] takes any bytes and panics when a promise is broken. The libFuzzer binary (`fuzz/run`) looks for such
//! bytes guided by coverage; the test `corpus` feeds every target its stored corpus and some seeded mutations of it, on
//! each `cargo test` and without a C++ compiler.

mod config;
mod driver;
mod envelopes;
mod lines;
pub mod mutate;
mod names;
mod plans;
mod promises;
mod records;
pub mod seeds;
mod shown;
mod world;

use self::mutate::Form;

/// One kind of input from outside, with what must hold for it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// Its name, which is also that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What its inputs look like, so that mutations get past the parser.
    pub form: Form,
    /// Decodes the input, uses what came out, and panics when a promise is broken.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "names", form: Form::Text, check: names::check },
    Target { name: "plan", form: Form::Json, check: plans::decode },
    Target { name: "apply", form: Form::Json, check: plans::apply },
    Target { name: "records", form: Form::Lines, check: records::read },
    Target { name: "resume", form: Form::Lines, check: records::resume },
    Target { name: "envelopes", form: Form::Json, check: envelopes::check },
    Target { name: "config", form: Form::Toml, check: config::check },
    Target { name: "shown", form: Form::Lines, check: shown::check },
];

/// The target with this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
