use serde_json::{Value, json};

use super::docker::tests::line;
use super::*;

fn web() -> Service {
    Service::new("web").unwrap()
}

/// The answer of a host on which `web` runs this image, which registries have under `digests`.
pub(crate) fn answer(image: &str, reference: &str, digests: &[&str], state: &Value) -> String {
    let refs: Vec<_> = digests
        .iter()
        .map(|one| format!("127.0.0.1:5000/web@{}", Digest::of_bytes(one.as_bytes())))
        .collect();
    let image_line = json!([
        Digest::of_bytes(image.as_bytes()),
        ["127.0.0.1:5000/web:latest", "127.0.0.1:5000/web:v1"],
        refs,
        "2026-11-22T04:00:00Z",
        null
    ]);
    format!(
        "host web-1\nmachine 0123\nhome /home/deploy\nnow 2026-11-22T05:00:00Z\ndocker 20.10.24\ncontainer {}\nimage {image_line}\n",
        line("web", image, reference, state, 0)
    )
}

fn running() -> Value {
    json!({ "Status": "running", "StartedAt": "2026-11-22T04:00:00Z" })
}

fn look(text: &str) -> HostLook {
    HostLook::read("web-1", &[web()], text).unwrap()
}

fn wanted(digest: &str) -> BTreeMap<Service, ServiceImage> {
    let repository = "127.0.0.1:5000/web".parse().unwrap();
    BTreeMap::from([(
        web(),
        ServiceImage::new(&repository, Which::Digest(Digest::of_bytes(digest.as_bytes()))),
    )])
}

#[test]
fn what_runs_is_called_by_its_digest_and_its_best_tag() {
    let look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &running()));
    let image = &look.running(&[web()])[&web()];
    assert_eq!(image.which, Which::Digest(Digest::of_bytes(b"m1")));
    assert_eq!(image.tag.as_deref(), Some("v1"), "`latest` says nothing");
    let part = look.part(&[web()], None).unwrap();
    assert_eq!(part.identity, Some(identity(wanted("m1").iter().map(|(service, one)| (service, one.which)))));
    assert_eq!((part.replicas.unwrap().wanted, part.replicas.unwrap().ready), (1, 1));
}

#[test]
fn any_name_of_an_image_is_that_image() {
    let look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1", "index of m1"], &running()));
    for name in ["m1", "index of m1"] {
        assert!(look.runs_all(&wanted(name)), "{name}");
    }
    assert!(!look.runs_all(&wanted("m2")));
    let built =
        HostLook::read("web-1", &[web()], &answer("v1", "127.0.0.1:5000/web", &[], &running())).unwrap();
    assert_eq!(built.running(&[web()])[&web()].which, Which::Id(Digest::of_bytes(b"v1")));
}

#[test]
fn two_images_of_one_service_are_nothing_that_was_wanted() {
    let mut look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &running()));
    let mut other = look.containers[0].clone();
    other.image = Digest::of_bytes(b"v2");
    look.containers.push(other);
    assert!(!look.runs_all(&wanted("m1")) && look.running(&[web()]).is_empty());
    assert!(look.identity(&[web()], None).is_some());
    assert_eq!(HostLook { containers: Vec::new(), ..look }.identity(&[web()], None), None);
}

#[test]
fn a_mark_changes_with_containers_and_not_with_restarts() {
    let first = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &running()));
    let mut again = first.clone();
    again.containers[0].restarts = 7;
    again.containers[0].state.started_at = "2026-11-22T05:00:00Z".into();
    assert_eq!(first.mark(), again.mark());
    assert_ne!(
        first.part(&[web()], None).unwrap().incarnation,
        again.part(&[web()], None).unwrap().incarnation
    );
    again.containers[0].id = "another".into();
    assert_ne!(first.mark(), again.mark());
}

#[test]
fn restarting_is_not_well() {
    for (state, certain) in [
        (json!({ "Status": "restarting", "ExitCode": 1 }), Some(true)),
        (json!({ "Status": "exited", "ExitCode": 137, "OOMKilled": true }), Some(true)),
        (json!({ "Status": "created", "Error": "port is already allocated" }), Some(true)),
        (json!({ "Status": "running", "Health": { "Status": "unhealthy", "FailingStreak": 3 } }), Some(true)),
        (json!({ "Status": "created" }), Some(false)),
        (json!({ "Status": "running", "Health": { "Status": "starting" } }), Some(false)),
        (running(), None),
    ] {
        let look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &state));
        let phase = look.phase();
        match certain {
            Some(true) => assert!(matches!(phase, Phase::Failed(_)), "{state}: {phase:?}"),
            Some(false) => assert!(matches!(phase, Phase::Progressing(_)), "{state}: {phase:?}"),
            None => assert_eq!(phase, Phase::Settled),
        }
        assert_eq!(look.part(&[web()], None).unwrap().replicas.unwrap().ready, u32::from(certain.is_none()));
    }
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    for text in ["", "Welcome to web-1!\n", "host web-1\nhome ~\ndocker 20\n"] {
        assert!(HostLook::read("web-1", &[web()], text).is_err(), "{text:?}");
    }
    let banner = format!("Welcome!\n{}", answer("v1", "127.0.0.1:5000/web", &["m1"], &running()));
    assert_eq!(look(&banner).containers.len(), 1);
}

#[test]
fn what_runs_between_two_crashes_is_not_up() {
    let mut look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &running()));
    look.containers[0].restarts = 3;
    assert_eq!((look.phase(), look.is_down()), (Phase::Settled, false), "an hour ago");
    look.containers[0].state.started_at = "2026-11-22T04:59:58.9Z".into();
    assert!(matches!(look.phase(), Phase::Progressing(why) if why.contains("3 times so far")));
    assert!(look.is_down() && look.ended().is_some());
    assert_eq!(look.part(&[web()], None).unwrap().replicas.unwrap().ready, 0);
    let health = |status| docker::Health { status, failing_streak: 3 };
    look.containers[0].state.health = Some(health("starting".into()));
    assert!(matches!(look.phase(), Phase::Progressing(why) if why.contains("3 times so far")));
    look.containers[0].state.health = Some(health("unhealthy".into()));
    assert!(matches!(look.phase(), Phase::Failed(why) if why.contains("is unhealthy")));
    look.containers[0].state.health = None;
    look.containers[0].restarts = 0;
    assert_eq!(look.phase(), Phase::Settled, "it was just made");
}

#[test]
fn a_neighbour_tells_how_the_project_is_deployed_and_no_more() {
    let text = answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &json!({ "Status": "exited" }));
    let look = HostLook::read("web-1", &[Service::new("wbe").unwrap()], &text).unwrap();
    assert!(look.containers.is_empty() && look.neighbours.len() == 1 && !look.has_nothing());
    assert_eq!(look.deployed_by().unwrap().directory, "/srv/shop");
    assert!(look.ended().is_none() && look.phase() == Phase::Settled && !look.is_down());
}

#[test]
fn who_ended_is_asked_for_its_last_words() {
    for (state, ended) in [
        (json!({ "Status": "restarting", "ExitCode": 1 }), true),
        (json!({ "Status": "exited", "ExitCode": 0 }), true),
        (json!({ "Status": "running", "Health": { "Status": "unhealthy", "FailingStreak": 3 } }), false),
        (json!({ "Status": "created", "Error": "port is already allocated" }), false),
        (running(), false),
    ] {
        let look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &state));
        assert_eq!(look.ended().is_some(), ended, "{state}");
    }
}

#[test]
fn a_health_check_that_passed_when_it_was_run_counts_for_that_look() {
    let starting = json!({ "Status": "running", "Health": { "Status": "starting" } });
    let waits = answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &starting);
    assert!(matches!(look(&waits).phase(), Phase::Progressing(_)));
    let passed = look(&format!("passed id-web\n{waits}"));
    assert_eq!((passed.phase(), passed.containers[0].is_ready()), (Phase::Settled, true));
    let other = look(&format!("passed id-other\nhung id-web\n{waits}"));
    assert!(matches!(other.phase(), Phase::Progressing(_)));
    assert_eq!(other.asked().collect::<Vec<_>>(), ["id-web"]);
    // It has passed until its container is started again.
    let mut next = look(&waits);
    next.remember(&passed);
    assert_eq!((next.phase(), next.asked().collect::<Vec<_>>()), (Phase::Settled, vec!["id-web"]));
    let anew = json!({ "Status": "running", "StartedAt": "2026-11-22T04:59:00Z", "Health": { "Status": "starting" } });
    let mut anew = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &anew));
    anew.remember(&next);
    assert!(matches!(anew.phase(), Phase::Progressing(_)));
    // What docker itself found out counts more.
    let unhealthy = json!({ "Status": "running", "Health": { "Status": "unhealthy", "FailingStreak": 3 } });
    let unhealthy = answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &unhealthy);
    assert!(matches!(look(&format!("passed id-web\n{unhealthy}")).phase(), Phase::Failed(_)));
}

#[test]
fn an_image_that_a_look_showed_is_there() {
    let look = look(&answer("v1", "127.0.0.1:5000/web:latest", &["m1"], &running()));
    let image = |place: &str, which| ServiceImage::new(&place.parse().unwrap(), which);
    let digest = |text: &str| Which::Digest(Digest::of_bytes(text.as_bytes()));
    assert!(look.has(&image("127.0.0.1:5000/web", digest("m1"))));
    assert!(look.has(&image("127.0.0.1:5000/web", Which::Id(Digest::of_bytes(b"v1")))));
    assert!(!look.has(&image("127.0.0.1:5000/web", digest("m2"))));
    assert!(
        !look.has(&image("127.0.0.1:5000/other", digest("m1"))),
        "docker finds it under its own name only"
    );
}
