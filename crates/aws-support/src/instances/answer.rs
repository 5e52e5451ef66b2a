//! What EC2 answers: XML without a schema that would say what is required.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>

use std::net::IpAddr;

use aws_smithy_types::error::ErrorMetadata;
use quick_xml::DeError;
use serde::Deserialize;

use super::{Instance, State};

/// One page of instances.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) instances: Vec<Instance>,
    /// What to ask for next.
    pub(super) next: Option<String>,
}

/// Nothing of it is left out in an answer: a page that is of something else is no page without instances.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    reservation_set: List<Reservation>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    instances_set: List<Described>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    instance_id: String,
    instance_state: Named,
    private_ip_address: Option<String>,
    ip_address: Option<String>,
    private_dns_name: Option<String>,
    dns_name: Option<String>,
    #[serde(default)]
    placement: Placement,
    #[serde(default)]
    tag_set: List<Tag>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    errors: Errors,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Errors {
    error: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fault {
    code: String,
    #[serde(default)]
    message: String,
}

impl Page {
    pub(super) fn read(body: &[u8]) -> Result<Self, DeError> {
        let answer: Answer = quick_xml::de::from_reader(body)?;
        let described = answer.reservation_set.item.into_iter().flat_map(|one| one.instances_set.item);
        Ok(Self {
            instances: described.map(Described::read).collect::<Result<_, _>>()?,
            next: said(answer.next_token),
        })
    }
}

impl Described {
    fn read(self) -> Result<Instance, DeError> {
        let id = self.instance_id;
        if !is_id(&id) {
            return Err(DeError::Custom("an instance without an id".to_owned()));
        }
        let mut read = Instance::new(id, State::from(self.instance_state.name.as_str()));
        read.private_ip = address(self.private_ip_address)?;
        read.public_ip = address(self.ip_address)?;
        read.private_dns = said(self.private_dns_name);
        read.public_dns = said(self.dns_name);
        read.zone = said(self.placement.availability_zone);
        read.tags = self.tag_set.item.into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok(read)
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("i-").filter(|digits| (8..=17).contains(&digits.len()));
    digits.is_some_and(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// What EC2 does not have, it often writes as an empty element.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn address(text: Option<String>) -> Result<Option<IpAddr>, DeError> {
    let wrong = |_| DeError::Custom("an address that is none".to_owned());
    said(text).map(|text| text.parse().map_err(wrong)).transpose()
}

/// What EC2 says of a call that it refuses: an error without a code where that cannot be read.
pub(super) fn refusal(body: &[u8]) -> ErrorMetadata {
    let refusal = quick_xml::de::from_reader::<_, Refusal>(body);
    let first = refusal.ok().and_then(|refusal| refusal.errors.error.into_iter().next());
    match first {
        Some(fault) => ErrorMetadata::builder().code(fault.code).message(fault.message).build(),
        None => ErrorMetadata::builder().build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_read_as_it_is_documented() {
        let page = Page::read(include_bytes!("testdata/two.xml")).unwrap();
        assert_eq!(page.next.as_deref(), Some("eyJ2IjoiMiJ9=="));
        let [web, batch] = page.instances.as_slice() else { panic!("{page:?}") };
        assert_eq!(web.to_string(), "i-0a1b2c3d4e5f60718 (\"web & <shop>\")");
        assert_eq!(web.state, State::Running);
        assert_eq!(web.private_ip, Some("10.0.1.17".parse().unwrap()));
        assert_eq!(web.public_ip, Some("198.51.100.7".parse().unwrap()));
        assert_eq!(web.private_dns.as_deref(), Some("ip-10-0-1-17.eu-central-1.compute.internal"));
        let public = "ec2-198-51-100-7.eu-central-1.compute.amazonaws.com";
        assert_eq!(web.public_dns.as_deref(), Some(public));
        assert_eq!(web.zone.as_deref(), Some("eu-central-1a"));
        let tags = [("Name", "web & <shop>"), ("app", "shop"), ("empty", "")];
        assert_eq!(web.tags, tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        // A stopped one has neither name nor address outside, which EC2 writes as nothing or as empty elements.
        assert_eq!((&batch.state, &batch.public_ip, &batch.public_dns), (&State::Stopped, &None, &None));
        assert_eq!((batch.name(), batch.private_dns.as_deref()), (None, None));
    }

    #[test]
    fn what_is_no_answer_is_no_empty_answer() {
        let whole = include_str!("testdata/two.xml");
        for cut in [0, whole.len() / 3, whole.len() / 2, whole.len() - 10] {
            assert!(Page::read(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        for text in [
            "",
            "not XML",
            "<html><body>please log in</body></html>",
            "<DescribeInstancesResponse/>",
            "<A><reservationSet><item><instancesSet><item><instanceId>i-1</item></instancesSet></item></reservationSet></A>",
            &whole.replace("10.0.1.17", "10.0.1.17 -oProxyCommand=id"),
            &whole.replace("<name>stopped</name>", ""),
            &whole.replace("i-0ffffffffffffffff", "i-0fff\u{1b}[31m"),
        ] {
            assert!(Page::read(text.as_bytes()).is_err(), "{text}");
        }
        let none = "<DescribeInstancesResponse><requestId>1</requestId><reservationSet/></DescribeInstancesResponse>";
        let page = Page::read(none.as_bytes()).unwrap();
        assert!(page.instances.is_empty() && page.next.is_none());
    }

    #[test]
    fn a_refusal_has_a_code_and_a_message() {
        let text = "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code>\
                    <Message>The instance ID 'i-1' does not exist</Message></Error></Errors><RequestID>5ed9</RequestID></Response>";
        let read = refusal(text.as_bytes());
        assert_eq!(read.code(), Some("InvalidInstanceID.NotFound"));
        assert_eq!(read.message(), Some("The instance ID 'i-1' does not exist"));
        assert_eq!(refusal(b"<html>busy</html>").code(), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            from in 0..3_270_usize, length in 0..400_usize, with in "[ -~]{0,40}|<[a-zA-Z]{0,20}/?>|&[a-z#0-9]{0,6};|\\PC{0,9}",
        ) {
            let mut text = include_str!("testdata/two.xml").to_owned();
            let from = from.min(text.len());
            text.replace_range(from..(from + length).min(text.len()), &with);
            if let Ok(page) = Page::read(text.as_bytes()) {
                proptest::prop_assert!(page.instances.iter().all(|one| is_id(&one.id)));
            }
            refusal(text.as_bytes());
        }
    }
}
