use futures_util::{FutureExt as _, TryStreamExt as _};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, IdempotencyKey, RunId, StepId};

use super::*;
use crate::names::{Bucket, Key, Prefix};
use crate::object::{Content, ETag};
use crate::order::Pages;
use crate::snapshot::SiteSnapshot;
use crate::sum::Sum;
use crate::tally::Tally;

fn object(number: usize) -> Listed {
    let content = Content::listed(1, ETag::new(format!("{number:032x}")).unwrap());
    let key = Key::new(format!("{number:06}.html")).unwrap();
    Listed::new(key, content, "2026-11-22T03:00:00Z".parse().unwrap())
}

fn release(name: &str) -> Release {
    Release::new(name).unwrap()
}

/// A release of so many objects is listed.
fn list(memory: &Memory, name: &str, objects: usize) -> Identity {
    let (mut sum, mut collected) = (Sum::default(), memory.collect());
    for listed in (0..objects).map(object) {
        sum.add(&listed).unwrap();
        collected.add(&listed);
    }
    let (bucket, live) = (Bucket::new("shop-site").unwrap(), Prefix::new("live/").unwrap());
    let snapshot = SiteSnapshot::new(bucket, live, &sum).unwrap();
    memory.listed(&release(name), Some(&Archived { snapshot, pages: Pages::default() }), collected);
    sum.identity()
}

fn is_held(memory: &Memory, name: &str, good: Good) -> bool {
    memory.release(&release(name), good).is_some_and(|(_, list)| list.is_some())
}

fn tally(objects: u8) -> Tally {
    let mut tally = Tally::default();
    (0..objects).for_each(|number| tally.add(&number.to_string(), 1, &ETag::new("0").unwrap()));
    tally
}

fn live(objects: u8) -> Live {
    let (listed, pages) = (Sum::default().identity(), Pages::default());
    Live { seen: Seen { tally: tally(objects), snapshot: None, listed, pages }, mark: None, list: None }
}

fn look(memory: &Memory, after: Option<&Token>, objects: u8) {
    let begun = memory.looks(after);
    memory.looked(&begun, after, live(objects));
}

fn identity() -> Identity {
    Sum::default().identity()
}

fn proves(memory: &Memory) -> bool {
    memory.to_prove(identity()).live.is_some()
}

fn applies(memory: &Memory, attempt: u32, seconds: Option<u64>, expected: u8) -> bool {
    let run: RunId = "019a0000-0000-7000-8000-000000000000".parse().unwrap();
    let (component, step) = (ComponentName::new("web").unwrap(), StepId::new("copy").unwrap());
    let cx = ActionContext::new(run, component, step, IdempotencyKey::new("1").unwrap());
    let cx = cx.expecting(Some(tally(expected).token())).with_attempt(attempt);
    memory.to_apply(&cx.seen(seconds.map(Lasting::from_secs)), identity()).live.is_some()
}

#[test]
fn what_comes_next_may_rely_on_a_look_without_a_token() {
    let memory = Memory::default();
    assert!(memory.live().is_none());
    look(&memory, None, 1);
    assert!(memory.live().is_some() && memory.to_inspect().live.is_some());
    assert!(!proves(&memory), "it may have been made before a write");
    assert!(memory.live().is_some(), "a proof does not take what it may not use");
    look(&memory, Some(&tally(1).token()), 1);
    assert!(memory.live().is_none(), "each look ends what the one before is good for");
}

#[test]
fn an_action_relies_on_what_core_saw_a_moment_ago() {
    let memory = Memory::default();
    look(&memory, None, 1);
    assert!(applies(&memory, 1, Some(2), 1));
    assert!(!applies(&memory, 1, Some(3), 1), "too long ago");
    assert!(!applies(&memory, 1, None, 1), "core did not look");
    assert!(!applies(&memory, 1, Some(1), 2), "it was another look");
    assert!(!applies(&memory, 2, Some(1), 1), "an earlier sending may have done some of it");
}

#[test]
fn nothing_that_is_live_outlives_a_write() {
    let memory = Memory::default();
    look(&memory, None, 1);
    memory.writes();
    assert!(memory.live().is_none());
    // A look that began before it, or while it was made.
    for end in [Memory::writes, Memory::wrote] {
        let begun = memory.looks(None);
        end(&memory);
        memory.looked(&begun, None, live(1));
        assert!(memory.live().is_none());
    }
}

#[test]
fn a_proof_relies_once_on_the_first_look_after_the_last_write() {
    let (memory, token) = (Memory::default(), tally(2).token());
    look(&memory, Some(&token), 2);
    assert!(!proves(&memory), "nothing was written");
    let write = || {
        memory.writes();
        memory.wrote();
    };
    write();
    look(&memory, Some(&token), 2);
    assert!(memory.live().is_none(), "it is for nothing else");
    assert!(proves(&memory) && !proves(&memory), "once");
    look(&memory, Some(&token), 2);
    assert!(!proves(&memory), "nobody knows what a later look is for");
    write();
    look(&memory, Some(&token), 3);
    assert!(!proves(&memory), "somebody else wrote since");
    memory.writes();
    look(&memory, Some(&token), 2);
    assert!(!proves(&memory), "the write has not ended");
    write();
    let begun = memory.looks(Some(&token));
    memory.writes();
    memory.looked(&begun, Some(&token), live(2));
    assert!(!proves(&memory), "something is written again");
}

#[tokio::test]
async fn a_release_is_known_by_what_it_holds() {
    let memory = Memory::default();
    let identity = list(&memory, "v1", 3);
    let (_, kept) = memory.release(&release("v1"), Good::Holding(identity)).unwrap();
    let walked: Vec<Listed> = kept.unwrap().walk().try_collect().await.unwrap();
    assert_eq!(walked, [object(0), object(1), object(2)]);
    assert!(!is_held(&memory, "v1", Good::Holding(self::identity())), "it holds something else");
    assert!(!is_held(&memory, "v1", Good::Nothing) && !is_held(&memory, "v2", Good::SinceTheLook));
    let other = list(&memory, "v1", 4);
    assert!(!is_held(&memory, "v1", Good::Holding(identity)) && is_held(&memory, "v1", Good::Holding(other)));
    memory.listed(&release("v1"), None, memory.collect());
    assert!(memory.release(&release("v1"), Good::SinceTheLook).is_none(), "it is gone");
}

#[test]
fn an_inspection_relies_on_releases_that_were_listed_since_the_look() {
    let memory = Memory::default();
    look(&memory, None, 1);
    let early = memory.collect();
    let identity = list(&memory, "v1", 3);
    assert!(is_held(&memory, "v1", Good::SinceTheLook));
    look(&memory, Some(&tally(1).token()), 1);
    assert!(is_held(&memory, "v1", Good::SinceTheLook), "nothing new begins");
    look(&memory, None, 1);
    assert!(!is_held(&memory, "v1", Good::SinceTheLook) && is_held(&memory, "v1", Good::Holding(identity)));
    let (known, _) = memory.release(&release("v1"), Good::Holding(identity)).unwrap();
    memory.listed(&release("v1"), Some(&known), early);
    assert!(!is_held(&memory, "v1", Good::SinceTheLook), "its list began before the look");
}

#[test]
fn only_so_many_objects_are_held() {
    let memory = Memory::of(3 * STEP as usize, 0);
    let two = 2 * STEP as usize;
    let first = list(&memory, "v1", two);
    assert!(is_held(&memory, "v1", Good::SinceTheLook));
    list(&memory, "v2", two);
    assert!(is_held(&memory, "v2", Good::SinceTheLook) && !is_held(&memory, "v1", Good::SinceTheLook));
    let (known, _) = memory.release(&release("v1"), Good::SinceTheLook).unwrap();
    assert_eq!(known.snapshot.identity, first, "what it makes together is still known");
    list(&memory, "v3", 2 * two);
    assert!(!is_held(&memory, "v3", Good::SinceTheLook), "it is larger than all there is room for");
    assert_eq!(memory.room.available_permits(), 3 * STEP as usize, "what is not held takes no room");
    // What is in use is held until it is not used any more.
    list(&memory, "v4", two);
    let used = memory.release(&release("v4"), Good::SinceTheLook);
    list(&memory, "v5", two);
    assert!(!is_held(&memory, "v5", Good::SinceTheLook));
    drop(used);
    list(&memory, "v5", two);
    assert!(is_held(&memory, "v5", Good::SinceTheLook));
}

/// As many objects as that take so much room in files.
const PART: usize = STEP_WRITTEN as usize;

#[test]
fn what_is_too_long_for_memory_is_held_in_files_and_only_so_much_of_that() {
    let memory = Memory::of(3 * STEP as usize, 3 * PART);
    let is_written = |name: &str| {
        let list = memory.release(&release(name), Good::SinceTheLook).and_then(|(_, list)| list);
        list.map(|list| list.is_written())
    };
    let identity = list(&memory, "v1", 4 * STEP as usize);
    assert_eq!(is_written("v1"), Some(true));
    let (_, kept) = memory.release(&release("v1"), Good::Holding(identity)).unwrap();
    let walked = kept.unwrap().walk().try_collect::<Vec<_>>().now_or_never().unwrap().unwrap();
    assert!(walked.into_iter().eq((0..4 * STEP as usize).map(object)));
    assert_eq!(memory.room.available_permits(), 3 * STEP as usize, "it takes no room in memory");
    list(&memory, "v2", 2 * STEP as usize);
    list(&memory, "v3", PART + 1);
    assert_eq!([is_written("v1"), is_written("v2"), is_written("v3")], [Some(true), None, Some(true)]);
    // Those in files make room for those in files.
    list(&memory, "v4", 2 * STEP as usize);
    list(&memory, "v5", PART + 1);
    assert_eq!([is_written("v1"), is_written("v3"), is_written("v5")], [None, None, Some(true)]);
    list(&memory, "v6", 3 * PART + 1);
    assert_eq!([is_written("v5"), is_written("v6")], [None, None], "it is larger than all there is room for");
    assert_eq!(memory.written.available_permits(), 3 * PART, "what is not held takes no room");
}

#[test]
fn only_so_many_releases_are_known() {
    let memory = Memory::default();
    for number in 0..RELEASES + 2 {
        list(&memory, &format!("v{number}"), 1);
    }
    let known = |name: &str| memory.release(&release(name), Good::SinceTheLook).is_some();
    assert!(!known("v1") && known("v2"));
}
