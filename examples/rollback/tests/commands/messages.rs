//! Every message that a wrong, missing or misspelt input gets, as a person reads it: `messages.txt` beside this file.

use std::fmt::Write as _;

use crate::common::Bench;
use crate::{CONFIGURATION, same_as};

const PRODUCTION: &str = "store = \"kept:\"\n[environments.prod]\nconfirm = \"DO IT\"\nsingle_operator = true\n\
                          [environments.stage]\n[components.web]\ndriver = \"toy\"\n";
const LONELY: &str = "store = \"kept:\"\n[environments.prod]\nconfirm = \"DO IT\"\nrequire_reason = false\n\
                      [components.web]\ndriver = \"toy\"\n";

/// A chapter: what the folder holds (nothing = no configuration), and the lines that are typed there.
const CHAPTERS: &[(&str, &str, &[&str])] = &[
    (
        "no configuration",
        "",
        &["status", "run", "status --config other.toml", "init --config no/such/folder.toml"],
    ),
    (
        "words that are none",
        CONFIGURATION,
        &[
            "stauts",
            "quarantine lst",
            "status --nope",
            "status --output yaml",
            "completions fsh",
            "history",
            "status ../etc",
            "status -e a/b",
            "run --to yesterday",
            "run --to version=",
            "run --to as-of=yesterday",
            "run --to web:prev",
            "run --on-failure explode",
            "apply p.json --digest abc",
            "clean --older-than soon",
            "check --warn-within 7",
            "check --all web",
            "allowed",
            "unlock",
            "quarantine add web v1",
            "record web --lift-quarantine",
            "record web --good --pending",
            "guard --for ever",
            "auto of",
            "auto off",
            "auto off --reason x --until later",
        ],
    ),
    (
        "names that are none",
        CONFIGURATION,
        &[
            "status wbe",
            "status -e prod",
            "check nope",
            "check --all -e default",
            "unlock nope",
            "allowed v1 nope",
            "run --to previous --to last-good",
            "run --to api:previous",
            "run web --to api:previous",
            "run --to revision=v9 --yes",
            "run --to as-of=2001-01-01T00:00:00Z --yes",
            "quarantine add web v9 --reason x",
            "quarantine lift web v9 --reason x",
            "quarantine add web v1 --reason two\u{7}bells",
            "show 0123",
            "show 019aa3f0-0000-7000-8000-000000000001",
            "resume",
            "resume beef",
            "apply nope.json",
            "apply rollback.toml",
            "init",
            "plan --to revision=v1 -o no/such/folder.json",
            "watch",
            "guard web",
            "guard nope",
            "auto off nope --reason x",
            "auto off --reason two\u{7}bells",
        ],
    ),
    (
        "nobody agrees",
        PRODUCTION,
        &[
            "status",
            "plan -e prod --to revision=v1 -o p.json",
            "plan -e prod --to revision=v1 -o p.json",
            "apply p.json --yes",
            "apply p.json -e stage",
            "run -e prod --to revision=v1 --yes",
            "run -e prod --to revision=v1 --reason x",
            "run -e prod --to revision=v1 --reason x --yes",
            "run -e prod --to revision=v1 --reason x --confirm do_it",
            "run -e stage --to revision=v1 --reason x",
            "run -e stage --to revision=v1 --reason x --output json",
            "clean --older-than 0s",
        ],
    ),
    ("a store for one machine", LONELY, &["run --to revision=v1 --confirm DO_IT", "check"]),
    (
        "a store that is away",
        "store = \"down:\"\n[components.web]\ndriver = \"toy\"\n",
        &["status", "run --to revision=v1 --yes", "allowed v1", "quarantine", "clean", "runs", "check"],
    ),
    ("a broken file", "[components", &["status", "check", "run"]),
    ("a text without quotes", "store = sqlite:x\n", &["status"]),
    ("a number for a text", "store = 3\n", &["status"]),
    ("a wrong key", "stor = \"x\"\n", &["status"]),
    ("a wrong length of time", "lease = \"1\"\n", &["status"]),
    ("no driver", "[components.web]\n", &["status"]),
    ("a wrong driver", "[components.web]\ndriver = \"locl\"\n", &["status"]),
    (
        "a trigger without a rule",
        "[components.web]\ndriver = \"local\"\n[[triggers]]\nname = \"rain\"\ncomponent = \"web\"\nprobe = { kind = \"tcp\", address = \"a:1\" }\n",
        &["status"],
    ),
    (
        "a trigger on nothing",
        "[[triggers]]\nname = \"outage\"\ncomponent = \"web\"\nprobe = { kind = \"tcp\", address = \"a:1\" }\n",
        &["status"],
    ),
    (
        "a wrong severity",
        "[[triggers]]\nname = \"outage\"\nseverity = \"P9\"\ncomponent = \"web\"\nprobe = { kind = \"tcp\", address = \"a:1\" }\n",
        &["status"],
    ),
    ("a wrong budget", "[watch]\nbudget = 0.5\n", &["status"]),
    ("a wrong setting", "[components.web]\ndriver = \"local\"\nrealeses = \"x\"\n", &["status"]),
    ("a missing setting", "[components.web]\ndriver = \"local\"\n", &["status", "check"]),
    (
        "a folder that is not there",
        "[components.web]\ndriver = \"local\"\nreleases = \"/no/such/folder\"\n",
        &["plan"],
    ),
    ("a wrong environment", "environment = \"prdo\"\n[environments.prod]\n", &["status"]),
    (
        "several environments",
        "[environments.a]\n[environments.b]\n[components.web]\ndriver = \"toy\"\n",
        &["plan"],
    ),
    ("no components", "store = \"kept:\"\n", &["status", "check"]),
    ("a variable that is not set", "store = \"${NOPE}\"\n", &["status"]),
    ("a store without a scheme", "store = \"state.db\"\n[components.web]\ndriver = \"toy\"\n", &["runs"]),
    ("an unknown store", "store = \"sqlight:x\"\n[components.web]\ndriver = \"toy\"\n", &["runs"]),
    (
        "a store in a file",
        "store = \"sqlite:rollback.toml/state.db\"\n[components.web]\ndriver = \"toy\"\n",
        &["runs"],
    ),
    (
        "a store that is none",
        "store = \"sqlite:rollback.toml\"\n[components.web]\ndriver = \"toy\"\n",
        &["runs"],
    ),
];

/// A line without what depends on the drivers and stores that the binary was built with.
fn steady(line: &str) -> String {
    let words = ["the drivers are: ", "the schemes are: ", "next: add driver = "];
    let cut =
        words.iter().find_map(|words| line.split_once(words).map(|(before, _)| format!("{before}{words}…")));
    cut.unwrap_or_else(|| line.trim_end().to_owned())
}

#[tokio::test]
async fn every_message_reads_as_it_did_and_says_the_next_step() {
    let mut found = String::new();
    for (title, configuration, lines) in CHAPTERS {
        let bench = Bench::new(configuration);
        if configuration.is_empty() {
            std::fs::remove_file(bench.folder.path().join("rollback.toml")).unwrap();
        }
        let folder = bench.folder.path().display().to_string();
        let _ = writeln!(found, "# {title}\n");
        for line in *lines {
            let ran = bench.run(line).await;
            let said = ran.err.replace(&folder, "FOLDER");
            let said = said.trim_end().lines().fold(String::new(), |all, line| all + &steady(line) + "\n");
            let _ = writeln!(found, "$ rollback {}\n{said}[{}]\n", line.escape_debug(), ran.code);
            let advises =
                ["next: ", "--help", "did you mean", "warning:"].iter().any(|word| ran.err.contains(word));
            assert!(advises || ran.err.is_empty(), "{line}: no next step:\n{}", ran.err);
            assert!(!ran.err.is_empty() || matches!(ran.code, 0 | 9), "{line}: silent with {}", ran.code);
        }
        assert_eq!(bench.current(), "v2", "{title}: nothing was changed");
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/messages.txt");
    same_as(&file, &found);
}
