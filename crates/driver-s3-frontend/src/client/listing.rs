//! What `ListObjectsV2` answers, as it is written: its texts lie where they came.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html#API_ListObjectsV2_ResponseSyntax>

use std::borrow::Cow;

use aws_sdk_s3::error::BoxError;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use crate::object::Restore;

type Result<T> = std::result::Result<T, BoxError>;
type Source<'a> = Reader<&'a [u8]>;

/// How many objects S3 puts into a page.
const PAGE: usize = 1_000;

/// One page.
#[derive(Debug, Default)]
pub(super) struct Listing<'a> {
    pub(super) objects: Vec<Entry<'a>>,
    pub(super) folders: Vec<Cow<'a, str>>,
    /// Whether another page follows.
    pub(super) goes_on: bool,
    /// Whether keys are written as parts of a URL.
    pub(super) encoded: bool,
}

/// One object: nothing of it is checked.
#[derive(Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) size: Option<Cow<'a, str>>,
    pub(super) etag: Option<Cow<'a, str>>,
    pub(super) modified: Option<Cow<'a, str>>,
    pub(super) class: Option<Cow<'a, str>>,
    pub(super) restore: Restore,
}

impl<'a> Listing<'a> {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is no XML, breaks off, or is something else than a listing.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::from_reader(body);
        let mut listing = Self { objects: Vec::with_capacity(PAGE), ..Self::default() };
        let root = root(&mut reader)?;
        if root.local_name().as_ref() != b"ListBucketResult" {
            return Err(format!("it is no listing: {root:?}").into());
        }
        each(&mut reader, |reader, element| {
            match element.local_name().as_ref() {
                b"Contents" => listing.objects.push(Entry::read(reader)?),
                b"CommonPrefixes" => each(reader, |reader, element| {
                    match element.local_name().as_ref() {
                        b"Prefix" => listing.folders.push(text(reader, element)?),
                        _ => pass(reader, element)?,
                    }
                    Ok(())
                })?,
                b"IsTruncated" => listing.goes_on = text(reader, element)? == "true",
                b"EncodingType" => listing.encoded = text(reader, element)? == "url",
                _ => pass(reader, element)?,
            }
            Ok(())
        })?;
        Ok(listing)
    }
}

impl<'a> Entry<'a> {
    fn read(reader: &mut Source<'a>) -> Result<Self> {
        let mut entry = Self::default();
        each(reader, |reader, element| {
            let place = match element.local_name().as_ref() {
                b"Key" => &mut entry.key,
                b"Size" => &mut entry.size,
                b"ETag" => {
                    entry.etag = Some(tag(reader, element)?);
                    return Ok(());
                }
                b"LastModified" => &mut entry.modified,
                b"StorageClass" => &mut entry.class,
                b"RestoreStatus" => {
                    entry.restore = restore(reader)?;
                    return Ok(());
                }
                _ => return pass(reader, element),
            };
            *place = Some(text(reader, element)?);
            Ok(())
        })?;
        Ok(entry)
    }
}

fn restore(reader: &mut Source<'_>) -> Result<Restore> {
    let (mut underway, mut until) = (false, false);
    each(reader, |reader, element| {
        match element.local_name().as_ref() {
            b"IsRestoreInProgress" => underway = text(reader, element)? == "true",
            b"RestoreExpiryDate" => until = !text(reader, element)?.is_empty(),
            _ => pass(reader, element)?,
        }
        Ok(())
    })?;
    Ok(match (underway, until) {
        (true, _) => Restore::Underway,
        (false, true) => Restore::Done,
        (false, false) => Restore::None,
    })
}

/// Why S3 refused, in an answer that began as if all were well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    /// Reads one; nothing where it is something else.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_reader(body);
        let is_refusal = root(&mut reader).is_ok_and(|root| root.local_name().as_ref() == b"Error");
        let mut refusal = is_refusal.then(|| Self { code: String::new(), message: String::new() })?;
        // What of it can be read is told.
        let _ = each(&mut reader, |reader, element| {
            match element.local_name().as_ref() {
                b"Code" => refusal.code = text(reader, element)?.into_owned(),
                b"Message" => refusal.message = text(reader, element)?.into_owned(),
                _ => pass(reader, element)?,
            }
            Ok(())
        });
        Some(refusal)
    }
}

/// Opens the outermost element.
fn root<'a>(reader: &mut Source<'a>) -> Result<BytesStart<'a>> {
    loop {
        match reader.read_event()? {
            Event::Start(element) => return Ok(element),
            Event::Empty(_) | Event::Eof => return Err("there is nothing in it".into()),
            _ => {}
        }
    }
}

/// Hands over each element inside the one that is open, up to the end of that. Who gets one reads it to its end.
fn each<'a>(
    reader: &mut Source<'a>,
    mut inside: impl FnMut(&mut Source<'a>, &BytesStart<'a>) -> Result<()>,
) -> Result<()> {
    loop {
        match reader.read_event()? {
            Event::Start(element) => inside(reader, &element)?,
            Event::End(_) => return Ok(()),
            Event::Eof => return Err("it breaks off".into()),
            // Spaces between elements, and elements without anything in them.
            _ => {}
        }
    }
}

fn text<'a>(reader: &mut Source<'a>, element: &BytesStart<'a>) -> Result<Cow<'a, str>> {
    match reader.read_text(element.name())?.decode()? {
        Cow::Borrowed(text) => Ok(unescape(text)?),
        Cow::Owned(text) => Ok(Cow::Owned(unescape(&text)?.into_owned())),
    }
}

/// An entity tag, mostly without its quotes: they are written as entities, and a page has a thousand of them.
fn tag<'a>(reader: &mut Source<'a>, element: &BytesStart<'a>) -> Result<Cow<'a, str>> {
    const QUOTE: &str = "&quot;";
    let text = reader.read_text(element.name())?.decode()?;
    if let Cow::Borrowed(text) = text {
        let inside = text.strip_prefix(QUOTE).and_then(|text| text.strip_suffix(QUOTE));
        return match inside.filter(|inside| !inside.contains(['&', '<'])) {
            Some(inside) => Ok(Cow::Borrowed(inside)),
            None => Ok(unescape(text)?),
        };
    }
    Ok(Cow::Owned(unescape(&text)?.into_owned()))
}

fn pass(reader: &mut Source<'_>, element: &BytesStart<'_>) -> Result<()> {
    reader.read_to_end(element.name())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">
        <Name>site</Name><Prefix>live/</Prefix><StartAfter/><IsTruncated>true</IsTruncated>
        <Contents><Key>live/a%2Bb&amp;c.js</Key><LastModified>2026-11-22T03:00:00.000Z</LastModified><ETag>&quot;9b2c&#34;</ETag>
            <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><Size>7</Size><Owner><ID>1</ID><Key>not this</Key></Owner>
            <StorageClass>GLACIER</StorageClass><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>
            <RestoreExpiryDate>2026-12-01T00:00:00.000Z</RestoreExpiryDate></RestoreStatus></Contents>
        <Contents><Size>8</Size><RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus><Tomorrow/></Contents>
        <CommonPrefixes><Prefix>live/x/</Prefix></CommonPrefixes><EncodingType>url</EncodingType></ListBucketResult>";

    #[test]
    fn a_page_is_read_whatever_else_is_in_it() {
        let listing = Listing::read(PAGE.as_bytes()).unwrap();
        assert!(listing.goes_on && listing.encoded);
        assert_eq!(listing.folders, ["live/x/"]);
        let [one, other] = listing.objects.as_slice() else { panic!("{:?}", listing.objects) };
        assert_eq!(one.key.as_deref(), Some("live/a%2Bb&c.js"));
        assert_eq!((one.size.as_deref(), one.etag.as_deref()), (Some("7"), Some("\"9b2c\"")));
        assert_eq!(one.modified.as_deref(), Some("2026-11-22T03:00:00.000Z"));
        assert_eq!((one.class.as_deref(), one.restore), (Some("GLACIER"), Restore::Done));
        assert_eq!((other.key.as_deref(), other.size.as_deref()), (None, Some("8")));
        assert_eq!((other.class.as_deref(), other.restore), (None, Restore::Underway));
    }

    #[test]
    fn a_tag_is_the_same_however_its_quotes_are_written() {
        for written in ["&quot;9b2c&quot;", "&#34;9b2c&#34;", "\"9b2c\"", "&quot;9b2c&#34;", "9b2c"] {
            let page = PAGE.replace("&quot;9b2c&#34;", written);
            let listing = Listing::read(page.as_bytes()).unwrap();
            let tag = listing.objects[0].etag.as_deref().unwrap();
            assert_eq!(crate::object::ETag::read(tag).unwrap().as_str(), "9b2c", "{written}");
        }
        let odd = PAGE.replace("&quot;9b2c&#34;", "&quot;9&amp;c&quot;");
        assert_eq!(Listing::read(odd.as_bytes()).unwrap().objects[0].etag.as_deref(), Some("\"9&c\""));
    }

    #[test]
    fn a_page_that_breaks_off_anywhere_is_no_shorter_page() {
        let end = PAGE.len() - "</ListBucketResult>".len();
        for cut in (0..=end).filter(|cut| PAGE.is_char_boundary(*cut)) {
            assert!(Listing::read(&PAGE.as_bytes()[..cut]).is_err(), "{}", &PAGE[..cut]);
        }
        for wrong in ["<html></html>", "no XML", "<ListBucketResult><Contents></ListBucketResult>"] {
            assert!(Listing::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let odd: Vec<u8> = PAGE.bytes().map(|byte| if byte == b'7' { 0xff } else { byte }).collect();
        assert!(Listing::read(&odd).is_err(), "it is no UTF-8");
    }

    #[test]
    fn a_refusal_is_none_of_the_listings() {
        let refused =
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &lt; b</Message><HostId/></Error>";
        let refusal = Refusal { code: "SlowDown".to_owned(), message: "a < b".to_owned() };
        assert_eq!(Refusal::read(refused.as_bytes()), Some(refusal));
        assert_eq!(Refusal::read(PAGE.as_bytes()), None);
        assert!(Listing::read(refused.as_bytes()).is_err());
        let cut = "<Error><Code>InternalError</Code><Mess";
        assert_eq!(
            Refusal::read(cut.as_bytes()).map(|refusal| refusal.code).as_deref(),
            Some("InternalError")
        );
    }
}
