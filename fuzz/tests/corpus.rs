//! Every target with its stored corpus, and with mutations of it from fixed seeds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use rollback_fuzz::mutate::Mutator;
use rollback_fuzz::{TARGETS, seeds, target};

/// How many mutated inputs each target gets, unless `ROLLBACK_FUZZ_INPUTS` says otherwise.
const MUTATED: usize = 300;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// The stored inputs of a target, by name.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), std::fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

/// Says which input it was when a target panics.
struct Named<'a>(&'a str, &'a [u8]);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input is {}:\n{}", self.0, String::from_utf8_lossy(self.1));
        }
    }
}

fn replay(name: &str) {
    let target = target(name).unwrap();
    let inputs = corpus(name);
    assert!(!inputs.is_empty(), "{name} has no corpus");
    for (file, input) in &inputs {
        let _named = Named(file, input);
        (target.check)(input);
    }
    let wanted = std::env::var("ROLLBACK_FUZZ_INPUTS").map_or(MUTATED, |text| text.parse().unwrap());
    for number in 0..wanted {
        let (file, input) = &inputs[number % inputs.len()];
        let mutated = Mutator::new(number as u64, target.form).mutate(input);
        let _named = Named(&format!("{file}, mutated with seed {number}"), &mutated);
        (target.check)(&mutated);
    }
}

macro_rules! replayed {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), replayed);
        }
    };
}
replayed!(names, plan, apply, records, resume, envelopes, config, shown);

/// Seeds that nothing can read any more would test the refusals alone.
#[test]
fn seeds_are_of_the_present_format() {
    let fresh = tempfile::tempdir().unwrap();
    seeds::write(fresh.path()).unwrap();
    for target in TARGETS {
        let stale = "write them anew: cargo test -p rollback-fuzz -- --ignored write_seeds";
        for file in std::fs::read_dir(fresh.path().join(target.name)).unwrap() {
            let name = file.unwrap().file_name();
            let (fresh, stored) =
                (fresh.path().join(target.name).join(&name), folder(target.name).join(&name));
            let (fresh, stored) = (std::fs::read(fresh).unwrap(), std::fs::read(stored).unwrap_or_default());
            assert!(fresh == stored, "{}/{}: {stale}", target.name, name.display());
        }
    }
}

/// Documents change with the product: `cargo test -p rollback-fuzz -- --ignored write_seeds` writes them anew.
#[test]
#[ignore = "writes the seeds of the corpus"]
fn write_seeds() {
    seeds::write(&folder("")).unwrap();
}
