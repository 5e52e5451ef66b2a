//! EC2's instances, through real sockets.

use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use rollback_aws_support::instances::{Instance, Instances, State, Wanted};
use rollback_aws_support::{Pacer, Session};
use rollback_core::time::SystemClock;
use rollback_core::{Error, ErrorKind, Result};

use super::server::{Does, Server};
use super::{Broken, SECRET, given, session};

const WEB: &str = "i-0a1b2c3d4e5f60718";
const BATCH: &str = "i-0123456789abcdef0";

fn instance(id: &str, state: &str, app: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{state}</name></instanceState>\
         <privateIpAddress>10.0.1.17</privateIpAddress>\
         <tagSet><item><key>app</key><value>{app}</value></item></tagSet></item>"
    )
}

fn page(instances: &[String], next: &str) -> Does {
    let reservations: String =
        instances.iter().map(|one| format!("<item><instancesSet>{one}</instancesSet></item>")).collect();
    Does::Answers(
        200,
        format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>\
             <reservationSet>{reservations}</reservationSet>{next}</DescribeInstancesResponse>"
        ),
    )
}

fn refusal(status: u16, code: &str, message: &str) -> Does {
    Does::Answers(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>5ed9</RequestID></Response>"
        ),
    )
}

fn tagged() -> Wanted {
    Wanted::Tags([("app".to_owned(), "shop".to_owned())].into())
}

fn ids(ids: &[&str]) -> Wanted {
    Wanted::Ids(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn asking(session: Session) -> Instances {
    Instances::new(session, Pacer::new(Arc::new(SystemClock)))
}

fn unsigned(url: &str) -> aws_types::sdk_config::Builder {
    SdkConfig::builder().region(Region::new("eu-central-1")).endpoint_url(url)
}

async fn found(script: Vec<Does>, wanted: &Wanted) -> (Result<Vec<Instance>>, Server) {
    let server = Server::start(script).await;
    let found = asking(session(&server.url)).find(wanted).await;
    (found, server)
}

async fn failure(script: Vec<Does>, wanted: &Wanted) -> Error {
    let (found, _server) = found(script, wanted).await;
    let error = found.unwrap_err();
    assert!(!format!("{error}{error:?}").contains(SECRET), "{error}");
    assert!(error.next_step().is_some(), "{error}");
    error
}

#[tokio::test]
async fn they_come_by_their_ids_page_after_page_and_only_those_that_match() {
    let script = vec![
        page(&[instance(WEB, "running", "shop")], "<nextToken>a+b</nextToken>"),
        page(
            &[instance(BATCH, "stopped", "shop"), instance("i-0eeeeeeeeeeeeeeee", "running", "shop-staging")],
            "",
        ),
    ];
    let (found, server) = found(script, &tagged()).await;
    let found: Vec<_> = found.unwrap().into_iter().map(|one| (one.id, one.state)).collect();
    assert_eq!(found, [(BATCH.to_owned(), State::Stopped), (WEB.to_owned(), State::Running)]);
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].contains("Filter.1.Name=tag%3Aapp&Filter.1.Value.1=shop"), "{bodies:?}");
    assert!(!bodies[0].contains("NextToken") && bodies[1].ends_with("&NextToken=a%2Bb"), "{bodies:?}");
    // Signed for this service and region, with the session's token, and by whom CloudTrail may name.
    let head = server.heads()[0].to_ascii_lowercase();
    for part in [
        "post / http/1.1",
        "/eu-central-1/ec2/aws4_request",
        "content-type: application/x-www-form-urlencoded",
        "x-amz-security-token:",
        "api/ec2/",
    ] {
        assert!(head.contains(part), "no {part} in {head}");
    }
}

#[tokio::test]
async fn those_who_look_together_share_one_search_and_nothing_is_remembered() {
    let server = Server::start(vec![page(&[instance(WEB, "running", "shop")], "")]).await;
    let instances = asking(session(&server.url));
    let (a, b) = (tagged(), tagged());
    let (a, b) = tokio::join!(instances.find(&a), instances.find(&b));
    assert_eq!((a.unwrap().len(), b.unwrap().len(), server.requests()), (1, 1, 1));
    instances.find(&tagged()).await.unwrap();
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn nothing_wanted_is_not_everything() {
    for wanted in [Wanted::Tags([].into()), ids(&[])] {
        let (found, server) = found(vec![page(&[instance(WEB, "running", "shop")], "")], &wanted).await;
        assert_eq!((found.unwrap().len(), server.requests()), (0, 0));
    }
}

#[tokio::test]
async fn an_id_that_is_not_there_is_named() {
    let said = "The instance ID 'i-0123456789abcdef0' does not exist";
    let refused = refusal(400, "InvalidInstanceID.NotFound", said);
    let error = failure(vec![refused], &ids(&[BATCH])).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains(said), "{error}");
    // A server that leaves it out has not said that all is well.
    let error = failure(vec![page(&[instance(WEB, "running", "shop")], "")], &ids(&[WEB, BATCH])).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains(BATCH) && !error.message().contains(WEB), "{error}");
}

#[tokio::test]
async fn the_permission_that_is_missing_is_named() {
    let old = "You are not authorized to perform this operation.";
    let new = "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/deploy/ada is \
               not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the \
               ec2:DescribeInstances action";
    for (said, who) in [(old, "the caller"), (new, "arn:aws:sts::123456789012:assumed-role/deploy/ada")] {
        let error = failure(vec![refusal(403, "UnauthorizedOperation", said)], &tagged()).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        let next = error.next_step().unwrap();
        assert!(next.starts_with(&format!("allow ec2:DescribeInstances to {who};")), "{error}");
    }
}

#[tokio::test]
async fn a_throttled_look_is_sent_again_and_other_failures_are_told() {
    let busy = || refusal(503, "RequestLimitExceeded", "Request limit exceeded.");
    let there = || page(&[instance(WEB, "running", "shop")], "");
    let (found, server) = found(vec![busy(), busy(), there()], &tagged()).await;
    assert_eq!((found.unwrap().len(), server.requests()), (1, 3));
    assert_eq!(failure(vec![busy()], &tagged()).await.kind(), ErrorKind::Throttled);
    let whole = "<DescribeInstancesResponse><reservationSet>";
    for (does, kind) in [
        (refusal(400, "InvalidParameterValue", "no"), ErrorKind::Invalid),
        (refusal(403, "RequestExpired", "Request has expired."), ErrorKind::Denied),
        (Does::Answers(500, "<html>oops</html>".to_owned()), ErrorKind::Unavailable),
        (Does::Answers(200, "<html><body>please log in</body></html>".to_owned()), ErrorKind::Unavailable),
        (Does::Answers(200, whole.to_owned()), ErrorKind::Unavailable),
        (Does::BreaksOff, ErrorKind::Unavailable),
        (Does::Resets, ErrorKind::Unavailable),
    ] {
        assert_eq!(failure(vec![does], &tagged()).await.kind(), kind);
    }
}

#[tokio::test]
async fn a_search_without_an_end_ends() {
    let again = page(&[instance(WEB, "running", "shop")], "<nextToken>again</nextToken>");
    let (found, server) = found(vec![again], &tagged()).await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(server.requests(), 10);
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::start(vec![page(&[], "")]).await;
    let fails = SharedCredentialsProvider::new(Broken(|| CredentialsError::not_loaded(SECRET)));
    for config in [given(&server.url).credentials_provider(fails), unsigned(&server.url)] {
        let session = Session::from_sdk_config(config.build());
        let error = asking(session).find(&tagged()).await.unwrap_err();
        assert_eq!((error.kind(), server.requests()), (ErrorKind::Denied, 0), "{error}");
        assert!(error.message().contains("no AWS credentials were found"), "{error}");
    }
}
