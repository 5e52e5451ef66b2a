//! Saved plans: decoding them, and running what was accepted.

use rollback_core::{Approval, Plan};

use crate::mutate::{Form, Mutator};
use crate::promises::{bounded, refused};
use crate::world::{Lab, in_virtual_time, named_time};

/// A plan is refused, or it is exactly what its digest says.
pub(crate) fn decode(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let plan = match Plan::from_json(text) {
        Ok(plan) => plan,
        Err(error) => return refused(&error),
    };
    let written = plan.to_json().expect("a plan is JSON").to_string();
    let again = match Plan::from_json(&written) {
        Ok(again) => again,
        Err(error) => panic!("an accepted plan is refused once it was written again: {error}"),
    };
    assert!(again == plan && again.digest() == plan.digest(), "a plan changes by being written");
    let sealed = Plan::seal((*plan).clone()).expect("a plan can be sealed");
    assert_eq!(sealed.digest(), plan.digest(), "what was accepted is not what the digest is of");
    alter(text, &plan);
}

/// A byte that is flipped leaves the meaning as it was, or the plan is refused.
fn alter(text: &str, plan: &Plan) {
    let mut bytes = text.as_bytes().to_vec();
    let mut random = Mutator::of_content(&bytes, Form::Text);
    for _ in 0..4 {
        let (at, bit) = (random.below(bytes.len()), random.below(8));
        bytes[at] ^= 1 << bit;
        if let Some(Ok(altered)) = std::str::from_utf8(&bytes).ok().map(Plan::from_json) {
            assert_eq!(altered, *plan, "altered at byte {at} and accepted with another meaning");
        }
        bytes[at] ^= 1 << bit;
    }
}

/// Runs an accepted plan: it ends in time, with a report that is true.
pub(crate) fn apply(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(plan) = Plan::from_json(text) else { return };
    let named = plan.to_json().map_or_else(|_| Default::default(), |document| named_time(&document));
    in_virtual_time(async {
        let lab = Lab::new().await;
        let engine = lab.engine(plan.environment.clone(), 1);
        let mut approval = Approval::yes().digest(plan.digest());
        approval.phrase.clone_from(&plan.environment.confirm);
        let Some(applied) = lab.ends(named, engine.apply(&plan, &approval)).await else { return };
        let report = match applied {
            Ok(report) => report,
            Err(error) => return bounded(&error),
        };
        lab.check_report(&report);
        lab.check_honest(&report);
        let again = engine.resume(report.run).await;
        let again = again.unwrap_or_else(|error| panic!("the run that was just stored: {error}"));
        assert_eq!(again, report, "the stored report is another one");
        let details = engine.run(report.run).await;
        let details = details.unwrap_or_else(|error| panic!("the run that was just stored: {error}"));
        assert_eq!(details.plan, plan, "the stored plan is another one");
    });
}
