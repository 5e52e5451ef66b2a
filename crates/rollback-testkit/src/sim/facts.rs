//! What a simulation came to, as plain data: all that the checks look at.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::{IdempotencyKey, Report, RunId};

use super::book::{Learnt, Looked, Sent, head_of};
use super::lab::{Ended, Lab};
use super::process::Process;
use super::settings::Settings;
use super::world::{Landed, Moment, Swept};

/// One component's world in the end.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    /// The component's name.
    pub(super) name: String,
    /// The world's switches.
    pub(super) settings: Settings,
    /// Everything that landed, oldest first.
    pub(super) landed: Vec<Landed>,
    /// What was swept away, in order.
    pub(super) swept: Vec<Swept>,
    /// What every part ran, from when on, oldest first.
    pub(super) moments: Vec<Moment>,
    /// The release that every part runs, if they all run the same.
    pub(super) everywhere: Option<u32>,
}

/// All that the checks look at.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) fates: Vec<Fate>,
    pub(super) sent: Vec<Sent>,
    pub(super) looked: Vec<Looked>,
    pub(super) learnt: Vec<Learnt>,
    /// Reports as processes got them.
    pub(super) ended: Vec<Ended>,
    /// Reports as the store has them in the end.
    pub(super) stored: Vec<Report>,
    /// Processes that got an error instead of a report.
    pub(super) refused: Vec<String>,
    /// Processes that were ever frozen.
    pub(super) froze: BTreeSet<String>,
    /// Processes of which a request hung on its way.
    pub(super) hung: BTreeSet<String>,
    /// Processes that worked beside the store.
    pub(super) glass: BTreeSet<String>,
}

impl Facts {
    /// What happened in `lab`.
    pub(super) fn of(lab: &Lab) -> Self {
        let fates = lab.deployed.iter().map(|deployed| Fate {
            name: deployed.name.to_string(),
            settings: deployed.world.settings(),
            landed: deployed.world.landed(),
            swept: deployed.world.swept(),
            moments: deployed.world.moments(),
            everywhere: deployed.world.look().everywhere(),
        });
        let heads: BTreeMap<_, _> =
            lab.deployed.iter().map(|one| (head_of(one.name.as_str()), &one.name)).collect();
        let mut learnt = lab.book.learnt();
        for one in &mut learnt {
            one.component = heads.get(&one.component).map_or_else(String::new, ToString::to_string);
        }
        let those = |which: fn(&Process) -> bool| {
            let processes = lab.processes().into_iter().filter(which);
            processes.map(|process| process.name().to_owned()).collect()
        };
        Self {
            fates: fates.collect(),
            sent: lab.book.sent(),
            looked: lab.book.looked(),
            learnt,
            ended: lab.ended(),
            stored: lab.stored(),
            refused: lab.refused(),
            froze: those(Process::froze),
            hung: those(Process::hung),
            glass: lab.glass(),
        }
    }

    pub(super) fn run_of(&self, key: &IdempotencyKey) -> Option<RunId> {
        self.sent.iter().find(|sent| sent.key == *key).map(|sent| sent.run)
    }

    /// Whether a run asked for what landed.
    pub(super) fn is_of(&self, landed: &Landed, run: RunId) -> bool {
        landed.request.key.as_ref().and_then(|key| self.run_of(key)) == Some(run)
    }
}
