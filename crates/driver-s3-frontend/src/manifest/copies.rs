//! What was written down of a state whose objects are copied from the archive: the copies there have headers of their own.

use std::sync::Arc;

use super::Manifest;
use crate::diff::{Change, Met};
use crate::headers::Twins;
use crate::object::Listed;
use crate::order::Order;

impl Manifest {
    /// Whether what is live has the right bytes and was written by somebody else than wrote what was served then, with other headers
    /// perhaps. It is held if so. A listing tells no versions, and whole seconds.
    pub(crate) fn doubts(&self, order: &Order, (wanted, there): &Met, twins: &mut Twins) -> bool {
        let (Some(wanted), Some(there)) = (wanted, there) else { return false };
        if wanted.content.same(&there.content) != Some(true) {
            return false;
        }
        let Some(entry) = self.entry(&wanted.key) else { return false };
        if entry.equals(there) && entry.3 == there.modified {
            return false;
        }
        let Some(recorded) = self.recorded(entry) else { return false };
        self.goes_with(wanted, twins);
        twins.add(order, (wanted.clone(), there.clone()), Some(recorded))
    }

    /// What is copied gets the headers that were written down, and is stored where it was.
    pub(crate) fn along(&self, change: &Change, twins: &mut Twins) {
        match change {
            Change::Missing(entry) => self.goes_with(entry, twins),
            Change::Differs(entry, _) | Change::Unknown(entry, _) => {
                self.goes_with(entry, twins);
                let recorded = twins.recorded.get(&entry.key).map(Arc::clone);
                twins.unclear.extend(recorded.map(|recorded| (entry.key.clone(), recorded)));
            }
            _ => {}
        }
    }

    fn goes_with(&self, wanted: &Listed, twins: &mut Twins) {
        let Some(entry) = self.entry(&wanted.key) else { return };
        if entry.class() != wanted.class {
            twins.classes.insert(wanted.key.clone(), entry.class());
        }
        twins.recorded.extend(self.recorded(entry).map(|found| (wanted.key.clone(), Arc::clone(found))));
    }
}
