//! Candidates: what a component could be put back to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rollback_core::ComponentName;
use rollback_core::ledger::Trial;
use rollback_core::plan::{Candidate, Undecided};
use rollback_core::target::Standing;

use super::table::{Field, Table};
use super::{Style, Tone, clean, maybe_time};

/// The candidates as a table; `command` begins the command that is shown for each.
pub(crate) fn candidates(style: Style, candidates: &[Candidate], command: Option<&str>) -> String {
    let mut header = vec!["REVISION", "VERSION", "STANDING", "RAN", "NOTES"];
    header.extend(command.map(|_| "TO CHOOSE IT"));
    let mut table = Table::new(style, &header, &["NOTES"]);
    for candidate in candidates {
        let info = &candidate.snapshot.info;
        let version = info.version.as_ref().map_or_else(|| "-".to_owned(), |version| clean(version.as_str()));
        let mut row = vec![
            Field::from(clean(info.revision.as_str())),
            Field::from(version),
            Field::from(standing(candidate.standing).to_owned()),
            Field::from(maybe_time(candidate.ran_at)),
            notes(candidate),
        ];
        if let Some(command) = command {
            let chosen = shell_word(&format!("revision={}", info.revision));
            let can = candidate.unrestorable.is_none() && candidate.standing != Standing::Current;
            let meant = if candidate.quarantined.is_some() { " --allow-quarantined" } else { "" };
            row.push(Field::from(if can {
                format!("{command} --to {chosen}{meant}")
            } else {
                "-".to_owned()
            }));
        }
        table.row(row);
    }
    table.render("")
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Current => "runs now",
        Standing::Ran => "ran",
        Standing::Failed => "failed",
        Standing::NeverRan => "never ran",
        _ => "unknown",
    }
}

fn notes(candidate: &Candidate) -> Field {
    if let Some(why) = &candidate.unrestorable {
        return Field::toned(Tone::Bad, format!("cannot be restored: {}", clean(why)));
    }
    if let Some(why) = &candidate.quarantined {
        return Field::toned(Tone::Bad, format!("quarantined: {}", clean(why)));
    }
    if let Some(Trial::Failed { reason, .. }) = &candidate.trial {
        return Field::toned(Tone::Bad, format!("failed: {}", clean(reason)));
    }
    let kept = candidate.kept.as_ref().map(|_| "contents are kept".to_owned());
    match &candidate.good {
        Some(good) => {
            let told = [Some(clean(&good.describe())), kept];
            Field::toned(Tone::Good, told.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        None => {
            let trial = candidate.trial.as_ref().map(|_| "on trial".to_owned());
            let told: Vec<_> = [trial, kept].into_iter().flatten().collect();
            Field::from(if told.is_empty() { "-".to_owned() } else { told.join("; ") })
        }
    }
}

/// A word as a shell takes it, quoted where it must be.
pub(crate) fn shell_word(word: &str) -> String {
    let word = clean(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "=._-/:@+,".contains(c);
    if word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Components without a destination, with the exact command for each candidate.
pub(crate) fn undecided(
    style: Style,
    components: &BTreeMap<ComponentName, Undecided>,
    command: &str,
) -> String {
    let mut out = String::new();
    for (name, undecided) in components {
        let title = style.paint(Tone::Careful, &format!("{name}: no destination"));
        let _ = writeln!(out, "{title}: {}", clean(&undecided.why));
        if undecided.candidates.is_empty() {
            out.push_str("  nothing that it could be put back to is known\n");
        } else {
            out.push_str(&candidates(style, &undecided.candidates, Some(&format!("{command} {name}"))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(shell_word("revision=v1.7.3"), "revision=v1.7.3");
        assert_eq!(shell_word("revision=a b$(rm)"), "'revision=a b$(rm)'");
        assert_eq!(shell_word("revision=it's"), r"'revision=it'\''s'");
    }
}
