//! What must not be, found in the logs of the targets and in what was reported.

use std::collections::BTreeMap;

use rollback_core::report::ComponentReport;
use rollback_core::{Report, State};

use super::forms::Release;
use super::log::{Line, Now};
use super::told::Told;

/// What must not be and is. Empty is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Each in a sentence.
    pub faults: Vec<String>,
    /// How many requests were done to targets.
    pub requests: usize,
    /// How many reports of components were compared with the logs.
    pub reports: usize,
}

impl Findings {
    /// Reads the log of each target by its component's name, what machines told, and the reports that the store keeps.
    #[must_use]
    pub fn of(logs: &BTreeMap<String, Vec<Line>>, told: &[Told], kept: &[Report]) -> Self {
        let mut findings = Self::default();
        for (target, lines) in logs {
            findings.holders(target, lines);
        }
        for line in told {
            if let Told::Ended { op, report: Some(report), .. } = line {
                findings.report(report, Some(op), logs);
            }
        }
        for report in kept {
            findings.report(report, None, logs);
        }
        findings
    }

    fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    /// Never two at once, never without the lease, never two in one acquisition, never by an older acquisition after a
    /// newer one, nothing twice.
    fn holders(&mut self, target: &str, lines: &[Line]) {
        let mut newest = 0;
        let mut epochs: BTreeMap<u64, (&str, u32)> = BTreeMap::new();
        let mut open: Vec<(u32, &str, &str, u64)> = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for line in lines {
            match line {
                Line::Begin { pid, run, key, epoch, head_run, head_pid, dead, .. } => {
                    if (head_run, head_pid) != (run, pid) {
                        self.fault(format!(
                            "{target}: {run} acts in process {pid} while the head names {head_run} in {head_pid}"
                        ));
                    }
                    if *epoch < newest {
                        self.fault(format!("{target}: {run} acts in epoch {epoch} after {newest}"));
                    }
                    newest = newest.max(*epoch);
                    let (first, process) = *epochs.entry(*epoch).or_insert((run, *pid));
                    if (first, process) != (run.as_str(), *pid) {
                        self.fault(format!(
                            "{target}: {run} in process {pid} and {first} in process {process} both act in epoch {epoch}"
                        ));
                    }
                    for (other, its_run, ..) in &open {
                        if !dead.contains(other) {
                            self.fault(format!(
                                "{target}: {run} in process {pid} begins while {its_run} in process {other} acts"
                            ));
                        }
                    }
                    open.retain(|(other, ..)| !dead.contains(other));
                    open.push((*pid, run, key, *epoch));
                }
                Line::Done { run, key, epoch, .. } => {
                    let place = open.iter().position(|(_, _, begun, _)| *begun == key.as_str());
                    match place.map(|place| open.remove(place).3) {
                        Some(begun) if begun == *epoch => {}
                        Some(begun) => self.fault(format!(
                            "{target}: {run} began to act in epoch {begun}, and it was epoch {epoch} before it had done"
                        )),
                        None => self.fault(format!("{target}: {run} ends {key}, whose process was dead")),
                    }
                    if done.contains(&key.as_str()) {
                        self.fault(format!("{target}: {key} of {run} landed twice"));
                    }
                    done.push(key);
                    self.requests += 1;
                }
                Line::Proved { .. } => {}
            }
        }
    }

    /// Whether a report is true of the targets. `op` wrote it; `None` for one that was read from the store.
    fn report(&mut self, report: &Report, op: Option<&str>, logs: &BTreeMap<String, Vec<Line>>) {
        for (component, one) in &report.components {
            let lines = logs.get(component.as_str()).map_or(&[][..], Vec::as_slice);
            self.reports += 1;
            if let Err(why) = judge(&report.run.to_string(), one, op, lines) {
                let (run, from) = (report.run.to_string(), op.unwrap_or("the store"));
                let its = lines.iter().filter(|line| line.run().is_some_and(|by| by == run));
                let its: Vec<_> = its.collect();
                self.fault(format!("{component}: run {run} ({}, told by {from}): {why}; {its:?}", one.state));
            }
        }
    }
}

/// A reading of what runs, and what really ran at that moment.
struct Proof {
    release: u32,
    read: u32,
    really: u32,
}

fn proofs(lines: &[Line], op: Option<&str>) -> Vec<Proof> {
    let proofs = lines.iter().enumerate().filter_map(|(place, line)| match line {
        Line::Proved { op: by, release, seen } if op.is_none_or(|op| op == by) => {
            let at = |count: usize| Now::after(&lines[..count]).release;
            Some(Proof { release: *release, read: at(*seen), really: at(place) })
        }
        _ => None,
    });
    proofs.collect()
}

fn judge(run: &str, report: &ComponentReport, op: Option<&str>, lines: &[Line]) -> Result<(), String> {
    let to = Release::of(report.to.identity).ok_or("its destination is no release")?;
    let from = report.from.as_ref().and_then(|from| Release::of(from.identity));
    let own = proofs(lines, op);
    // A component that had ended before this work took the run up: others proved it.
    let (own, alone) = if own.is_empty() { (proofs(lines, None), false) } else { (own, op.is_some()) };
    let claimed = match report.state {
        State::Restored | State::RestoredUnhealthy | State::AlreadyThere => Some(to),
        State::FailedRestored => {
            Some(from.ok_or("it says that it is at its origin, which it does not know")?)
        }
        _ => None,
    };
    evidence(report, claimed, &own, alone)?;
    deeds(run, report, to, lines)
}

/// What it read is what it says, and was so.
fn evidence(
    report: &ComponentReport,
    claimed: Option<u32>,
    own: &[Proof],
    alone: bool,
) -> Result<(), String> {
    let shown = report.evidence.as_ref().and_then(|evidence| evidence.parts.first());
    let shown = shown.and_then(|part| part.identity).and_then(Release::of);
    if let Some(claimed) = claimed
        && shown != Some(claimed)
    {
        return Err(format!("it claims r{claimed} and shows {shown:?} as evidence"));
    }
    if let Some(lie) = own.iter().find(|proof| proof.release != proof.read) {
        return Err(format!("it read r{} where r{} ran", lie.release, lie.read));
    }
    let Some(shown) = shown else { return Ok(()) };
    let fits = |proof: &&Proof| {
        // Who holds the lease is alone with the target: nothing changed between reading and saying so.
        proof.release == shown && (claimed.is_none() || proof.really == shown)
    };
    let found = if alone { own.last().filter(fits) } else { own.iter().find(fits) };
    found.map(|_| ()).ok_or_else(|| format!("r{shown} did not run when it was read"))
}

/// What it says it did, or did not do.
///
/// What a process began and was killed in does not count as done: the target is as it was before.
fn deeds(run: &str, report: &ComponentReport, to: u32, lines: &[Line]) -> Result<(), String> {
    let landed = lines.iter().any(|line| matches!(line, Line::Done { run: by, .. } if by == run));
    let switched: Vec<u32> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Done { run: by, runs, .. } if by == run => *runs,
            _ => None,
        })
        .collect();
    match report.state {
        State::Restored if switched.last() != Some(&to) => {
            Err(format!("it did not switch to r{to}, but to {switched:?}"))
        }
        State::AlreadyThere | State::Refused if landed => Err("it says that nothing was done".to_owned()),
        State::Cancelled if landed && report.summary.contains("nothing was done") => {
            Err(format!("it says: {}", report.summary))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::{Evidence, PartId, PartState, RunId, Snapshot as _};

    use super::*;

    fn begin(run: &str, pid: u32, epoch: u64, dead: &[u32]) -> Line {
        Line::Begin {
            op: format!("op-{run}"),
            pid,
            run: run.to_owned(),
            key: format!("key-{run}"),
            epoch,
            head_run: run.to_owned(),
            head_pid: pid,
            dead: dead.to_vec(),
        }
    }

    fn done_in(epoch: u64, run: &str, runs: Option<u32>) -> Line {
        Line::Done { op: format!("op-{run}"), run: run.to_owned(), key: format!("key-{run}"), runs, epoch }
    }

    fn done(run: &str, runs: Option<u32>) -> Line {
        done_in(1, run, runs)
    }

    fn faults(lines: &[Line]) -> Vec<String> {
        let mut findings = Findings::default();
        findings.holders("c", lines);
        findings.faults
    }

    #[test]
    fn one_after_the_other_is_well_and_so_is_one_after_a_dead_one() {
        let one = [begin("a", 1, 1, &[]), done("a", None), begin("b", 2, 2, &[]), done_in(2, "b", Some(1))];
        assert_eq!(faults(&one), Vec::<String>::new());
        assert_eq!(
            faults(&[begin("a", 1, 1, &[]), begin("b", 2, 2, &[1]), done_in(2, "b", None)]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn two_at_once_are_found_whoever_ends_first_and_also_if_one_never_ends() {
        let (a, b) = (begin("a", 1, 1, &[]), begin("b", 2, 2, &[]));
        for end in [&[done("a", None), done("b", None)][..], &[done("b", None), done("a", None)], &[]] {
            let found = faults(&[&[a.clone(), b.clone()], end].concat());
            assert!(found.iter().any(|fault| fault.contains("while a in process 1 acts")), "{found:?}");
        }
    }

    #[test]
    fn the_old_the_unauthorised_the_dead_and_the_twice_done_are_found() {
        let found =
            faults(&[begin("a", 1, 2, &[]), done_in(2, "a", None), begin("b", 2, 1, &[]), done("b", None)]);
        assert!(found[0].contains("epoch 1 after 2"), "{found:?}");
        let found = faults(&[begin("a", 1, 1, &[]), done("a", None), begin("b", 2, 1, &[]), done("b", None)]);
        assert!(found[0].contains("both act in epoch 1"), "{found:?}");
        let found = faults(&[begin("a", 1, 1, &[]), done_in(2, "a", None)]);
        assert!(found[0].contains("it was epoch 2 before"), "{found:?}");
        let mut stranger = begin("a", 1, 1, &[]);
        if let Line::Begin { head_run, .. } = &mut stranger {
            "b".clone_into(head_run);
        }
        assert!(faults(&[stranger])[0].contains("while the head names b"));
        assert!(
            faults(&[begin("a", 1, 1, &[]), begin("b", 2, 2, &[1]), done("a", None)])[0].contains("was dead")
        );
        let again = [begin("a", 1, 1, &[]), done("a", None), begin("a", 1, 1, &[]), done("a", None)];
        assert!(faults(&again)[0].contains("landed twice"));
    }

    fn told(state: State, from: u32, to: u32, shown: u32) -> ComponentReport {
        let info = |release| Release { release }.info();
        let mut report = ComponentReport::new(state, "nothing was done", Some(info(from)), info(to));
        let part = PartState::verified(PartId::new("all").unwrap(), Some(info(shown).identity));
        report.evidence = Some(Evidence::default().part(part));
        report
    }

    #[test]
    fn reports_are_held_against_what_really_ran() {
        let run = RunId::new(jiff::Timestamp::UNIX_EPOCH, &rollback_core::name::SystemEntropy).to_string();
        let proved = |release, seen| Line::Proved { op: "o".to_owned(), release, seen };
        let lines = [begin(&run, 1, 1, &[]), done(&run, Some(2)), proved(2, 2)];
        let judged = |report: &ComponentReport, lines: &[Line]| judge(&run, report, Some("o"), lines);
        assert_eq!(judged(&told(State::Restored, 0, 2, 2), &lines), Ok(()));
        // It was killed while the target worked on its request, which never landed.
        let killed = [begin(&run, 1, 1, &[]), proved(0, 1)];
        assert_eq!(judged(&told(State::Cancelled, 0, 2, 0), &killed), Ok(()));
        for (report, lines) in [
            (told(State::Restored, 0, 2, 3), &lines[..]),
            (told(State::Restored, 0, 3, 3), &lines),
            (told(State::FailedRestored, 0, 2, 2), &lines),
            (told(State::AlreadyThere, 0, 2, 2), &lines),
            (told(State::Cancelled, 0, 2, 2), &lines),
            (told(State::Refused, 0, 2, 2), &lines),
            (told(State::Restored, 0, 2, 2), &[proved(2, 0)]),
            (
                told(State::Restored, 0, 2, 2),
                &[
                    begin(&run, 1, 1, &[]),
                    done(&run, Some(2)),
                    proved(2, 2),
                    done("x", Some(1)),
                    proved(1, 4),
                ],
            ),
            (told(State::Superseded, 0, 2, 4), &lines),
        ] {
            assert!(judged(&report, lines).is_err(), "{} {lines:?}", report.state);
        }
    }
}
